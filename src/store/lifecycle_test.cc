#include "store/lifecycle.h"

#include <algorithm>

#include "io/sim/sim_loop.h"
#include "store/store_fixture.h"

namespace archipel::store {
namespace {

constexpr UnixMs kDay = 24 * 3600 * 1000;

LifecycleRule rule_of(std::string prefix) {
  LifecycleRule rule;
  rule.id = "r";
  rule.enabled = true;
  rule.filter.prefix = std::move(prefix);
  return rule;
}

// A lifecycle over the rig's store; every bucket has `rules`.
struct Engine {
  Engine(StoreRig& rig, LifecycleRules rules_in, size_t page = 1000) : rules(std::move(rules_in)) {
    LifecycleOptions options;
    options.page = page;
    options.page_pause = {};
    engine = make_lifecycle({.options = options,
                             .store = *rig.store,
                             .rules = [this](const BucketInfo&) -> Result<std::optional<LifecycleRules>> {
                               if (unreadable) return fail(Code::internal, "broken");
                               return rules;
                             },
                             .may_write = [] { return true; },
                             .home = *io::Loop::current(),
                             .clock = rig.clock});
  }
  LifecycleRules rules;
  bool unreadable = false;
  std::unique_ptr<Lifecycle> engine;
};

// An account, since buckets are found by their owners, and its bucket.
io::Task<void> begin(StoreRig& rig, std::optional<Versioning> versioning = std::nullopt) {
  Account account{kAlice, "alice", "AKALICE", "secret"};
  auto put = co_await rig.store->put_account(account);
  CO_ASSERT_TRUE(put.has_value());
  auto made = co_await rig.store->create_bucket("bucket", kAlice);
  CO_ASSERT_TRUE(made.has_value());
  if (!versioning) co_return;
  BucketChange change;
  change.versioning = versioning;
  auto changed = co_await rig.store->configure_bucket("bucket", change);
  CO_ASSERT_TRUE(changed.has_value());
}

// "key size" of every version, newest first, "!" for delete markers.
io::Task<std::vector<std::string>> versions(StoreRig& rig) {
  ListVersionsRequest request;
  request.bucket = "bucket";
  std::vector<std::string> out;
  for (;;) {
    auto page = co_await rig.store->list_versions(request);
    EXPECT_TRUE(page.has_value());
    if (!page) co_return out;
    for (const ListEntry& e : page->entries)
      out.push_back(e.key + (e.info.delete_marker ? " !" : " " + std::to_string(e.info.size)));
    if (!page->truncated) co_return out;
    request.key_marker = page->next_key;
    request.version_marker = page->next_version;
  }
}

using Versions = std::vector<std::string>;

TEST(Lifecycle, ExpiresWhatIsOldEnoughUnderItsPrefix) {
  with_store(+[](StoreRig& rig) -> io::Task<void> {
    co_await begin(rig);
    for (const std::string key : {"a/old", "b/old"}) (void)co_await rig.put("bucket", key, "x");
    rig.clock.wall_ms += 2 * kDay;
    (void)co_await rig.put("bucket", "a/new", "x");
    LifecycleRule rule = rule_of("a/");
    rule.days = 2;
    LifecycleRules rules{rule};
    Engine lifecycle(rig, rules);
    auto done = co_await lifecycle.engine->run_once();
    CO_ASSERT_TRUE(done.has_value());
    Versions left = co_await versions(rig);
    EXPECT_EQ(left.size(), 3u) << "the second midnight has not come";
    rig.clock.wall_ms += kDay;
    done = co_await lifecycle.engine->run_once();
    left = co_await versions(rig);
    Versions expected{"a/new 1", "b/old 1"};
    EXPECT_EQ(left, expected);
    EXPECT_EQ(lifecycle.engine->counts().expired, 1u);
    rig.expect_true_registry();
  });
}

TEST(Lifecycle, ABucketWhoseRulesCannotBeReadKeepsEverything) {
  with_store(+[](StoreRig& rig) -> io::Task<void> {
    co_await begin(rig);
    (void)co_await rig.put("bucket", "k", "x");
    rig.clock.wall_ms += 100 * kDay;
    LifecycleRule rule = rule_of("");
    rule.days = 1;
    LifecycleRules rules{rule};
    Engine lifecycle(rig, rules);
    lifecycle.unreadable = true;
    auto done = co_await lifecycle.engine->run_once();
    Versions left = co_await versions(rig);
    EXPECT_EQ(left.size(), 1u);
    EXPECT_EQ(lifecycle.engine->counts().failed, 1u);
  });
}

TEST(Lifecycle, TagsDecide) {
  with_store(+[](StoreRig& rig) -> io::Task<void> {
    co_await begin(rig);
    for (const std::string key : {"one", "two"}) {
      StringBody body("x");
      PutRequest request;
      request.bucket = "bucket";
      request.key = key;
      request.length = 1;
      request.attributes.tags["number"] = key;
      (void)co_await rig.store->put(std::move(request), body);
    }
    rig.clock.wall_ms += 10 * kDay;
    LifecycleRule rule = rule_of("");
    rule.days = 1;
    rule.filter.tags["number"] = "two";
    LifecycleRules rules{rule};
    Engine lifecycle(rig, rules);
    auto done = co_await lifecycle.engine->run_once();
    Versions left = co_await versions(rig);
    Versions expected{"one 1"};
    EXPECT_EQ(left, expected);
  });
}

TEST(Lifecycle, AVersionedBucketKeepsWhatExpiredBehindAMarkerUntilItsNoncurrentDays) {
  with_store(+[](StoreRig& rig) -> io::Task<void> {
    co_await begin(rig, Versioning::enabled);
    (void)co_await rig.put("bucket", "k", "1");
    (void)co_await rig.put("bucket", "k", "22");
    rig.clock.wall_ms += 3 * kDay;
    LifecycleRule rule = rule_of("");
    rule.days = 1;
    rule.noncurrent_days = 5;
    LifecycleRules rules{rule};
    Engine lifecycle(rig, rules, 1);  // a page for each version
    auto done = co_await lifecycle.engine->run_once();
    Versions left = co_await versions(rig);
    Versions expected{"k !", "k 2", "k 1"};
    EXPECT_EQ(left, expected);
    rig.clock.wall_ms += 3 * kDay;  // the first has been noncurrent for six days, the second for three
    done = co_await lifecycle.engine->run_once();
    left = co_await versions(rig);
    expected = {"k !", "k 2"};
    EXPECT_EQ(left, expected);
    rig.clock.wall_ms += 3 * kDay;
    done = co_await lifecycle.engine->run_once();
    left = co_await versions(rig);
    expected = {"k !"};
    EXPECT_EQ(left, expected) << "its marker is alone only from now on";
    done = co_await lifecycle.engine->run_once();
    left = co_await versions(rig);
    EXPECT_TRUE(left.empty());
    const Lifecycle::Counts& counts = lifecycle.engine->counts();
    EXPECT_EQ(counts.expired, 1u);
    EXPECT_EQ(counts.noncurrent, 2u);
    EXPECT_EQ(counts.markers, 1u);
    EXPECT_EQ(counts.failed, 0u);
    rig.expect_true_registry();
  });
}

TEST(Lifecycle, RetainedVersionsStay) {
  with_store(+[](StoreRig& rig) -> io::Task<void> {
    co_await begin(rig, Versioning::enabled);
    BucketChange lock;
    lock.enable_object_lock = true;
    auto locked = co_await rig.store->configure_bucket("bucket", lock);
    CO_ASSERT_TRUE(locked.has_value());
    StringBody body("x");
    PutRequest request;
    request.bucket = "bucket";
    request.key = "k";
    request.attributes.retention = {Retention::Mode::governance, rig.clock.wall_ms + 50 * kDay};
    auto put = co_await rig.store->put(std::move(request), body);
    CO_ASSERT_TRUE(put.has_value());
    (void)co_await rig.put("bucket", "k", "22");
    rig.clock.wall_ms += 10 * kDay;
    LifecycleRule rule = rule_of("");
    rule.noncurrent_days = 1;
    LifecycleRules rules{rule};
    Engine lifecycle(rig, rules);
    auto done = co_await lifecycle.engine->run_once();
    Versions left = co_await versions(rig);
    EXPECT_EQ(left.size(), 2u);
    EXPECT_EQ(lifecycle.engine->counts().held, 1u);
    rig.clock.wall_ms += 50 * kDay;
    done = co_await lifecycle.engine->run_once();
    left = co_await versions(rig);
    Versions expected{"k 2"};
    EXPECT_EQ(left, expected);
  });
}

TEST(Lifecycle, AbortsOldUploads) {
  with_store(+[](StoreRig& rig) -> io::Task<void> {
    co_await begin(rig);
    for (const std::string key : {"a/1", "b/1"}) {
      CreateUpload upload;
      upload.bucket = "bucket";
      upload.key = key;
      auto made = co_await rig.store->create_upload(std::move(upload));
      CO_ASSERT_TRUE(made.has_value());
    }
    rig.clock.wall_ms += 3 * kDay;
    LifecycleRule rule = rule_of("a/");
    rule.abort_days = 1;
    LifecycleRules rules{rule};
    Engine lifecycle(rig, rules);
    auto done = co_await lifecycle.engine->run_once();
    EXPECT_EQ(lifecycle.engine->counts().aborted, 1u);
    ListUploadsRequest request;
    request.bucket = "bucket";
    auto left = co_await rig.store->list_uploads(request);
    CO_ASSERT_TRUE(left.has_value());
    EXPECT_EQ(left->uploads.size(), 1u);
    if (left->uploads.size() == 1) EXPECT_EQ(left->uploads[0].key, "b/1");
  });
}

// --- against a naive engine ---

// A bucket with versioning as S3 describes it, and the rules applied to the whole of it, one sentence of the user guide after the other.
struct Naive {
  struct Version {
    uint64_t size = 0;
    UnixMs modified = 0;
    bool marker = false;
  };
  std::map<std::string, std::vector<Version>> keys;  // newest first

