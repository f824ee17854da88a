#include "edge/freshness.h"

#include <gtest/gtest.h>

#include "http/date.h"

namespace archipel::edge {
namespace {

constexpr UnixMs kNow = 1'700'000'000'000;
using Fields = std::vector<std::pair<std::string, std::string>>;

http::Headers make(const Fields& fields) {
  http::Headers out;
  for (const auto& [name, value] : fields) out.add(name, value);
  return out;
}
std::string date(int64_t seconds) {
  return http::format_http_date(kNow + seconds * 1000);
}

struct Case {
  Fields response;
  Fields request = {};
  int status = 200;
  std::string method = "GET";
  CachePolicy policy = {};
  Storable judge() const {
    http::Headers req = make(request), res = make(response);
    return judge_response({&req, method, status, &res, kNow - 20, kNow}, policy);
  }
};

TEST(Freshness, StoresWhatSaysHowLong) {
  EXPECT_EQ((Case{{{"cache-control", "max-age=60"}}}.judge().lifetime.fresh), 60'000);
  EXPECT_EQ((Case{{{"cache-control", "max-age=60, s-maxage=5"}}}.judge().lifetime.fresh), 5'000);
  EXPECT_EQ((Case{{{"expires", date(100)}, {"date", date(40)}}}.judge().lifetime.fresh), 60'000);
  EXPECT_EQ((Case{{{"expires", date(100)}, {"date", "yesterday"}}}.judge().lifetime.fresh), 100'000);
  EXPECT_TRUE((Case{{{"cache-control", "max-age=60"}}, {}, 599}.judge().store));
}

TEST(Freshness, DoesNotStoreWhatItMustNot) {
  for (const char* cc : {"no-store, max-age=60", "private, max-age=60", "max-age=0"})
    EXPECT_FALSE((Case{{{"cache-control", cc}}}.judge().store)) << cc;
  EXPECT_FALSE((Case{{}}.judge().store));
  EXPECT_FALSE((Case{{{"cache-control", "max-age=60"}, {"vary", "a"}, {"vary", ", *"}}}.judge().store));
  EXPECT_FALSE((Case{{{"cache-control", "max-age=60"}}, {{"cache-control", "no-store"}}}.judge().store));
  EXPECT_FALSE((Case{{{"cache-control", "max-age=60, no-store, must-understand"}}, {}, 599}.judge().store));
  EXPECT_TRUE((Case{{{"cache-control", "max-age=60, no-store, must-understand"}}}.judge().store));
  EXPECT_FALSE((Case{{{"expires", "0"}, {"cache-control", "public"}}}.judge().store));
  EXPECT_FALSE((Case{{{"expires", date(9)}, {"expires", date(9)}}}.judge().store));
}

TEST(Freshness, AuthorizedResponsesNeedPermission) {
  Fields with = {{"authorization", "Basic eA=="}};
  EXPECT_FALSE((Case{{{"cache-control", "max-age=60"}}, with}.judge().store));
  for (const char* cc : {"public, max-age=60", "s-maxage=60", "must-revalidate, max-age=60"})
    EXPECT_TRUE((Case{{{"cache-control", cc}}, with}.judge().store)) << cc;
}

TEST(Freshness, CookiesAreStoredOnlyWithAnExplicitLifetime) {
  Fields heuristic = {{"last-modified", date(-86400)}, {"set-cookie", "a=b"}};
  EXPECT_FALSE((Case{heuristic}.judge().store));
  EXPECT_TRUE((Case{{{"cache-control", "max-age=9"}, {"set-cookie", "a=b"}}}.judge().store));
}

TEST(Freshness, GuessesATenthUpToADay) {
  auto tenth = Case{{{"last-modified", date(-600)}, {"date", date(0)}}}.judge();
  EXPECT_TRUE(tenth.lifetime.heuristic);
  EXPECT_EQ(tenth.lifetime.fresh, 60'000);
  EXPECT_EQ((Case{{{"last-modified", date(-86400 * 100)}}}.judge().lifetime.fresh), 86'400'000);
  EXPECT_EQ((Case{{{"last-modified", date(-600)}, {"date", date(0)}}, {}, 201}.judge().why), "status");
  EXPECT_TRUE((Case{{{"last-modified", date(-600)}, {"cache-control", "public"}}, {}, 599}.judge().store));
  CachePolicy off;
  off.heuristic = false;
  EXPECT_EQ((Case{{{"last-modified", date(-600)}}, {}, 200, "GET", off}.judge().lifetime.fresh), 0);
}

TEST(Freshness, ReadsDatesWhoseLettersHaveTheWrongCase) {
  EXPECT_EQ(parse_loose_date("tHU, 01 JAN 2015 00:00:00 gmt", kNow),
            parse_loose_date("Thu, 01 Jan 2015 00:00:00 GMT", kNow));
  for (const char* bad : {"Thu, 18 Aug 2050 02:01:18 UTC", "Thu 18 Aug 2050 02:01:18 GMT",
                          "Thu, 18  Aug  2050 02:01:18 GMT", "0"})
    EXPECT_FALSE(parse_loose_date(bad, kNow)) << bad;
}

TEST(Freshness, AgeIsTheLargestThatCanBeSeen) {
  EXPECT_EQ((Case{{{"cache-control", "max-age=60"}, {"age", "30"}}}.judge().lifetime.age_then), 30'020);
  EXPECT_EQ((Case{{{"cache-control", "max-age=60"}, {"date", date(-40)}}}.judge().lifetime.age_then), 40'000);
  for (auto [text, age] : {std::pair("7200, 0", 7200), {"0, 7200", 0}, {"abc", 0}, {"-1", 0}, {"7200.0", 0}})
    EXPECT_EQ(parse_age(make({{"age", text}})), age) << text;
  EXPECT_EQ(parse_age(make({{"age", "99999999999999999999"}})), kSecondsMax);
}

TEST(Freshness, AClockThatWentBackMakesNothingYounger) {
  Lifetime l{.received = kNow, .age_then = 5000, .fresh = 60'000};
  EXPECT_EQ(current_age(l, kNow - 1'000'000), 5000);
  EXPECT_EQ(current_age(l, kNow + 1000), 6000);
}

// Stored while the clock was a year ahead: not fresh for a year more when it is right again.
TEST(Freshness, ClockJumpsMakeNothingFreshForever) {
  const Lifetime l{.received = kNow, .fresh = 60'000, .if_error = 60'000};
  EXPECT_EQ(judge_use(l, kNow + 30'000, false, nullptr).use, Use::fresh);
  EXPECT_EQ(judge_use(l, kNow - 30'000, false, nullptr).use, Use::fresh);  // a clock that is set a little
  const Judgement far = judge_use(l, kNow - 365ll * 86'400'000, false, nullptr);
  EXPECT_EQ(far.use, Use::validate);
  EXPECT_TRUE(far.on_error);
  EXPECT_EQ(judge_use(l, kNow + 365ll * 86'400'000, false, nullptr).use, Use::validate);
}

TEST(Freshness, TargetedFieldsReplaceCacheControlAndExpires) {
  EXPECT_EQ((Case{{{"cdn-cache-control", "max-age=9"}, {"cache-control", "no-store"}, {"expires", date(-9)}}}
                 .judge()
                 .lifetime.fresh),
            9000);
  EXPECT_FALSE((Case{{{"cdn-cache-control", "no-store"}, {"cache-control", "max-age=99"}}}.judge().store));
  EXPECT_FALSE((Case{{{"cdn-cache-control", "max-age=0"}, {"expires", date(99)}}}.judge().store));
}

TEST(Freshness, APolicysSpanReplacesTheResponsesButNotItsProhibitions) {
  CachePolicy p;
  p.fresh = 7000;
  EXPECT_EQ((Case{{{"cache-control", "max-age=60"}}, {}, 200, "GET", p}.judge().lifetime.fresh), 7000);
  EXPECT_EQ((Case{{}, {}, 200, "GET", p}.judge().lifetime.fresh), 7000);
  EXPECT_FALSE((Case{{{"cache-control", "private"}}, {}, 200, "GET", p}.judge().store));
  EXPECT_FALSE((Case{{}, {}, 500, "GET", p}.judge().store));
  EXPECT_FALSE((Case{{{"set-cookie", "a=b"}}, {}, 200, "GET", p}.judge().store));
  EXPECT_TRUE((Case{{{"cache-control", "no-cache"}, {"etag", "\"a\""}}, {}, 200, "GET", p}
                   .judge()
                   .lifetime.validate_always));
}

// CPDoS (HHO, HMC, HMO): an error that one client's fields provoked is not served to others.
TEST(Freshness, CpdosErrorsThatAClientProvokedAreNotStored) {
  Fields lasting = {{"cache-control", "max-age=60"}};
  for (int status : {408, 412, 413, 416, 417, 421, 425, 426, 429, 431})
    EXPECT_FALSE((Case{lasting, {}, status}.judge().store)) << status;
  Fields oversized = {{"x", std::string(kErrorRequestBytesMax, 'a')}};
  EXPECT_FALSE((Case{lasting, oversized, 400}.judge().store));
  EXPECT_TRUE((Case{lasting, {}, 400}.judge().store));
  CachePolicy p;
  p.negative_fresh = 1000;
  p.default_fresh = 1000;
  EXPECT_FALSE((Case{{}, {}, 400, "GET", p}.judge().store));
  EXPECT_TRUE((Case{{}, {}, 404, "GET", p}.judge().store));
}

Judgement use(Lifetime l, int64_t age_s, std::optional<std::string> wish = {}, bool soft = false) {
  l.received = kNow;
  Directives wishes;
  if (wish) wishes = read_wishes(make({{"cache-control", *wish}}));
  return judge_use(l, kNow + age_s * 1000, soft, wish ? &wishes : nullptr);
}

TEST(Freshness, IsUsedWhileFreshThenWhileRevalidatedThenNot) {
  Lifetime l{.fresh = 10'000, .while_revalidate = 5'000, .if_error = 60'000};
  EXPECT_EQ(use(l, 9).use, Use::fresh);
  EXPECT_EQ(use(l, 10).use, Use::revalidate);
  EXPECT_EQ(use(l, 15).use, Use::revalidate);
  EXPECT_EQ(use(l, 16).use, Use::validate);
  EXPECT_TRUE(use(l, 70).on_error);
  EXPECT_FALSE(use(l, 71).on_error);
  EXPECT_EQ(use(l, 1, {}, true).use, Use::validate);
  EXPECT_TRUE(use(l, 1000, {}, true).on_error);
}

TEST(Freshness, ObeysTheClientsWishes) {
  Lifetime l{.fresh = 10'000};
  EXPECT_EQ(use(l, 5, "max-age=4").use, Use::validate);
  EXPECT_EQ(use(l, 5, "max-age=5").use, Use::fresh);
  EXPECT_EQ(use(l, 5, "min-fresh=6").use, Use::validate);
  EXPECT_EQ(use(l, 5, "no-cache").use, Use::validate);
  EXPECT_EQ(use(l, 15, "max-stale=5").use, Use::fresh);
  EXPECT_EQ(use(l, 16, "max-stale=5").use, Use::validate);
  EXPECT_EQ(use(l, 160, "max-stale").use, Use::fresh);
  l.never_stale = true;
  EXPECT_EQ(use(l, 15, "max-stale").use, Use::validate);
  EXPECT_TRUE(read_wishes(make({{"pragma", "x, No-Cache"}})).no_cache);
  EXPECT_FALSE(read_wishes(make({{"pragma", "no-cache"}, {"cache-control", "max-age=1"}})).no_cache);
}

TEST(Freshness, MustRevalidateIsNeverServedStale) {
  for (const char* cc : {"max-age=1, must-revalidate, stale-if-error=9, stale-while-revalidate=9",
                         "max-age=1, proxy-revalidate", "s-maxage=1"}) {
    auto judged = Case{{{"cache-control", cc}}}.judge();
    EXPECT_TRUE(judged.lifetime.never_stale);
    EXPECT_EQ(judged.lifetime.if_error, 0) << cc;
    EXPECT_EQ(judged.lifetime.while_revalidate, 0) << cc;
  }
  // What the response itself allows by name, s-maxage does not take back.
  EXPECT_EQ(
      (Case{{{"cache-control", "s-maxage=1, stale-while-revalidate=9"}}}.judge().lifetime.while_revalidate),
      9000);
}

}  // namespace
}  // namespace archipel::edge
