// What buckets and accounts may keep.
#include "store/versions_fixture.h"

namespace archipel::store {
namespace {

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

}  // namespace
}  // namespace archipel::store
