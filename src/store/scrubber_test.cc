// Scrub and repair of a whole store: debt, wiped islands, lies and losses, races with clients, crashes.
#include "store/scrubber.h"

#include "store/keys.h"
#include "store/scrub_fixture.h"

namespace archipel::store {
namespace {

using Objects = std::map<std::string, std::string>;

io::Task<Objects> fill(StoreRig& rig, std::vector<size_t> sizes) {
  Objects objects;
  [[maybe_unused]] Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
  for (size_t size : sizes) {
    const std::string key = "o" + std::to_string(size);
    objects[key] = pattern(size, size);
    Result<ObjectInfo> put = co_await rig.put("bucket", key, objects[key]);
    EXPECT_EQ(code_of(put), "ok");
  }
  co_return objects;
}

io::Task<void> expect_all(StoreRig& rig, const Objects& objects) {
  for (const auto& [key, bytes] : objects) {
    Result<std::string> got = co_await rig.get("bucket", key);
    EXPECT_EQ(code_of(got), "ok") << key;
    if (got) EXPECT_TRUE(*got == bytes) << key;
  }
}

const std::vector<size_t> kSizes = {1, 70'000, 131'072, 131'073, 900'000};

// The fixture runs free functions: each test is one.
#define SCRUB_TEST(name)              \
  io::Task<void> name(StoreRig& rig); \
  TEST(Scrubber, name) {              \
    with_store(name);                 \
  }                                   \
  io::Task<void> name(StoreRig& rig)

void owe_commits(StoreRig& rig, std::shared_ptr<RepairLedger> ledger) {
  rig.journal_options.on_debt = [ledger, &rig](uint64_t epoch, uint64_t seq, uint32_t mask) {
    ledger->owe({extent::ExtentRef::Kind::section, {epoch, seq}}, 0x3f & ~mask, rig.clock.wall_ms);
  };
}

// Head slots and the lease: not for repair.
bool is_overwritable(StoreRig& rig, size_t island, const island::BlobName& name) {
  const std::string& id = rig.islands[island]->id();
  return name == extent::head_slot_name(*rig.keys, id, 0) ||
         name == extent::head_slot_name(*rig.keys, id, 1) || name == extent::lease_name(*rig.keys, id);
}

SCRUB_TEST(FindsAWholeStoreWhole) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, kSizes);
  co_await scrub.begin(false);
  ScrubReport report = co_await scrub.pass();
  EXPECT_TRUE(report.whole());
  EXPECT_EQ(report.items, report.items_total);
  EXPECT_GE(report.items, 2u + 6u + 2u);  // claim and open, commits, extents
  for (const auto& island : report.islands) {
    EXPECT_EQ(island.good, report.items) << island.id;
    EXPECT_EQ(island.missing + island.wrong + island.unreachable + island.repaired, 0u);
  }
  co_await scrub.end();
}

SCRUB_TEST(NamesTheIslandsThatItCouldNotCheck) {
  ScrubRig scrub(rig);
  [[maybe_unused]] Objects objects = co_await fill(rig, kSizes);
  co_await scrub.begin(false);
  rig.islands[4]->down();
  ScrubReport report = co_await scrub.pass(false);
  EXPECT_FALSE(report.whole());
  EXPECT_EQ(report.unchecked(), std::vector<std::string>{"island-4"});
  EXPECT_EQ(report.islands[4].unreachable, report.items);
  co_await scrub.end();
  rig.islands[4]->up();
}

