#include "cloud.h"

#include <atomic>

#include "index/snapshot_keeper.h"
#include "island/health.h"

namespace archipel::adversary {
namespace {

constexpr uint64_t kTurnsMax = 200'000'000;  // of one scenario; more is a world that goes in circles

class MemLock final : public index::DirLock {};

class MemInPlace final : public index::InPlaceFile {
 public:
  MemInPlace(MemDir& dir, std::string name) : dir_(dir), name_(std::move(name)) {}
  Result<std::string> read(size_t bytes_max) override { return dir_.files[name_].substr(0, bytes_max); }
  Result<void> write(ByteView bytes, bool) override {
    std::string& file = dir_.files[name_];
    if (file.size() < bytes.size()) file.resize(bytes.size());
    std::copy(bytes.begin(), bytes.end(), file.begin());
    return {};
  }

 private:
  MemDir& dir_;
  std::string name_;
};

class MemDirFiles final : public index::DirFiles {
 public:
  explicit MemDirFiles(MemDir& dir) : dir_(dir) {}
  Result<std::unique_ptr<index::DirLock>> lock() override { return std::make_unique<MemLock>(); }
  Result<std::unique_ptr<index::InPlaceFile>> open_in_place(const std::string& name) override {
    dir_.files.try_emplace(name);
    return std::make_unique<MemInPlace>(dir_, name);
  }
  Result<std::optional<std::string>> read(const std::string& name) override {
    auto found = dir_.files.find(name);
    if (found == dir_.files.end()) return std::nullopt;
    return found->second;
  }
  Result<void> write_atomically(const std::string& name, ByteView bytes) override {
    dir_.files[name] = as_text(bytes);
    return {};
  }
  Result<bool> exists(const std::string& name) override { return dir_.views.contains(path_of(name)); }
  Result<void> rename(const std::string& from, const std::string& to) override {
    auto node = dir_.views.extract(path_of(from));
    if (node.empty()) return fail(Code::not_found, "no " + from);
    dir_.views[path_of(to)] = std::move(node.mapped());
    return {};
  }
  Result<void> remove_all(const std::string& name) override {
    dir_.views.erase(path_of(name));
    return {};
  }
  std::string path_of(const std::string& name) const override { return "/dir/" + name; }
  std::string boot_id() override { return "one-boot"; }

 private:
  MemDir& dir_;
};

// A view that outlives the gateway that has it open.
class SharedKv final : public index::Kv {
 public:
  explicit SharedKv(std::shared_ptr<index::Kv> kv) : kv_(std::move(kv)) {}
  std::shared_ptr<const index::Snapshot> snapshot() const override { return kv_->snapshot(); }
  std::optional<Result<Found>> try_get(std::string_view key) const override { return kv_->try_get(key); }
  Result<void> write(const std::vector<index::Mutation>& mutations) override { return kv_->write(mutations); }

