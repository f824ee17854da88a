// A whole store on six islands in memory: real journal, real coding, one loop. For tests of src/store only.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "extent/repair_table.h"
#include "index/journal.h"
#include "island/mem_island.h"
#include "store/keys.h"
#include "store/pins.h"
#include "store/placements.h"
#include "store/registry.h"
#include "store/staged_view.h"
#include "store/store.h"
#include "store/tallies.h"
#include "store/upload_records.h"
#include "store/usage.h"
#include "support/co_assert.h"

namespace archipel::store {

inline const std::string kAlice(64, 'a');
inline const std::string kBob(64, 'b');

// "ok", or the S3 code of the error.
template <class T>
std::string code_of(const Result<T>& result) {
  return result                          ? "ok"
         : result.error().detail.empty() ? "(no code) " + result.error().describe()
                                         : result.error().detail;
}

// Wall-clock time that only the test moves; monotonic time is real, and what the test adds.
class TestClock final : public Clock {
 public:
  TimePoint now() override { return system_clock().now() + ahead; }
  Duration ahead{0};
  UnixMs unix_ms() override { return wall_ms; }
  UnixMs wall_ms = 1'700'000'000'000;
};

// A body in memory, handed out in pieces of `piece` bytes, that may break off.
class StringBody final : public BodySource {
 public:
  explicit StringBody(std::string bytes, size_t piece = SIZE_MAX) : bytes_(std::move(bytes)), piece_(piece) {}
  std::optional<size_t> breaks_at;  // the read that would pass this offset fails
  std::optional<std::string> known_md5;
  Checksum known_checksum;
  size_t reads = 0;

  io::Task<Result<size_t>> read(MutableBytes out) override {
    ++reads;
    size_t size = std::min({out.size(), piece_, bytes_.size() - at_});
    if (breaks_at && at_ + size >= *breaks_at)
      co_return fail(Code::invalid, "the body does not match its checksum", "BadDigest");
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    // Other requests run between two reads of a socket.
    co_await io::sleep_until(io::Loop::current()->now());
    co_return size;
  }
  Checksum checksum() const override { return known_checksum; }
  std::optional<std::string> md5() const override { return known_md5; }
  bool brings_md5() const override { return known_md5.has_value(); }

 private:
  std::string bytes_;
  size_t piece_, at_ = 0;
};

// Bytes that repeat nowhere near.
inline std::string pattern(size_t size, uint64_t seed) {
  std::string out(size, '\0');
  seeded_random(seed)->fill({reinterpret_cast<uint8_t*>(out.data()), out.size()});
  return out;
}

class StoreRig {
 public:
  explicit StoreRig(uint64_t seed = 1)
      : random(seeded_random(seed)), keys(crypto::Keyring::generate(*random)) {
    static int number = 0;
    dir = testing::TempDir() + "/store_" + std::to_string(getpid()) + "_" + std::to_string(number++);
    std::filesystem::remove_all(dir);
    std::filesystem::create_directories(dir);
    auto all = std::make_shared<extent::Placement>();
    for (int i = 0; i < 6; ++i) {
      islands.push_back(std::make_shared<island::MemIsland>("island-" + std::to_string(i)));
      all->islands.push_back(islands.back());
    }
    placement = all;
    journal_options.dir = dir;
    journal_options.create = true;
    journal_options.rejoin_wiped = true;
    journal_options.ack.soft_deadline_floor = journal_options.ack.soft_deadline_max =
        std::chrono::milliseconds(20);
    workers = io::make_workers(3);
    fanout = extent::make_fanout(*workers);
  }
  ~StoreRig() { std::filesystem::remove_all(dir); }

