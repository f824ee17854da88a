#include "edge/directives.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace archipel::edge {
namespace {

Directives read(std::initializer_list<std::string> lines) {
  http::Headers headers;
  for (const std::string& line : lines) headers.add("cache-control", line);
  return parse_cache_control(headers);
}
std::optional<Directives> targeted(std::string line) {
  http::Headers headers;
  headers.add("cdn-cache-control", std::move(line));
  return parse_targeted(headers, "cdn-cache-control");
}

TEST(Directives, ReadsWhatTheWildWrites) {
  Directives d = read({"MaX-AgE=\"60\" ,,  PUBLIC", "S-MaxAge = 30 , foo=\"max-age=1, private\""});
  EXPECT_EQ(d.max_age, 60);
  EXPECT_EQ(d.s_maxage, 30);
  EXPECT_TRUE(d.is_public);
  EXPECT_FALSE(d.is_private);
}

TEST(Directives, TakesTheShortestOfContradictions) {
  EXPECT_EQ(read({"max-age=1800, max-age=1"}).max_age, 1);
  EXPECT_EQ(read({"max-age=1", "max-age=1800"}).max_age, 1);
}

TEST(Directives, TakesWhatIsNoNumberAsZero) {
  for (std::string bad :
       {"max-age='3600'", "max-age=3600.0", "max-age=-1", "max-age=a1", "max-age=1a", "max-age=", "max-age"})
    EXPECT_EQ(read({bad}).max_age, 0) << bad;
  EXPECT_EQ(read({"max-age=003600"}).max_age, 3600);
}

TEST(Directives, CutsSpansThatOverflow) {
  EXPECT_EQ(read({"max-age=99999999999999999999999999"}).max_age, kSecondsMax);
  EXPECT_EQ(read({"max-age=2147483647"}).max_age, 2147483647);
}

TEST(Directives, KnowsTheQualifiedForms) {
  Directives d = read({"no-cache=\"Set-Cookie, X\", private=a"});
  EXPECT_FALSE(d.no_cache);
  EXPECT_EQ(d.no_cache_fields, (std::vector<std::string>{"set-cookie", "x"}));
  EXPECT_EQ(d.private_fields, std::vector<std::string>{"a"});
  EXPECT_TRUE(read({"no-cache=\"\""}).no_cache);
  EXPECT_TRUE(read({"no-cache=\"a\", no-cache"}).no_cache);
}

TEST(Directives, OfRequests) {
  Directives d = read({"max-stale, min-fresh=5, only-if-cached"});
  EXPECT_EQ(d.max_stale, kSecondsMax);
  EXPECT_EQ(d.min_fresh, 5);
  EXPECT_TRUE(d.only_if_cached);
  EXPECT_EQ(read({"max-stale=7"}).max_stale, 7);
}

TEST(Directives, TargetedFieldsAreDictionaries) {
  EXPECT_EQ(targeted("foobar, max-age=3600;x=1")->max_age, 3600);
  EXPECT_TRUE(targeted("private")->is_private);
  EXPECT_FALSE(targeted("private=?0, max-age=1")->is_private);
  // Invalid as a whole, or empty, or nothing in it that a cache can go by: the next field counts.
  for (std::string bad :
       {"max-age=10000, &&&&&", "max-age=\"10000\"", "max-age =100", "", "MaX-aGe=3600", "max-age=1.5"})
    EXPECT_FALSE(targeted(bad)) << bad;
}

TEST(Directives, TheFirstTargetedFieldThatHoldsWins) {
  http::Headers headers;
  headers.add("a-cache-control", "&");
  headers.add("b-cache-control", "max-age=5");
  headers.add("cache-control", "no-store");
  auto both = read_instructions(headers, {"a-cache-control", "b-cache-control"});
  EXPECT_TRUE(both.targeted);
  EXPECT_EQ(both.directives.max_age, 5);
  EXPECT_FALSE(both.directives.no_store);
  EXPECT_TRUE(read_instructions(headers, {"a-cache-control"}).directives.no_store);
}

TEST(Directives, SplitsListsAroundQuotes) {
  EXPECT_EQ(split_list(" a ,, \"b,\\\"c\" , d\\"),
            (std::vector<std::string_view>{"a", "\"b,\\\"c\"", "d\\"}));
  EXPECT_TRUE(rc::check("any text ends, and no member is empty", [](const std::string& text) {
    for (std::string_view member : split_list(text)) RC_ASSERT(!member.empty());
  }));
}

}  // namespace
}  // namespace archipel::edge