  void run(const LifecycleRule& rule, UnixMs now) {
    auto over = [&](UnixMs since, int64_t days) {
      return (since / kDay + (since % kDay ? 1 : 0) + days) * kDay <= now;
    };
    std::map<std::string, std::vector<Version>> next;
    for (const auto& [key, all] : keys) {
      std::vector<Version> kept;
      const bool mine = key.starts_with(rule.filter.prefix);
      for (size_t i = 0; i < all.size(); ++i) {
        const bool too_small =
            rule.filter.larger_than && (all[i].marker || all[i].size <= *rule.filter.larger_than);
        bool gone = false;
        if (mine && i > 0 && rule.noncurrent_days && !too_small)
          gone = over(all[i - 1].modified, *rule.noncurrent_days) &&
                 i - 1 >= static_cast<size_t>(rule.newer_noncurrent);
        if (mine && i == 0 && all[0].marker && all.size() == 1)
          gone = rule.days && !rule.filter.larger_than && over(all[0].modified, *rule.days);
        if (mine && i == 0 && !all[0].marker && rule.days && !too_small && over(all[0].modified, *rule.days))
          kept.push_back({0, now, true});
        if (!gone) kept.push_back(all[i]);
      }
      if (!kept.empty()) next[key] = std::move(kept);
    }
    keys = std::move(next);
  }
  Versions list() const {
    Versions out;
    for (const auto& [key, all] : keys)
      for (const Version& v : all) out.push_back(key + (v.marker ? " !" : " " + std::to_string(v.size)));
    return out;
  }
};

io::Task<void> random_history(StoreRig& rig, uint64_t seed) {
  co_await begin(rig, Versioning::enabled);
  io::Dice dice(seed);
  LifecycleRule rule = rule_of(dice.chance(1, 2) ? "a" : "");
  if (dice.chance(2, 3)) rule.days = static_cast<int64_t>(1 + dice.pick(4));
  if (dice.chance(2, 3)) rule.noncurrent_days = static_cast<int64_t>(1 + dice.pick(4));
  if (dice.chance(1, 3)) rule.newer_noncurrent = static_cast<int64_t>(1 + dice.pick(2));
  if (dice.chance(1, 3)) rule.filter.larger_than = 3;
  LifecycleRules rules{rule};
  Engine lifecycle(rig, rules, 1 + dice.pick(4));
  Naive naive;
  for (int step = 0; step < 40; ++step) {
    rig.clock.wall_ms += static_cast<UnixMs>(dice.pick(static_cast<uint64_t>(kDay)));
    std::string key = std::string(1, static_cast<char>('a' + dice.pick(2))) + std::to_string(dice.pick(3));
    auto& all = naive.keys[key];
    if (dice.chance(1, 4)) {
      std::vector<std::string> gone{key};
      auto removed = co_await rig.store->remove("bucket", gone);
      CO_ASSERT_TRUE(removed.has_value());
      all.insert(all.begin(), {0, rig.clock.wall_ms, true});
    } else {
      std::string bytes(1 + dice.pick(6), 'x');
      auto put = co_await rig.put("bucket", key, bytes);
      CO_ASSERT_TRUE(put.has_value());
      all.insert(all.begin(), {bytes.size(), rig.clock.wall_ms, false});
    }
    if (!dice.chance(1, 3)) continue;
    auto done = co_await lifecycle.engine->run_once();
    CO_ASSERT_TRUE(done.has_value());
    naive.run(rule, rig.clock.wall_ms);
    Versions real = co_await versions(rig), expected = naive.list();
    EXPECT_EQ(real, expected) << "seed " << seed << ", step " << step;
    if (real != expected) co_return;
  }
  EXPECT_EQ(lifecycle.engine->counts().failed, 0u);
  rig.expect_true_registry();
}

io::Task<void> random_world(uint64_t seed) {
  StoreRig rig(seed);
  bool started = co_await rig.start();
  if (started) co_await random_history(rig, seed);
  co_await rig.stop();
}

TEST(Lifecycle, DoesWhatANaiveEngineDoes) {
  for (uint64_t seed = 1; seed <= 12; ++seed) io::run_blocking([&] { return random_world(seed); });
}

// --- in the background ---

// A store without accounts that counts how often somebody asks for them.
class EmptyStore final : public Store {
 public:
  int asked = 0;
  std::shared_ptr<const Account> find_account(const std::string&) const override { return nullptr; }
  io::Task<Result<void>> put_account(Account) override { co_return unoffered(); }
  io::Task<Result<std::vector<Account>>> list_accounts() override {
    ++asked;
    co_return std::vector<Account>{};
  }
  using Store::create_bucket;
  using Store::get;
  using Store::head;
  using Store::remove;
  io::Task<Result<void>> create_bucket(CreateBucket) override { co_return unoffered(); }
  io::Task<Result<BucketInfo>> head_bucket(std::string) override { co_return unoffered(); }
  io::Task<Result<void>> delete_bucket(std::string) override { co_return unoffered(); }
  io::Task<Result<std::vector<BucketInfo>>> list_buckets(std::string) override { co_return unoffered(); }
  io::Task<Result<ObjectInfo>> put(PutRequest, BodySource&) override { co_return unoffered(); }
  io::Task<Result<Opened>> get(GetRequest) override { co_return unoffered(); }
  io::Task<Result<ObjectInfo>> head(HeadRequest) override { co_return unoffered(); }
  io::Task<Result<std::vector<DeleteOutcome>>> remove(RemoveRequest) override { co_return unoffered(); }
  io::Task<Result<ObjectInfo>> copy(CopyRequest) override { co_return unoffered(); }
  io::Task<Result<ListResult>> list(ListRequest) override { co_return unoffered(); }
};

TEST(Lifecycle, RunsARoundEachIntervalUntilItIsClosed) {
  io::SimLoop loop(1);
  TestClock clock;
  EmptyStore store;
  bool writable = true;
  LifecycleOptions options;
  options.interval = std::chrono::hours(1);
  auto lifecycle = make_lifecycle({.options = options,
                                   .store = store,
                                   .rules = [](const BucketInfo&) { return std::optional<LifecycleRules>(); },
                                   .may_write = [&] { return writable; },
                                   .home = loop,
                                   .clock = clock});
  struct Script {
    static io::Task<void> run(io::SimLoop* on, Lifecycle* engine, EmptyStore* of, bool* may) {
      engine->start();
      co_await io::sleep_until(on->now() + std::chrono::minutes(150));
      EXPECT_EQ(of->asked, 2);
      *may = false;
      co_await io::sleep_until(on->now() + std::chrono::hours(5));
      EXPECT_EQ(of->asked, 2) << "rounds wait for a journal that takes commits";
      *may = true;
      co_await io::sleep_until(on->now() + std::chrono::hours(1));
      EXPECT_EQ(of->asked, 3);
      co_await engine->close();
      on->stop();
    }
  };
  std::optional<io::Task<void>> script;
  loop.post([&] { script.emplace(Script::run(&loop, lifecycle.get(), &store, &writable)); });
  loop.run();
  EXPECT_EQ(loop.end(), io::SimLoop::End::stopped);
  EXPECT_TRUE(script->done());
}

}  // namespace
}  // namespace archipel::store
