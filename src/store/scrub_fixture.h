// A store with a scrubber, which can be stopped and started again. For tests of src/store only.
#pragma once

#include "extent/names.h"
#include "island/health.h"
#include "store/scrubber.h"
#include "store/store_fixture.h"

namespace archipel::store {

inline constexpr std::chrono::milliseconds kTick{2};

class ScrubRig {
 public:
  explicit ScrubRig(StoreRig& rig) : rig_(rig) {}

  io::Task<bool> begin(bool background = true) {
    table = rig_.repairs;
    Result<void> loaded = load_repairs(*rig_.journal.kv->snapshot(), *table, *ledger());
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
    auto& island = *rig_.islands[static_cast<size_t>(target.home(shard))];
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

// Its breaker would keep repairs away for some seconds more.
inline void bring_back(StoreRig& rig, size_t island) {
  rig.islands[island]->up();
  for (auto op : {island::Health::Op::put, island::Health::Op::get})
    rig.islands[island]->health().record(op, io::Loop::current()->now(), kTick, 1, nullptr);
}

}  // namespace archipel::store
