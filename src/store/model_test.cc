// Random programs: the store and the reference model must say the same, operation by operation, through restarts that rebuild the view
// from the journal, in buckets of several placement classes.
#include "store/model_test_util.h"

#include "store/store_fixture.h"

namespace archipel::store {
namespace {

constexpr uint64_t kExtentPlain =
    uint64_t{3} * 65536;  // one stripe: a few hundred kilobytes are several extents

class Program {
 public:
  Program(StoreRig& rig, uint64_t seed) : rig_(rig), random_(seeded_random(seed)) {}

  io::Task<void> run(int steps) {
    for (int i = 0; i < 6; ++i) co_await create_bucket();
    for (step_ = 0; step_ < steps && !testing::Test::HasFailure(); ++step_) {
      rig_.clock.wall_ms += static_cast<UnixMs>(pick(1500));
      switch (pick(26)) {
        case 0:
          co_await create_bucket();
          break;
        case 1:
          co_await delete_bucket();
          break;  // seldom empty, so most stay
        case 2:
        case 3:
        case 4:
        case 5:
        case 6:
        case 7:
          co_await put();
          break;
        case 8:
        case 9:
        case 10:
        case 11:
          co_await get();
          break;
        case 12:
        case 13:
          co_await remove();
          break;
        case 14:
        case 15:
          co_await copy();
          break;
        case 16:
        case 17:
        case 18:
          co_await list();
          break;
        case 19:
          co_await place_bucket();
          break;
        case 20:
          co_await configure();
          break;
        case 21:
        case 22:
          co_await change();
          break;
        case 23:
        case 24:
          co_await list_versions();
          break;
        default:
          co_await perhaps_restart();
          break;
      }
      if (!testing::Test::HasFailure()) co_await compare(bucket());
    }
    if (!testing::Test::HasFailure()) co_await check_everything();
    co_await empty_everything();
  }

