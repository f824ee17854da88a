// The background task: when it writes snapshots and head slots, and that no commit ever waits for it.
#include "index/snapshot_keeper.h"

#include <set>

#include "base/metrics.h"
#include "index/index_fixture.h"

namespace archipel::index {
namespace {

using Op = island::MemIsland::Op;

SnapshotOptions quick() {
  SnapshotOptions options;
  options.chunk_segments = 1;
  options.retry_pause = std::chrono::milliseconds(5);
  options.slot_deadline = options.last_slot_deadline = std::chrono::milliseconds(100);
  return options;
}

int64_t metric(const std::string& name) {
  const std::string all = metrics::expose();
  const size_t at = all.find("\n" + name + " ");
  return at == std::string::npos ? 0 : std::stoll(all.substr(at + name.size() + 2));
}

io::Task<std::optional<HeadSlot>> best_slot(Rig& rig) {
  std::vector<IslandSeen> seen = co_await read_markers(*rig.keys, rig.placement, *io::Loop::current());
  SlotsSeen slots =
      co_await read_head_slots(*rig.keys, rig.placement, seen, *rig.workers, *io::Loop::current());
  co_return slots.best;
}

// Polls, with an end: what the background does has no other sign.
io::Task<bool> becomes(Rig& rig, bool (*holds)(const Rig&, const HeadSlot&)) {
  for (int i = 0; i < 2000; ++i) {
    std::optional<HeadSlot> slot = co_await best_slot(rig);
    if (slot && holds(rig, *slot)) co_return true;
    co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
  }
  co_return false;
}
uint64_t newest_number(const HeadSlot& slot) {
  return slot.snapshots.empty() ? 0 : slot.snapshots.front().number;
}

io::Task<void> slot_at_start(Rig& rig) {
  rig.snapshots = quick();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await becomes(rig, [](const Rig&, const HeadSlot& s) { return s.position.epoch == 1; }));
  CO_ASSERT_TRUE(co_await rig.restart());
  CO_ASSERT_TRUE(co_await becomes(rig, [](const Rig&, const HeadSlot& s) { return s.position.epoch == 2; }));
  std::optional<HeadSlot> slot = co_await best_slot(rig);
  EXPECT_EQ(slot->roster.size(), 6u);
  EXPECT_EQ(slot->w, 4);
  EXPECT_EQ(slot->position.open, rig.journal.progress->open.bits);
}
TEST(SnapshotKeeper, WritesAHeadSlotAfterEveryStart) {
  with_rig("slotatstart", slot_at_start);
}

io::Task<void> slots_by_commits(Rig& rig) {
  rig.snapshots = quick();
  rig.snapshots->slot_commits = 10;
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 35; ++i) CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), "v"));
  CO_ASSERT_TRUE(co_await becomes(rig, [](const Rig&, const HeadSlot& s) { return s.position.seq >= 30; }));
  // Both of an island's slots are in use.
  for (int slot : {0, 1})
    EXPECT_TRUE(rig.islands[3]->blobs().contains(extent::head_slot_name(*rig.keys, "island-3", slot)));
  const uint64_t seq = rig.journal.committer->applied().seq;
  co_await rig.stop();
  std::optional<HeadSlot> last = co_await best_slot(rig);
  EXPECT_EQ(last->position.seq, seq);  // a clean end writes where it ended
}
TEST(SnapshotKeeper, WritesHeadSlotsAsCommitsGoOn) {
  with_rig("slots", slots_by_commits);
}

io::Task<void> snapshots_by_commits(Rig& rig) {
  rig.snapshots = quick();
  rig.snapshots->commits_max = 8;
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 60; ++i) CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), "v"));
  CO_ASSERT_TRUE(co_await becomes(rig, [](const Rig&, const HeadSlot& s) { return newest_number(s) >= 2; }));
  // Its own commits alone bring no next one.
  co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(20));
  std::optional<HeadSlot> one = co_await best_slot(rig);
  co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(50));
  std::optional<HeadSlot> two = co_await best_slot(rig);
  EXPECT_EQ(newest_number(*one), newest_number(*two));
}
TEST(SnapshotKeeper, WritesSnapshotsAsCommitsGoOnAndThenRests) {
  with_rig("bycommits", snapshots_by_commits);
}