SCRUB_TEST(RepaysWhatAWriteDidNotConfirmWithoutAScan) {
  ScrubRig scrub(rig);
  owe_commits(rig, scrub.ledger());
  co_await rig.restart(false);
  rig.islands[4]->down();
  Objects objects = co_await fill(rig, kSizes);
  EXPECT_EQ(scrub.ledger()->owed(4).shards, 2u + 6u);  // extents, commits
  EXPECT_EQ(scrub.ledger()->owed(4).oldest_ms, rig.clock.wall_ms);
  EXPECT_EQ(scrub.ledger()->owed(3).shards, 0u);
  EXPECT_EQ(rig.count("f/"), 2u);
  rig.clock.wall_ms += 5000;
  co_await scrub.begin();
  co_await io::sleep_until(io::Loop::current()->now() + kTick * 10);
  EXPECT_GE(scrub.ledger()->owed(4).shards, 8u);
  bring_back(rig, 4);
  bool free = co_await scrub.debt_free();
  EXPECT_TRUE(free);
  for (const ScrubTarget& target : scrub.extents()) EXPECT_EQ(scrub.table->of(target.ref).confirmed, 0x3fu);
  // What the journal says of debt goes too, once it has been said.
  [[maybe_unused]] Result<void> made = co_await rig.store->create_bucket("another", kAlice);
  for (int round = 0; round < 2000 && rig.count("m/debt/") > 0; ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  EXPECT_EQ(rig.count("m/debt/"), 0u);
  co_await scrub.end();
  // And after a restart that rebuilds the view.
  co_await rig.restart(true);
  co_await scrub.begin(false);
  ScrubReport report = co_await scrub.pass(false);
  EXPECT_TRUE(report.whole());
  EXPECT_EQ(report.islands[4].good, report.items);
  co_await scrub.end();
  for (size_t i : {0u, 1u, 2u}) rig.islands[i]->down();
  co_await expect_all(rig, objects);
}

// Every kind of damage to up to three shards of each extent and commit, mixed.
SCRUB_TEST(RepairsLiesAndLossesOfThreeIslandsEverywhere) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, kSizes);
  co_await scrub.begin(false);
  uint64_t broken = 0;
  for (size_t i : {1u, 3u, 5u}) {
    size_t turn = i;
    for (auto it = rig.islands[i]->blobs().begin(); it != rig.islands[i]->blobs().end(); ++turn) {
      auto here = it++;
      const bool lease = is_overwritable(rig, i, here->first);
      if (lease) continue;
      ++broken;
      if (turn % 4 == 0)
        rig.islands[i]->blobs().erase(here);
      else if (turn % 4 == 1)
        here->second[here->second.size() / 2] ^= 8;
      else if (turn % 4 == 2)
        here->second.resize(here->second.size() / 2);
      else
        here->second[7] ^= 1;
    }
  }
  ScrubReport told = co_await scrub.pass(false);
  EXPECT_FALSE(told.whole());
  EXPECT_EQ(told.islands[1].missing + told.islands[1].wrong + told.islands[3].missing +
                told.islands[3].wrong + told.islands[5].missing + told.islands[5].wrong,
            broken);
  EXPECT_EQ(told.islands[0].missing + told.islands[0].wrong, 0u);
  EXPECT_EQ(told.repaired(), 0u);
  ScrubReport mended = co_await scrub.pass();
  EXPECT_TRUE(mended.whole()) << (mended.failures.empty() ? "" : mended.failures.front());
  EXPECT_EQ(mended.repaired(), broken);
  ScrubReport again = co_await scrub.pass();
  for (const auto& island : again.islands) EXPECT_EQ(island.good, again.items) << island.id;
  co_await scrub.end();
  for (size_t i : {0u, 2u, 4u}) rig.islands[i]->down();
  co_await expect_all(rig, objects);
  for (auto& island : rig.islands) island->up();
  // What was moved to other names is known after a restart, and without the view.
  co_await rig.restart(true);
  co_await scrub.begin(false);
  ScrubReport later = co_await scrub.pass(false);
  EXPECT_TRUE(later.whole());
  co_await scrub.end();
}

SCRUB_TEST(SaysWhichIslandsStandInTheWayAndWritesNothingThen) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, {900'000});
  co_await scrub.begin(false);
  for (const ScrubTarget& target : scrub.extents())
    for (int shard : {0, 2, 3, 5}) scrub.blob(target, shard)[500] ^= 1;
  std::vector<size_t> before;
  for (auto& island : rig.islands) before.push_back(island->counts().puts);
  ScrubReport report = co_await scrub.pass();
  EXPECT_EQ(report.unrepaired, 1u);
  for (std::string id : {"island-0", "island-2", "island-3", "island-5"})
    EXPECT_NE(report.failures.at(0).find(id), std::string::npos) << report.failures.at(0);
  EXPECT_EQ(report.failures.at(0).find("island-1"), std::string::npos);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(rig.islands[i]->counts().puts, before[i]) << i;
  co_await scrub.end();
}

