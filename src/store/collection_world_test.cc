// Collection against the world: random programs of concurrent writes, uploads in parts, reads, copies and deletes, with snapshots, collection and compaction
// beside them, while islands fail, replies get lost, lists lie, clocks jump, epochs end and processes die. Nothing that was acknowledged is
// ever deleted, and in the end exactly what is needed is left.
//
// ARCHIPEL_PROGRAMS=200 store_test --gtest_filter='*CollectionWorlds*' runs more of them.
#include <cstdlib>

#include "store/collector_fixture.h"
#include "store/collector_plan.h"

namespace archipel::store {
namespace {

constexpr int kSteps = 45;
constexpr uint64_t kKeys = 12;

// What a key may hold: several possibilities after writes whose outcome is unknown. Nothing = no object.
using Possible = std::set<std::optional<std::string>>;

class World {
 public:
  World(CollectorRig& rig, uint64_t seed) : rig_(rig), random_(seeded_random(seed)), seed_(seed) {}

  io::Task<void> run() {
    for (uint64_t key = 0; key < kKeys; ++key) values_[key] = {std::nullopt};
    for (auto& island : rig_.islands)
      island->fail_next(island::MemIsland::Op::list, {Code::io, "lists lie", {}}, 1'000'000);
    for (step_ = 0; step_ < kSteps && !testing::Test::HasFailure(); ++step_) {
      co_await some_things_at_once();
      co_await trouble();
      latest_ms_ = std::max(latest_ms_, rig_.clock.wall_ms);
    }
    if (testing::Test::HasFailure()) co_return;
    co_await heal();
    co_await check_everything();
    co_await nothing_but_what_is_needed();
    co_await check_everything();
  }

 private:
  uint64_t pick(uint64_t below) { return random_->u64() % below; }
  std::string where() const { return "seed " + std::to_string(seed_) + ", step " + std::to_string(step_); }
  static std::string name(uint64_t key) { return "key-" + std::to_string(key); }
  std::string body() {
    static const std::vector<size_t> sizes = {1, 300, 300, 900, 4000, 70'000, 131'073, 250'000, 600'000};
    return pattern(sizes[pick(sizes.size())], random_->u64());
  }

  // Every key has at most one writer at a time; readers and copies of it see what was possible before or after.
  io::Task<void> some_things_at_once() {
    const std::map<uint64_t, Possible> before = values_;
    rig_.clock.wall_ms += static_cast<UnixMs>(pick(3 * kDayMs / 2));
    io::TaskScope scope;
    std::set<uint64_t> written;
    for (int i = 0; i < 4; ++i) {
      const uint64_t key = pick(kKeys);
      if (!written.insert(key).second) continue;
      touched_.insert(key);
      switch (pick(9)) {
        case 0:
        case 1:
          scope.spawn(put(this, key, body()));
          break;
        case 2:
        case 8:
          scope.spawn(put_in_parts(this, key, body()));
          break;
        case 3:
          scope.spawn(broken_put(this, body()));
          break;
        case 4:
          scope.spawn(remove(this, key));
          break;
        default:
          scope.spawn(copy(this, pick(kKeys), key));
          break;
      }
    }
    for (int i = 0; i < 2; ++i) scope.spawn(read(this, pick(kKeys)));
    if (pick(2) == 0) scope.spawn(collect(this));
    if (pick(3) == 0) scope.spawn(compact(this));
    if (pick(5) == 0) scope.spawn(snapshot(this));
    co_await scope.join();
    touched_.clear();
    for (const auto& [destination, source] : copies_) {
      Possible& to = values_[destination];
      const Possible& earlier = before.at(source);
      to.insert(earlier.begin(), earlier.end());
      const Possible later = values_[source];
      to.insert(later.begin(), later.end());
    }
    for (uint64_t key : copied_) values_[key].erase(std::nullopt);
    copies_.clear();
    copied_.clear();
  }