io::Task<void> snapshots_by_bytes(Rig& rig) {
  rig.snapshots = quick();
  rig.snapshots->journal_bytes_min = 50'000;
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 12; ++i)
    CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), std::string(3000, 'v')));
  std::optional<HeadSlot> before = co_await best_slot(rig);
  EXPECT_EQ(newest_number(*before), 0u);
  // What was written before a restart counts too.
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_GT(rig.journal.slot->journal_bytes, 36'000u);
  for (int i = 0; i < 8; ++i)
    CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), std::string(3000, 'v')));
  CO_ASSERT_TRUE(co_await becomes(rig, [](const Rig&, const HeadSlot& s) { return newest_number(s) == 1; }));
  std::optional<HeadSlot> after = co_await best_slot(rig);
  EXPECT_LT(after->journal_bytes, 20'000u);
}
TEST(SnapshotKeeper, WritesASnapshotWhenTheJournalHasGrown) {
  with_rig("bybytes", snapshots_by_bytes);
}

io::Task<void> held_overwrites(Rig& rig) {
  rig.snapshots = quick();
  rig.snapshots->slot_commits = 1;
  CO_ASSERT_TRUE(co_await rig.start());
  for (auto& island : rig.islands) island->hold(Op::overwrite);
  for (int i = 0; i < 30; ++i) CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), "v"));
  EXPECT_EQ(rig.visible().size(), 30u);
  for (auto& island : rig.islands) island->release(Op::overwrite);
  CO_ASSERT_TRUE(co_await becomes(rig, [](const Rig&, const HeadSlot& s) { return s.position.seq == 30; }));
}
TEST(SnapshotKeeper, NeverDelaysACommit) {
  with_rig("held", held_overwrites);
}

io::Task<void> too_few(Rig& rig) {
  rig.snapshots = quick();
  rig.snapshots->truncation_delay = Duration(0);
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  Result<void> first = co_await rig.keeper->snapshot_now();
  CO_ASSERT_TRUE(first.has_value());
  const int64_t failed = metric("archipel_head_slot_failed_total");
  for (size_t i : {0u, 1u, 2u})
    rig.islands[i]->fail_next(Op::overwrite, {Code::unavailable, "full", {}}, 1'000'000);
  CO_ASSERT_TRUE(co_await rig.put("a", "2"));
  Result<void> second = co_await rig.keeper->snapshot_now();
  EXPECT_FALSE(second.has_value());
  EXPECT_GT(metric("archipel_head_slot_failed_total"), failed);
  EXPECT_EQ(metric("archipel_head_slot_islands"), 3);
  // Nothing may be truncated while the newer snapshot's head is on three islands only.
  auto limit = truncation_limit(*rig.journal.kv->snapshot(), system_clock().unix_ms() + 1000, Duration(0));
  CO_ASSERT_TRUE(limit.has_value());
  EXPECT_FALSE(limit->has_value());
  // It is tried again by itself.
  for (size_t i : {0u, 1u, 2u}) rig.islands[i]->fail_next(Op::overwrite, {}, 0);
  for (int i = 0; i < 2000 && !(limit && *limit); ++i) {
    co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
    limit = truncation_limit(*rig.journal.kv->snapshot(), system_clock().unix_ms() + 1000, Duration(0));
  }
  CO_ASSERT_TRUE(limit.has_value() && limit->has_value());
  EXPECT_EQ((*limit)->seq, 1u);
}
TEST(SnapshotKeeper, AHeadSlotOnTooFewIslandsAllowsNoTruncation) {
  with_rig("toofew", too_few);
}

