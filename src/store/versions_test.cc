// Versioning, delete markers, Object Lock, attributes, quotas: what a door relies on, case by case.
#include "store/versions.h"

#include "store/store_fixture.h"

namespace archipel::store {
namespace {

constexpr UnixMs kDay = 86'400'000;

io::Task<void> make_bucket(StoreRig& rig, std::optional<Versioning> versioning, bool lock = false) {
  Result<void> made = co_await rig.store->create_bucket(CreateBucket{"bucket", kAlice, lock, {}});
  EXPECT_EQ(code_of(made), "ok");
  if (!versioning) co_return;
  BucketChange change;
  change.versioning = versioning;
  Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", std::move(change));
  EXPECT_EQ(code_of(changed), "ok");
}

io::Task<void> set_versioning(StoreRig& rig, Versioning versioning) {
  BucketChange change;
  change.versioning = versioning;
  Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", std::move(change));
  EXPECT_EQ(code_of(changed), "ok");
}

io::Task<std::string> put(StoreRig& rig, std::string key, std::string bytes) {
  rig.clock.wall_ms += 1;
  Result<ObjectInfo> done = co_await rig.put("bucket", key, bytes);
  EXPECT_EQ(code_of(done), "ok");
  co_return done ? done->version : "";
}

// The bytes, or the S3 code.
io::Task<std::string> read(StoreRig& rig, std::string key, VersionName version = {}) {
  Store::GetRequest request;
  request.what.bucket = "bucket";
  request.what.key = std::move(key);
  request.what.version = std::move(version);
  Result<Store::Opened> opened = co_await rig.store->get(std::move(request));
  if (!opened) co_return code_of(opened);
  std::string out;
  for (;;) {
    Result<Buffer> piece = co_await opened->reader->read();
    if (!piece) co_return code_of(piece);
    if (piece->empty()) co_return out;
    out.append(as_text(*piece));
  }
}

io::Task<DeleteOutcome> remove(StoreRig& rig, DeleteItem item, bool bypass = false) {
  rig.clock.wall_ms += 1;
  RemoveRequest request{"bucket", {item}, bypass, {}};
  Result<std::vector<DeleteOutcome>> done = co_await rig.store->remove(std::move(request));
  EXPECT_EQ(code_of(done), "ok");
  if (!done || done->size() != 1) co_return DeleteOutcome{};
  co_return (*done)[0];
}

// Every version, as "key=size" or "key!" for a marker, '*' before the latest.
io::Task<std::string> all(StoreRig& rig, size_t page = 1000) {
  ListVersionsRequest request;
  request.bucket = "bucket";
  request.max_keys = page;
  std::string out;
  for (int i = 0; i < 100; ++i) {
    Result<ListVersionsResult> got = co_await rig.store->list_versions(request);
    EXPECT_EQ(code_of(got), "ok");
    if (!got) co_return out;
    EXPECT_LE(got->entries.size(), page);
    for (const ListEntry& entry : got->entries)
      out += (out.empty() ? "" : " ") + std::string(entry.info.latest ? "*" : "") + entry.key +
             (entry.info.delete_marker ? "!" : "=" + std::to_string(entry.info.size));
    if (!got->truncated) co_return out;
    request.key_marker = got->next_key;
    request.version_marker = got->next_version;
  }
  ADD_FAILURE() << "a listing that does not end";
  co_return out;
}

TEST(Versions, StayWhenTheyAreReplacedAndDeleted) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, Versioning::enabled);
      std::string first = co_await put(rig, "k", "1");
      std::string second = co_await put(rig, "k", "22");
      EXPECT_NE(first, second);
      std::string now = co_await read(rig, "k");
      std::string before = co_await read(rig, "k", first);
      EXPECT_EQ(now, "22");
      EXPECT_EQ(before, "1");

      DeleteOutcome marker = co_await remove(rig, {"k", {}});
      EXPECT_TRUE(marker.delete_marker);
      std::string gone = co_await read(rig, "k");
      std::string named = co_await read(rig, "k", marker.marker_version);
      EXPECT_EQ(gone, "NoSuchKey");
      EXPECT_EQ(named, "MethodNotAllowed");
      std::string still = co_await read(rig, "k", second);
      EXPECT_EQ(still, "22");
      std::string listed = co_await all(rig);
      EXPECT_EQ(listed, "*k! k=2 k=1");
      Result<ListResult> current = co_await rig.store->list({"bucket", "", "", ""});
      EXPECT_TRUE(current && current->entries.empty());
      HeadRequest head{"bucket", "k", {}, {}, {}, {}, true};
      Result<ObjectInfo> seen = co_await rig.store->head(head);
      EXPECT_TRUE(seen && seen->delete_marker && seen->version == marker.marker_version);
      Result<void> not_empty = co_await rig.store->delete_bucket("bucket");
      EXPECT_EQ(code_of(not_empty), "BucketNotEmpty");