 private:
  uint64_t pick(uint64_t below) { return random_->u64() % below; }
  std::string bucket() { return "bucket-" + std::to_string(pick(3)); }
  std::string owner() { return pick(4) == 0 ? kBob : kAlice; }
  // Few enough to collide; with what sorts and splits unexpectedly.
  std::string key() {
    static const std::vector<std::string> parts = {"a", "b",   "/",  "a/", "b+",   "é",
                                                   " ", "%41", "..", "//", "\x01", "\xef\xbf\xbf"};
    std::string out;
    for (uint64_t n = 1 + pick(3); n > 0; --n) out += parts[pick(parts.size())];
    return out;
  }
  // Mostly one that is there.
  std::string key(const std::string& in_bucket) {
    auto found = model_.buckets.find(in_bucket);
    if (pick(3) == 0 || found == model_.buckets.end() || found->second.keys.empty()) return key();
    return std::next(found->second.keys.begin(), static_cast<ptrdiff_t>(pick(found->second.keys.size())))
        ->first;
  }
  // Often none, sometimes one that is not there.
  VersionName version(const std::string& in_bucket, const std::string& of_key) {
    if (pick(2) == 0) return std::nullopt;
    if (pick(4) == 0) return "null";
    if (pick(6) == 0) return std::string(32, '0');
    if (!model_.find(in_bucket, of_key)) return std::nullopt;
    const auto& versions = model_.buckets.at(in_bucket).keys.at(of_key);
    return versions[pick(versions.size())].info.version;
  }
  Retention retention() {
    return {pick(2) == 0 ? Retention::Mode::governance : Retention::Mode::compliance,
            rig_.clock.wall_ms + static_cast<UnixMs>(pick(60'000))};
  }
  bool has_lock(const std::string& name) const {
    auto found = model_.buckets.find(name);
    return found != model_.buckets.end() && found->second.lock;
  }
  size_t size() {
    static const std::vector<size_t> edges = {0,
                                              1,
                                              65535,
                                              65536,
                                              65537,
                                              131072,
                                              131073,
                                              kExtentPlain - 1,
                                              kExtentPlain,
                                              kExtentPlain + 1,
                                              2 * kExtentPlain,
                                              700'001};
    return pick(4) == 0 ? edges[pick(edges.size())] : pick(300);
  }
  Conditions conditions(const std::string& in_bucket, const std::string& of_key) {
    Conditions c;
    const Model::Object* object = model_.find(in_bucket, of_key);
    auto etag = [&] {
      return pick(3) == 0 ? "*" : object && pick(2) == 0 ? object->info.etag : std::string(32, '0');
    };
    if (pick(3) != 0) return c;
    if (pick(2) == 0) c.if_match.push_back(etag());
    if (pick(2) == 0) c.if_none_match.push_back(etag());
    UnixMs around =
        (object ? object->info.modified_ms : rig_.clock.wall_ms) - 1500 + static_cast<UnixMs>(pick(3000));
    if (pick(4) == 0) c.if_modified_since_ms = around;
    if (pick(4) == 0) c.if_unmodified_since_ms = around;
    return c;
  }
  // Which class a bucket's bodies go to makes no difference to a client, nor that it changes under what is there.
  std::string policy() {
    static const std::vector<std::string> policies = {"", "default", "few", "most"};
    return policies[pick(policies.size())];
  }
  io::Task<void> place_bucket() {
    std::string name = bucket();
    BucketPlacement placement{policy(), ""};
    Result<BucketInfo> placed = co_await rig_.store->place_bucket(name, std::move(placement));
    agree("place", code_of(placed), model_.buckets.contains(name) ? "ok" : "NoSuchBucket");
  }
  std::map<std::string, std::string> metadata() {
    std::map<std::string, std::string> out;
    if (pick(3) == 0) out["colour"] = "blue " + std::to_string(pick(100));
    return out;
  }
  void agree(const std::string& what, const std::string& store, const std::string& model) {
    EXPECT_EQ(store, model) << "step " << step_ << ": " << what;
  }
  static void expect_same_info(const ObjectInfo& store, const ObjectInfo& model, bool maps) {
    EXPECT_EQ(store.size, model.size);
    EXPECT_EQ(store.etag, model.etag);
    EXPECT_EQ(store.modified_ms, model.modified_ms);
    if (!maps) return;
    EXPECT_EQ(store.headers, model.headers);
    EXPECT_EQ(store.metadata, model.metadata);
    EXPECT_EQ(store.version, model.version);
    EXPECT_EQ(store.attributes.tags, model.attributes.tags);
    EXPECT_EQ(store.attributes.acl, model.attributes.acl);
    EXPECT_EQ(store.attributes.legal_hold, model.attributes.legal_hold);
    EXPECT_EQ(store.attributes.retention.mode, model.attributes.retention.mode);
    EXPECT_EQ(store.attributes.retention.until_ms, model.attributes.retention.until_ms);
  }

  io::Task<void> create_bucket() {
    std::string name = bucket(), by = owner();
    bool lock = pick(4) == 0;
    CreateBucket request{name, by, lock, {}};
    if (pick(2) == 0) request.policy = policy();
    Result<void> done = co_await rig_.store->create_bucket(std::move(request));
    agree("create " + name, code_of(done), model_.create_bucket(name, by, lock));
  }
  io::Task<void> delete_bucket() {
    std::string name = bucket();
    Result<void> done = co_await rig_.store->delete_bucket(name);
    agree("delete " + name, code_of(done), model_.delete_bucket(name));
    Result<BucketInfo> head = co_await rig_.store->head_bucket(name);
    agree("head " + name, code_of(head), model_.buckets.contains(name) ? "ok" : "NoSuchBucket");
  }
  io::Task<void> configure() {
    std::string name = bucket();
    BucketChange change;
    if (pick(3) != 0) change.versioning = pick(3) == 0 ? Versioning::suspended : Versioning::enabled;
    if (pick(3) == 0) change.quota = Quota{pick(2) * 800'000, pick(2) * 30};
    change.enable_object_lock = pick(12) == 0;
    Result<BucketInfo> done = co_await rig_.store->configure_bucket(name, change);
    agree("configure", code_of(done), model_.configure(name, change));
    if (!done) co_return;
    EXPECT_EQ(done->versioning, model_.buckets.at(name).versioning);
    EXPECT_EQ(done->object_lock, model_.buckets.at(name).lock);
    EXPECT_EQ(done->quota.bytes, model_.buckets.at(name).quota.bytes);
  }
  io::Task<void> change() {
    AttributeChange change;
    change.bucket = bucket();
    change.key = key(change.bucket);
    change.version = version(change.bucket, change.key);
    change.bypass_governance = pick(2) == 0;
    if (pick(2) == 0) change.tags = metadata();
    if (pick(3) == 0) change.acl = "acl " + std::to_string(pick(10));
    if (pick(3) == 0) change.retention = pick(4) == 0 ? Retention{} : retention();
    if (pick(4) == 0) change.legal_hold = pick(3) == 0;
    Result<ObjectInfo> done = co_await rig_.store->change_attributes(change);
    agree("change", code_of(done), model_.change(change, rig_.clock.wall_ms));
    if (done) expect_same_info(*done, model_.find(change.bucket, change.key, change.version)->info, true);
  }
  // Everything of a bucket that a listing and its counters show.
  io::Task<void> compare(std::string name) {
    if (!model_.buckets.contains(name)) co_return;
    Result<Usage> usage = co_await rig_.store->bucket_usage(name);
    CO_ASSERT_TRUE(usage);
    Usage expected = model_.usage(name);
    EXPECT_EQ(usage->bytes, expected.bytes) << "step " << step_;
    EXPECT_EQ(usage->versions, expected.versions) << "step " << step_;
    std::vector<std::string> lines = co_await versions_of_bucket(name, "", "", 1000);
    EXPECT_EQ(lines, model_.list_versions(name, "", "")) << "step " << step_;
  }
  io::Task<void> list_versions() {
    std::string name = bucket();
    if (!model_.buckets.contains(name)) co_return;
    std::string prefix, delimiter;
    if (pick(2) == 0) prefix = key().substr(0, 2);
    if (pick(3) != 0) delimiter = pick(4) == 0 ? "a/" : "/";
    std::vector<std::string> lines = co_await versions_of_bucket(name, prefix, delimiter, 1 + pick(5));
    EXPECT_EQ(lines, model_.list_versions(name, prefix, delimiter)) << "step " << step_;
  }
  // Page after page; entries and common prefixes in one order.
  io::Task<std::vector<std::string>> versions_of_bucket(std::string name, std::string prefix,
                                                        std::string delimiter, size_t page) {
    ListVersionsRequest request{name, prefix, delimiter, "", "", page};
    std::vector<std::string> out;
    for (int pages = 0; pages < 2000; ++pages) {
      Result<ListVersionsResult> got = co_await rig_.store->list_versions(request);
      agree("list versions", code_of(got), "ok");
      if (!got) co_return out;
      std::multimap<std::string, std::string> lines;
      EXPECT_LE(got->entries.size() + got->common_prefixes.size(), page);
      for (const ListEntry& entry : got->entries)
        lines.emplace(entry.key, Model::line_of(entry.key, entry.info));
      for (const std::string& rolled : got->common_prefixes) lines.emplace(rolled, rolled);
      for (const auto& [of, line] : lines) out.push_back(line);
      if (!got->truncated || testing::Test::HasFailure()) co_return out;
      request.key_marker = got->next_key;
      request.version_marker = got->next_version;
    }
    ADD_FAILURE() << "a listing that does not end";
    co_return out;
  }
  io::Task<void> put() {
    PutRequest request;
    request.bucket = bucket();
    request.key = key(request.bucket);
    request.metadata = metadata();
    request.headers["content-type"] = "text/plain";
    request.conditions = conditions(request.bucket, request.key);
    if (has_lock(request.bucket) ? pick(3) == 0 : pick(20) == 0) request.attributes.retention = retention();
    if (pick(3) == 0) request.attributes.tags = metadata();
    std::string bytes = pattern(size(), random_->u64());
    if (pick(2) == 0) request.length = bytes.size();
    StringBody body(bytes, 1 + pick(200'000));
    PutRequest kept = request;
    Result<ObjectInfo> done = co_await rig_.store->put(std::move(request), body);
    agree("put of " + std::to_string(bytes.size()), code_of(done),
          model_.put(kept, bytes, rig_.clock.wall_ms, done ? done->version : ""));
    if (done) expect_same_info(*done, model_.find(kept.bucket, kept.key)->info, true);
  }
  io::Task<void> get() {
    std::string name = bucket(), of = key(name);
    VersionName which = version(name, of);
    Conditions c = conditions(name, of);
    std::optional<Store::Range> range;
    const Model::Object* object = model_.find(name, of, which);
    uint64_t about = object ? object->body.size() + 2 : 10;
    if (pick(2) == 0) {
      range.emplace();
      if (pick(3) != 0) range->first = pick(about);
      if (!range->first || pick(2) == 0) range->last = range->first.value_or(0) + pick(about);
    }
    std::string expected;
    std::string model = model_.get(name, of, which, range, c, &expected);
    HeadRequest what{name, of, which, {}, c, {}};
    Result<std::string> got = co_await rig_.get(Store::GetRequest{what, range});
    agree("get", code_of(got), model);
    if (got) EXPECT_TRUE(*got == expected) << "step " << step_ << ": wrong bytes";
    Result<ObjectInfo> head = co_await rig_.store->head(what);
    if (model != "InvalidRange") agree("head", code_of(head), model);
    if (head && object) expect_same_info(*head, object->info, true);
  }
  io::Task<void> remove() {
    RemoveRequest request;
    request.bucket = bucket();
    request.bypass_governance = pick(2) == 0;
    for (uint64_t n = 1 + pick(4); n > 0; --n) {
      DeleteItem item;
      item.key = key(request.bucket);
      item.version = version(request.bucket, item.key);
      if (pick(5) == 0) item.conditions = conditions(request.bucket, item.key);
      request.items.push_back(std::move(item));
    }
    Result<std::vector<DeleteOutcome>> done = co_await rig_.store->remove(request);
    const bool there = model_.buckets.contains(request.bucket);
    agree("remove", code_of(done), there ? "ok" : "NoSuchBucket");
    if (!done) co_return;
    CO_ASSERT_TRUE(done->size() == request.items.size());
    for (size_t i = 0; i < done->size(); ++i) {
      const DeleteOutcome& outcome = (*done)[i];
      agree("remove", code_of(outcome.result),
            model_.remove(request.bucket, request.items[i], request.bypass_governance, rig_.clock.wall_ms,
                          outcome.marker_version));
    }
  }
  io::Task<void> copy() {
    CopyRequest request;
    request.source_bucket = bucket();
    request.source_key = key(request.source_bucket);
    request.bucket = bucket();
    request.key = pick(4) == 0 ? request.source_key : key(request.bucket);
    request.replace_metadata = pick(3) == 0;
    if (request.replace_metadata) request.metadata = metadata();
    request.source_version = version(request.source_bucket, request.source_key);
    if (has_lock(request.bucket) && pick(4) == 0) request.attributes.retention = retention();
    request.source_conditions = conditions(request.source_bucket, request.source_key);
    request.conditions = conditions(request.bucket, request.key);
    CopyRequest kept = request;
    Result<ObjectInfo> done = co_await rig_.store->copy(std::move(request));
    agree("copy", code_of(done), model_.copy(kept, rig_.clock.wall_ms, done ? done->version : ""));
    if (done) expect_same_info(*done, model_.find(kept.bucket, kept.key)->info, true);
  }
  io::Task<void> list() {
    ListRequest request;
    request.bucket = bucket();
    if (!model_.buckets.contains(request.bucket)) {
      Result<ListResult> missing = co_await rig_.store->list(request);
      agree("list", code_of(missing), "NoSuchBucket");
      co_return;
    }
    if (pick(2) == 0) request.prefix = key().substr(0, 2);
    if (pick(3) != 0) request.delimiter = pick(4) == 0 ? "a/" : "/";
    if (pick(3) == 0) request.start_after = key(request.bucket);
    request.max_keys = pick(3) == 0 ? 1000 : pick(5);
    // Page after page, to the end.
    for (int page = 0; page < 200; ++page) {
      ListResult expected = model_.list(request);
      Result<ListResult> got = co_await rig_.store->list(request);
      agree("list", code_of(got), "ok");
      if (!got) co_return;
      expect_same_page(*got, expected);
      if (!got->truncated || testing::Test::HasFailure()) co_return;
      request.start_after = got->next;
    }
    ADD_FAILURE() << "a listing that does not end";
  }
  void expect_same_page(const ListResult& got, const ListResult& expected) {
    EXPECT_EQ(got.common_prefixes, expected.common_prefixes) << "step " << step_;
    EXPECT_EQ(got.truncated, expected.truncated) << "step " << step_;
    EXPECT_EQ(got.next, expected.next) << "step " << step_;
    EXPECT_EQ(got.entries.size(), expected.entries.size()) << "step " << step_;
    for (size_t i = 0; i < std::min(got.entries.size(), expected.entries.size()); ++i) {
      EXPECT_EQ(got.entries[i].key, expected.entries[i].key);
      expect_same_info(got.entries[i].info, expected.entries[i].info, false);
    }
  }
  io::Task<void> perhaps_restart() {
    if (pick(4) != 0) co_return;
    rig_.expect_true_registry();
    bool good = co_await rig_.restart(pick(2) == 0);
    EXPECT_TRUE(good);
    if (!good) co_return;
    rig_.expect_true_registry();
    for (const auto& [name, in_bucket] : model_.buckets) co_await compare(name);
  }
  io::Task<void> check_everything() {
    rig_.expect_true_registry();
    for (const auto& [name, in_bucket] : model_.buckets) {
      co_await compare(name);
      for (const auto& [of, versions] : in_bucket.keys) {
        for (const Model::Object& object : versions) {
          if (object.info.delete_marker) continue;
          HeadRequest what{name, of, object.info.version, {}, {}, {}};
          Result<std::string> got = co_await rig_.get(Store::GetRequest{what, std::nullopt});
          EXPECT_EQ(code_of(got), "ok");
          if (got) EXPECT_TRUE(*got == object.body) << "wrong bytes";
        }
      }
    }
    for (const std::string& by : {kAlice, kBob}) {
      Usage sum;
      for (const auto& [name, in_bucket] : model_.buckets) {
        if (in_bucket.owner != by) continue;
        Usage usage = model_.usage(name);
        sum.bytes += usage.bytes;
        sum.versions += usage.versions;
      }
      Result<std::pair<Usage, Quota>> account = co_await rig_.store->account_usage(by);
      CO_ASSERT_TRUE(account);
      EXPECT_EQ(account->first.bytes, sum.bytes);
      EXPECT_EQ(account->first.versions, sum.versions);
    }
    for (const std::string& by : {kAlice, kBob}) {
      Result<std::vector<BucketInfo>> listed = co_await rig_.store->list_buckets(by);
      CO_ASSERT_TRUE(listed);
      std::vector<std::string> names, expected;
      for (const BucketInfo& info : *listed) names.push_back(info.name);
      for (const auto& [name, in_bucket] : model_.buckets)
        if (in_bucket.owner == by) expected.push_back(name);
      EXPECT_EQ(names, expected);
    }
  }
  // Afterwards no reference is left over: each stream that was shared is counted down to nothing.
  io::Task<void> empty_everything() {
    for (const auto& [name, in_bucket] : model_.buckets) {
      rig_.clock.wall_ms += 3'600'000;  // every retention has run out
      RemoveRequest request;
      request.bucket = name;
      for (const auto& [of, versions] : in_bucket.keys) {
        for (const Model::Object& object : versions) {
          AttributeChange release;
          release.bucket = name;
          release.key = of;
          release.version = object.info.version;
          release.legal_hold = false;
          if (object.info.attributes.legal_hold) co_await rig_.store->change_attributes(release);
          request.items.push_back({of, object.info.version});
        }
      }
      for (size_t at = 0; at < request.items.size(); at += 1000) {
        RemoveRequest some{name, {}, false, {}};
        for (size_t i = at; i < std::min(at + 1000, request.items.size()); ++i)
          some.items.push_back(request.items[i]);
        Result<std::vector<DeleteOutcome>> removed = co_await rig_.store->remove(std::move(some));
        EXPECT_EQ(code_of(removed), "ok");
        if (removed)
          for (const DeleteOutcome& outcome : *removed) EXPECT_EQ(code_of(outcome.result), "ok");
      }
      Result<void> gone = co_await rig_.store->delete_bucket(name);
      EXPECT_EQ(code_of(gone), "ok");
    }
    EXPECT_EQ(rig_.count("e/"), 0u);
    EXPECT_EQ(rig_.count("r/"), 0u);
    EXPECT_EQ(rig_.count("o/"), 0u);
    EXPECT_EQ(rig_.count("b/"), 0u);
    EXPECT_EQ(rig_.count("u/"), 0u);
    for (const char* prefix : {"v/", "n/", "y/b/"}) EXPECT_EQ(rig_.count(prefix), 0u) << prefix;
  }

  StoreRig& rig_;
  std::unique_ptr<Random> random_;
  Model model_;
  int step_ = 0;
};

class Programs : public testing::TestWithParam<uint64_t> {};

TEST_P(Programs, SayWhatTheModelSays) {
  struct Body {
    static io::Task<void> go(uint64_t seed) {
      StoreRig rig(seed);
      rig.options.extent_plain_bytes = kExtentPlain;
      rig.choices = {{"few", {4, 2}, {5, 0, 3, 2}, false}, {"most", {5, 3}, {1, 2, 3, 4, 5}, true}};
      bool started = co_await rig.start();
      if (started) {
        Program program(rig, seed);
        co_await program.run(250);
      }
      co_await rig.stop();
    }
  };
  uint64_t seed = GetParam();
  io::run_blocking([&] { return Body::go(seed); });
}

INSTANTIATE_TEST_SUITE_P(Seeds, Programs, testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace archipel::store
