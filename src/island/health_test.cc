#include "island/health.h"

#include <gtest/gtest.h>

#include "base/metrics.h"
#include "island/mem_island.h"

namespace archipel::island {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{std::chrono::hours(1)};
const Error kFailure{Code::unavailable, "down", {}};

TEST(Health, KnowsNoPercentileBeforeItHasSamples) {
  Health health("h1");
  for (size_t i = 0; i + 1 < kHealthSamplesMin; ++i)
    health.record(Health::Op::put, kStart, milliseconds(5), 1, nullptr);
  EXPECT_FALSE(health.p95(Health::Op::put));
  health.record(Health::Op::put, kStart, milliseconds(5), 1, nullptr);
  EXPECT_EQ(health.p95(Health::Op::put), milliseconds(5));
  EXPECT_FALSE(health.p95(Health::Op::get));
}

TEST(Health, FollowsTheRecentPastAndForgetsTheOld) {
  Health health("h2");
  for (size_t i = 0; i < kHealthSamples; ++i) health.record(Health::Op::get, kStart, seconds(1), 1, nullptr);
  for (size_t i = 0; i < 2 * kHealthSamples; ++i)
    health.record(Health::Op::get, kStart, milliseconds(i % 100), 1, nullptr);
  EXPECT_GE(*health.p95(Health::Op::get), milliseconds(90));
  EXPECT_LE(*health.p95(Health::Op::get), milliseconds(99));
  EXPECT_GE(*health.p50(Health::Op::get), milliseconds(40));
  EXPECT_LE(*health.p50(Health::Op::get), milliseconds(60));
}

TEST(Health, OpensTheBreakerAfterFailuresInARowAndProbesOncePerPause) {
  Health health("h3");
  for (int i = 0; i + 1 < kBreakerFailures; ++i)
    health.record(Health::Op::put, kStart, milliseconds(1), 0, &kFailure);
  health.record(Health::Op::get, kStart, milliseconds(1), 1, nullptr);  // not in a row any more
  for (int i = 0; i + 1 < kBreakerFailures; ++i)
    health.record(Health::Op::put, kStart, milliseconds(1), 0, &kFailure);
  EXPECT_TRUE(health.worth_waiting(kStart));
  health.record(Health::Op::put, kStart, milliseconds(1), 0, &kFailure);
  EXPECT_FALSE(health.worth_waiting(kStart));
  EXPECT_TRUE(health.breaker_open());

  TimePoint later = kStart + kBreakerPause;
  EXPECT_TRUE(health.worth_waiting(later));
  EXPECT_FALSE(health.worth_waiting(later));
  health.record(Health::Op::put, later, milliseconds(1), 1, nullptr);
  EXPECT_TRUE(health.worth_waiting(later));
  EXPECT_FALSE(health.breaker_open());
}

TEST(Health, OpensTheBreakerForAnIslandThatSaysNothingUntilItAnswersTheSameKind) {
  Health health("h6");
  for (int i = 0; i + 1 < kBreakerFailures; ++i) health.overdue(Health::Op::put, kStart);
  EXPECT_TRUE(health.worth_waiting(kStart));
  health.record(Health::Op::get, kStart, milliseconds(1), 1, nullptr);  // from memory, perhaps
  health.overdue(Health::Op::put, kStart);
  EXPECT_FALSE(health.worth_waiting(kStart));
  health.record(Health::Op::get, kStart, milliseconds(1), 1, nullptr);
  EXPECT_TRUE(health.breaker_open());
  EXPECT_TRUE(health.worth_waiting(kStart + kBreakerPause));
  health.record(Health::Op::put, kStart, milliseconds(1), 1, nullptr);
  EXPECT_FALSE(health.breaker_open());
}

TEST(Health, AdmitsOnlyAFewPutsWhileTheBreakerIsOpen) {
  Health health("h7");
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(health.begin_put());
  for (int i = 0; i < kBreakerFailures; ++i) health.overdue(Health::Op::put, kStart);
  EXPECT_FALSE(health.begin_put());
  for (int i = 0; i < 10; ++i) health.end_put();
  for (int i = 0; i < kPutsWhileOpen; ++i) EXPECT_TRUE(health.begin_put());
  EXPECT_FALSE(health.begin_put());
}

TEST(Health, TakesAnswersThatAreNoFailuresForHealth) {
  Health health("h4");
  for (Code code : {Code::not_found, Code::exists, Code::cancelled}) {
    Error answer{code, "", {}};
    for (int i = 0; i < 2 * kBreakerFailures; ++i)
      health.record(Health::Op::get, kStart, milliseconds(1), 0, &answer);
    EXPECT_FALSE(health.breaker_open());
  }
}

TEST(Health, ShowsItselfInMetricsUnderTheIslandsId) {
  MemIsland island("h5");
  island.health().record(Health::Op::put, kStart, milliseconds(1), 1234, nullptr);
  island.health().count_wrong_cells(3);
  std::string text = metrics::expose();
  EXPECT_NE(text.find("archipel_island_bytes_total{island=\"h5\",op=\"put\"} 1234"), std::string::npos)
      << text;
  EXPECT_NE(text.find("archipel_island_wrong_cells_total{island=\"h5\"} 3"), std::string::npos) << text;
}

}  // namespace
}  // namespace archipel::island