      // Without the marker the newest object is current again; without that the one before it.
      bool good = co_await rig.restart(true);
      EXPECT_TRUE(good);
      DeleteOutcome unmarked = co_await remove(rig, {"k", marker.marker_version});
      EXPECT_TRUE(unmarked.delete_marker);
      now = co_await read(rig, "k");
      EXPECT_EQ(now, "22");
      DeleteOutcome removed = co_await remove(rig, {"k", second});
      EXPECT_FALSE(removed.delete_marker);
      now = co_await read(rig, "k");
      EXPECT_EQ(now, "1");
      rig.expect_true_registry();
      removed = co_await remove(rig, {"k", first});
      listed = co_await all(rig);
      EXPECT_EQ(listed, "");
      std::string missing = co_await read(rig, "k", first);
      std::string never = co_await read(rig, "k", "nonsense");
      EXPECT_EQ(missing, "NoSuchVersion");
      EXPECT_EQ(never, "InvalidArgument");
      EXPECT_EQ(rig.count("e/"), 0u);
      not_empty = co_await rig.store->delete_bucket("bucket");
      EXPECT_EQ(code_of(not_empty), "ok");
    }
  };
  with_store(&Body::go);
}

TEST(Versions, OfASuspendedBucketReplaceTheNullVersionAlone) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, std::nullopt);
      std::string old = co_await put(rig, "k", "old");
      EXPECT_EQ(old, "null");
      co_await set_versioning(rig, Versioning::enabled);
      std::string kept = co_await put(rig, "k", "kept");
      std::string null_one = co_await read(rig, "k", "null");
      EXPECT_EQ(null_one, "old");
      co_await set_versioning(rig, Versioning::suspended);
      std::string suspended = co_await put(rig, "k", "suspended");
      EXPECT_EQ(suspended, "null");
      std::string listed = co_await all(rig);
      EXPECT_EQ(listed, "*k=9 k=4");  // the null version from before versioning is gone
      suspended = co_await put(rig, "k", "again");
      listed = co_await all(rig);
      EXPECT_EQ(listed, "*k=5 k=4");
      DeleteOutcome marker = co_await remove(rig, {"k", {}});
      EXPECT_TRUE(marker.delete_marker);
      EXPECT_EQ(marker.marker_version, "null");
      marker = co_await remove(rig, {"k", {}});
      listed = co_await all(rig);
      EXPECT_EQ(listed, "*k! k=4");
      marker = co_await remove(rig, {"k", "null"});
      EXPECT_TRUE(marker.delete_marker);
      std::string now = co_await read(rig, "k");
      EXPECT_EQ(now, "kept");
      EXPECT_EQ(rig.count("n/"), 0u);
      EXPECT_EQ(rig.count("v/"), 0u);
      marker = co_await remove(rig, {"k", kept});
      EXPECT_EQ(rig.count("e/"), 0u);
      EXPECT_EQ(rig.count("o/"), 0u);
    }
  };
  with_store(&Body::go);
}

TEST(Versions, AreListedInPagesOfAnySize) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, Versioning::enabled);
      for (int i = 0; i < 3; ++i)
        for (const char* key : {"a", "b/x", "b/y", "c"})
          co_await put(rig, key, std::string(size_t(i) + 1, 'x'));
      co_await remove(rig, {"b/x", {}});
      std::string whole = co_await all(rig);
      EXPECT_EQ(whole, "*a=3 a=2 a=1 *b/x! b/x=3 b/x=2 b/x=1 *b/y=3 b/y=2 b/y=1 *c=3 c=2 c=1");
      for (size_t page : {1u, 2u, 3u, 5u}) {
        std::string paged = co_await all(rig, page);
        EXPECT_EQ(paged, whole) << page;
      }
      ListVersionsRequest request{"bucket", "", "/", "", "", 1};
      std::string lines;
      for (int i = 0; i < 10; ++i) {
        Result<ListVersionsResult> got = co_await rig.store->list_versions(request);
        CO_ASSERT_TRUE(got);
        for (const ListEntry& entry : got->entries) lines += entry.key + " ";
        for (const std::string& prefix : got->common_prefixes) lines += prefix + " ";
        if (!got->truncated) break;
        request.key_marker = got->next_key;
        request.version_marker = got->next_version;
      }
      EXPECT_EQ(lines, "a a a b/ c c c ");
    }
  };
  with_store(&Body::go);
}

