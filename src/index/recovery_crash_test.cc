// Crashes at every write of commits and of recoveries. What was acknowledged is there; what was seen once stays.
#include "index/index_fixture.h"

namespace archipel::index {
namespace {

using Rows = std::map<std::string, std::string>;

// --- crashes at every write ---

int crash_at = 0;

// Writes until the islands freeze at the crash_at-th stored blob; what was acknowledged must be there after every later start, and
// what one start showed, the next must show.
io::Task<void> crash_while_committing(Rig& rig) {
  rig.options.in_flight_max = 4;
  CO_ASSERT_TRUE(co_await rig.start());
  Rows acknowledged;
  rig.freeze_after(crash_at);
  for (int i = 0; i < 3; ++i) {
    const std::string key = "k" + std::to_string(i);
    bool good = co_await rig.put_body(key, std::string(500, 'b'));
    if (!good) break;
    acknowledged[key] = *rig.get(key);
  }
  CO_ASSERT_TRUE(co_await rig.restart());
  const Rows first = rig.visible();
  for (const auto& [key, value] : acknowledged) {
    auto found = first.find(key);
    EXPECT_TRUE(found != first.end() && found->second == value) << key;
  }
  for (const auto& [key, value] : first) {
    Result<std::string> body = co_await rig.body(key);
    EXPECT_TRUE(body.has_value() && *body == std::string(500, 'b')) << key;
  }
  CO_ASSERT_TRUE(co_await rig.put("later", "1"));
  co_await rig.stop();
  for (size_t i : {0u, 1u, 2u}) rig.islands[(i + static_cast<size_t>(crash_at)) % 6]->wipe();
  rig.delete_index();
  CO_ASSERT_TRUE(co_await rig.start());
  Rows second = rig.visible();
  EXPECT_EQ(second.erase("later"), 1u);
  EXPECT_EQ(second, first);
}
TEST(Recovery, ACrashAtAnyWriteOfACommitLosesNothing) {
  for (crash_at = 1; crash_at <= 19; ++crash_at) {
    SCOPED_TRACE(crash_at);
    with_rig("crash", crash_while_committing);
  }
}

// A commit on `crash_at` islands is not acknowledged; then every write of the recovery is interrupted in turn.
io::Task<void> crash_while_recovering(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put_body("a", "the first"));
  rig.freeze_after(crash_at);
  bool good = co_await rig.put_body("b", "the second");
  bool was_acknowledged = good;
  co_await rig.stop();
  std::optional<bool> seen;
  for (int at = 1; at <= 40; ++at) {
    rig.thaw();
    rig.freeze_after(at);
    if (at % 3 == 0) rig.delete_index();
    bool started = co_await rig.start();
    if (started) {
      bool now = rig.get("b").has_value();
      EXPECT_TRUE(!seen || *seen == now);
      EXPECT_TRUE(!was_acknowledged || now);
      seen = now;
      Result<std::string> body = co_await rig.body("a");
      if (rig.puts_left > 0) EXPECT_TRUE(body.has_value());
    }
    co_await rig.stop();
  }
  rig.thaw();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_TRUE(seen.has_value());
  EXPECT_EQ(rig.get("b").has_value(), seen.value_or(false));
  Result<std::string> body = co_await rig.body("a");
  CO_ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, "the first");
}
TEST(Recovery, ACrashAtAnyWriteOfARecoveryChangesNothing) {
  for (crash_at = 1; crash_at <= 6; ++crash_at) {
    SCOPED_TRACE(crash_at);
    with_rig("recrash", crash_while_recovering);
  }
}

// A put that was given up lands after the recovery that voided it.
io::Task<void> late_landing(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  // On two islands only.
  for (size_t i = 2; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put("b", "2"));
  co_await rig.stop();
  auto late = rig.islands[0]->blobs();
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_FALSE(rig.get("b"));
  CO_ASSERT_TRUE(co_await rig.put("c", "3"));
  co_await rig.stop();
  // Names differ from island to island; so the test lands what it can: both copies stay, and must stay without effect.
  rig.islands[0]->blobs().insert(late.begin(), late.end());
  rig.delete_index();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"c", "3"}}));
}
TEST(Recovery, WhatWasVoidStaysVoid) {
  with_rig("void", late_landing);
}

}  // namespace
}  // namespace archipel::index