  io::Task<bool> start() {
    Result<index::Journal> opened = co_await index::open_journal(
        journal_options, *keys, *placement, *fanout, *workers, *io::Loop::current(), *random, system_clock());
    if (!opened) {
      ADD_FAILURE() << opened.error().describe();
      co_return false;
    }
    journal = std::move(*opened);
    reader = extent::make_extent_reader(*keys, placement, *workers, {}, repairs);
    if (!choices.empty()) {
      auto placements = Placements::make(placement, journal_options.code, journal_options.ack, choices);
      EXPECT_TRUE(placements.has_value());
      if (placements) options.placements = *placements;
    }
    auto made =
        co_await open_store(options, *keys, *journal.kv, *journal.committer, *fanout, *reader, placement,
                            journal_options.code, journal_options.ack, *workers, *random, clock);
    if (!made) {
      ADD_FAILURE() << made.error().describe();
      co_return false;
    }
    store = std::move(*made);
    co_return true;
  }
  io::Task<void> stop() {
    if (store) co_await store->drain();
    if (journal.committer) co_await journal.committer->close();
    co_await fanout->drain();
    if (reader) co_await reader->drain();
    store.reset();
    reader.reset();
    journal = index::Journal();
  }
  // Stops, forgets the view if asked to, and starts from the journal.
  io::Task<bool> restart(bool forget_view) {
    co_await stop();
    if (forget_view) std::filesystem::remove_all(dir + "/index");
    bool good = co_await start();
    co_return good;
  }

  // A bucket that follows a policy among `choices`.
  io::Task<bool> make_bucket(std::string name, std::string policy) {
    CreateBucket request{std::move(name), kAlice, false, {}};
    request.policy = std::move(policy);
    Result<void> made = co_await store->create_bucket(std::move(request));
    EXPECT_EQ(code_of(made), "ok");
    co_return made.has_value();
  }

  io::Task<Result<ObjectInfo>> put(std::string bucket, std::string key, std::string bytes) {
    StringBody body(bytes);
    PutRequest request;
    request.bucket = std::move(bucket);
    request.key = std::move(key);
    request.length = bytes.size();
    Result<ObjectInfo> done = co_await store->put(std::move(request), body);
    co_return done;
  }
  io::Task<Result<std::string>> get(std::string bucket, std::string key,
                                    std::optional<Store::Range> range = std::nullopt,
                                    Conditions conditions = {}) {
    Store::GetRequest request{{std::move(bucket), std::move(key), {}, {}, std::move(conditions), {}}, range};
    Result<std::string> got = co_await get(std::move(request));
    co_return got;
  }
  io::Task<Result<std::string>> get(Store::GetRequest request) {
    Result<Store::Opened> opened = co_await store->get(std::move(request));
    if (!opened) co_return fail(opened.error());
    std::string out;
    for (;;) {
      Result<Buffer> piece = co_await opened->reader->read();
      if (!piece) co_return fail(piece.error());
      if (piece->empty()) break;
      out.append(as_text(*piece));
    }
    EXPECT_EQ(out.size(), opened->length);
    co_return out;
  }
  // How many keys of the view begin so.
  size_t count(std::string prefix) const {
    size_t found = 0;
    auto done =
        journal.kv->snapshot()->scan(prefix, "", [&](std::string_view key, std::string_view, std::string*) {
          found += key.starts_with(prefix);
          return key.starts_with(prefix);
        });
    EXPECT_TRUE(done.has_value());
    return found;
  }