// The marker that a page ended with may be gone before the next is asked for.
TEST(Versions, AreListedOnAfterTheLastOneOfAPageIsRemoved) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, Versioning::enabled);
      for (int i = 0; i < 4; ++i) co_await put(rig, "k", std::string(size_t(i) + 1, 'x'));
      ListVersionsRequest request{"bucket", "", "", "", "", 1};
      Result<ListVersionsResult> first = co_await rig.store->list_versions(request);
      CO_ASSERT_TRUE(first);
      co_await remove(rig, {"k", first->entries[0].info.version});
      request.key_marker = first->next_key;
      request.version_marker = first->next_version;
      request.max_keys = 10;
      Result<ListVersionsResult> rest = co_await rig.store->list_versions(request);
      CO_ASSERT_TRUE(rest);
      EXPECT_EQ(rest->entries.size(), 3u);
      EXPECT_TRUE(rest->entries[0].info.latest);
    }
  };
  with_store(&Body::go);
}

// A commit of what an older release would have written.
io::Task<void> write(StoreRig& rig, std::vector<index::Mutation> mutations) {
  index::Intent intent;
  intent.build = [mutations](const index::View&, const std::vector<index::SmallLocation>&,
                             std::vector<index::Mutation>& out) -> Result<void> {
    out = mutations;
    return {};
  };
  Result<index::CommitPosition> done = co_await rig.journal.committer->commit(std::move(intent));
  EXPECT_TRUE(done.has_value());
}

TEST(Versions, OfAnOlderReleaseAreNullVersions) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, std::nullopt);
      co_await put(rig, "k", "old");
      const std::string place = object_key("bucket", "k");
      auto bytes = rig.journal.kv->snapshot()->get(place);
      CO_ASSERT_TRUE(bytes && *bytes);
      Result<VersionRecord> record = decode_version(**bytes);
      CO_ASSERT_TRUE(record);
      record->order = 0;
      const std::string first_format = encode(*record);
      EXPECT_EQ(first_format[0], 1);
      std::vector<index::Mutation> older = {{place, first_format}};
      co_await write(rig, older);
      co_await set_versioning(rig, Versioning::enabled);
      std::string newer = co_await put(rig, "k", "newer");
      std::string listed = co_await all(rig, 1);
      EXPECT_EQ(listed, "*k=5 k=3");
      std::string old = co_await read(rig, "k", "null");
      EXPECT_EQ(old, "old");
      co_await remove(rig, {"k", newer});
      old = co_await read(rig, "k");
      EXPECT_EQ(old, "old");
      AttributeChange tag{"bucket", "k", "null", std::map<std::string, std::string>{{"a", "b"}},
                          {},       {},  false,  {}};
      Result<ObjectInfo> tagged = co_await rig.store->change_attributes(tag);
      EXPECT_EQ(code_of(tagged), "ok");
      old = co_await read(rig, "k");
      EXPECT_EQ(old, "old");
      co_await remove(rig, {"k", "null"});
      EXPECT_EQ(rig.count("e/"), 0u);
    }
  };
  with_store(&Body::go);
}

TEST(Quotas, CountWhatAnOlderReleaseLeft) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, Versioning::enabled);
      co_await put(rig, "k", "1");
      co_await put(rig, "k", "22");
      std::vector<index::Mutation> older = {{bucket_usage_key("bucket"), std::nullopt},
                                            {owner_usage_key(kAlice), std::nullopt}};
      auto extents = rig.journal.kv->snapshot()->scan(
          "y/e/", "y/f", [&](std::string_view key, std::string_view, std::string*) {
            older.push_back({std::string(key), std::nullopt});
            return true;
          });
      CO_ASSERT_TRUE(extents);
      co_await write(rig, older);
      co_await put(rig, "k", "333");
      EXPECT_EQ(rig.count("y/"), 0u);
      Result<Usage> usage = co_await rig.store->bucket_usage("bucket");
      CO_ASSERT_TRUE(usage);
      EXPECT_EQ(usage->bytes, 6u);
      EXPECT_EQ(usage->versions, 3u);
      // From here on they are counted as they change.
      BucketChange change;
      change.quota = Quota{10, 0};
      Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", change);
      EXPECT_EQ(code_of(changed), "ok");
      EXPECT_EQ(rig.count("y/b/"), 1u);
      Result<ObjectInfo> refused = co_await rig.put("bucket", "k", "55555");
      EXPECT_EQ(code_of(refused), "QuotaExceeded");
      co_await put(rig, "k", "4444");
      usage = co_await rig.store->bucket_usage("bucket");
      EXPECT_TRUE(usage && usage->bytes == 10 && usage->versions == 4);
      Result<void> limited = co_await rig.store->set_account_quota(kAlice, Quota{0, 4});
      EXPECT_EQ(code_of(limited), "ok");
      refused = co_await rig.put("bucket", "k", "");
      EXPECT_EQ(code_of(refused), "QuotaExceeded");
    }
  };
  with_store(&Body::go);
}