SCRUB_TEST(RebuildsAWipedIslandSoThatAnyThreeOthersMayGo) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, kSizes);
  co_await rig.stop();
  rig.journal_options.rebuilt = rebuilt_shards;
  rig.islands[2]->wipe();
  bool started = co_await rig.start();
  CO_ASSERT_TRUE(started);
  co_await scrub.begin();
  for (int round = 0; round < 1000 && scrub.ledger()->owed(2).shards == 0; ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick / 2);
  bool free = co_await scrub.debt_free();
  EXPECT_TRUE(free);
  co_await io::sleep_until(io::Loop::current()->now() + kTick * 10);
  ScrubReport report = co_await scrub.pass(false);
  EXPECT_TRUE(report.whole());
  EXPECT_EQ(report.islands[2].good, report.items);
  co_await scrub.end();
  EXPECT_EQ(rig.count("s/"), 1u);
  for (size_t i : {0u, 3u, 5u}) rig.islands[i]->down();
  co_await expect_all(rig, objects);
  for (auto& island : rig.islands) island->up();
  // It is not done again.
  co_await rig.restart(false);
  const uint64_t puts = rig.islands[2]->counts().puts;
  co_await scrub.begin();
  co_await io::sleep_until(io::Loop::current()->now() + kTick * 20);
  EXPECT_EQ(scrub.ledger()->owed(2).shards, 0u);
  EXPECT_EQ(rig.islands[2]->counts().puts, puts);
  co_await scrub.end();
  // A start knows it too: without three others, enough hold what was written before.
  co_await rig.stop();
  for (size_t i : {0u, 3u, 5u}) rig.islands[i]->wipe();
  bool enough = co_await rig.start();
  CO_ASSERT_TRUE(enough);
  co_await expect_all(rig, objects);
}

SCRUB_TEST(RebuildsAWipedIslandWhileAnotherLosesEverythingToo) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, kSizes);
  co_await rig.stop();
  rig.islands[2]->wipe();
  bool started = co_await rig.start();
  CO_ASSERT_TRUE(started);
  // The other keeps its marker: nobody knows but who asks for the bytes.
  std::vector<island::BlobName> names;
  for (const auto& [name, bytes] : rig.islands[4]->blobs())
    if (!is_overwritable(rig, 4, name)) names.push_back(name);
  for (const auto& name : names) rig.islands[4]->forget(name);
  co_await scrub.begin();
  ScrubReport report = co_await scrub.pass();
  EXPECT_TRUE(report.whole()) << (report.failures.empty() ? "" : report.failures.front());
  bool free = co_await scrub.debt_free();
  EXPECT_TRUE(free);
  co_await scrub.end();
  for (size_t i : {0u, 1u, 3u}) rig.islands[i]->down();
  co_await expect_all(rig, objects);
}