  // The registry of live bytes is what a scan of all versions gives.
  void expect_true_registry() const {
    std::map<ExtentKey, uint64_t> scanned, registered;
    std::set<crypto::DataId> streams;
    auto snapshot = journal.kv->snapshot();
    auto on_slice = [&](const Slice& slice) {
      if (!streams.insert(slice.stream.data_id).second) return;
      for (const auto& at : slice.storage.small) scanned[key_of(at.section)] += at.length;
      for (const auto& run : slice.storage.extents) scanned[key_of(run.ref)] += run.ref.geometry.length;
    };
    auto on_version = [&](std::string_view, std::string_view value, std::string*) {
      Result<VersionRecord> version = decode_version(value);
      EXPECT_TRUE(version.has_value());
      if (version) std::ranges::for_each(version->slices, on_slice);
      return version.has_value();
    };
    auto on_part = [&](std::string_view key, std::string_view value, std::string*) {
      if (part_number_of(key).value_or(0) == 0) return true;
      Result<PartRecord> part = decode_part(value);
      EXPECT_TRUE(part.has_value());
      if (part && part->slice) on_slice(*part->slice);
      return part.has_value();
    };
    Result<void> done;
    for (const char* prefix : {"o/", "v/"}) {
      done = snapshot->scan(prefix, after_prefix(prefix), on_version);
      EXPECT_TRUE(done.has_value());
    }
    done = snapshot->scan("q/", "q0", on_part);
    EXPECT_TRUE(done.has_value());
    done = snapshot->scan("v/", "v0", on_version);
    EXPECT_TRUE(done.has_value());
    done = scan_live(*snapshot, {}, [&](const ExtentKey& key, const LiveRecord& record) {
      EXPECT_EQ(key, key_of(record.ref));
      registered[key] = record.live_bytes;
      auto doomed = snapshot->get(doomed_key(key));
      EXPECT_TRUE(doomed.has_value() && !*doomed);
      return true;
    });
    EXPECT_TRUE(done.has_value());
    EXPECT_TRUE(scanned == registered)
        << scanned.size() << " extents hold live bytes, and " << registered.size() << " are registered";
    expect_true_tallies(*snapshot);
  }

  // What lies where is counted as a scan of all buckets and of the registry counts it.
  static void expect_true_tallies(const index::Snapshot& snapshot) {
    SnapshotView view(snapshot);
    std::vector<std::string> buckets;
    Result<void> done = view.scan("b/", "b0", [&](std::string_view key, std::string_view) {
      buckets.emplace_back(key.substr(2));
      return true;
    });
    EXPECT_TRUE(done.has_value());
    for (const std::string& bucket : buckets) {
      Result<std::optional<UsageRecord>> kept = read_usage(view, bucket_usage_key(bucket));
      Result<Tallies> counted = count_tallies(view, bucket);
      EXPECT_TRUE(kept.has_value() && *kept && (*kept)->tallies) << bucket;
      EXPECT_TRUE(counted.has_value()) << bucket;
      if (kept && *kept && (*kept)->tallies && counted) EXPECT_TRUE(*(*kept)->tallies == *counted) << bucket;
    }
    Result<ExtentTallies> kept = read_extent_tallies(snapshot), counted = count_extents(snapshot);
    EXPECT_TRUE(kept && counted && *kept == *counted);
    if (!buckets.empty()) EXPECT_TRUE(snapshot.get(extent_tally_key({})).value_or(std::nullopt).has_value());
  }

  std::string dir;
  std::shared_ptr<extent::RepairTable> repairs = std::make_shared<extent::RepairTable>();
  std::unique_ptr<Random> random;
  TestClock clock;
  std::unique_ptr<crypto::Keyring> keys;
  std::vector<std::shared_ptr<island::MemIsland>> islands;
  std::shared_ptr<const extent::Placement> placement;
  index::JournalOptions journal_options;
  StoreOptions options;
  std::vector<PlacementChoice> choices;  // besides "default"; before start()
  std::unique_ptr<io::Workers> workers;
  std::unique_ptr<extent::Fanout> fanout;
  index::Journal journal;
  std::unique_ptr<extent::ExtentReader> reader;
  std::unique_ptr<Store> store;
};

// Runs `scenario(rig)` on a fresh loop, on a store that has started, and stops it afterwards.
inline void with_store(io::Task<void> (*scenario)(StoreRig&), StoreOptions options = {}) {
  struct Runner {
    static io::Task<void> run(io::Task<void> (*body)(StoreRig&), StoreOptions store_options) {
      StoreRig rig;
      rig.options = store_options;
      bool started = co_await rig.start();
      if (started) co_await body(rig);
      for (auto& island : rig.islands) island->up();
      co_await rig.stop();
    }
  };
  io::run_blocking([&] { return Runner::run(scenario, options); });
}

}  // namespace archipel::store