TEST(ObjectLock, KeepsVersionsWhoeverAsks) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, std::nullopt, true);
      StringBody body("kept");
      PutRequest request;
      request.bucket = "bucket";
      request.key = "k";
      request.attributes.retention = {Retention::Mode::compliance, rig.clock.wall_ms + kDay};
      Result<ObjectInfo> made = co_await rig.store->put(request, body);
      CO_ASSERT_TRUE(made);
      const std::string version = made->version;
      DeleteOutcome refused = co_await remove(rig, {"k", version}, true);
      EXPECT_EQ(code_of(refused.result), "AccessDenied");
      // Hiding it is allowed, and other items of the request go.
      DeleteOutcome marker = co_await remove(rig, {"k", {}});
      EXPECT_TRUE(marker.delete_marker);
      std::string other = co_await put(rig, "other", "x");
      RemoveRequest both{"bucket", {{"k", version}, {"other", other}}, true, {}};
      Result<std::vector<DeleteOutcome>> done = co_await rig.store->remove(std::move(both));
      CO_ASSERT_TRUE(done);
      EXPECT_EQ(code_of((*done)[0].result), "AccessDenied");
      EXPECT_EQ(code_of((*done)[1].result), "ok");
      std::string listed = co_await all(rig);
      EXPECT_EQ(listed, "*k! k=4");

      AttributeChange change{"bucket", "k", version, {}, {}, {}, true, {}};
      change.retention = Retention{Retention::Mode::compliance, rig.clock.wall_ms + 1000};
      Result<ObjectInfo> shorter = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(shorter), "AccessDenied");
      change.retention = Retention{Retention::Mode::governance, rig.clock.wall_ms + 5 * kDay};
      shorter = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(shorter), "AccessDenied");
      change.retention = Retention{Retention::Mode::compliance, rig.clock.wall_ms + 2 * kDay};
      Result<ObjectInfo> longer = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(longer), "ok");
      // Suspending would let it be overwritten.
      BucketChange suspend;
      suspend.versioning = Versioning::suspended;
      Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", suspend);
      EXPECT_EQ(code_of(changed), "InvalidBucketState");

      rig.clock.wall_ms += 3 * kDay;
      change.retention.reset();
      change.legal_hold = true;
      longer = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(longer), "ok");
      refused = co_await remove(rig, {"k", version}, true);
      EXPECT_EQ(code_of(refused.result), "AccessDenied");
      change.legal_hold = false;
      longer = co_await rig.store->change_attributes(change);
      refused = co_await remove(rig, {"k", version});
      EXPECT_EQ(code_of(refused.result), "ok");
    }
  };
  with_store(&Body::go);
}

TEST(ObjectLock, OfGovernanceYieldsToTheBypassOnly) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, std::nullopt, true);
      std::string version = co_await put(rig, "k", "x");
      AttributeChange change{"bucket", "k", {}, {}, {}, {}, false, {}};
      change.retention = Retention{Retention::Mode::governance, rig.clock.wall_ms + kDay};
      Result<ObjectInfo> done = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(done), "ok");
      DeleteOutcome refused = co_await remove(rig, {"k", version});
      EXPECT_EQ(code_of(refused.result), "AccessDenied");
      change.retention = Retention{};
      done = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(done), "AccessDenied");
      DeleteOutcome removed = co_await remove(rig, {"k", version}, true);
      EXPECT_EQ(code_of(removed.result), "ok");
    }
  };
  with_store(&Body::go);
}