 private:
  std::shared_ptr<index::Kv> kv_;
};

class Body final : public store::BodySource {
 public:
  explicit Body(std::string bytes) : bytes_(std::move(bytes)) {}
  io::Task<Result<size_t>> read(MutableBytes out) override {
    size_t size = std::min(out.size(), bytes_.size() - at_);
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    co_return size;
  }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

uint64_t next_seed() {
  static std::atomic<uint64_t> next = 1000;
  return next++;
}

}  // namespace

std::string pattern(size_t size, uint64_t seed) {
  std::string out(size, '\0');
  seeded_random(seed)->fill({reinterpret_cast<uint8_t*>(out.data()), out.size()});
  return out;
}

std::shared_ptr<index::DirFiles> MemDir::open() {
  return std::make_shared<MemDirFiles>(*this);
}

std::function<Result<std::unique_ptr<index::Kv>>(const std::string&)> MemDir::open_view() {
  return [this](const std::string& path) -> Result<std::unique_ptr<index::Kv>> {
    std::shared_ptr<index::Kv>& kv = views[path];
    if (!kv) kv = index::make_map_kv();
    return std::make_unique<SharedKv>(kv);
  };
}

io::Task<Result<void>> SpyIsland::put(island::BlobName name, std::span<const ByteView> parts,
                                      Deadline deadline) {
  uint64_t bytes = 0;
  for (ByteView part : parts) bytes += part.size();
  seen.push_back({"put", name, bytes});
  Result<void> done = co_await MemIsland::put(std::move(name), parts, deadline);
  co_return done;
}

io::Task<Result<void>> SpyIsland::overwrite(island::BlobName name, ByteView bytes, Deadline deadline) {
  seen.push_back({"overwrite", name, bytes.size()});
  Result<void> done = co_await MemIsland::overwrite(std::move(name), bytes, deadline);
  co_return done;
}

Cloud::Cloud() : Cloud(next_seed()) {}

Cloud::Cloud(uint64_t seed)
    : loop(seed),
      clock(loop),
      random(seeded_random(seed)),
      keys(crypto::Keyring::generate(*random)),
      workers_(std::make_unique<io::SimWorkers>(loop, seed + 1)) {
  auto all = std::make_shared<extent::Placement>();
  for (int i = 0; i < kIslands; ++i) {
    islands.push_back(std::make_shared<SpyIsland>("island-" + std::to_string(i)));
    all->islands.push_back(islands.back());
  }
  placement = all;
  journal_options.dir = "/dir";
  journal_options.files = dir.open();
  journal_options.open_view = dir.open_view();
  journal_options.create = true;
  journal_options.rejoin_wiped = true;
  store_options.extent_plain_bytes = 3u * extent::kSegmentPlain;
  fanout_ = extent::make_fanout(*workers_);
  loop.set_turns_max(kTurnsMax);
}

Cloud::~Cloud() = default;

void Cloud::run(io::Task<bool> (*attack)(Cloud&)) {
  struct Runner {
    static io::Task<bool> go(Cloud& cloud, io::Task<bool> (*body)(Cloud&)) {
      bool done = co_await body(cloud);
      for (auto& island : cloud.islands) island->up();
      co_await cloud.stop();
      co_return done;
    }
  };
  std::optional<bool> ended = io::run_sim(loop, [&] { return Runner::go(*this, attack); });
  if (ended) return;
  // What waits for ever cannot be taken down.
  ADD_FAILURE() << "the world stalled";
  std::_Exit(1);
}

io::Task<Result<void>> Cloud::start() {
  Result<index::Journal> opened = co_await index::open_journal(journal_options, *keys, *placement, *fanout_,
                                                               *workers_, loop, *random, clock);
  if (!opened) {
    co_await fanout_->drain();
    co_return fail(opened.error());
  }
  journal_ = std::move(*opened);
  repairs_ = std::make_shared<extent::RepairTable>();
  std::vector<std::string> ids;
  for (const auto& island : islands) ids.push_back(island->id());
  ledger_ = std::make_shared<store::RepairLedger>(ids);
  Result<void> loaded = store::load_repairs(*journal_.kv->snapshot(), *repairs_, *ledger_);
  if (!loaded) co_return fail(loaded.error());
  reader_ = extent::make_extent_reader(*keys, placement, *workers_, {}, repairs_);
  auto made = co_await store::open_store(store_options, *keys, *journal_.kv, *journal_.committer, *fanout_,
                                         *reader_, placement, journal_options.code, journal_options.ack,
                                         *workers_, *random, clock);
  if (!made) co_return fail(made.error());
  store_ = std::move(*made);
  co_return Result<void>{};
}

io::Task<bool> Cloud::stop() {
  if (store_) co_await store_->drain();
  if (journal_.committer) co_await journal_.committer->close();
  co_await fanout_->drain();
  if (reader_) co_await reader_->drain();
  store_.reset();
  reader_.reset();
  journal_ = index::Journal();
  co_return true;
}

namespace {

io::Task<bool> go_on(const store::ScrubReport&) {
  co_return true;
}

}  // namespace

io::Task<Result<store::ScrubReport>> Cloud::scrub(bool repair) {
  erasure::Coder coder(journal_options.code);
  store::ScrubberOptions options;
  options.patrol_bytes_per_second = 0;
  store::RepairParts parts{.keys = *keys,
                           .kv = *journal_.kv,
                           .committer = *journal_.committer,
                           .placement = placement,
                           .coder = coder,
                           .workers = *workers_,
                           .home = loop,
                           .clock = clock,
                           .table = repairs_,
                           .ledger = ledger_};
  std::unique_ptr<store::Scrubber> scrubber =
      store::make_scrubber({options, std::move(parts), journal_options.files});
  Result<store::ScrubReport> report = co_await scrubber->pass(repair, go_on);
  co_await scrubber->close();
  co_return report;
}

io::Task<Result<void>> Cloud::snapshot() {
  index::SnapshotOptions options;
  options.chunk_segments = 1;
  index::SnapshotKeeperParts parts{.write = {.keys = *keys,
                                             .placement = placement,
                                             .code = journal_options.code,
                                             .ack = journal_options.ack,
                                             .fanout = *fanout_,
                                             .committer = *journal_.committer,
                                             .kv = *journal_.kv,
                                             .workers = *workers_,
                                             .random = *random,
                                             .clock = clock},
                                   .home = loop,
                                   .progress = journal_.progress,
                                   .slot = journal_.slot,
                                   .w = kConfirm};
  std::unique_ptr<index::SnapshotKeeper> keeper = index::make_snapshot_keeper(std::move(parts), options);
  Result<void> written = co_await keeper->snapshot_now();
  co_await keeper->close();
  co_return written;
}

io::Task<bool> Cloud::settle() {
  if (reader_) co_await reader_->drain();
  co_return true;
}

io::Task<Result<void>> Cloud::restart(bool forget_view) {
  co_await stop();
  if (forget_view) dir.lose_view();
  Result<void> started = co_await start();
  co_return started;
}

io::Task<Result<void>> Cloud::put(std::string key, std::string body) {
  Body source(body);
  store::PutRequest request;
  request.bucket = kBucket;
  request.key = key;
  request.length = body.size();
  Result<store::ObjectInfo> done = co_await store_->put(std::move(request), source);
  if (!done) co_return fail(done.error());
  model[key] = std::move(body);
  moments.push_back(model);
  co_return Result<void>{};
}

io::Task<Result<std::string>> Cloud::get(std::string key, std::optional<store::Store::Range> range) {
  Result<store::Store::Opened> opened = co_await store_->get(kBucket, std::move(key), range, {});
  if (!opened) co_return fail(opened.error());
  std::string out;
  for (;;) {
    Result<Buffer> piece = co_await opened->reader->read();
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) break;
    out.append(as_text(*piece));
  }
  // A short body that looks whole would be a wrong answer: let it be one.
  if (out.size() != opened->length) out += " (not the length that was announced)";
  co_return out;
}

io::Task<Result<uint64_t>> Cloud::head(std::string key) {
  Result<store::ObjectInfo> info = co_await store_->head(kBucket, std::move(key), {});
  if (!info) co_return fail(info.error());
  co_return info->size;
}

io::Task<Result<std::vector<std::string>>> Cloud::list() {
  store::ListRequest request;
  request.bucket = kBucket;
  Result<store::ListResult> page = co_await store_->list(std::move(request));
  if (!page) co_return fail(page.error());
  std::vector<std::string> keys_found;
  for (const store::ListEntry& entry : page->entries) keys_found.push_back(entry.key);
  co_return keys_found;
}

io::Task<bool> Cloud::populate(uint64_t seed) {
  Result<void> started = co_await start();
  CO_ASSERT(started.has_value());
  Result<void> made = co_await store_->create_bucket(kBucket, kOwner);
  CO_ASSERT(made.has_value());
  const std::pair<const char*, size_t> objects[] = {
      {"small/a", 1000}, {"small/b", 1000}, {"small/c", 70'000}, {"large/a", 300'000}, {"large/b", 300'000}};
  for (auto [key, size] : objects) {
    Result<void> done = co_await put(key, pattern(size, seed++));
    CO_ASSERT(done.has_value());
  }
  co_return true;
}

bool Cloud::named_error(const Error& error) {
  switch (error.code) {
    case Code::unavailable:
    case Code::corrupt:
    case Code::undetermined:
    case Code::denied:
    case Code::unsupported:
    case Code::timeout:
      return !error.message.empty();
    default:
      return false;
  }
}

namespace {

struct Judge {
  Cloud::Verdict& verdict;

  // Right, refused with a named error, or wrong.
  template <class T>
  void judge(const std::string& what, const Result<T>& got, const T& expected) {
    if (!got) {
      ++verdict.refused;
      verdict.errors.push_back(got.error().describe());
      if (!Cloud::named_error(got.error()))
        verdict.complaints.push_back(what + ": " + got.error().describe());
    } else if (*got == expected) {
      ++verdict.right;
    } else {
      ++verdict.wrong;
      verdict.complaints.push_back(what + " gave something else");
    }
  }
};

}  // namespace

io::Task<Cloud::Verdict> Cloud::read_everything() {
  Verdict verdict;
  Judge judge{verdict};
  std::vector<std::string> expected_keys;
  for (const auto& [key, body] : model) {
    expected_keys.push_back(key);
    Result<std::string> whole = co_await get(key);
    judge.judge(key, whole, body);
    uint64_t first = body.size() / 3, last = body.size() * 2 / 3;
    Result<std::string> range = co_await get(key, store::Store::Range{first, last});
    judge.judge(key + " (range)", range, body.substr(first, last - first + 1));
    Result<std::string> suffix = co_await get(key, store::Store::Range{std::nullopt, 100});
    judge.judge(key + " (suffix)", suffix, body.substr(body.size() - std::min<size_t>(100, body.size())));
    Result<uint64_t> size = co_await head(key);
    judge.judge(key + " (HEAD)", size, uint64_t{body.size()});
  }
  Result<std::vector<std::string>> listing = co_await list();
  judge.judge("the listing", listing, expected_keys);
  co_return verdict;
}

io::Task<Cloud::Outcome> Cloud::start_and_look(std::string what) {
  Outcome outcome;
  Result<void> started = co_await start();
  if (!started) {
    outcome.why = started.error();
    EXPECT_TRUE(named_error(outcome.why)) << what << ": " << outcome.why.describe();
    co_await stop();
    co_return outcome;
  }
  const bool open = journal_.committer->open();
  outcome.state = open ? Outcome::State::serving : Outcome::State::read_only;
  if (!open) outcome.why = {Code::undetermined, journal_.committer->closed_because(), {}};
  EXPECT_TRUE(open || !outcome.why.message.empty()) << what << ": read-only without a reason";
  const std::map<std::string, std::string> newest = model;
  size_t moment = moments.size();
  do {
    model = moments[--moment];
    outcome.verdict = co_await read_everything();
  } while (!outcome.verdict.clean() && moment > 0);
  outcome.newest = model == newest && outcome.verdict.clean();
  model = newest;
  if (outcome.verdict.clean()) co_return outcome;
  // Before there was a bucket.
  Result<std::vector<std::string>> listing = co_await list();
  EXPECT_TRUE(!listing && listing.error().code == Code::not_found)
      << what << " shows no moment of the past: " << outcome.verdict.complaints.front();
  outcome.verdict = {};
  co_return outcome;
}

Cloud::Stored Cloud::save() const {
  Stored stored;
  for (const auto& island : islands) {
    stored.blobs.push_back(island->blobs());
    stored.markers.push_back(island->marker());
  }
  stored.files = dir.files;
  for (const auto& [path, kv] : dir.views) {
    std::map<std::string, std::string>& view = stored.views[path];
    auto scanned =
        kv->snapshot()->scan("", "", [&](std::string_view key, std::string_view value, std::string*) {
          view.emplace(key, value);
          return true;
        });
    CHECK(scanned.has_value());
  }
  return stored;
}

void Cloud::restore_islands(const Stored& stored) {
  for (size_t i = 0; i < islands.size(); ++i) {
    islands[i]->blobs() = stored.blobs[i];
    islands[i]->marker() = stored.markers[i];
  }
}

void Cloud::restore(const Stored& stored) {
  restore_islands(stored);
  dir.files = stored.files;
  dir.views.clear();
  for (const auto& [path, view] : stored.views) {
    std::shared_ptr<index::Kv> kv = index::make_map_kv();
    std::vector<index::Mutation> all;
    for (const auto& [key, value] : view) all.push_back({key, value});
    CHECK(kv->write(all).has_value());
    dir.views[path] = std::move(kv);
  }
}

uint64_t Cloud::blamed(int island) const {
  return islands[static_cast<size_t>(island)]->health().wrong_cells();
}

}  // namespace archipel::adversary
