// Scrub and repair of a whole store: debt, wiped islands, lies and losses, races with clients, crashes.
#include "store/scrubber.h"

#include "island/health.h"
#include "store/keys.h"
#include "store/store_fixture.h"

namespace archipel::store {
namespace {

constexpr std::chrono::milliseconds kTick{2};

// A store with a scrubber, which can be stopped and started again.
class ScrubRig {
 public:
  explicit ScrubRig(StoreRig& rig) : rig_(rig) {}

  io::Task<bool> begin(bool background = true) {
    table = rig_.repairs;
    Result<void> loaded = load_repairs(*rig_.journal.kv->snapshot(), 6, *table, *ledger());
    EXPECT_TRUE(loaded.has_value());
    coder_ = std::make_unique<erasure::Coder>(erasure::Code{});
    RepairParts parts{*rig_.keys,
                      *rig_.journal.kv,
                      *rig_.journal.committer,
                      rig_.placement,
                      *coder_,
                      *rig_.workers,
                      *io::Loop::current(),
                      rig_.clock,
                      table,
                      ledger(),
                      {}};
    ScrubberOptions options;
    options.patrol_bytes_per_second = patrol ? 1u << 30 : 0;
    options.tick = kTick;
    options.retry_after = kTick * 5;
    scrubber = make_scrubber({options, parts, files});
    repairer = std::make_unique<Repairer>(parts);
    if (background) scrubber->start();
    co_return true;
  }
  io::Task<void> end() {
    if (scrubber) co_await scrubber->close();
    scrubber.reset();
    repairer.reset();
  }
  io::Task<ScrubReport> pass(bool repair = true) {
    Scrubber::OnProgress quiet = [](const ScrubReport&) { return go_on(); };
    Result<ScrubReport> report = co_await scrubber->pass(repair, quiet);
    EXPECT_TRUE(report.has_value());
    co_return report ? *report : ScrubReport{};
  }
  // Until nothing is owed to anybody. False: it still is after very many rounds.
  io::Task<bool> debt_free() {
    for (int round = 0; round < 5000; ++round) {
      uint64_t owed = 0;
      for (int i = 0; i < 6; ++i) owed += ledger()->owed(i).shards;
      if (owed == 0) co_return true;
      co_await io::sleep_until(io::Loop::current()->now() + kTick);
    }
    co_return false;
  }
  std::shared_ptr<RepairLedger> ledger() {
    if (!rig_.options.ledger) {
      std::vector<std::string> ids;
      for (const auto& island : rig_.islands) ids.push_back(island->id());
      rig_.options.ledger = std::make_shared<RepairLedger>(ids);
    }
    return rig_.options.ledger;
  }
  // Of the live data extents.
  std::vector<ScrubTarget> extents() {
    std::vector<ScrubTarget> out;
    SnapshotHooks none;
    auto done = scan_targets({rig_.journal.kv->snapshot(), none, 0}, {}, [&](const ScrubTarget& target) {
      if (target.kind == ScrubTarget::Kind::extent) out.push_back(target);
      return true;
    });
    EXPECT_TRUE(done.has_value());
    return out;
  }
  std::string& blob(const ScrubTarget& target, int shard) {
    auto& island = *rig_.islands[static_cast<size_t>(shard)];
    const uint32_t repair = table->of(target.ref).repair(shard);
    return island.blobs().at(extent::shard_name(*rig_.keys, island.id(), target.ref, shard, repair));
  }

  static io::Task<bool> go_on() { co_return true; }

  bool patrol = false;
  std::shared_ptr<index::DirFiles> files;
  std::shared_ptr<extent::RepairTable> table;
  std::unique_ptr<Scrubber> scrubber;
  std::unique_ptr<Repairer> repairer;

 private:
  StoreRig& rig_;
  std::unique_ptr<erasure::Coder> coder_;
};

class NeverStops final : public extent::Pace {
 public:
  io::Task<void> spend(uint64_t) override { co_return; }
  bool stopping() const override { return false; }
};

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

// Its breaker would keep repairs away for some seconds more.
void bring_back(StoreRig& rig, size_t shard) {
  rig.islands[shard]->up();
  for (auto op : {island::Health::Op::put, island::Health::Op::get})
    rig.islands[shard]->health().record(op, io::Loop::current()->now(), kTick, 1, nullptr);
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

}  // namespace
}  // namespace archipel::store
