// Versions, delete markers, attributes, removals: what a door relies on, case by case.
#include "store/versions_fixture.h"

namespace archipel::store {
namespace {

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
