#include "door/s3/object_headers.h"

#include <gtest/gtest.h>

namespace archipel::door::s3 {
namespace {

http::Headers headers(const std::vector<std::pair<std::string, std::string>>& list) {
  http::Headers h;
  for (const auto& [n, v] : list) h.add(n, v);
  return h;
}

TEST(ParseRange, SingleRangesOnly) {
  auto r = parse_range("bytes=0-9");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->first, 0u);
  EXPECT_EQ(r->last, 9u);
  EXPECT_EQ(parse_range("bytes=5-")->first, 5u);
  EXPECT_FALSE(parse_range("bytes=5-")->last);
  EXPECT_FALSE(parse_range("bytes=-5")->first);
  EXPECT_EQ(parse_range("bytes=-5")->last, 5u);
  EXPECT_TRUE(parse_range("Bytes= 1 - 2 "));
  EXPECT_EQ(parse_range("bytes=99999999999999999999999-")->first, UINT64_MAX);
  for (const char* whole : {"", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "bytes=9-0", "items=0-1",
                            "bytes 0-1", "bytes=+1-2", "bytes=1--2", "bytes=0x1-2"})
    EXPECT_FALSE(parse_range(whole)) << whole;
}

TEST(ResolveRange, ClampsToTheObject) {
  auto at = [](std::string_view text, uint64_t size) -> std::string {
    auto r = resolve_range(*parse_range(text), size);
    return r ? std::to_string(r->first) + "+" + std::to_string(r->second) : r.error().detail;
  };
  EXPECT_EQ(at("bytes=0-9", 100), "0+10");
  EXPECT_EQ(at("bytes=0-999", 100), "0+100");
  EXPECT_EQ(at("bytes=99-", 100), "99+1");
  EXPECT_EQ(at("bytes=-1", 100), "99+1");
  EXPECT_EQ(at("bytes=-1000", 100), "0+100");
  EXPECT_EQ(at("bytes=100-", 100), "InvalidRange");
  EXPECT_EQ(at("bytes=-0", 100), "InvalidRange");
  EXPECT_EQ(at("bytes=0-", 0), "InvalidRange");
  EXPECT_EQ(at("bytes=-5", 0), "InvalidRange");
}

TEST(ReadConditions, ETagListsAndDates) {
  auto c = read_conditions(headers({{"if-match", "\"a\", b ,W/\"c\""},
                                    {"if-none-match", "W/\"d\", *"},
                                    {"if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"},
                                    {"if-unmodified-since", "soon"}}),
                           "", 0);
  EXPECT_EQ(c.if_match, (std::vector<std::string>{"a", "b", "W/\"c\""}));
  EXPECT_EQ(c.if_none_match, (std::vector<std::string>{"d", "*"}));
  EXPECT_EQ(c.if_modified_since_ms, 784111777000);
  EXPECT_FALSE(c.if_unmodified_since_ms);
  EXPECT_TRUE(read_conditions(headers({{"x-amz-copy-source-if-match", "a"}}), "", 0).empty());
  EXPECT_EQ(read_conditions(headers({{"x-amz-copy-source-if-match", "a"}}), "x-amz-copy-source-", 0)
                .if_match.size(),
            1u);
  EXPECT_FALSE(read_conditions(headers({{"if-match", ""}}), "", 0).empty());
}

TEST(ReadObjectHeaders, KeepsWhatBelongsToTheObject) {
  auto kept = read_object_headers(headers({{"content-type", "text/plain"},
                                           {"content-encoding", "aws-chunked"},
                                           {"accept", "x"},
                                           {"x-amz-meta-a", "1"},
                                           {"x-amz-meta-b", "2"},
                                           {"x-amz-meta-a", "3"}}));
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->headers, (std::map<std::string, std::string>{{"content-type", "text/plain"}}));
  EXPECT_EQ(kept->metadata, (std::map<std::string, std::string>{{"a", "1,3"}, {"b", "2"}}));
  auto encoding = [](const char* v) {
    auto k = read_object_headers(headers({{"content-encoding", v}}));
    return k->headers.contains("content-encoding") ? k->headers.at("content-encoding") : "";
  };
  EXPECT_EQ(encoding("gzip"), "gzip");
  EXPECT_EQ(encoding("aws-chunked,gzip"), "gzip");
  EXPECT_EQ(encoding("gzip, AWS-Chunked , br"), "gzip, br");
  EXPECT_EQ(encoding("aws-chunked,"), "");
}

TEST(ReadObjectHeaders, MetadataUpTo2048Bytes) {
  EXPECT_TRUE(read_object_headers(headers({{"x-amz-meta-name", std::string(2044, 'v')}})));
  auto over = read_object_headers(headers({{"x-amz-meta-name", std::string(2045, 'v')}}));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().detail, "MetadataTooLarge");
  EXPECT_EQ(read_object_headers(headers({{"x-amz-meta-", "v"}})).error().detail, "InvalidArgument");
}

}  // namespace
}  // namespace archipel::door::s3