// What cannot be brought to an island is not left out for ever because the walk went on.
SCRUB_TEST(DoesNotCallAnIslandRebuiltThatLacksWhatOthersCouldNotGiveThen) {
  ScrubRig scrub(rig);
  for (size_t i : {4u, 5u}) rig.islands[i]->down();
  Objects objects = co_await fill(rig, {900'000});  // on four islands
  co_await rig.stop();
  for (size_t i : {4u, 5u}) bring_back(rig, i);
  rig.islands[0]->wipe();
  bool started = co_await rig.start();
  CO_ASSERT_TRUE(started);
  auto rebuilt = [&] {
    Result<std::optional<std::string>> bytes = rig.journal.kv->snapshot()->get(rebuild_key(0));
    Result<RebuildRecord> record = decode_rebuild(bytes && *bytes ? **bytes : "");
    return record && record->done;
  };
  rig.islands[1]->down();  // two are left that hold it
  co_await scrub.begin();
  for (int round = 0; round < 300 && !rebuilt(); ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  EXPECT_FALSE(rebuilt());
  // Nor by a process that knows only what was journalled.
  co_await scrub.end();
  rig.options.ledger.reset();
  bring_back(rig, 1);
  co_await rig.restart(false);
  co_await scrub.begin();
  for (int round = 0; round < 5000 && !rebuilt(); ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  EXPECT_TRUE(rebuilt());
  co_await scrub.end();
  for (const ScrubTarget& target : scrub.extents())
    EXPECT_TRUE(rig.islands[0]->blobs().contains(extent::shard_name(*rig.keys, "island-0", target.ref, 0)));
  co_await expect_all(rig, objects);
}

SCRUB_TEST(MendsWhatAReadFoundWrong) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, {900'000});
  co_await scrub.begin();
  const std::vector<ScrubTarget> targets = scrub.extents();
  for (const ScrubTarget& target : targets) scrub.blob(target, 0)[5000] ^= 1;
  co_await expect_all(rig, objects);
  const ScrubTarget& target = targets.at(0);
  for (int round = 0; round < 2000 && scrub.table->of(target.ref).repair(0) == 0; ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  EXPECT_EQ(scrub.table->of(target.ref).repair(0), 1u);
  co_await io::sleep_until(io::Loop::current()->now() + kTick * 10);
  const uint64_t lies = rig.islands[0]->health().wrong_cells();
  co_await expect_all(rig, objects);
  EXPECT_EQ(rig.islands[0]->health().wrong_cells(), lies);
  // The wrong bytes are gone: as many blobs as there were.
  EXPECT_FALSE(rig.islands[0]->blobs().contains(extent::shard_name(*rig.keys, "island-0", target.ref, 0, 0)));
  co_await scrub.end();
}

SCRUB_TEST(AnIslandThatSpoilsAShardAgainAndAgainCostsNoMoreNumbers) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, {900'000});
  co_await scrub.begin(false);
  const ScrubTarget target = scrub.extents().at(0);
  NeverStops pace;
  for (int round = 1; round <= 20; ++round) {
    scrub.blob(target, 1)[5000] ^= 1;
    Repairer::Work work{target, 0, true};
    Repairer::Outcome outcome = co_await scrub.repairer->process(work, pace);
    EXPECT_TRUE(outcome.whole()) << outcome.failed;
    EXPECT_EQ(outcome.repaired, 2u);
    EXPECT_EQ(scrub.table->of(target.ref).repair(1), std::min<uint32_t>(static_cast<uint32_t>(round), 15));
  }
  ScrubReport report = co_await scrub.pass(false);
  EXPECT_TRUE(report.whole());
  co_await expect_all(rig, objects);
  co_await scrub.end();
}

SCRUB_TEST(BringsNothingBackThatWasDeletedMeanwhile) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, {900'000});
  co_await scrub.begin(false);
  const std::vector<ScrubTarget> targets = scrub.extents();
  NeverStops pace;
  // Doomed before the repair begins.
  [[maybe_unused]] auto removed = co_await rig.store->remove("bucket", {"o900000"});
  const ScrubTarget& target = targets.at(0);
  for (auto& island : rig.islands)
    island->blobs().erase(extent::shard_name(*rig.keys, island->id(), target.ref,
                                             static_cast<int>(&island - rig.islands.data())));
  std::vector<uint64_t> puts;
  for (auto& island : rig.islands) puts.push_back(island->counts().puts);
  Repairer::Work work{target, 0, true};
  Repairer::Outcome outcome = co_await scrub.repairer->process(work, pace);
  EXPECT_TRUE(outcome.gone);
  EXPECT_TRUE(outcome.whole());
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(rig.islands[i]->counts().puts, puts[i]);
  co_await scrub.end();
}

SCRUB_TEST(TakesBackWhatItPutForAnExtentThatWentInThatMoment) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, {900'000});
  co_await scrub.begin(false);
  const ScrubTarget target = scrub.extents().at(0);
  scrub.blob(target, 1)[5000] ^= 1;
  const std::string moved = extent::shard_name(*rig.keys, "island-1", target.ref, 1, 1);
  // Between the put and its record, the extent goes, and everything that collection would keep of it.
  rig.islands[1]->after_put = [&](const island::BlobName& name) {
    if (name != moved) return;
    EXPECT_TRUE(rig.journal.kv->write({{live_key(target.key()), std::nullopt}}).has_value());
  };
  NeverStops pace;
  Repairer::Work work{target, 0, true};
  Repairer::Outcome outcome = co_await scrub.repairer->process(work, pace);
  rig.islands[1]->after_put = nullptr;
  EXPECT_TRUE(outcome.gone);
  EXPECT_FALSE(rig.islands[1]->blobs().contains(moved));
  EXPECT_EQ(rig.count("f/"), 0u);
  co_await scrub.end();
}

SCRUB_TEST(LeavesAnOverwrittenObjectRight) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, {900'000});
  co_await scrub.begin(false);
  const ScrubTarget old = scrub.extents().at(0);
  scrub.blob(old, 0)[5000] ^= 1;
  NeverStops pace;
  auto repairing = scrub.repairer->process({old, 0, true}, pace);  // runs beside the overwriting
  objects["o900000"] = pattern(900'000, 4711);
  Result<ObjectInfo> put = co_await rig.put("bucket", "o900000", objects["o900000"]);
  EXPECT_EQ(code_of(put), "ok");
  Repairer::Outcome outcome = co_await std::move(repairing);
  EXPECT_TRUE(outcome.whole()) << outcome.failed;
  co_await expect_all(rig, objects);
  ScrubReport report = co_await scrub.pass(false);
  EXPECT_TRUE(report.whole());
  co_await scrub.end();
}

// A process that ends after any of its writes, and the next one's repair.
SCRUB_TEST(EndsRightAfterACrashAtEveryStepOfARepair) {
  ScrubRig scrub(rig);
  rig.journal_options.ack.hard_deadline = std::chrono::milliseconds(60);
  co_await rig.restart(false);
  Objects objects = co_await fill(rig, {200'000});
  for (int stored = 0; stored < 10; ++stored) {  // two shards and a commit on six islands
    co_await scrub.begin(false);
    for (const ScrubTarget& target : scrub.extents()) {
      scrub.blob(target, 0)[500] ^= 1;
      rig.islands[3]->forget(
          extent::shard_name(*rig.keys, "island-3", target.ref, 3, scrub.table->of(target.ref).repair(3)));
    }
    int left = stored;
    for (auto& island : rig.islands) {
      island->after_put = [&rig, &left](const island::BlobName&) {
        if (left-- > 0) return;
        for (auto& one : rig.islands) one->down();
      };
    }
    NeverStops pace;
    for (const ScrubTarget& target : scrub.extents()) {
      if (stored == 0) break;  // before the first write
      Repairer::Work work{target, 0, true};
      [[maybe_unused]] Repairer::Outcome outcome = co_await scrub.repairer->process(work, pace);
    }
    co_await scrub.end();
    for (auto& island : rig.islands) island->after_put = nullptr;
    co_await rig.stop();
    for (auto& island : rig.islands) island->up();
    rig.repairs = std::make_shared<extent::RepairTable>();
    bool started = co_await rig.start();
    CO_ASSERT_TRUE(started);
    for (size_t i = 0; i < 6; ++i) bring_back(rig, i);
    co_await scrub.begin(false);
    ScrubReport report = co_await scrub.pass();
    EXPECT_TRUE(report.whole()) << stored << " " << (report.failures.empty() ? "" : report.failures.front());
    ScrubReport again = co_await scrub.pass(false);
    EXPECT_TRUE(again.whole()) << stored;
    co_await expect_all(rig, objects);
    co_await scrub.end();
  }
}

SCRUB_TEST(PatrolsOnceInItsTimeAndGoesOnWhereItWas) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, kSizes);
  scrub.patrol = true;
  scrub.files = index::open_dir_files(rig.dir);
  co_await scrub.begin();
  const ScrubTarget target = scrub.extents().at(0);
  rig.islands[5]->forget(extent::shard_name(*rig.keys, "island-5", target.ref, 5));
  auto restored = [&] {
    return rig.islands[5]->blobs().contains(extent::shard_name(*rig.keys, "island-5", target.ref, 5));
  };
  for (int round = 0; round < 2000 && !restored(); ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  EXPECT_TRUE(restored());
  co_await io::sleep_until(io::Loop::current()->now() + kTick * 20);
  co_await scrub.end();
  // Not again for two weeks, even by another process.
  const uint64_t gets = rig.islands[0]->counts().gets;
  co_await scrub.begin();
  co_await io::sleep_until(io::Loop::current()->now() + kTick * 20);
  EXPECT_EQ(rig.islands[0]->counts().gets, gets);
  rig.clock.wall_ms += std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::days(14)).count();
  for (int round = 0; round < 2000 && rig.islands[0]->counts().gets == gets; ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  EXPECT_GT(rig.islands[0]->counts().gets, gets);
  co_await scrub.end();
}

SCRUB_TEST(PatrolsAgainWhenTheClockWasSetBack) {
  ScrubRig scrub(rig);
  Objects objects = co_await fill(rig, {70'000});
  scrub.patrol = true;
  scrub.files = index::open_dir_files(rig.dir);
  co_await scrub.begin();
  auto gets = [&] { return rig.islands[0]->counts().gets; };
  for (int round = 0; round < 2000 && gets() == 0; ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  co_await io::sleep_until(io::Loop::current()->now() + kTick * 20);
  co_await scrub.end();
  // It was years ahead.
  const uint64_t before = gets();
  rig.clock.wall_ms -= std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::days(1000)).count();
  co_await scrub.begin();
  for (int round = 0; round < 2000 && gets() == before; ++round)
    co_await io::sleep_until(io::Loop::current()->now() + kTick);
  EXPECT_GT(gets(), before);
  co_await scrub.end();
}

TEST(RepairRecords, SurviveTheirEncodingAndRefuseOthers) {
  ExceptionRecord exception{77, {0b101, {0, 2, 300}}};
  auto back = decode_exception(encode(exception));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->since_ms, 77);
  EXPECT_EQ(back->now, exception.now);
  RebuildRecord rebuild{{1, 2, 3}, false, {2, 9, 8}};
  auto where = decode_rebuild(encode(rebuild));
  ASSERT_TRUE(where);
  EXPECT_EQ(where->incarnation, rebuild.incarnation);
  EXPECT_EQ(where->next, rebuild.next);
  for (size_t cut = 0; cut < encode(exception).size(); ++cut)
    EXPECT_FALSE(decode_exception(encode(exception).substr(0, cut))) << cut;
  for (size_t cut = 0; cut < encode(rebuild).size(); ++cut)
    EXPECT_FALSE(decode_rebuild(encode(rebuild).substr(0, cut))) << cut;
}

TEST(RepairLedgerTest, CountsEachShardOnceAndKeepsTheOldestTime) {
  RepairLedger ledger({"a", "b", "c"});
  const ExtentKey one{extent::ExtentRef::Kind::data, {1, 1}}, two{extent::ExtentRef::Kind::section, {1, 1}};
  ledger.owe(one, 0b011, 500);
  ledger.owe(one, 0b110, 300);
  ledger.owe(two, 0b010, 400);
  EXPECT_EQ(ledger.owed(0).shards, 1u);
  EXPECT_EQ(ledger.owed(1).shards, 2u);
  EXPECT_EQ(ledger.owed(1).oldest_ms, 300);
  ledger.settle(one, 0b010);
  EXPECT_EQ(ledger.owed(1).oldest_ms, 400);
  EXPECT_EQ(ledger.some({}, 0b010, 10).size(), 1u);
  EXPECT_EQ(ledger.some(one, 0b111, 10).size(), 2u);
  EXPECT_EQ(ledger.some(one, 0b111, 10).at(0).key, two);
  ledger.forget(two);
  ledger.forget(one);
  EXPECT_EQ(ledger.size(), 0u);
  ledger.set_empty_since(2, 10, 100);
  ledger.rebuilt(2, 9);
  EXPECT_EQ(ledger.owed(2).shards, 1u);
  EXPECT_EQ(ledger.owed(2).oldest_ms, 100);
  ledger.rebuilt(2, 1);
  EXPECT_EQ(ledger.owed(2).oldest_ms, 0);
}

}  // namespace
}  // namespace archipel::store
