// A store with a collector and days that pass when the test says so. For tests of src/store only.
#pragma once

#include <map>
#include <set>

#include "extent/names.h"
#include "index/epochs.h"
#include "index/snapshot_keeper.h"
#include "index/snapshot_manifest.h"
#include "store/collector.h"
#include "store/compaction.h"
#include "store/snapshot_hooks.h"
#include "store/store_fixture.h"

namespace archipel::store {

inline constexpr UnixMs kDayMs = 24 * 3600 * 1000;

class CollectorRig : public StoreRig {
 public:
  explicit CollectorRig(uint64_t seed = 1) : StoreRig(seed) {
    options.extent_plain_bytes = uint64_t{3} * 65536;  // one stripe: many extents of little
    options.pins = std::make_shared<Pins>();
    journal_options.ack.hard_deadline = std::chrono::milliseconds(300);
  }

  void make_collector() {
    CollectorOptions collecting;
    collecting.batch = 10;
    collecting.deletes.per_second = 1'000'000;
    collecting.deletes.retry_after = {};
    collecting.deletes.deadline = std::chrono::seconds(1);
    if (grace) collecting.grace = *grace;
    if (again) collecting.again = *again;
    SnapshotHooks snapshots;
    if (keeping) snapshots = journal_snapshots(*journal.committer, keeping->truncation_delay);
    auto injected = [this](const index::Snapshot&, UnixMs) -> Result<std::optional<index::CommitPosition>> {
      return limit;
    };
    if (truncation_delay) snapshots = journal_snapshots(*journal.committer, *truncation_delay);
    if (!keeping && !truncation_delay) snapshots.limit = injected;
    collector =
        store::make_collector(CollectorParts{collecting, *keys, *journal.kv, *journal.committer, placement,
                                             repairs, pins_of_collector ? pins_of_collector : options.pins,
                                             *workers, *io::Loop::current(), clock, std::move(snapshots)});
  }
  void make_compactor() {
    CompactionOptions compacting;
    compacting.garbage_bytes_min = 1;
    compacting.extent_bytes = 200'000;
    compacting.duty_percent = 100;
    auto at_limit = [this](const index::Snapshot& view,
                           UnixMs journalled_ms) -> Result<std::optional<index::CommitPosition>> {
      if (keeping) return index::truncation_limit(view, journalled_ms, keeping->truncation_delay);
      return limit;
    };
    compactor = store::make_compactor(CompactionParts{
        compacting, *keys, *journal.kv, *journal.committer, *fanout, *reader, placement, journal_options.code,
        journal_options.ack, options.pins, *workers, *random, *io::Loop::current(), clock, at_limit});
  }
  io::Task<bool> begin() {
    bool good = co_await start();
    if (good) make_collector();
    if (good) make_compactor();
    if (good && keeping) {
      index::SnapshotKeeperParts parts{.write = {.keys = *keys,
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
                                       .w = journal_options.ack.w};
      keeper = index::make_snapshot_keeper(std::move(parts), *keeping);
      keeper->start();
    }
    co_return good;
  }
  io::Task<bool> restart(bool forget_view) {
    co_await end();
    if (forget_view) std::filesystem::remove_all(dir + "/index");
    bool good = co_await begin();
    co_return good;
  }
  io::Task<void> end() {
    if (collector) co_await collector->close();
    collector.reset();
    if (compactor) co_await compactor->close();
    compactor.reset();
    if (keeper) co_await keeper->close();
    keeper.reset();
    co_await stop();
  }

  using StoreRig::put;
  io::Task<bool> put(std::string key, std::string bytes) {
    Result<ObjectInfo> done = co_await StoreRig::put("bucket", std::move(key), std::move(bytes));
    EXPECT_EQ(code_of(done), "ok");
    co_return done.has_value();
  }
  io::Task<bool> remove(std::string key) {
    Result<std::vector<DeleteOutcome>> done = co_await store->remove("bucket", {std::move(key)});
    EXPECT_EQ(code_of(done), "ok");
    co_return done.has_value();
  }
  io::Task<bool> collect() {
    const uint64_t before = journal.committer->applied().seq;
    Result<void> done = co_await collector->run_once();
    EXPECT_TRUE(done.has_value()) << done.error().describe();
    own_commits += journal.committer->applied().seq - before;
    co_return done.has_value();
  }
  // Everything committed so far may be truncated.
  void raise_limit() {
    limit = journal.committer->applied();
    ++limit->seq;
  }
  io::Task<bool> compact() {
    Result<void> done = co_await compactor->run_once();
    EXPECT_TRUE(done.has_value()) << done.error().describe();
    co_return done.has_value();
  }
  // An extent on all islands that no commit will name, as a killed process leaves it.
  io::Task<bool> leave_orphan(std::string bytes) {
    Result<index::NewExtent> fresh = co_await journal.committer->allocate_extent();
    if (!fresh) co_return false;
    extent::ExtentRef ref;
    ref.id = fresh->id;
    ref.attempt = fresh->attempt;
    ref.geometry = {journal_options.code, extent::kCellBytesMax, bytes.size()};
    std::vector<std::string> names = names_of(ref);
    erasure::Coder coder(journal_options.code);
    Result<extent::CodedExtent> coded = extent::encode_extent(*keys, coder, ref, as_bytes(bytes), names);
    CHECK(coded.has_value());
    for (size_t i = 0; i < names.size(); ++i)
      islands[i]->blobs()[names[i]] = std::string(as_text(coded->shards[i]));
    co_return true;
  }
  // A commit misses its deadline, so that this epoch ends and the next one opens in the same process.
  io::Task<bool> reopen_epoch() {
    uint64_t epoch = journal.committer->applied().epoch;
    for (auto& island : islands) island->down();
    Result<ObjectInfo> lost = co_await StoreRig::put("bucket", "lost", "x");
    EXPECT_NE(code_of(lost), "ok");
    for (auto& island : islands) island->up();
    for (int i = 0; i < 5000; ++i) {
      if (journal.committer->open() && journal.committer->applied().epoch > epoch) co_return true;
      co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
    }
    co_return false;
  }

  // More than any epoch of a test has.
  uint64_t seqs_max() const { return std::max<uint64_t>(1000, journal.committer->applied().seq + 20); }

  // By island; empty where none of its shards belongs.
  std::vector<std::string> names_of(const extent::ExtentRef& ref) const {
    std::vector<std::string> names(islands.size());
    for (int shard = 0; shard < ref.geometry.code.n; ++shard) {
      const auto place = static_cast<size_t>(ref.home(shard));
      names[place] = extent::shard_name(*keys, islands[place]->id(), ref, shard);
    }
    return names;
  }
  // By island: the names that the view says are needed: of live and doomed extents, and of the whole journal.
  std::vector<std::set<std::string>> names_needed() const {
    std::vector<std::set<std::string>> out(islands.size());
    auto need = [&](const extent::ExtentRef& ref) {
      std::vector<std::string> names = names_of(ref);
      for (size_t i = 0; i < names.size(); ++i) out[i].insert(names[i]);
    };
    auto snapshot = journal.kv->snapshot();
    auto done = scan_live(*snapshot, {}, [&](const ExtentKey&, const LiveRecord& record) {
      need(record.ref);
      return true;
    });
    EXPECT_TRUE(done.has_value());
    done = snapshot->scan("x/", "x0", [&](std::string_view, std::string_view value, std::string*) {
      Result<DoomedRecord> record = decode_doomed(value);
      EXPECT_TRUE(record.has_value());
      need(record->ref);
      return true;
    });
    EXPECT_TRUE(done.has_value());
    auto hooks = journal_snapshots(*journal.committer, {});
    for (const extent::ExtentRef& ref : *hooks.extents(*snapshot)) need(ref);
    Result<std::vector<index::EpochOpen>> opens = index::read_opens(*snapshot);
    EXPECT_TRUE(opens.has_value());
    for (const index::EpochOpen& open : *opens) {
      for (size_t i = 0; i < islands.size(); ++i) {
        const std::string& id = islands[i]->id();
        for (int slot = 0; slot < extent::kHeadSlots; ++slot)
          out[i].insert(extent::head_slot_name(*keys, id, slot));
        out[i].insert(extent::lease_name(*keys, id));
        out[i].insert(extent::claim_name(*keys, id, open.epoch));
        out[i].insert(extent::open_name(*keys, id, open.epoch));
        for (uint64_t seq = 1; seq <= seqs_max(); ++seq)
          out[i].insert(extent::commit_blob_name(*keys, id, open.epoch, open.bits, seq));
      }
    }
    return out;
  }
  // No island holds an extent that the view neither calls live nor doomed.
  io::Task<bool> only_what_is_referenced() {
    co_await fanout->drain();
    std::vector<std::set<std::string>> needed = names_needed();
    size_t strangers = 0;
    for (size_t i = 0; i < islands.size(); ++i)
      for (const auto& [name, bytes] : islands[i]->blobs()) strangers += !needed[i].contains(name);
    EXPECT_EQ(strangers, 0u);
    co_return strangers == 0;
  }
  uint64_t island_bytes() const {
    uint64_t sum = 0;
    for (const auto& island : islands)
      for (const auto& [name, bytes] : island->blobs()) sum += bytes.size();
    return sum;
  }
  // Blobs at island i that are neither commits nor claims nor opens, nor the lease.
  size_t data_blobs(size_t i = 0) const {
    Result<std::vector<index::EpochOpen>> opens = index::read_opens(*journal.kv->snapshot());
    std::set<std::string> journal_names = {extent::lease_name(*keys, islands[i]->id())};
    for (const index::EpochOpen& open : *opens) {
      const std::string& id = islands[i]->id();
      journal_names.insert(extent::claim_name(*keys, id, open.epoch));
      journal_names.insert(extent::open_name(*keys, id, open.epoch));
      for (uint64_t seq = 1; seq <= seqs_max(); ++seq)
        journal_names.insert(extent::commit_blob_name(*keys, id, open.epoch, open.bits, seq));
    }
    size_t out = 0;
    for (const auto& [name, bytes] : islands[i]->blobs()) out += !journal_names.contains(name);
    return out;
  }
  // Shards of live extents that some island lacks.
  size_t data_blobs_missing() const {
    size_t missing = 0;
    auto done = scan_live(*journal.kv->snapshot(), {}, [&](const ExtentKey&, const LiveRecord& record) {
      std::vector<std::string> names = names_of(record.ref);
      for (size_t i = 0; i < names.size(); ++i)
        missing += !names[i].empty() && !islands[i]->blobs().contains(names[i]);
      return true;
    });
    EXPECT_TRUE(done.has_value());
    return missing;
  }

  std::unique_ptr<Collector> collector;
  std::unique_ptr<Compactor> compactor;
  io::TaskScope beside;  // what a hook starts
  std::unique_ptr<index::SnapshotKeeper> keeper;
  std::optional<index::SnapshotOptions> keeping;  // set: snapshots are written, and say what may be truncated
  std::optional<Duration> grace, again;
  std::shared_ptr<Pins> pins_of_collector;   // if other than the store's
  std::optional<Duration> truncation_delay;  // set: what the journal's own snapshots say counts, not `limit`
  std::optional<index::CommitPosition> limit;
  uint64_t own_commits = 0;  // by rounds of collection, in this epoch
};

// Runs `scenario(rig)` on a fresh loop, with a bucket of the name `bucket`.
inline void with_collector(io::Task<void> (*scenario)(CollectorRig&)) {
  struct Runner {
    static io::Task<void> run(io::Task<void> (*body)(CollectorRig&)) {
      CollectorRig rig;
      bool started = co_await rig.begin();
      if (started) {
        Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
        EXPECT_EQ(code_of(made), "ok");
        co_await body(rig);
      }
      for (auto& island : rig.islands) island->up();
      co_await rig.end();
    }
  };
  io::run_blocking([&] { return Runner::run(scenario); });
}

}  // namespace archipel::store
