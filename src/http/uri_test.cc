#include "http/uri.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace archipel::http {
namespace {

TEST(PercentDecode, DecodesOnceAndKeepsPlus) {
  EXPECT_EQ(percent_decode("/a%20b+c%2541"), "/a b+c%41");
  EXPECT_EQ(percent_decode("%00%fF"), std::string("\0\xff", 2));
  EXPECT_EQ(percent_decode("a+b", Plus::space), "a b");
  EXPECT_EQ(percent_decode("%2B", Plus::space), "+");
}

TEST(PercentDecode, RefusesBadEscapes) {
  for (const char* bad : {"%", "a%", "%4", "%4g", "%g4", "%%41", "% 41", "%+1"})
    EXPECT_FALSE(percent_decode(bad)) << bad;
}

TEST(UriEncode, FollowsSigV4) {
  EXPECT_EQ(uri_encode("AZaz09-_.~"), "AZaz09-_.~");
  EXPECT_EQ(uri_encode("a b/c+d*\xc3\xa9"), "a%20b%2Fc%2Bd%2A%C3%A9");
  EXPECT_EQ(uri_encode("a/b c", Slash::keep), "a/b%20c");
}

TEST(ParseQuery, KeepsOrderDuplicatesAndSpelling) {
  auto q = parse_query("acl&prefix=a%2Fb+c&x=&prefix=2=3&&%3D=%26");
  ASSERT_TRUE(q);
  ASSERT_EQ(q->size(), 5u);
  EXPECT_EQ((*q)[0].name, "acl");
  EXPECT_FALSE((*q)[0].had_equals);
  EXPECT_EQ((*q)[1].value, "a/b c");
  EXPECT_EQ((*q)[1].raw, "prefix=a%2Fb+c");
  EXPECT_TRUE((*q)[2].had_equals);
  EXPECT_EQ((*q)[2].value, "");
  EXPECT_EQ((*q)[3].value, "2=3");
  EXPECT_EQ((*q)[4].name, "=");
  EXPECT_EQ((*q)[4].value, "&");
}

TEST(ParseQuery, RefusesBadEscapesAndTooMany) {
  EXPECT_FALSE(parse_query("a=%zz"));
  EXPECT_FALSE(parse_query("%=1"));
  std::string many;
  for (size_t i = 0; i < kQueryParamsMax; ++i) many += "a&";
  EXPECT_TRUE(parse_query(many));
  EXPECT_FALSE(parse_query(many + "a"));
  EXPECT_TRUE(parse_query("")->empty());
}

RC_GTEST_PROP(Uri, EncodingRoundTrips, (const std::string& bytes, bool keep)) {
  std::string encoded = uri_encode(bytes, keep ? Slash::keep : Slash::encode);
  RC_ASSERT(percent_decode(encoded) == bytes);
  RC_ASSERT(percent_decode(encoded, Plus::space) == bytes);
}

}  // namespace
}  // namespace archipel::http
