#include "store/lifecycle_rules.h"

#include <gtest/gtest.h>

namespace archipel::store {
namespace {

constexpr UnixMs kDay = 24 * 3600 * 1000;
constexpr LifecycleDay kReal{};
constexpr UnixMs kNoon = 100 * kDay + kDay / 2;

LifecycleRule rule_of(std::string prefix) {
  LifecycleRule rule;
  rule.id = "r";
  rule.enabled = true;
  rule.filter.prefix = std::move(prefix);
  return rule;
}

TEST(LifecycleDay, EndsAtTheNextMidnight) {
  EXPECT_EQ(kReal.after(kNoon, 1), 102 * kDay);
  EXPECT_EQ(kReal.after(100 * kDay, 1), 101 * kDay) << "made at midnight, a day is over at the next";
  EXPECT_EQ(kReal.after(kNoon, INT32_MAX) % kDay, 0);
  EXPECT_EQ((LifecycleDay{10'000}.after(kNoon, 3)), kNoon + 30'000);
}

TEST(LifecycleFilter, EverythingGivenMustHold) {
  std::map<std::string, std::string> tags{{"a", "1"}, {"b", "2"}};
  LifecycleSubject object{"x/key", 100, 0, false, &tags};
  auto with = [&](auto set) {
    LifecycleFilter filter;
    set(filter);
    return fits(filter, object);
  };
  EXPECT_TRUE(with([](LifecycleFilter&) {}));
  EXPECT_TRUE(with([](LifecycleFilter& f) { f.prefix = "x/"; }));
  EXPECT_FALSE(with([](LifecycleFilter& f) { f.prefix = "y/"; }));
  EXPECT_TRUE(with([](LifecycleFilter& f) { f.tags = {{"a", "1"}, {"b", "2"}}; }));
  EXPECT_FALSE(with([](LifecycleFilter& f) { f.tags = {{"a", "1"}, {"b", "3"}}; }));
  EXPECT_FALSE(with([](LifecycleFilter& f) { f.tags = {{"c", ""}}; }));
  EXPECT_TRUE(with([](LifecycleFilter& f) { f.larger_than = 99; }));
  EXPECT_FALSE(with([](LifecycleFilter& f) { f.larger_than = 100; }));
  EXPECT_TRUE(with([](LifecycleFilter& f) { f.smaller_than = 101; }));
  EXPECT_FALSE(with([](LifecycleFilter& f) { f.smaller_than = 100; }));
  object.tags = nullptr;
  EXPECT_FALSE(with([](LifecycleFilter& f) { f.tags = {{"a", "1"}}; }))
      << "tags that are not known fit nothing";
  object.marker = true;
  EXPECT_TRUE(with([](LifecycleFilter& f) { f.prefix = "x/"; }));
  EXPECT_FALSE(with([](LifecycleFilter& f) { f.smaller_than = 1000; })) << "a marker has no size";
}

TEST(Expiry, TheEarliestRuleCounts) {
  LifecycleRules rules{rule_of(""), rule_of("x/"), rule_of("x/")};
  rules[0].days = 30;
  rules[1].days = 2;
  rules[2].date = 500 * kDay;
  LifecycleSubject object{"x/1", 1, kNoon, false, nullptr};
  Expiry expiry = expiry_of(rules, object, kReal);
  EXPECT_EQ(expiry.rule, &rules[1]);
  EXPECT_EQ(expiry.at_ms, 103 * kDay);
  rules[1].enabled = false;
  EXPECT_EQ(expiry_of(rules, object, kReal).rule, &rules[0]);
  rules[2].date = 1;
  EXPECT_EQ(expiry_of(rules, object, kReal).at_ms, 1);
  object.key = "y";
  rules[0].enabled = false;
  EXPECT_EQ(expiry_of(rules, object, kReal).rule, nullptr);
}

TEST(NoncurrentDue, KeepsTheNewestAndCountsFromTheSuccessor) {
  LifecycleRules rules{rule_of("")};
  rules[0].noncurrent_days = 2;
  rules[0].newer_noncurrent = 3;
  LifecycleSubject version{"k", 1, 0, false, nullptr};
  auto is_due = [&](uint64_t newer, UnixMs now) {
    return noncurrent_due(rules, version, kNoon, newer, now, kReal);
  };
  EXPECT_FALSE(is_due(2, 1000 * kDay));
  EXPECT_TRUE(is_due(3, 103 * kDay));
  EXPECT_FALSE(is_due(3, 103 * kDay - 1));
}

TEST(LoneMarkerDue, ByItsFlagOrByTheDaysOfAnExpiration) {
  LifecycleSubject marker{"k", 0, kNoon, true, nullptr};
  LifecycleRules flag{rule_of("")}, days{rule_of("")}, other{rule_of("")};
  flag[0].expired_marker = true;
  days[0].days = 1;
  other[0].noncurrent_days = 1;
  EXPECT_TRUE(lone_marker_due(flag, marker, kNoon, kReal));
  EXPECT_FALSE(lone_marker_due(days, marker, 102 * kDay - 1, kReal));
  EXPECT_TRUE(lone_marker_due(days, marker, 102 * kDay, kReal));
  EXPECT_FALSE(lone_marker_due(other, marker, 1000 * kDay, kReal));
}

TEST(UploadDue, ByItsBeginning) {
  LifecycleRules rules{rule_of("x/")};
  rules[0].abort_days = 1;
  EXPECT_TRUE(upload_due(rules, "x/1", kNoon, 102 * kDay, kReal));
  EXPECT_FALSE(upload_due(rules, "x/1", kNoon, 102 * kDay - 1, kReal));
  EXPECT_FALSE(upload_due(rules, "y", kNoon, 1000 * kDay, kReal));
}

TEST(PrefixesOf, CoverEachKeyOnce) {
  LifecycleRules rules{rule_of("b/"), rule_of("a"), rule_of("b/c"), rule_of("b/"), rule_of("z")};
  rules[4].enabled = false;
  EXPECT_EQ(prefixes_of(rules), (std::vector<std::string>{"a", "b/"}));
  rules.push_back(rule_of(""));
  EXPECT_EQ(prefixes_of(rules), (std::vector<std::string>{""}));
}

}  // namespace
}  // namespace archipel::store
