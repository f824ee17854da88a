#include "edge/conditional.h"

#include <gtest/gtest.h>

#include "http/date.h"

namespace archipel::edge {
namespace {

constexpr UnixMs kNow = 1'700'000'000'000;

http::Headers make(std::string name, std::string value) {
  http::Headers out;
  out.add(std::move(name), std::move(value));
  return out;
}

TEST(Conditional, IfNoneMatchComparesWeakly) {
  Validators stored{"\"a\"", std::nullopt, kNow};
  for (const char* yes : {"\"a\"", "W/\"a\"", "\"b\", \"a\"", "\"a\" ,\"c\"", "*", "\"x,y\",\"a\""})
    EXPECT_TRUE(is_not_modified(make("if-none-match", yes), stored, kNow)) << yes;
  for (const char* no : {"\"b\"", "a", "\"A\"", "w/\"a\"", "\"x,\"a\"\""})
    EXPECT_FALSE(is_not_modified(make("if-none-match", no), stored, kNow)) << no;
}

TEST(Conditional, IfNoneMatchGoesBeforeIfModifiedSince) {
  http::Headers both = make("if-none-match", "\"b\"");
  both.add("if-modified-since", http::format_http_date(kNow));
  EXPECT_FALSE(is_not_modified(both, {"\"a\"", kNow - 5000, kNow}, kNow));
}

TEST(Conditional, IfModifiedSinceComparesDates) {
  Validators stored{"", kNow - 3000, kNow};
  EXPECT_TRUE(is_not_modified(make("if-modified-since", http::format_http_date(kNow - 3000)), stored, kNow));
  EXPECT_TRUE(is_not_modified(make("if-modified-since", http::format_http_date(kNow - 1000)), stored, kNow));
  EXPECT_FALSE(is_not_modified(make("if-modified-since", http::format_http_date(kNow - 4000)), stored, kNow));
  EXPECT_FALSE(is_not_modified(make("if-modified-since", "yesterday"), stored, kNow));
  // Without last-modified: the date of the response.
  EXPECT_TRUE(is_not_modified(make("if-modified-since", http::format_http_date(kNow)),
                              {"", std::nullopt, kNow}, kNow));
}

TEST(Conditional, IfRangeNeedsAStrongValidator) {
  EXPECT_TRUE(range_still_counts({}, {}, kNow));
  EXPECT_TRUE(range_still_counts(make("if-range", "\"a\""), {"\"a\"", {}, kNow}, kNow));
  EXPECT_FALSE(range_still_counts(make("if-range", "W/\"a\""), {"W/\"a\"", {}, kNow}, kNow));
  EXPECT_FALSE(range_still_counts(make("if-range", "\"b\""), {"\"a\"", {}, kNow}, kNow));
  std::string date = http::format_http_date(kNow - 60'000);
  EXPECT_TRUE(range_still_counts(make("if-range", date), {"", kNow - 60'000, kNow}, kNow));
  EXPECT_FALSE(range_still_counts(make("if-range", date), {"", kNow - 60'000, kNow - 60'000}, kNow));
  EXPECT_FALSE(range_still_counts(make("if-range", date), {"", kNow - 61'000, kNow}, kNow));
}

TEST(Conditional, A304SaysNothingOfTheBody) {
  http::Headers stored = make("content-type", "text/plain");
  stored.add("etag", "\"a\"");
  stored.add("content-location", "/x");
  http::Headers out = not_modified_headers(stored);
  EXPECT_EQ(out.find("content-type"), nullptr);
  EXPECT_NE(out.find("etag"), nullptr);
  EXPECT_NE(out.find("content-location"), nullptr);
}

}  // namespace
}  // namespace archipel::edge
