#include "edge/health.h"

#include <gtest/gtest.h>

#include "edge/budget.h"

namespace archipel::edge {
namespace {

using namespace std::chrono_literals;

struct HealthTest : testing::Test {
  HealthPolicy policy;
  TimePoint now{1h};
  static constexpr auto usable = OriginState::usable;
};

TEST_F(HealthTest, ChecksMustAgreeInARowToChangeTheVerdict) {
  HealthBook book(policy, 10s, 2);
  book.checked(0, true, now);
  book.checked(0, false, now);
  book.checked(0, false, now);
  EXPECT_TRUE(book.in_doubt(0));
  book.checked(0, true, now);
  EXPECT_FALSE(book.in_doubt(0));
  book.checked(0, false, now);
  book.checked(0, false, now);
  EXPECT_EQ(book.state(0, now), usable);
  book.checked(0, false, now);
  EXPECT_EQ(book.state(0, now), OriginState::unhealthy);
  EXPECT_EQ(book.state(1, now), usable);
  book.checked(0, true, now);
  EXPECT_EQ(book.state(0, now), OriginState::unhealthy);
  book.checked(0, true, now);
  EXPECT_EQ(book.state(0, now), usable);
}

TEST_F(HealthTest, TheFirstCheckDecidesAlone) {
  HealthBook book(policy, 10s, 2);
  book.checked(0, false, now);
  EXPECT_EQ(book.state(0, now), OriginState::unhealthy);
}

TEST_F(HealthTest, RecoveryStartsSlowly) {
  HealthBook book(policy, 10s, 2);
  EXPECT_EQ(book.ramp(0, now), 1) << "not at the start of all";
  for (int i = 0; i < 3; ++i) book.checked(0, false, now);
  for (int i = 0; i < 2; ++i) book.checked(0, true, now);
  EXPECT_EQ(book.ramp(0, now), 0.1);
  EXPECT_EQ(book.ramp(0, now + 5s), 0.5);
  EXPECT_EQ(book.ramp(0, now + 10s), 1);
  book.joined(1, now);
  EXPECT_EQ(book.ramp(1, now), 0.1);
}

TEST_F(HealthTest, FailuresInARowEjectForLongerEachTime) {
  HealthBook book(policy, 10s, 3);
  for (Duration span : {10s, 20s, 30s}) {
    for (int i = 0; i < 4; ++i) book.answered(0, false, now);
    book.answered(0, true, now);
    for (int i = 0; i < 4; ++i) book.answered(0, false, now);
    ASSERT_EQ(book.state(0, now), usable);
    book.answered(0, false, now);
    EXPECT_EQ(book.state(0, now + span - 1ms), OriginState::ejected);
    now += span;
    EXPECT_EQ(book.state(0, now), usable);
    EXPECT_EQ(book.ramp(0, now), 0.1);
  }
  EXPECT_EQ(book.ejections(0), 3);
  now += 1h;  // all is forgotten
  for (int i = 0; i < 5; ++i) book.answered(0, false, now);
  EXPECT_EQ(book.state(0, now + 11s), usable);
}

TEST_F(HealthTest, NoMoreThanHalfIsEjected) {
  HealthBook book(policy, 10s, 4);
  for (size_t origin = 0; origin < 4; ++origin)
    for (int i = 0; i < 20; ++i) book.answered(origin, false, now);
  int ejected = 0;
  for (size_t origin = 0; origin < 4; ++origin) ejected += book.state(origin, now) == OriginState::ejected;
  EXPECT_EQ(ejected, 2);
  HealthBook alone(policy, 10s, 1);
  for (int i = 0; i < 20; ++i) alone.answered(0, false, now);
  EXPECT_EQ(alone.state(0, now), usable) << "there is nobody else to ask";
}

TEST_F(HealthTest, AnOddSuccessRateEjects) {
  HealthBook book(policy, 10s, 4);
  for (int i = 0; i < 200; ++i)
    for (size_t origin = 0; origin < 4; ++origin) book.answered(origin, origin != 2 || i % 3 != 0, now);
  book.answered(0, true, now + 10s);
  EXPECT_EQ(book.state(2, now + 10s), OriginState::ejected);
  for (size_t origin : {0u, 1u, 3u}) EXPECT_EQ(book.state(origin, now + 10s), usable);
}

TEST_F(HealthTest, WhatFailsEverywhereEjectsNobodyAsOdd) {
  policy.failures = 0;
  HealthBook book(policy, 10s, 4);
  for (int span = 0; span < 3; ++span, now += 10s)
    for (int i = 0; i < 200; ++i)
      for (size_t origin = 0; origin < 4; ++origin)
        book.answered(origin, (static_cast<size_t>(i) + origin) % 3 != 0, now);
  for (size_t origin = 0; origin < 4; ++origin) EXPECT_EQ(book.ejections(origin), 0);
}

TEST_F(HealthTest, FewRequestsProveNothing) {
  policy.failures = 0;
  HealthBook book(policy, 10s, 4);
  for (int i = 0; i < 40; ++i)
    for (size_t origin = 0; origin < 4; ++origin) book.answered(origin, origin != 2, now);
  book.answered(0, true, now + 10s);
  EXPECT_EQ(book.state(2, now + 10s), usable);
}

TEST_F(HealthTest, PanicWhenNobodyIsLeft) {
  HealthBook book(policy, 10s, 3);
  for (size_t origin = 0; origin < 3; ++origin) {
    EXPECT_FALSE(book.panic(now));
    for (int i = 0; i < 3; ++i) book.checked(origin, false, now);
  }
  EXPECT_TRUE(book.panic(now));
  policy.panic = 0.5;
  HealthBook careful(policy, 10s, 4);
  for (size_t origin = 0; origin < 2; ++origin)
    for (int i = 0; i < 3; ++i) careful.checked(origin, false, now);
  EXPECT_TRUE(careful.panic(now));
}

TEST_F(HealthTest, WhatWasKnownOfAnOriginMovesToItsNewPool) {
  HealthBook before(policy, 10s, 2), after(policy, 10s, 3);
  for (int i = 0; i < 3; ++i) before.checked(1, false, now);
  after.adopt(0, before, 1);
  EXPECT_EQ(after.state(0, now), OriginState::unhealthy);
  EXPECT_EQ(after.state(1, now), usable);
}

TEST(Budget, RetriesStayAFifthOfTheRequests) {
  Budget budget(0.2, 3);
  TimePoint now{1h};
  int taken = 0;
  for (int i = 0; i < 10'000; ++i, now += 1ms) {
    budget.request(now);
    taken += budget.take(now);
    taken += budget.take(now);
  }
  EXPECT_LE(taken, 2030);
  EXPECT_GE(taken, 1970);
}

TEST(Budget, AFewASecondAreAlwaysAllowedAndNotSavedUp) {
  Budget budget(0.2, 3);
  TimePoint now{1h};
  int taken = 0;
  for (int i = 0; i < 10; ++i) taken += budget.take(now);
  EXPECT_EQ(taken, 3);
  now += 5min;
  for (int i = 0; i < 10; ++i) taken += budget.take(now);
  EXPECT_EQ(taken, 6);
  Budget none(0.05, 0);
  EXPECT_FALSE(none.take(now));
}

}  // namespace
}  // namespace archipel::edge