TEST(ObjectLock, IsRefusedWithoutABucketThatHasIt) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, std::nullopt);
      StringBody body("x");
      PutRequest request;
      request.bucket = "bucket";
      request.key = "k";
      request.attributes.legal_hold = true;
      Result<ObjectInfo> made = co_await rig.store->put(request, body);
      EXPECT_EQ(code_of(made), "InvalidRequest");
      BucketChange lock;
      lock.enable_object_lock = true;
      Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", lock);
      EXPECT_EQ(code_of(changed), "InvalidBucketState");
      lock.versioning = Versioning::enabled;
      changed = co_await rig.store->configure_bucket("bucket", lock);
      EXPECT_EQ(code_of(changed), "ok");
      StringBody again("x");
      made = co_await rig.store->put(request, again);
      EXPECT_EQ(code_of(made), "ok");
      EXPECT_TRUE(made && made->attributes.legal_hold);
    }
  };
  with_store(&Body::go);
}

TEST(Attributes, ChangeWithoutANewVersion) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, Versioning::enabled);
      std::string first = co_await put(rig, "k", "1");
      std::string second = co_await put(rig, "k", "22");
      AttributeChange change{"bucket", "k", first, std::map<std::string, std::string>{{"a", "b"}},
                             "acl",    {},  false, {}};
      Result<ObjectInfo> done = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(done), "ok");
      HeadRequest request{"bucket", "k", first, {}, {}, {}};
      Result<ObjectInfo> head = co_await rig.store->head(request);
      CO_ASSERT_TRUE(head);
      EXPECT_EQ(head->attributes.tags.at("a"), "b");
      EXPECT_EQ(head->attributes.acl, "acl");
      EXPECT_EQ(head->version, first);
      std::string bytes = co_await read(rig, "k", first);
      EXPECT_EQ(bytes, "1");
      request.version.reset();
      head = co_await rig.store->head(request);
      EXPECT_TRUE(head && head->attributes.tags.empty());
      change.version = "null";
      done = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(done), "NoSuchVersion");
      DeleteOutcome marker = co_await remove(rig, {"k", {}});
      change.version = marker.marker_version;
      done = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(done), "MethodNotAllowed");
      change.version.reset();
      done = co_await rig.store->change_attributes(change);
      EXPECT_EQ(code_of(done), "NoSuchKey");
    }
  };
  with_store(&Body::go);
}

TEST(Quotas, AreExactAndLeaveRoomForDeletes) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, Versioning::enabled);
      BucketChange change;
      change.quota = Quota{100, 3};
      Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", change);
      EXPECT_EQ(code_of(changed), "ok");
      std::string first = co_await put(rig, "k", std::string(60, 'x'));
      Result<ObjectInfo> refused = co_await rig.put("bucket", "k", std::string(41, 'x'));
      EXPECT_EQ(code_of(refused), "QuotaExceeded");
      co_await put(rig, "k", std::string(40, 'x'));
      co_await put(rig, "empty", "");
      refused = co_await rig.put("bucket", "more", "");
      EXPECT_EQ(code_of(refused), "QuotaExceeded");
      DeleteOutcome marker = co_await remove(rig, {"k", {}});
      EXPECT_EQ(code_of(marker.result), "ok");
      Result<Usage> usage = co_await rig.store->bucket_usage("bucket");
      CO_ASSERT_TRUE(usage);
      EXPECT_EQ(usage->bytes, 100u);
      EXPECT_EQ(usage->versions, 4u);
      co_await remove(rig, {"k", first});
      co_await remove(rig, {"k", marker.marker_version});
      refused = co_await rig.put("bucket", "more", std::string(60, 'x'));
      EXPECT_EQ(code_of(refused), "ok");

      Result<void> limited = co_await rig.store->set_account_quota(kAlice, Quota{120, 0});
      EXPECT_EQ(code_of(limited), "ok");
      Result<void> made = co_await rig.store->create_bucket("another", kAlice);
      EXPECT_EQ(code_of(made), "ok");
      refused = co_await rig.put("another", "k", std::string(21, 'x'));
      EXPECT_EQ(code_of(refused), "QuotaExceeded");
      refused = co_await rig.put("another", "k", std::string(20, 'x'));
      EXPECT_EQ(code_of(refused), "ok");
      Result<std::pair<Usage, Quota>> account = co_await rig.store->account_usage(kAlice);
      CO_ASSERT_TRUE(account);
      EXPECT_EQ(account->first.bytes, 120u);
      EXPECT_EQ(account->second.bytes, 120u);
    }
  };
  with_store(&Body::go);
}

