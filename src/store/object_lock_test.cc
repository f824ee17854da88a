// Object Lock: what it keeps, and from whom.
#include "store/versions_fixture.h"

namespace archipel::store {
namespace {

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

}  // namespace
}  // namespace archipel::store
