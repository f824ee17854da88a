#include "edge/range.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace archipel::edge {
namespace {

std::optional<std::vector<RangeSpec>> parse(std::string value) {
  http::Headers headers;
  headers.add("range", std::move(value));
  return parse_range(headers);
}
Wanted want(std::string value, uint64_t length) {
  auto specs = parse(std::move(value));
  return specs ? resolve(*specs, length) : Wanted{};
}
using Kind = Wanted::Kind;

TEST(Range, OneRange) {
  EXPECT_EQ(want("bytes=0-1", 11).ranges, (std::vector<ByteRange>{{0, 1}}));
  EXPECT_EQ(want("Bytes=1-", 11).ranges, (std::vector<ByteRange>{{1, 10}}));
  EXPECT_EQ(want("bytes=-1", 11).ranges, (std::vector<ByteRange>{{10, 10}}));
  EXPECT_EQ(want("bytes=-99", 11).ranges, (std::vector<ByteRange>{{0, 10}}));
  EXPECT_EQ(want("bytes=5-99999999999999999999999999", 11).ranges, (std::vector<ByteRange>{{5, 10}}));
}

TEST(Range, NothingOfItIsThere) {
  EXPECT_EQ(want("bytes=11-", 11).kind, Kind::none);
  EXPECT_EQ(want("bytes=-0", 11).kind, Kind::none);
  EXPECT_EQ(want("bytes=0-", 0).kind, Kind::none);
  EXPECT_EQ(want("bytes=99-, 0-0", 11).ranges, (std::vector<ByteRange>{{0, 0}}));
}

TEST(Range, MalformedIsTheWhole) {
  for (const char* bad :
       {"bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=2-1", "items=0-1", "bytes=1", "bytes=0-1,x"})
    EXPECT_EQ(want(bad, 11).kind, Kind::whole) << bad;
}

// RangeAmp, overlapping byte ranges: a short request does not make a long reply.
TEST(Range, RangeAmpManyOrOverlappingRangesAreTheWhole) {
  EXPECT_EQ(want("bytes=0-,0-,0-", 1000).kind, Kind::whole);
  EXPECT_EQ(want("bytes=0-5,3-9", 1000).kind, Kind::whole);
  EXPECT_EQ(want("bytes=0-5,6-9", 1000).ranges.size(), 2u);
  std::string many = "bytes=0-0";
  for (size_t i = 1; i < kRangesMax; i++) many += "," + std::to_string(i * 2) + "-" + std::to_string(i * 2);
  EXPECT_EQ(want(many, 1000).ranges.size(), kRangesMax);
  EXPECT_EQ(want(many + ",900-900", 1000).kind, Kind::whole);
  EXPECT_TRUE(rc::check("never more than there is", [] {
    std::string value = "bytes=";
    int n = *rc::gen::inRange(1, 6);
    for (int i = 0; i < n; i++)
      value +=
          std::to_string(*rc::gen::inRange(0, 30)) + "-" + std::to_string(*rc::gen::inRange(0, 30)) + ",";
    uint64_t sum = 0;
    for (const ByteRange& r : want(value, 20).ranges) {
      RC_ASSERT(r.last < 20u);
      sum += r.size();
    }
    RC_ASSERT(sum <= 20u);
  }));
}

TEST(Range, ContentRange) {
  EXPECT_EQ(parse_content_range("bytes 4-9/10")->range, (ByteRange{4, 9}));
  EXPECT_EQ(parse_content_range("bytes 4-9/10")->whole, 10u);
  EXPECT_EQ(parse_content_range("bytes 4-9/*")->whole, std::nullopt);
  for (const char* bad :
       {"bytes */10", "bytes 9-4/10", "bytes 4-10/10", "4-9/10", "bytes 4-9", "bytes 4-9/x"})
    EXPECT_FALSE(parse_content_range(bad)) << bad;
  EXPECT_EQ(write_content_range({4, 9}, 10), "bytes 4-9/10");
}

}  // namespace
}  // namespace archipel::edge
