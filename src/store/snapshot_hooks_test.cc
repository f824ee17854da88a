// Snapshots, truncation and collection together: a realm that lives long stays small, and can be had again from its islands alone.
#include "extent/names.h"
#include "index/snapshot_keeper.h"
#include "island/health.h"
#include "store/collector_fixture.h"
#include "store/scrubber.h"

namespace archipel::store {
namespace {

constexpr Duration kDay = std::chrono::hours(24);

class LongLife : public CollectorRig {
 public:
  LongLife() { truncation_delay = kDay; }

  io::Task<bool> open() {
    bool good = co_await begin();
    if (!good) co_return false;
    index::SnapshotOptions options;
    options.chunk_segments = 1;
    options.truncation_delay = kDay;
    keeper = index::make_snapshot_keeper({.write = {.keys = *keys,
                                                    .placement = placement,
                                                    .code = journal_options.code,
                                                    .ack = journal_options.ack,
                                                    .fanout = *fanout,
                                                    .committer = *journal.committer,
                                                    .kv = *journal.kv,
                                                    .workers = *workers,
                                                    .random = *random,
                                                    .clock = clock},
                                          .home = *io::Loop::current(),
                                          .progress = journal.progress,
                                          .slot = journal.slot,
                                          .w = journal_options.ack.w,
                                          .adopted = adopted},
                                         options);
    keeper->start();
    co_return true;
  }
  io::Task<void> shut() {
    if (keeper) co_await keeper->close();
    if (collector) co_await collector->close();
    collector.reset();
    co_await stop();
    keeper.reset();
  }
  io::Task<bool> live_two_days(int number) {
    for (int i = 0; i < 12; ++i) {
      const std::string key = "k" + std::to_string(i % 4);
      kept[key] = pattern(i % 4 == 3 ? 300'000 : 3000, static_cast<uint64_t>(number * 100 + i));
      bool good = co_await put(key, kept[key]);
      if (!good) co_return false;
    }
    Result<void> written = co_await keeper->snapshot_now();
    EXPECT_TRUE(written.has_value()) << written.error().describe();
    clock.wall_ms += 2 * kDayMs;
    bool collected = co_await collect();
    co_return collected;
  }
  io::Task<void> check() {
    for (const auto& [key, bytes] : kept) {
      Result<std::string> got = co_await get("bucket", key);
      EXPECT_TRUE(got && *got == bytes) << key << (got ? "" : got.error().describe());
    }
  }

  std::unique_ptr<index::SnapshotKeeper> keeper;
  std::function<void(const index::SnapshotManifest&)> adopted;
  std::map<std::string, std::string> kept;
};

io::Task<void> lives_long(LongLife& rig) {
  CO_ASSERT_TRUE(co_await rig.open());
  Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
  CO_ASSERT_TRUE(made.has_value());
  size_t early = 0;
  uint64_t truncated = 0;
  for (int round = 0; round < 14; ++round) {
    CO_ASSERT_TRUE(co_await rig.live_two_days(round));
    if (round == 6) {
      early = rig.islands[0]->blobs().size();
      truncated = rig.collector->counts().commits;
      co_await rig.shut();
      CO_ASSERT_TRUE(co_await rig.open());
    }
  }
  truncated += rig.collector->counts().commits;
  EXPECT_GT(truncated, 100u);
  EXPECT_LE(rig.islands[0]->blobs().size(), early + early / 4);
  EXPECT_EQ(rig.count("m/retired/"), 0u);
  EXPECT_EQ(rig.count("m/snapshot/"), 2u);
  EXPECT_LE(rig.count("m/truncation/"), 3u);
  co_await rig.check();

  co_await rig.shut();
  std::filesystem::remove_all(rig.dir);
  std::filesystem::create_directories(rig.dir);
  CO_ASSERT_TRUE(co_await rig.open());
  EXPECT_GE(rig.journal.snapshot, 14u);
  EXPECT_LT(rig.journal.replayed, 100u);
  co_await rig.check();
  co_await rig.shut();
}

class NeverStops final : public extent::Pace {
 public:
  io::Task<void> spend(uint64_t) override { co_return; }
  bool stopping() const override { return false; }
};

// One island's shards of all snapshots turn wrong, and are repaired.
io::Task<void> rots_and_is_mended(LongLife& rig, int shard, std::shared_ptr<extent::RepairTable> table) {
  const std::string& id = rig.islands[static_cast<size_t>(shard)]->id();
  erasure::Coder coder(rig.journal_options.code);
  std::vector<std::string> ids;
  for (const auto& island : rig.islands) ids.push_back(island->id());
  const SnapshotHooks hooks = journal_snapshots(*rig.journal.committer, kDay);
  Repairer repairer({*rig.keys, *rig.journal.kv, *rig.journal.committer, rig.placement, coder, *rig.workers,
                     *io::Loop::current(), rig.clock, table, std::make_shared<RepairLedger>(ids), hooks});
  std::vector<ScrubTarget> chunks;
  auto found = scan_targets({rig.journal.kv->snapshot(), hooks, rig.clock.wall_ms}, {},
                            [&](const ScrubTarget& target) {
                              if (target.kind == ScrubTarget::Kind::snapshot) chunks.push_back(target);
                              return true;
                            });
  CO_ASSERT_TRUE(found.has_value());
  CO_ASSERT_TRUE(chunks.size() >= 2);
  NeverStops pace;
  for (const ScrubTarget& chunk : chunks) {
    rig.islands[static_cast<size_t>(shard)]
        ->blobs()
        .at(extent::shard_name(*rig.keys, id, chunk.ref, shard))
        .back() ^= 1;
    Repairer::Work work{chunk, 0, true};
    Repairer::Outcome outcome = co_await repairer.process(work, pace);
    EXPECT_TRUE(outcome.whole()) << outcome.failed;
    EXPECT_EQ(outcome.repaired, 1u << shard);
  }
}

// Chunks of one segment: of 1 and 2 there is nothing to lose. Who loads a snapshot has no view yet that could say where repaired shards lie.
io::Task<void> loads_what_was_repaired(LongLife& rig) {
  CO_ASSERT_TRUE(co_await rig.open());
  Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
  CO_ASSERT_TRUE(made.has_value());
  for (int round = 0; round < 3; ++round) CO_ASSERT_TRUE(co_await rig.live_two_days(round));
  EXPECT_GT(rig.collector->counts().commits, 0u);  // the journal's beginning is gone
  auto table = std::make_shared<extent::RepairTable>();
  for (int shard : {0, 3, 4, 5}) co_await rots_and_is_mended(rig, shard, table);
  co_await rig.shut();
  std::filesystem::remove_all(rig.dir);
  std::filesystem::create_directories(rig.dir);
  CO_ASSERT_TRUE(co_await rig.open());
  EXPECT_EQ(rig.journal.snapshot, 3u);
  co_await rig.check();
  co_await rig.shut();
}

// By hooks with `delay`: the commits that scrub looks for, and how many of them an island lacks.
struct Sought {
  size_t commits = 0, lacking = 0;
};
Sought commits_sought(LongLife& rig, Duration delay) {
  const SnapshotHooks hooks = journal_snapshots(*rig.journal.committer, delay);
  const TargetView at{rig.journal.kv->snapshot(), hooks, rig.clock.wall_ms};
  Sought sought;
  auto found = scan_targets(at, {}, [&](const ScrubTarget& target) {
    if (target.kind != ScrubTarget::Kind::commit) return true;
    ++sought.commits;
    const std::string name =
        extent::commit_blob_name(*rig.keys, rig.islands[0]->id(), target.epoch, target.open, target.number);
    if (!rig.islands[0]->blobs().contains(name)) ++sought.lacking;
    return true;
  });
  EXPECT_TRUE(found.has_value());
  auto first = find_target(at, {extent::ExtentRef::Kind::section, {1, 1}});
  EXPECT_TRUE(first && !*first);
  return sought;
}

io::Task<void> longer_delay(LongLife& rig) {
  CO_ASSERT_TRUE(co_await rig.open());
  Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
  CO_ASSERT_TRUE(made.has_value());
  for (int round = 0; round < 4; ++round) CO_ASSERT_TRUE(co_await rig.live_two_days(round));
  CO_ASSERT_TRUE(rig.collector->counts().commits > 0);
  const Sought before = commits_sought(rig, kDay);
  const Sought after = commits_sought(rig, 100 * kDay);
  EXPECT_EQ(before.lacking, 0u);
  EXPECT_EQ(after.lacking, 0u);
  EXPECT_GT(after.commits, 0u);
  co_await rig.shut();
}

std::shared_ptr<RepairLedger> new_ledger(const LongLife& rig) {
  std::vector<std::string> ids;
  for (const auto& island : rig.islands) ids.push_back(island->id());
  return std::make_shared<RepairLedger>(ids);
}
uint32_t chunks_owed(const std::vector<extent::ExtentRef>& chunks, const RepairLedger& ledger) {
  uint32_t owed = 0;
  for (const extent::ExtentRef& ref : chunks) owed |= ledger.missing(key_of(ref));
  return owed;
}

// An island is away while a snapshot is written. No patrol runs here.
io::Task<void> repays_chunks(LongLife& rig) {
  auto at_once = new_ledger(rig);
  rig.adopted = [&rig, &at_once](const index::SnapshotManifest& snapshot) {
    owe_snapshot(snapshot, *rig.repairs, *at_once);
  };
  CO_ASSERT_TRUE(co_await rig.open());
  Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
  CO_ASSERT_TRUE(made.has_value());
  rig.islands[4]->down();
  CO_ASSERT_TRUE(co_await rig.put("k", pattern(3000, 1)));
  Result<void> written = co_await rig.keeper->snapshot_now();
  CO_ASSERT_TRUE(written.has_value());
  co_await rig.fanout->drain();
  const SnapshotHooks hooks = journal_snapshots(*rig.journal.committer, kDay);
  const auto chunks = *hooks.extents(*rig.journal.kv->snapshot());
  CO_ASSERT_TRUE(!chunks.empty());
  EXPECT_EQ(chunks_owed(chunks, *at_once), 1u << 4);
  auto later = new_ledger(rig);
  Result<void> loaded = load_repairs(*rig.journal.kv->snapshot(), *rig.repairs, *later);
  CO_ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(chunks_owed(chunks, *later), 1u << 4);

  rig.islands[4]->up();
  for (auto op : {island::Health::Op::put, island::Health::Op::get})
    rig.islands[4]->health().record(op, io::Loop::current()->now(), std::chrono::milliseconds(1), 1, nullptr);
  erasure::Coder coder(rig.journal_options.code);
  ScrubberOptions options;
  options.patrol_bytes_per_second = 0;
  options.tick = options.retry_after = std::chrono::milliseconds(2);
  RepairParts parts{*rig.keys,
                    *rig.journal.kv,
                    *rig.journal.committer,
                    rig.placement,
                    coder,
                    *rig.workers,
                    *io::Loop::current(),
                    rig.clock,
                    rig.repairs,
                    later,
                    hooks};
  auto scrubber = make_scrubber({options, parts, nullptr});
  scrubber->start();
  for (int round = 0; round < 2000 && chunks_owed(chunks, *later) != 0; ++round)
    co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(2));
  co_await scrubber->close();
  EXPECT_EQ(chunks_owed(chunks, *later), 0u);
  for (const extent::ExtentRef& ref : chunks)
    EXPECT_TRUE(rig.islands[4]->blobs().contains(rig.names_of(ref)[4]));
  auto after = new_ledger(rig);
  loaded = load_repairs(*rig.journal.kv->snapshot(), *rig.repairs, *after);
  EXPECT_TRUE(loaded.has_value());
  EXPECT_EQ(chunks_owed(chunks, *after), 0u);
  co_await rig.shut();
}

TEST(JournalSnapshots, ChunksThatAnIslandMissedAreRepaidAsSoonAsItAnswers) {
  struct Runner {
    static io::Task<void> run() {
      LongLife rig;
      co_await repays_chunks(rig);
    }
  };
  io::run_blocking([] { return Runner::run(); });
}

TEST(JournalSnapshots, WhatWasTruncatedIsNotSoughtWhenTheDelayIsMadeLonger) {
  struct Runner {
    static io::Task<void> run() {
      LongLife rig;
      co_await longer_delay(rig);
    }
  };
  io::run_blocking([] { return Runner::run(); });
}

TEST(JournalSnapshots, AreLoadedAfterTheirShardsWereRepairedEverywhere) {
  struct Runner {
    static io::Task<void> run() {
      LongLife rig;
      co_await loads_what_was_repaired(rig);
    }
  };
  io::run_blocking([] { return Runner::run(); });
}

TEST(JournalSnapshots, ALongLifeStaysSmallAndIsHadAgainFromTheIslandsAlone) {
  struct Runner {
    static io::Task<void> run() {
      LongLife rig;
      co_await lives_long(rig);
    }
  };
  io::run_blocking([] { return Runner::run(); });
}

}  // namespace
}  // namespace archipel::store
