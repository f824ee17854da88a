#include "edge/purges_heard.h"

#include <gtest/gtest.h>

namespace archipel::edge {
namespace {

using namespace std::chrono_literals;
constexpr TimePoint kNow{1h};

struct Heard : ::testing::Test {
  Heard() { heard.set_own(0xaa, {}); }
  PurgesHeard heard;
  std::vector<PurgesHeard::Missed> missed;

  PurgesHeard::Verdict batch(const std::string& name, uint64_t id, uint64_t first, uint64_t count,
                             bool lost = false, TimePoint now = kNow, std::vector<EarlierStart> was = {}) {
    auto verdict = heard.begin({name, id, first, count, lost, std::move(was)}, now);
    if (verdict.apply) heard.applied(id, first + count - 1);
    return verdict;
  }
  bool fulfils(std::string_view need, TimePoint now = kNow) { return heard.fulfils(need, 3, now, missed); }
};

TEST_F(Heard, TakesEachRecordOnceAndInOrder) {
  EXPECT_TRUE(batch("a", 1, 1, 3).apply);
  EXPECT_EQ(batch("a", 1, 2, 4).skip, 2u) << "two of the four are known";
  EXPECT_EQ(heard.heard(1), 5u);
  EXPECT_FALSE(batch("a", 1, 7, 1).apply) << "6 comes first";
  EXPECT_EQ(heard.heard(1), 5u);
  auto verdict = batch("a", 1, 9, 1, true);
  EXPECT_TRUE(verdict.drop && verdict.apply) << "6 to 8 are not to be had any more";
  EXPECT_EQ(heard.heard(1), 9u);
  EXPECT_EQ(batch("a", 1, 1, 2).skip, 2u);
  EXPECT_EQ(heard.heard(1), 9u);
}

TEST_F(Heard, AsksForWhatItHasHeardItselfAndTellsItsOwn) {
  EXPECT_EQ(heard.need(0, kNow), "");
  batch("a", 1, 1, 3);
  EXPECT_EQ(heard.need(7, kNow), "00000000000000aa=7, 0000000000000001=3");
  EXPECT_EQ(heard.need(0, kNow + 11min), "") << "an edge that is gone is not waited for";
  batch("a", 2, 1, 0);
  EXPECT_EQ(heard.need(0, kNow), "") << "it was started anew, and has told nothing yet";
}

TEST_F(Heard, RefusesWhileItLagsAndLetsGoWhatItMissed) {
  batch("a", 1, 1, 3);
  EXPECT_TRUE(fulfils("0000000000000001=3, 00000000000000aa=3"));
  EXPECT_TRUE(fulfils(""));
  EXPECT_TRUE(fulfils("nonsense, =, 1=x"));
  EXPECT_FALSE(fulfils("0000000000000001=4"));
  EXPECT_FALSE(fulfils("00000000000000bb=1, 0000000000000001=3"));
  EXPECT_TRUE(missed.empty());
  batch("a", 1, 4, 1);
  EXPECT_TRUE(fulfils("0000000000000001=4")) << "it was told meanwhile";
  EXPECT_FALSE(fulfils("00000000000000bb=1", kNow + 31s));
  ASSERT_EQ(missed.size(), 1u) << "nobody tells it";
  EXPECT_FALSE(fulfils("00000000000000bb=1", kNow + 32s));
  EXPECT_EQ(missed.size(), 1u) << "once";
  heard.adopt(missed[0], kNow);
  EXPECT_TRUE(fulfils("00000000000000bb=1", kNow + 33s));
}

TEST_F(Heard, AStartThatGoesOnWithTheOneBeforeIsHeardFromThere) {
  batch("a", 1, 1, 5);
  EXPECT_FALSE(batch("a", 2, 8, 0, false, kNow, {{1, 7, 7, 7}}).apply) << "6 and 7 are missing";
  EXPECT_EQ(heard.heard(2), 5u);
  EXPECT_EQ(batch("a", 2, 6, 3, false, kNow, {{1, 7, 7, 7}}).skip, 0u);
  EXPECT_EQ(heard.need(0, kNow), "0000000000000002=8") << "which is more than 7 of the one before";
  EXPECT_TRUE(fulfils("0000000000000001=7, 0000000000000002=8"));
  EXPECT_FALSE(fulfils("0000000000000001=8")) << "the one before told that, and did not hand it on";
}

TEST_F(Heard, WhatTheStartBeforeToldToMoreThanItKeptIsAskedForStill) {
  batch("a", 1, 1, 9);
  batch("a", 2, 8, 1, false, kNow, {{1, 7, 7, 7}});
  EXPECT_EQ(heard.heard(2), 8u);
  EXPECT_EQ(heard.need(0, kNow), "0000000000000001=9, 0000000000000002=8");
}

TEST_F(Heard, AnEdgeAndItsSuccessorAreHeardBesideEachOther) {
  batch("a", 1, 1, 5);
  batch("a", 2, 6, 1, false, kNow, {{1, 5, 5, 5}});
  EXPECT_EQ(batch("a", 1, 6, 2).skip, 0u) << "6 and 7 of the one that ends";
  EXPECT_EQ(heard.heard(2), 6u);
  EXPECT_EQ(heard.need(0, kNow), "0000000000000001=7, 0000000000000002=6");
  batch("a", 2, 7, 2, false, kNow, {{1, 5, 7, 8}});
  EXPECT_EQ(heard.need(0, kNow), "0000000000000002=8") << "all of it was told again";
  EXPECT_TRUE(fulfils("0000000000000001=7"));
}

TEST_F(Heard, AStartThatSaysNothingOfTheOneBeforeIsANewOne) {
  batch("a", 1, 1, 5);
  batch("a", 2, 6, 0);
  EXPECT_EQ(heard.heard(1), 0u);
  EXPECT_EQ(heard.heard(2), 0u);
}

TEST_F(Heard, ARestartGoesOnFromItsMarks) {
  batch("a", 1, 1, 5);
  batch("b", 2, 1, 7);
  PurgesHeard again;
  again.restore(heard.marks(), kNow);
  EXPECT_EQ(again.marks(), heard.marks());
  EXPECT_EQ(again.heard(1), 5u);
  EXPECT_EQ(again.begin({"a", 3, 6, 0, false, {{1, 5, 5, 5}}}, kNow).apply, true);
  EXPECT_EQ(again.heard(3), 5u);
  again.begin({"b", 4, 1, 0, false, {}}, kNow);
  EXPECT_EQ(again.heard(2), 0u) << "its name is known by its hash";
}

TEST_F(Heard, IsBoundedHoweverManyEdgesThereAre) {
  for (uint64_t i = 1; i <= 3 * PurgesHeard::kSendersMax; ++i)
    batch("edge" + std::to_string(i), i, 1, 1, false, kNow + std::chrono::seconds(i));
  EXPECT_EQ(heard.heard(1), 0u);
  EXPECT_EQ(heard.heard(3 * PurgesHeard::kSendersMax), 1u);
  EXPECT_LT(heard.need(0, kNow).size(), PurgesHeard::kSendersMax * 22);
  for (uint64_t i = 1000; i < 1500; ++i) fulfils(std::to_string(i) + "=1");
}

}  // namespace
}  // namespace archipel::edge