  static io::Task<void> put(World* self, uint64_t key, std::string bytes) {
    Result<ObjectInfo> done = co_await self->rig_.StoreRig::put("bucket", name(key), bytes);
    if (done) self->values_[key].clear();
    self->values_[key].insert(std::move(bytes));
  }
  // The same through an upload, whose other parts are replaced, left out, or never become an object.
  static io::Task<void> put_in_parts(World* self, uint64_t key, std::string bytes) {
    store::Store& store = *self->rig_.store;
    CreateUpload begin;
    begin.bucket = "bucket";
    begin.key = name(key);
    Result<UploadInfo> upload = co_await store.create_upload(std::move(begin));
    if (!upload) co_return;
    CompleteUpload complete;
    complete.bucket = "bucket";
    complete.key = name(key);
    complete.upload = upload->id;
    const uint64_t others = self->pick(3);
    for (uint64_t i = 0; i <= others; ++i) {
      StringBody part_body(i == others ? bytes : self->body(), 100'000);
      PartRequest part{"bucket",     name(key),
                       upload->id,   static_cast<uint32_t>(i == others ? 2 : 1 + self->pick(3)),
                       std::nullopt, nullptr};
      Result<PartInfo> done = co_await store.put_part(std::move(part), part_body);
      if (!done) co_return;
      complete.parts = {{done->number, done->etag, {}}};
    }
    if (self->pick(4) == 0) co_return;
    Result<ObjectInfo> done = co_await store.complete_upload(std::move(complete));
    if (done) self->values_[key].clear();
    self->values_[key].insert(std::move(bytes));
  }
  static io::Task<void> broken_put(World* self, std::string bytes) {
    StringBody body(bytes, 50'000);
    body.breaks_at = bytes.size() / 2;
    PutRequest request;
    request.bucket = "bucket";
    request.key = "never";
    Result<ObjectInfo> done = co_await self->rig_.store->put(std::move(request), body);
    EXPECT_FALSE(done.has_value());
  }
  static io::Task<void> remove(World* self, uint64_t key) {
    Result<std::vector<DeleteOutcome>> done = co_await self->rig_.store->remove("bucket", {name(key)});
    const bool sure = done && done->front().result;
    if (sure) self->values_[key].clear();
    self->values_[key].insert(std::nullopt);
  }
  // What it may have made of the destination is known when everything of the step has ended.
  static io::Task<void> copy(World* self, uint64_t from, uint64_t to) {
    if (from == to) co_return;
    CopyRequest request;
    request.source_bucket = request.bucket = "bucket";
    request.source_key = name(from);
    request.key = name(to);
    Result<ObjectInfo> done = co_await self->rig_.store->copy(std::move(request));
    if (!done && code_of(done) == "NoSuchKey") co_return;
    if (done) {
      self->values_[to].clear();
      self->copied_.insert(to);
    }
    self->copies_.emplace_back(to, from);
  }
  // Of keys that nobody writes now: exactly one of the possible values, which it then is. Of others: never wrong bytes.
  static io::Task<void> read(World* self, uint64_t key) {
    Result<std::string> got = co_await self->rig_.get("bucket", name(key));
    const bool missing = !got && code_of(got) == "NoSuchKey";
    if (!got && !missing) {
      EXPECT_TRUE(self->troubled_) << self->where() << ": " << got.error().describe();
      co_return;
    }
    if (self->touched_.contains(key)) co_return;
    self->settle(key, missing ? std::nullopt : std::optional<std::string>(std::move(*got)));
  }
  void settle(uint64_t key, std::optional<std::string> value) {
    EXPECT_TRUE(values_[key].contains(value))
        << where() << ": " << name(key) << " holds what nobody wrote there: "
        << (value ? std::to_string(value->size()) + " bytes" : "nothing");
    values_[key] = {std::move(value)};
  }
  static io::Task<void> collect(World* self) {
    Result<void> done = co_await self->rig_.collector->run_once();
    if (!done) EXPECT_TRUE(self->troubled_) << self->where() << ": " << done.error().describe();
  }
  static io::Task<void> compact(World* self) {
    Result<void> done = co_await self->rig_.compactor->run_once();
    if (!done) EXPECT_TRUE(self->troubled_) << self->where() << ": " << done.error().describe();
  }
  static io::Task<void> snapshot(World* self) {
    // It may find that the epoch has changed, or that the view has not.
    [[maybe_unused]] Result<void> done = co_await self->rig_.keeper->snapshot_now();
  }

  // Between the steps, and reaching into the next one. What may fail in it is nobody's fault then.
  io::Task<void> trouble() {
    if (pick(3) == 0) co_await heal();
    island::MemIsland& island = *rig_.islands[pick(6)];
    switch (pick(14)) {
      case 0:
        if (down_ < 2) {
          island.down();
          ++down_;
          troubled_ = true;
        }
        break;
      case 1:
        island.lose_put_replies(3);
        break;
      case 2:
        island.fail_next(island::MemIsland::Op::remove, {Code::timeout, "no answer", {}},
                         static_cast<int>(1 + pick(20)));
        break;
      case 3:
        rig_.clock.wall_ms += 400 * kDayMs;
        break;
      case 4:
        rig_.clock.wall_ms -= 300 * kDayMs;
        break;
      case 5:
      case 6:
        co_await die();
        break;
      case 7: {
        co_await heal();
        bool reopened = co_await rig_.reopen_epoch();
        EXPECT_TRUE(reopened) << where();
        break;
      }
      default:
        break;
    }
  }
  // A process ends while it writes, and the next one starts, perhaps without the view.
  io::Task<void> die() {
    co_await heal();
    io::TaskScope scope;
    const uint64_t key = pick(kKeys);
    scope.spawn(put(this, key, body()));
    if (pick(2) == 0) scope.spawn(collect(this));
    if (pick(2) == 0) scope.spawn(compact(this));
    troubled_ = true;
    const uint64_t turns = pick(40);
    for (uint64_t i = 0; i < turns; ++i) co_await io::sleep_until(io::Loop::current()->now());
    for (auto& island : rig_.islands) island->down();
    co_await scope.join();
    co_await rig_.end();
    for (auto& island : rig_.islands) island->up();
    if (pick(2) == 0) std::filesystem::remove_all(rig_.dir + "/index");
    bool good = co_await rig_.begin();
    EXPECT_TRUE(good) << where();
    troubled_ = false;
    if (good) rig_.expect_true_registry();
  }
  // Every island answers, the journal is open, and the breakers have closed again.
  io::Task<void> heal() {
    for (auto& island : rig_.islands) {
      island->up();
      island->fail_next(island::MemIsland::Op::remove, {}, 0);
      island->lose_put_replies(0);
    }
    down_ = 0;
    for (int i = 0; i < 20'000 && !rig_.journal.committer->open(); ++i)
      co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
    EXPECT_TRUE(rig_.journal.committer->open()) << where();
    troubled_ = false;
  }

  io::Task<void> check_everything() {
    rig_.expect_true_registry();
    for (uint64_t key = 0; key < kKeys; ++key) co_await read(this, key);
  }

  // Without uploads under way, the records of parts are exactly those that objects are made of.
  void expect_only_listed_parts() {
    std::set<std::string> listed, there;
    auto snapshot = rig_.journal.kv->snapshot();
    auto on_version = [&](std::string_view, std::string_view value, std::string*) {
      Result<VersionRecord> version = decode_version(value);
      EXPECT_TRUE(version.has_value());
      if (!version || !version->part_set) return version.has_value();
      listed.insert(part_set_key(*version->part_set));
      for (const PartRef& part : version->parts) listed.insert(part_key(*version->part_set, part.number));
      return true;
    };
    auto done = snapshot->scan("o/", "o0", on_version);
    EXPECT_TRUE(done.has_value());
    done = snapshot->scan("q/", "q0", [&](std::string_view key, std::string_view, std::string*) {
      there.emplace(key);
      return true;
    });
    EXPECT_TRUE(done.has_value());
    EXPECT_TRUE(listed == there) << where() << ": " << listed.size() << " needed, " << there.size()
                                 << " kept";
  }
  io::Task<bool> abort_uploads() {
    for (;;) {
      ListUploadsRequest request;
      request.bucket = "bucket";
      Result<ListUploadsResult> listed = co_await rig_.store->list_uploads(request);
      EXPECT_TRUE(listed.has_value()) << where();
      if (!listed) co_return false;
      for (const UploadInfo& upload : listed->uploads) {
        Result<void> aborted = co_await rig_.store->abort_upload("bucket", upload.key, upload.id);
        EXPECT_TRUE(aborted.has_value()) << where();
        if (!aborted) co_return false;
      }
      if (!listed->truncated) co_return true;
    }
  }

  // After a last restart and all the times of waiting: no doomed record, no garbage, no dead commit is left, and nothing more is gone.
  io::Task<void> nothing_but_what_is_needed() {
    co_await rig_.store->drain();
    bool good = co_await rig_.restart(pick(2) == 0);
    EXPECT_TRUE(good) << where();
    if (good) good = co_await abort_uploads();
    if (!good) co_return;
    rig_.clock.wall_ms =
        latest_ms_ + 30 * kDayMs;  // past every jump: what was doomed ahead of time waits for it
    for (int i = 0; i < 3 && good; ++i) {
      good = co_await rig_.collect();
      rig_.clock.wall_ms += 8 * kDayMs;
    }
    if (!good) co_return;
    EXPECT_EQ(rig_.count("x/"), 0u) << where();
    EXPECT_EQ(rig_.count("z/") + rig_.count("p/"), 0u) << where();
    expect_only_listed_parts();
    bool clean = co_await rig_.only_what_is_referenced();
    EXPECT_TRUE(clean) << where();
    auto view = rig_.journal.kv->snapshot();
    auto limit =
        index::truncation_limit(*view, rig_.clock.wall_ms - 8 * kDayMs, rig_.keeping->truncation_delay);
    EXPECT_TRUE(limit.has_value());
    if (!limit || !*limit) co_return;
    Result<CommitWork> work = find_commits(*view, *limit);
    EXPECT_TRUE(work.has_value());
    Result<CommitPage> dead = find_dead_commits(*view, *work, {}, **limit, 1'000'000);
    EXPECT_TRUE(dead.has_value());
    size_t left = 0;
    for (const Deleter::Item& item : dead->items) {
      std::vector<std::string> names = rig_.names_of(item.ref);
      for (size_t i = 0; i < names.size(); ++i) left += rig_.islands[i]->blobs().contains(names[i]);
    }
    EXPECT_EQ(left, 0u) << where();
  }

  CollectorRig& rig_;
  std::unique_ptr<Random> random_;
  const uint64_t seed_;
  int step_ = 0, down_ = 0;
  bool troubled_ = false;
  UnixMs latest_ms_ = 0;  // that the clock ever showed between two steps
  std::map<uint64_t, Possible> values_;
  std::set<uint64_t> touched_;                         // have a writer in this step
  std::vector<std::pair<uint64_t, uint64_t>> copies_;  // of this step: destination, source
  std::set<uint64_t> copied_;                          // destinations that certainly exist
};

io::Task<void> one_world(uint64_t seed) {
  CollectorRig rig(seed);
  rig.keeping.emplace();
  rig.keeping->chunk_segments = 2;
  rig.keeping->truncation_delay = std::chrono::hours(24);
  // Where nothing is granted, only pins keep what readers still send.
  if (seed % 2 == 1) rig.grace = Duration{};
  rig.keeping->retry_pause = std::chrono::milliseconds(50);
  bool started = co_await rig.begin();
  if (started) {
    Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
    EXPECT_EQ(code_of(made), "ok");
    World world(rig, seed);
    co_await world.run();
  }
  for (auto& island : rig.islands) island->up();
  co_await rig.end();
}

class CollectionWorlds : public testing::TestWithParam<uint64_t> {};

TEST_P(CollectionWorlds, LoseNothingAndKeepNothingElse) {
  uint64_t seed = GetParam();
  io::run_blocking([seed] { return one_world(seed); });
}

uint64_t programs() {
  const char* text = std::getenv("ARCHIPEL_PROGRAMS");
  return text ? static_cast<uint64_t>(std::atoi(text)) : 5;
}

INSTANTIATE_TEST_SUITE_P(Seeds, CollectionWorlds, testing::Range<uint64_t>(1, 1 + programs()));

}  // namespace
}  // namespace archipel::store
