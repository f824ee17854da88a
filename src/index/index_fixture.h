// A realm on six islands in memory, whose gateway can be started, killed and started again. For tests of src/index only.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "index/blob_set.h"
#include "index/journal.h"
#include "index/snapshot_keeper.h"
#include "island/mem_island.h"
#include "support/co_assert.h"

namespace archipel::index {

inline std::string fresh_test_dir(const std::string& name) {
  static int number = 0;
  std::string dir =
      testing::TempDir() + "/index_" + name + "_" + std::to_string(getpid()) + "_" + std::to_string(number++);
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  return dir;
}

inline std::string read_whole_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}
inline void write_whole_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}
// DIR/head as it would look if it had been written before the machine last started.
inline void pretend_reboot(const std::string& dir, const crypto::Keyring& keys) {
  constexpr size_t kBootIdAt = 16 + 16 + 8 + 8 + 32 + 1, kMacAt = 224;
  std::string bytes = read_whole_file(dir + "/head");
  CHECK(bytes.size() == 256);
  bytes[kBootIdAt] = static_cast<char>(bytes[kBootIdAt] ^ 1);
  Digest32 mac = crypto::hmac_sha256(keys.subkey("head").view(), as_bytes(bytes).first(kMacAt));
  write_whole_file(dir + "/head", bytes.substr(0, kMacAt) + std::string(as_text(mac)));
}

// Lives within one coroutine of run_blocking(): the loop it is made on is the home loop.
class Rig {
 public:
  explicit Rig(const std::string& name, uint64_t seed = 1)
      : dir(fresh_test_dir(name)), random(seeded_random(seed)) {
    keys = crypto::Keyring::generate(*random);
    for (int i = 0; i < 6; ++i) {
      islands.push_back(std::make_shared<island::MemIsland>("island-" + std::to_string(i)));
      islands.back()->after_put = [this](const island::BlobName&) { count_put(); };
      islands.back()->after_overwrite = islands.back()->after_put;
      placement.islands.push_back(islands.back());
    }
    options.dir = dir;
    // The twin, which outlives the gateway as files would and is gone when its directory is: starts are then fast enough for many.
    options.open_view = [this](const std::string& path) -> Result<std::unique_ptr<Kv>> {
      if (std::filesystem::create_directories(path)) memory = std::shared_ptr<Kv>(make_map_kv());
      return std::make_unique<SharedKv>(memory);
    };
    options.create = true;
    options.rejoin_wiped = true;
    options.ack.soft_deadline_floor = options.ack.soft_deadline_max = std::chrono::milliseconds(20);
    options.ack.hard_deadline = std::chrono::milliseconds(60);
    workers = io::make_workers(2);
    fanout = extent::make_fanout(*workers);
  }
  ~Rig() { std::filesystem::remove_all(dir); }

  // Starts the gateway; false if the journal did not open. The reason is kept in `failure`, and what could not be told in `undecided`.
  io::Task<bool> start() {
    bool started = co_await start_read_only();
    if (!started) co_return false;
    if (journal.committer->open()) co_return true;
    undecided = std::move(journal.undecided);
    const std::string reason = journal.committer->closed_because();
    failure = Error{Code::unavailable, reason, {}};
    if (undecided && undecided->error.message == reason) failure = undecided->error;
    co_await stop();
    co_return false;
  }
  // The same, content with a journal that is read-only.
  io::Task<bool> start_read_only() {
    undecided.reset();
    Result<Journal> opened = co_await open_journal(options, *keys, placement, *fanout, *workers,
                                                   *io::Loop::current(), *random, system_clock());
    co_await fanout->drain();
    if (!opened) {
      failure = opened.error();
      co_return false;
    }
    journal = std::move(*opened);
    failure.reset();
    if (snapshots) {
      keeper = make_snapshot_keeper(keeper_parts(), *snapshots);
      keeper->start();
    }
    co_return true;
  }
  SnapshotKeeperParts keeper_parts() {
    return {.write = {.keys = *keys,
                      .placement = std::make_shared<const extent::Placement>(placement),
                      .code = options.code,
                      .ack = options.ack,
                      .fanout = *fanout,
                      .committer = *journal.committer,
                      .kv = *journal.kv,
                      .workers = *workers,
                      .random = *random,
                      .clock = system_clock()},
            .home = *io::Loop::current(),
            .progress = journal.progress,
            .slot = journal.slot,
            .w = options.ack.w};
  }
  // Ends the gateway. After freeze(), it is what a kill leaves behind: what was under way is neither acknowledged nor applied.
  io::Task<void> stop() {
    if (keeper) co_await keeper->close();
    if (journal.committer) co_await journal.committer->close();
    co_await fanout->drain();
    keeper.reset();
    journal = Journal();
  }
  io::Task<bool> restart() {
    co_await stop();
    thaw();
    bool good = co_await start();
    co_return good;
  }

  // Every island stops answering, now or after `puts` more blobs were stored.
  void freeze() {
    for (auto& island : islands) island->down();
  }
  void freeze_after(int stored) { puts_left = stored; }
  void thaw() {
    puts_left = -1;
    for (auto& island : islands) island->up();
  }
  void count_put() {
    ++puts;
    if (puts_left > 0 && --puts_left == 0) freeze();
  }

