// Scrub, repair and rebuilding of extents that lie on some islands: who is asked, what is owed, and where it comes back.
#include "store/placements_fixture.h"
#include "store/scrub_fixture.h"

namespace archipel::store {
namespace {

io::Task<void> fill_all(CollectorRig& rig) {
  for (std::string bucket : {"few", "most", "bucket"}) co_await fill(rig, bucket);
  co_await rig.fanout->drain();
}

io::Task<void> expect_all_filled(CollectorRig& rig) {
  for (std::string bucket : {"few", "most", "bucket"}) co_await expect_filled(rig, bucket);
}

// Every live extent has all its shards, on the islands of its homes and on no other.
void expect_in_place(CollectorRig& rig, const extent::RepairTable& table) {
  for (const extent::ExtentRef& ref : live_refs(rig)) {
    const extent::RepairException where = table.of(ref);
    for (int shard = 0; shard < ref.geometry.code.n; ++shard) {
      auto& island = *rig.islands[static_cast<size_t>(ref.home(shard))];
      EXPECT_TRUE(island.blobs().contains(
          extent::shard_name(*rig.keys, island.id(), ref, shard, where.repair(shard))))
          << ref.id.counter << " shard " << shard;
    }
    EXPECT_EQ(islands_with(rig, ref) & ~ref.homes.mask(ref.geometry.code.n), 0u);
  }
}

std::vector<extent::ExtentRef> few_refs(CollectorRig& rig) {
  std::vector<extent::ExtentRef> refs = live_refs(rig);
  std::erase_if(refs, [](const extent::ExtentRef& ref) { return ref.geometry.code != kFew.code; });
  EXPECT_EQ(refs.size(), kFewExtents);
  return refs;
}

PLACED_TEST(PlacedRepair, LooksForShardsWhereTheyBelongAndNowhereElse) {
  co_await fill_all(rig);
  ScrubRig scrub(rig);
  co_await scrub.begin(false);
  ScrubReport report = co_await scrub.pass();
  EXPECT_TRUE(report.whole());
  std::vector<uint64_t> belongs(6, report.items);
  for (const extent::ExtentRef& ref : live_refs(rig))
    for (size_t i = 0; i < 6; ++i) belongs[i] -= (ref.homes.mask(ref.geometry.code.n) >> i & 1) == 0;
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(report.islands[i].good, belongs[i]) << i;
    EXPECT_EQ(report.islands[i].missing + report.islands[i].wrong, 0u) << i;
    EXPECT_EQ(scrub.ledger()->owed(static_cast<int>(i)).shards, 0u) << i;
  }
  EXPECT_EQ(belongs[0], report.items - 6);  // without those of the class of five
  co_await scrub.end();
}

PLACED_TEST(PlacedRepair, RepaysTheIslandOfTheClassThatDidNotConfirm) {
  ScrubRig scrub(rig);
  [[maybe_unused]] auto ledger = scrub.ledger();
  bool with_ledger = co_await rig.restart(false);
  CO_ASSERT_TRUE(with_ledger);
  // Island 1 has no part in the class: what is written without it owes it nothing but commits.
  rig.islands[1]->down();
  co_await fill(rig, "few");
  EXPECT_EQ(scrub.ledger()->size(), 0u);
  EXPECT_EQ(rig.count("f/"), 0u);
  rig.islands[1]->up();
  rig.islands[3]->down();
  co_await fill(rig, "few");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(scrub.ledger()->owed(i).shards, i == 3 ? kFewExtents : 0u) << i;
  EXPECT_EQ(rig.count("f/"), kFewExtents);
  // A process that knows only what was journalled owes the same.
  rig.options.ledger.reset();
  rig.repairs = std::make_shared<extent::RepairTable>();
  bring_back(rig, 3);
  [[maybe_unused]] auto fresh = scrub.ledger();
  bool restarted = co_await rig.restart(true);
  CO_ASSERT_TRUE(restarted);
  co_await scrub.begin(false);
  size_t owed = 0;
  for (const extent::ExtentRef& ref : few_refs(rig))
    owed +=
        (scrub.ledger()->missing(key_of(ref)) & ~(1u << 3)) == 0 && scrub.ledger()->missing(key_of(ref)) != 0;
  EXPECT_EQ(owed, kFewExtents);
  co_await scrub.end();
  co_await scrub.begin();
  bool free = co_await scrub.debt_free();
  EXPECT_TRUE(free);
  for (const extent::ExtentRef& ref : few_refs(rig)) EXPECT_EQ(scrub.table->of(ref).confirmed, 0b1111u);
  co_await scrub.end();
  expect_in_place(rig, *scrub.table);
  for (size_t i : {0u, 5u}) rig.islands[i]->down();
  co_await expect_filled(rig, "few");
}

// Two shards of every extent of the class: lies, losses, cuts.
PLACED_TEST(PlacedRepair, MendsWhatAsManyIslandsAsTheCodeSparesLostOrSpoilt) {
  co_await fill_all(rig);
  ScrubRig scrub(rig);
  co_await scrub.begin(false);
  size_t turn = 0;
  uint64_t wrong = 0, missing = 0;
  for (const extent::ExtentRef& ref : few_refs(rig)) {
    for (int shard : {0, 1}) {
      auto& blobs = rig.islands[static_cast<size_t>(ref.home(shard))]->blobs();
      const std::string name =
          extent::shard_name(*rig.keys, rig.islands[shard == 0 ? 5 : 0]->id(), ref, shard);
      std::string& bytes = blobs.at(name);
      ++(turn % 3 == 0 ? missing : wrong);
      if (turn % 3 == 0)
        blobs.erase(name);
      else if (turn % 3 == 1)
        bytes[bytes.size() / 2] ^= 8;
      else
        bytes.pop_back();
      turn += 1;
    }
  }
  ScrubReport told = co_await scrub.pass(false);
  EXPECT_EQ(told.islands[5].missing + told.islands[0].missing, missing);
  EXPECT_EQ(told.islands[5].wrong + told.islands[0].wrong, wrong);
  for (size_t i : {1u, 2u, 3u, 4u}) EXPECT_EQ(told.islands[i].missing + told.islands[i].wrong, 0u) << i;
  ScrubReport mended = co_await scrub.pass();
  EXPECT_TRUE(mended.whole()) << (mended.failures.empty() ? "" : mended.failures.front());
  EXPECT_EQ(mended.islands[5].repaired + mended.islands[0].repaired, missing + wrong);
  expect_in_place(rig, *scrub.table);
  co_await scrub.end();
  rig.repairs = std::make_shared<extent::RepairTable>();
  bool restarted = co_await rig.restart(true);
  CO_ASSERT_TRUE(restarted);
  co_await scrub.begin(false);
  for (size_t i : {2u, 3u}) rig.islands[i]->down();
  co_await expect_filled(rig, "few");
  rig.islands[5]->down();
  Result<std::string> got = co_await rig.get("few", "o900000");
  EXPECT_EQ(code_of(got), "ServiceUnavailable");
  co_await scrub.end();
}

PLACED_TEST(PlacedRepair, SaysWhichIslandsOfTheClassStandInTheWay) {
  co_await fill(rig, "few");
  ScrubRig scrub(rig);
  co_await scrub.begin(false);
  const ScrubTarget target = scrub.extents().back();
  for (int shard : {0, 2, 3}) scrub.blob(target, shard)[500] ^= 1;
  ScrubReport report = co_await scrub.pass();
  EXPECT_EQ(report.unrepaired, 1u);
  for (std::string id : {"island-5", "island-3", "island-2"})
    EXPECT_NE(report.failures.at(0).find(id), std::string::npos) << report.failures.at(0);
  for (std::string id : {"island-0", "island-1", "island-4"})
    EXPECT_EQ(report.failures.at(0).find(id), std::string::npos) << report.failures.at(0);
  co_await scrub.end();
}

PLACED_TEST(PlacedRepair, MovesAShardThatAReadFoundWrongOnItsOwnIsland) {
  co_await fill(rig, "few");
  ScrubRig scrub(rig);
  co_await scrub.begin();
  const std::vector<ScrubTarget> targets = scrub.extents();
  for (const ScrubTarget& target : targets) scrub.blob(target, 0)[130] ^= 1;
  co_await expect_filled(rig, "few");
  auto repaired = [&] {
    return std::ranges::count_if(targets,
                                 [&](const auto& t) { return scrub.table->of(t.ref).repair(0) == 1; });
  };
  for (int round = 0; round < 2000 && repaired() < static_cast<ptrdiff_t>(kFewExtents); ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  EXPECT_EQ(repaired(), static_cast<ptrdiff_t>(kFewExtents));
  co_await scrub.end();
  expect_in_place(rig, *scrub.table);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(rig.islands[i]->health().wrong_cells() > 0, i == 5) << i;
  // Deletion finds the names that repair gave.
  for (size_t size : kPlacedSizes) {
    auto removed = co_await rig.store->remove("few", {"o" + std::to_string(size)});
    EXPECT_EQ(code_of(removed), "ok");
  }
  rig.clock.wall_ms += kDayMs + 1;
  CO_ASSERT_TRUE(co_await rig.collect());
  CO_ASSERT_TRUE(co_await rig.collect());
  EXPECT_TRUE(co_await rig.only_what_is_referenced());
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(rig.data_blobs(i), 0u) << i;
}

io::Task<void> rebuild(CollectorRig& rig, ScrubRig& scrub, size_t wiped) {
  co_await rig.end();
  rig.islands[wiped]->wipe();
  bool started = co_await rig.begin();
  CO_ASSERT_TRUE(started);
  co_await scrub.begin();
  const int who = static_cast<int>(wiped);
  for (int round = 0; round < 1000 && scrub.ledger()->owed(who).shards == 0; ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick / 2);
  bool free = co_await scrub.debt_free();
  EXPECT_TRUE(free);
  co_await io::sleep_until(io::Loop::current()->now() + kTick * 10);
  co_await scrub.end();
}

PLACED_TEST(PlacedRepair, BringsAWipedIslandBackJustWhatBelongsThere) {
  co_await fill_all(rig);
  ScrubRig scrub(rig);
  rig.journal_options.rebuilt = rebuilt_shards;
  for (size_t wiped : {0u, 1u, 5u}) {  // not of the class of five; not of the class of four; of both
    const size_t before = rig.data_blobs(wiped);
    co_await rebuild(rig, scrub, wiped);
    EXPECT_EQ(rig.data_blobs(wiped), before) << wiped;
    expect_in_place(rig, *scrub.table);
    co_await scrub.begin(false);
    ScrubReport report = co_await scrub.pass(false);
    EXPECT_TRUE(report.whole()) << wiped;
    co_await scrub.end();
  }
  for (size_t i : {2u, 3u}) rig.islands[i]->down();
  co_await expect_all_filled(rig);
}

// Of the class of four two are gone for good, one of them comes back empty: the other two give everything.
PLACED_TEST(PlacedRepair, RebuildsFromTheLastThatTheCodeNeeds) {
  co_await fill(rig, "few");
  co_await rig.fanout->drain();
  ScrubRig scrub(rig);
  rig.islands[2]->down();
  co_await rebuild(rig, scrub, 3);
  bring_back(rig, 2);
  for (const extent::ExtentRef& ref : few_refs(rig)) EXPECT_EQ(islands_with(rig, ref), kFewMask);
  for (size_t i : {0u, 5u}) rig.islands[i]->down();
  co_await expect_filled(rig, "few");
}

}  // namespace
}  // namespace archipel::store