TEST(BucketConfigs, ComeBackAndKeepTheirPointer) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, std::nullopt);
      BucketChange change;
      change.configs = {{"cors", "<cors/>"}, {"policy", "{}"}};
      Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", change);
      CO_ASSERT_TRUE(changed);
      CO_ASSERT_TRUE(changed->configs);
      EXPECT_EQ(changed->configs->at("cors"), "<cors/>");
      BucketChange versioning;
      versioning.versioning = Versioning::enabled;
      Result<BucketInfo> again = co_await rig.store->configure_bucket("bucket", versioning);
      EXPECT_TRUE(again && again->configs == changed->configs);
      bool good = co_await rig.restart(true);
      EXPECT_TRUE(good);
      Result<BucketInfo> head = co_await rig.store->head_bucket("bucket");
      CO_ASSERT_TRUE(head);
      CO_ASSERT_TRUE(head->configs);
      EXPECT_EQ(*head->configs, *changed->configs);
      EXPECT_EQ(head->versioning, Versioning::enabled);
      change.configs = {{"cors", std::nullopt}};
      changed = co_await rig.store->configure_bucket("bucket", change);
      EXPECT_TRUE(changed && changed->configs && changed->configs->size() == 1);
      change.configs = {{"other", "x"}};
      changed = co_await rig.store->configure_bucket("bucket", change);
      EXPECT_EQ(code_of(changed), "InvalidRequest");
      change.configs = {{"policy", std::string(kBucketConfigBytesMax + 1, 'x')}};
      changed = co_await rig.store->configure_bucket("bucket", change);
      EXPECT_EQ(code_of(changed), "EntityTooLarge");
      Result<void> gone = co_await rig.store->delete_bucket("bucket");
      EXPECT_EQ(code_of(gone), "ok");
      EXPECT_EQ(rig.count("c/"), 0u);
      EXPECT_EQ(rig.count("y/b/"), 0u);
    }
  };
  with_store(&Body::go);
}

TEST(Remove, OfJudgedVersionsTakesNoOther) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, Versioning::enabled);
      std::string first = co_await put(rig, "k", "1");
      HeadRequest what{"bucket", "k", {}, {}, {}, {}};
      Result<ObjectInfo> judged = co_await rig.store->head(what);
      CO_ASSERT_TRUE(judged);
      std::string second = co_await put(rig, "k", "22");
      DeleteItem expire{"k", {}};
      expire.if_is = DeleteItem::Judged{judged->version, judged->modified_ms};
      DeleteOutcome done = co_await remove(rig, expire);
      EXPECT_EQ(code_of(done.result), "PreconditionFailed");
      DeleteItem past{"k", first};
      past.only = DeleteItem::Only::noncurrent;
      DeleteItem latest{"k", second};
      latest.only = DeleteItem::Only::noncurrent;
      done = co_await remove(rig, latest);
      EXPECT_EQ(code_of(done.result), "PreconditionFailed");
      DeleteOutcome marker = co_await remove(rig, {"k", {}});
      DeleteItem lone{"k", marker.marker_version};
      lone.only = DeleteItem::Only::lone_marker;
      done = co_await remove(rig, lone);
      EXPECT_EQ(code_of(done.result), "PreconditionFailed");
      for (const DeleteItem& item : {past, latest, lone}) {
        done = co_await remove(rig, item);
        EXPECT_EQ(code_of(done.result), "ok");
      }
      std::string listed = co_await all(rig);
      EXPECT_EQ(listed, "");
    }
  };
  with_store(&Body::go);
}

TEST(Remove, OfManyVersionsOfOneKeyIsOneCommit) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, Versioning::enabled);
      RemoveRequest request{"bucket", {}, false, {}};
      for (int i = 0; i < 20; ++i) {
        std::string version = co_await put(rig, "k", "x");
        request.items.push_back({"k", version});
      }
      uint64_t before = rig.journal.committer->applied().seq;
      Result<std::vector<DeleteOutcome>> done = co_await rig.store->remove(std::move(request));
      CO_ASSERT_TRUE(done);
      EXPECT_EQ(rig.journal.committer->applied().seq, before + 1);
      EXPECT_EQ(rig.count("o/"), 0u);
      EXPECT_EQ(rig.count("v/"), 0u);
      Result<Usage> usage = co_await rig.store->bucket_usage("bucket");
      EXPECT_TRUE(usage && usage->versions == 0 && usage->bytes == 0);
    }
  };
  with_store(&Body::go);
}

}  // namespace
}  // namespace archipel::store