  static Intent set(std::string key, std::optional<std::string> value) {
    Intent intent;
    intent.build = [key, value](const View&, const std::vector<SmallLocation>&, std::vector<Mutation>& out) {
      out.push_back({key, value});
      return Result<void>{};
    };
    return intent;
  }
  io::Task<bool> put(std::string key, std::optional<std::string> value) {
    Intent intent = set(std::move(key), std::move(value));
    Result<CommitPosition> done = co_await journal.committer->commit(std::move(intent));
    if (!done) failure = done.error();
    co_return done.has_value();
  }

  // A body that travels in the commit blob; the view keeps where.
  static std::string encode_location(const SmallLocation& l) {
    std::string out;
    Writer w(out);
    w.u64(l.section.id.epoch)
        .u64(l.section.id.counter)
        .raw(ByteView(l.section.attempt))
        .u32(l.section.geometry.cell_bytes);
    w.u64(l.section.geometry.length)
        .u32(l.section.confirmed)
        .u32(l.section.base)
        .raw(ByteView(l.section.open))
        .u64(l.offset)
        .u64(l.length);
    return out;
  }
  static Intent set_body(std::string key, const std::string& body) {
    Intent intent;
    intent.small.push_back(Buffer::copy_of(as_bytes(body)));
    intent.build = [key](const View&, const std::vector<SmallLocation>& locations,
                         std::vector<Mutation>& out) {
      out.push_back({key, encode_location(locations.at(0))});
      return Result<void>{};
    };
    return intent;
  }
  io::Task<bool> put_body(std::string key, std::string body) {
    Intent intent = set_body(std::move(key), body);
    Result<CommitPosition> done = co_await journal.committer->commit(std::move(intent));
    if (!done) failure = done.error();
    co_return done.has_value();
  }
  io::Task<Result<std::string>> body(std::string key) {
    std::optional<std::string> value = get(key);
    if (!value) co_return fail(Code::not_found, key);
    Reader r(*value);
    extent::ExtentRef ref;
    ref.kind = extent::ExtentRef::Kind::section;
    ref.id.epoch = r.u64();
    ref.id.counter = r.u64();
    r.fixed(ref.attempt);
    ref.geometry = {options.code, 0, 0};
    ref.geometry.cell_bytes = r.u32();
    ref.geometry.length = r.u64();
    ref.confirmed = r.u32();
    ref.base = r.u32();
    r.fixed(ref.open);
    uint64_t offset = r.u64(), length = r.u64();
    auto reader =
        extent::make_extent_reader(*keys, std::make_shared<const extent::Placement>(placement), *workers);
    Deadline deadline = io::Loop::current()->now() + std::chrono::seconds(10);
    Result<Buffer> bytes = co_await reader->read(ref, offset, length, deadline);
    co_await reader->drain();
    if (!bytes) co_return fail(bytes.error());
    co_return std::string(as_text(*bytes));
  }

  std::optional<std::string> get(const std::string& key) const {
    Result<std::optional<std::string>> value = journal.kv->snapshot()->get(key);
    CHECK(value.has_value());
    return *value;
  }
  // What a client can see: all keys but the index's own.
  std::map<std::string, std::string> visible() const {
    std::map<std::string, std::string> out;
    auto done =
        journal.kv->snapshot()->scan("", "", [&](std::string_view k, std::string_view v, std::string*) {
          if (!k.starts_with("m/")) out.emplace(k, v);
          return true;
        });
    CHECK(done.has_value());
    return out;
  }
  void delete_index() const { std::filesystem::remove_all(dir + "/index"); }
  void delete_head() const { std::filesystem::remove(dir + "/head"); }
  std::vector<std::map<island::BlobName, std::string>> stored() const {
    std::vector<std::map<island::BlobName, std::string>> out;
    for (const auto& island : islands) out.push_back(island->blobs());
    return out;
  }
  IslandReport::State state_of(size_t i) const { return journal.islands.at(i).state; }

  struct SharedKv final : Kv {
    explicit SharedKv(std::shared_ptr<Kv> kv) : inner(std::move(kv)) {}
    std::shared_ptr<const Snapshot> snapshot() const override { return inner->snapshot(); }
    Result<void> write(const std::vector<Mutation>& mutations) override { return inner->write(mutations); }
    std::shared_ptr<Kv> inner;
  };

  std::string dir;
  std::shared_ptr<Kv> memory;
  std::unique_ptr<Random> random;
  std::unique_ptr<crypto::Keyring> keys;
  std::vector<std::shared_ptr<island::MemIsland>> islands;
  extent::Placement placement;
  JournalOptions options;
  std::unique_ptr<io::Workers> workers;
  std::unique_ptr<extent::Fanout> fanout;
  Journal journal;
  std::optional<SnapshotOptions> snapshots;  // kept in the background if set
  std::unique_ptr<SnapshotKeeper> keeper;
  std::optional<Error> failure;
  std::optional<Undecided> undecided;
  int puts = 0, puts_left = -1;
};

// Runs `scenario(rig)` on a fresh loop and stops the gateway afterwards.
inline void with_rig(const std::string& name, io::Task<void> (*scenario)(Rig&), uint64_t seed = 1) {
  struct Runner {
    static io::Task<void> run(std::string rig_name, uint64_t rig_seed, io::Task<void> (*body)(Rig&)) {
      Rig rig(rig_name, rig_seed);
      co_await body(rig);
      rig.thaw();
      co_await rig.stop();
    }
  };
  io::run_blocking([&] { return Runner::run(name, seed, scenario); });
}

}  // namespace archipel::index