// Nothing may be written for the realm once the lease is gone.
io::Task<void> no_lease(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  bool lease = false;
  SnapshotKeeperParts parts = rig.keeper_parts();
  parts.may_write = [&lease] { return lease; };
  auto keeper = make_snapshot_keeper(std::move(parts), quick());
  keeper->start();
  for (int i = 0; i < 5; ++i) CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), "v"));
  co_await keeper->close();
  std::optional<HeadSlot> slot = co_await best_slot(rig);
  EXPECT_FALSE(slot.has_value());
}
TEST(SnapshotKeeper, WritesNothingWithoutTheLease) {
  with_rig("nolease", no_lease);
}

// The journal closes while a snapshot is written, and opens a new epoch: what was written for the old one does not count.
io::Task<void> epoch_closes(Rig& rig) {
  rig.snapshots = quick();
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 40; ++i)
    CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), std::string(7000, 'v')));
  rig.freeze_after(9);  // in the second chunk
  Result<void> lost = co_await rig.keeper->snapshot_now();
  EXPECT_FALSE(lost.has_value());
  bool put = co_await rig.put("during", "1");
  EXPECT_FALSE(put);
  rig.thaw();
  for (int i = 0; i < 2000 && !(rig.journal.committer->open() && rig.journal.progress->open.epoch == 2); ++i)
    co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
  Result<void> again = co_await rig.keeper->snapshot_now();
  EXPECT_TRUE(again.has_value()) << again.error().describe();
  auto kept = read_snapshots(*rig.journal.kv->snapshot());
  CO_ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->size(), 1u);
  for (const SnapshotManifest::Chunk& chunk : kept->back().chunks) EXPECT_EQ(chunk.id.epoch, 2u);
}
TEST(SnapshotKeeper, ASnapshotOfAClosedEpochDoesNotCount) {
  with_rig("closes", epoch_closes);
}

io::Task<void> take(std::vector<extent::ExtentRef>* to, std::vector<extent::ExtentRef> chunks) {
  std::ranges::move(chunks, std::back_inserter(*to));
  co_return;
}

// Too few islands take the chunks after the first.
io::Task<void> gives_up(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 40; ++i)
    CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), std::string(7000, 'v')));
  std::vector<extent::ExtentRef> given_up;
  SnapshotKeeperParts parts = rig.keeper_parts();
  parts.abandoned = [&given_up](std::vector<extent::ExtentRef> chunks) {
    return take(&given_up, std::move(chunks));
  };
  auto keeper = make_snapshot_keeper(std::move(parts), quick());
  Result<void> good = co_await keeper->snapshot_now();
  CO_ASSERT_TRUE(good.has_value());
  EXPECT_TRUE(given_up.empty());
  co_await rig.fanout->drain();
  auto& island = *rig.islands[4];
  std::set<std::string> before;
  for (const auto& [name, bytes] : island.blobs()) before.insert(name);
  island.after_put = [&rig](const island::BlobName&) {
    for (size_t i : {0u, 1u, 2u})
      rig.islands[i]->fail_next(Op::put, {Code::unavailable, "full", {}}, 1'000'000);
  };
  Result<void> lost = co_await keeper->snapshot_now();
  EXPECT_FALSE(lost.has_value());
  island.after_put = nullptr;
  for (size_t i : {0u, 1u, 2u}) rig.islands[i]->fail_next(Op::put, {}, 0);
  co_await rig.fanout->drain();
  std::set<std::string> names;
  for (const extent::ExtentRef& ref : given_up)
    names.insert(extent::shard_name(*rig.keys, island.id(), ref, 4));
  size_t left = 0;
  for (const auto& [name, bytes] : island.blobs()) {
    if (before.contains(name)) continue;
    ++left;
    EXPECT_TRUE(names.contains(name));
  }
  EXPECT_GT(left, 0u);
  co_await keeper->close();
}
TEST(SnapshotKeeper, GivesUpTheChunksOfASnapshotThatFailed) {
  with_rig("givesup", gives_up);
}

}  // namespace
}  // namespace archipel::index
