#include "http/structured_fields.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace archipel::http::sf {
namespace {

TEST(StructuredFields, ReadsEveryKindOfItem) {
  EXPECT_EQ(parse_item("42")->value, Bare(int64_t{42}));
  EXPECT_EQ(parse_item("-999999999999999")->value, Bare(int64_t{-999999999999999}));
  EXPECT_EQ(parse_item("4.5")->value, Bare(Decimal{4500}));
  EXPECT_EQ(parse_item("-0.125")->value, Bare(Decimal{-125}));
  EXPECT_EQ(parse_item("\"a \\\"b\\\\\"")->value, Bare(std::string("a \"b\\")));
  EXPECT_EQ(parse_item("*a/b:c")->value, Bare(Token{"*a/b:c"}));
  EXPECT_EQ(parse_item(":aGVsbG8=:")->value, Bare(Bytes{"hello"}));
  EXPECT_EQ(parse_item("?1")->value, Bare(true));
  EXPECT_EQ(parse_item("@1659578233")->value, Bare(Date{1659578233}));
  EXPECT_EQ(parse_item("%\"f%c3%bc\"")->value, Bare(std::string("f\xc3\xbc")));
  auto with = parse_item("abc;a=1;b; a=2");
  ASSERT_TRUE(with);
  ASSERT_EQ(with->parameters.size(), 2u);
  EXPECT_EQ(*find(with->parameters, "a"), Bare(int64_t{2}));
  EXPECT_EQ(*find(with->parameters, "b"), Bare(true));
}

TEST(StructuredFields, RefusesWhatIsNotWhole) {
  for (std::string_view bad : {"", "1 2", "1000000000000000", "1.", "1.2345", "1234567890123.1", "\"a",
                               "\"\\n\"", "\"\t\"", "?2", ":a", ":!:", "@1.5", "--1", "a;B", "%\"%C3\"", "&"})
    EXPECT_FALSE(parse_item(bad)) << bad;
  for (std::string_view bad : {"a,", "a,,b", ",a", "(a", "(a\"b\")", "a b"})
    EXPECT_FALSE(parse_list(bad)) << bad;
  for (std::string_view bad : {"a=", "A=1", "a=1,", "a=&", "1=a", "max-age =100", "max-age= 100"})
    EXPECT_FALSE(parse_dictionary(bad)) << bad;
}

TEST(StructuredFields, TakesTheLastOfEqualKeys) {
  auto d = parse_dictionary("a=1, b;x=2,\tc=(1 \"2\");q, a=3");
  ASSERT_TRUE(d);
  ASSERT_EQ(d->size(), 3u);
  EXPECT_EQ((*d)[0].second.item.value, Bare(int64_t{3}));
  EXPECT_EQ(find(*d, "b")->item.value, Bare(true));
  EXPECT_EQ(find(*d, "c")->items.size(), 2u);
  EXPECT_EQ(find(*d, "z"), nullptr);
  EXPECT_TRUE(parse_dictionary("")->empty());
}

TEST(StructuredFields, BoundsWhatOneFieldCanHold) {
  std::string list = "a";
  for (size_t i = 1; i < kMembersMax; i++) list += ",a";
  EXPECT_TRUE(parse_list(list));
  EXPECT_FALSE(parse_list(list + ",a"));
}

TEST(StructuredFields, WritesStringsThatItReadsBack) {
  EXPECT_TRUE(rc::check("round trip", [](const std::string& text) {
    auto back = parse_item(write_string(text));
    RC_ASSERT(back.has_value());
    RC_ASSERT(std::get<std::string>(back->value).size() == text.size());
  }));
  EXPECT_TRUE(rc::check("any bytes end", [](const std::string& text) {
    parse_item(text);
    parse_list(text);
    parse_dictionary(text);
  }));
}

}  // namespace
}  // namespace archipel::http::sf
