#include "edge/pick.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "edge/latency.h"

namespace archipel::edge {
namespace {

std::vector<std::string> names(size_t n) {
  std::vector<std::string> out;
  for (size_t i = 0; i < n; ++i) out.push_back("http://10.0.0." + std::to_string(i) + ":80");
  return out;
}

std::vector<Candidate> idle(size_t n) {
  std::vector<Candidate> out(n);
  for (size_t i = 0; i < n; ++i) out[i].origin = i;
  return out;
}

TEST(Pick, TwoChoicesNeverTakeTheSlowestOfSeveral) {
  auto random = seeded_random(1);
  Picker picker(Algorithm::ewma, 1.25, names(4));
  auto candidates = idle(4);
  for (Candidate& c : candidates) c.latency = 1e6;
  candidates[2].latency = 50e6;
  std::vector<int> taken(4);
  for (int i = 0; i < 2000; ++i) ++taken[picker.pick(candidates, "", *random)];
  EXPECT_EQ(taken[2], 0);
  for (size_t i : {0u, 1u, 3u}) EXPECT_GT(taken[i], 400);
}

TEST(Pick, TwoChoicesCountWhatIsUnderWay) {
  auto random = seeded_random(1);
  Picker picker(Algorithm::ewma, 1.25, names(2));
  auto candidates = idle(2);
  candidates[0] = {0, 1, 9, 1e6};  // fast, with a queue: 10 ms
  candidates[1] = {1, 1, 0, 8e6};  // slow and free: 8 ms
  EXPECT_EQ(picker.pick(candidates, "", *random), 1u);
  candidates[0].in_flight = 6;
  EXPECT_EQ(picker.pick(candidates, "", *random), 0u);
}

TEST(Pick, AnUnknownOriginGetsSomeRequestsAndNotAll) {
  auto random = seeded_random(1);
  Picker picker(Algorithm::ewma, 1.25, names(2));
  auto candidates = idle(2);
  candidates[0].latency = 5e6;
  EXPECT_EQ(picker.pick(candidates, "", *random), 1u);
  candidates[1].in_flight = 3;
  EXPECT_EQ(picker.pick(candidates, "", *random), 0u);
}

TEST(Pick, RoundRobinFollowsWeightsSmoothly) {
  auto random = seeded_random(1);
  Picker picker(Algorithm::round_robin, 1.25, names(3));
  auto candidates = idle(3);
  candidates[0].weight = 5;
  std::string order;
  for (int i = 0; i < 14; ++i) order += "abc"[picker.pick(candidates, "", *random)];
  EXPECT_EQ(order, "aabacaaaabacaa");
}

TEST(Pick, LeastRequestsGoByWeightAndSpreadEquals) {
  auto random = seeded_random(1);
  Picker picker(Algorithm::least_requests, 1.25, names(3));
  auto candidates = idle(3);
  candidates[0] = {0, 4, 6, 0};
  candidates[1] = {1, 1, 1, 0};
  candidates[2] = {2, 1, 2, 0};
  EXPECT_EQ(picker.pick(candidates, "", *random), 0u);
  std::set<size_t> taken;
  for (int i = 0; i < 100; ++i) taken.insert(picker.pick(idle(3), "", *random));
  EXPECT_EQ(taken.size(), 3u);
}

TEST(Pick, HashingSendsAKeyToOneOriginWhileThereIsRoom) {
  auto random = seeded_random(1);
  Picker picker(Algorithm::hash, 1.25, names(5));
  std::map<size_t, int> owners;
  for (int key = 0; key < 5000; ++key) {
    std::string text = "k" + std::to_string(key);
    size_t owner = picker.pick(idle(5), text, *random);
    EXPECT_EQ(picker.pick(idle(5), text, *random), owner);
    ++owners[owner];
  }
  ASSERT_EQ(owners.size(), 5u);
  for (auto [origin, count] : owners) {
    EXPECT_GT(count, 850);
    EXPECT_LT(count, 1150);
  }
}

TEST(Pick, AnOriginThatLeavesMovesItsOwnKeysOnly) {
  auto random = seeded_random(1);
  Picker picker(Algorithm::hash, 1.25, names(8));
  auto all = idle(8), fewer = all;
  fewer.erase(fewer.begin() + 3);
  int moved = 0, of_it = 0;
  for (int key = 0; key < 4000; ++key) {
    std::string text = "k" + std::to_string(key);
    size_t before = all[picker.pick(all, text, *random)].origin;
    size_t after = fewer[picker.pick(fewer, text, *random)].origin;
    of_it += before == 3;
    moved += before != after;
  }
  EXPECT_EQ(moved, of_it);
  EXPECT_GT(moved, 4000 / 8 * 8 / 10);
  EXPECT_LT(moved, 4000 / 8 * 12 / 10);
}

TEST(Pick, AHotKeyIsSharedOnceItsOwnerHoldsMoreThanItsShare) {
  auto random = seeded_random(1);
  Picker picker(Algorithm::hash, 1.25, names(4));
  auto candidates = idle(4);
  for (int i = 0; i < 100; ++i) ++candidates[picker.pick(candidates, "the one key", *random)].in_flight;
  for (const Candidate& c : candidates) EXPECT_LE(c.in_flight, 32);  // ceil(1.25 * 101 / 4)
}

RC_GTEST_PROP(Pick, NoOriginEverHoldsMoreThanItsBoundedShare, ()) {
  auto random = seeded_random(*rc::gen::arbitrary<uint64_t>());
  const size_t n = *rc::gen::inRange<size_t>(1, 12);
  auto candidates = idle(n);
  double weights = 0;
  for (Candidate& c : candidates) {
    c.weight = *rc::gen::inRange(1, 5);
    weights += c.weight;
  }
  Picker picker(Algorithm::hash, 1.25, names(n));
  int load = 0;
  for (int i = 0; i < 200; ++i) {
    std::string key = "k" + std::to_string(random->u64() % 3);
    ++candidates[picker.pick(candidates, key, *random)].in_flight;
    ++load;
    for (const Candidate& c : candidates)
      RC_ASSERT(c.in_flight <= std::ceil(1.25 * load * c.weight / weights));
  }
}

TEST(Latency, ASlowAnswerCountsAtOnceAndFastOnesForgetItSlowly) {
  using namespace std::chrono_literals;
  PeakEwma ewma(10s);
  TimePoint now{1h};
  ewma.observe(now, 1ms);
  EXPECT_DOUBLE_EQ(ewma.value(now), 1e6);
  ewma.observe(now += 10ms, 500ms);
  EXPECT_DOUBLE_EQ(ewma.value(now), 500e6);
  for (int i = 0; i < 1000; ++i) ewma.observe(now += 10ms, 1ms);  // ten seconds
  EXPECT_NEAR(ewma.value(now), 1e6 + 499e6 / 2.718, 5e6);
  EXPECT_EQ(ewma.value(now + 10min), 0) << "it is tried again";
}

TEST(Latency, PercentilesAreOfTheLastMinute) {
  using namespace std::chrono_literals;
  LatencyWindow window;
  TimePoint now{1h};
  EXPECT_FALSE(window.percentile(now, 0.95));
  for (int i = 1; i <= 1000; ++i) window.observe(now, i * 1ms);
  auto p95 = window.percentile(now, 0.95);
  ASSERT_TRUE(p95);
  EXPECT_GE(*p95, 950ms);
  EXPECT_LE(*p95, 1150ms);
  now += 31s;
  for (int i = 0; i < 100; ++i) window.observe(now, 3ms);
  EXPECT_TRUE(window.percentile(now, 0.95) > 500ms) << "both spans count";
  now += 31s;
  for (int i = 0; i < 100; ++i) window.observe(now, 3ms);
  EXPECT_LE(*window.percentile(now, 0.95), 4ms);
  EXPECT_FALSE(window.percentile(now + 2min, 0.95)) << "old ones say nothing";
}

TEST(Latency, AnyLatencyHasItsPlace) {
  using namespace std::chrono_literals;
  for (Duration latency :
       {Duration(0), Duration(63'999), Duration(64'000), Duration(1ms), Duration(1s), Duration(24h)}) {
    LatencyWindow window;
    TimePoint now{1h};
    for (int i = 0; i < 20; ++i) window.observe(now, latency);
    auto p = window.percentile(now, 0.5);
    ASSERT_TRUE(p);
    if (latency < 2min) EXPECT_GT(*p, latency);
    if (latency >= Duration(64'000) && latency < 2min) EXPECT_LE(p->count(), latency.count() * 5 / 4 + 1);
  }
}

}  // namespace
}  // namespace archipel::edge
