// Tallies: what lies where is counted, through everything that can happen to a stream.
#include "store/tallies.h"

#include <rapidcheck.h>

#include "store/collector_fixture.h"

namespace archipel::store {
namespace {

using In = PlacedAs::In;

constexpr size_t kSmall = 5'000, kLarge = 300'000;

PlacedAs six(In in) {
  return {in, 6, 3, {0, 1, 2, 3, 4, 5}};
}

Tallies kept(const StoreRig& rig, const std::string& bucket) {
  auto snapshot = rig.journal.kv->snapshot();
  Result<std::optional<UsageRecord>> usage = read_usage(SnapshotView(*snapshot), bucket_usage_key(bucket));
  EXPECT_TRUE(usage && *usage && (*usage)->tallies);
  return usage && *usage ? (*usage)->tallies.value_or(Tallies()) : Tallies();
}

io::Task<std::string> begin(StoreRig* rig, std::string key) {
  CreateUpload request;
  request.bucket = "bucket";
  request.key = std::move(key);
  Result<UploadInfo> made = co_await rig->store->create_upload(std::move(request));
  co_return made ? made->id : std::string();
}
io::Task<CompleteUpload::Part> part(StoreRig* rig, std::string key, std::string id, uint32_t number,
                                    size_t size) {
  std::string bytes = pattern(size, number);
  StringBody body(bytes);
  PartRequest request{"bucket", std::move(key), std::move(id), number, size, {}};
  Result<PartInfo> done = co_await rig->store->put_part(std::move(request), body);
  EXPECT_EQ(code_of(done), "ok");
  co_return CompleteUpload::Part{number, done ? done->etag : "", {}};
}

TEST(Tallies, TellCommitsFromExtents) {
  with_store([](StoreRig& rig) -> io::Task<void> {
    CO_ASSERT_TRUE(co_await rig.store->create_bucket("bucket", kAlice));
    CO_ASSERT_TRUE(co_await rig.store->create_bucket("other", kAlice));
    CO_ASSERT_TRUE(co_await rig.put("bucket", "small", pattern(kSmall, 1)));
    CO_ASSERT_TRUE(co_await rig.put("bucket", "large", pattern(kLarge, 2)));
    CO_ASSERT_TRUE(co_await rig.put("bucket", "empty", ""));
    CopyRequest copy;
    copy.source_bucket = "bucket";
    copy.source_key = "large";
    copy.bucket = "other";
    copy.key = "copy";
    CO_ASSERT_TRUE(co_await rig.store->copy(copy));
    EXPECT_EQ(kept(rig, "bucket"),
              (Tallies{{six(In::commits), {1, kSmall}}, {six(In::extents), {1, kLarge}}}));
    EXPECT_EQ(kept(rig, "other"), (Tallies{{six(In::extents), {1, kLarge}}}));
    rig.expect_true_registry();
    // The copy keeps the extent, and the bucket does not any more.
    CO_ASSERT_TRUE(co_await rig.store->remove("bucket", {"small", "large", "empty"}));
    EXPECT_TRUE(kept(rig, "bucket").empty());
    Result<ExtentTallies> extents = read_extent_tallies(*rig.journal.kv->snapshot());
    CO_ASSERT_TRUE(extents);
    CO_ASSERT_TRUE(extents->size() == 1);
    EXPECT_EQ(extents->begin()->first, six(In::extents));
    EXPECT_EQ(extents->begin()->second.extents, 1u);
    rig.expect_true_registry();
  });
}

TEST(Tallies, StoredBytesAreWhatTheIslandsHold) {
  with_store([](StoreRig& rig) -> io::Task<void> {
    CO_ASSERT_TRUE(co_await rig.store->create_bucket("bucket", kAlice));
    auto held = [&] {
      uint64_t sum = 0;
      for (const auto& island : rig.islands)
        for (const auto& [name, bytes] : island->blobs()) sum += bytes.size();
      return sum;
    };
    const uint64_t before = held();
    CO_ASSERT_TRUE(co_await rig.put("bucket", "large", pattern(kLarge, 2)));
    const uint64_t with_commit = held() - before;
    CO_ASSERT_TRUE(co_await rig.put("bucket", "empty", ""));
    const uint64_t a_commit = held() - before - with_commit;
    Result<ExtentTallies> extents = read_extent_tallies(*rig.journal.kv->snapshot());
    CO_ASSERT_TRUE(extents);
    const uint64_t stored = extents->at(six(In::extents)).stored_bytes;
    EXPECT_GT(stored, 2 * kLarge);
    EXPECT_LT(stored, with_commit);
    EXPECT_NEAR(static_cast<double>(stored), static_cast<double>(with_commit - a_commit), 6 * 1000.0);
  });
}

TEST(Tallies, FollowPartsThroughTheirUploads) {
  with_store([](StoreRig& rig) -> io::Task<void> {
    CO_ASSERT_TRUE(co_await rig.store->create_bucket("bucket", kAlice));
    const std::string id = co_await begin(&rig, "k");
    co_await part(&rig, "k", id, 1, kLarge);
    CompleteUpload::Part first = co_await part(&rig, "k", id, 1, kPartBytesMin);  // instead of the one before
    co_await part(&rig, "k", id, 2, kLarge);                                      // left out
    CompleteUpload::Part last = co_await part(&rig, "k", id, 3, kSmall);
    rig.expect_true_registry();
    CompleteUpload request{"bucket", "k", id, {first, last}, {}, {}, {}, {}};
    Result<ObjectInfo> done = co_await rig.store->complete_upload(request);
    EXPECT_EQ(code_of(done), "ok");
    EXPECT_EQ(kept(rig, "bucket"),
              (Tallies{{six(In::commits), {1, kSmall}}, {six(In::extents), {1, kPartBytesMin}}}));
    rig.expect_true_registry();
    const std::string aborted = co_await begin(&rig, "k");
    co_await part(&rig, "k", aborted, 7, kSmall);
    rig.expect_true_registry();
    CO_ASSERT_TRUE(co_await rig.store->abort_upload("bucket", "k", aborted));
    rig.expect_true_registry();
    CO_ASSERT_TRUE(co_await rig.store->remove("bucket", {"k"}));
    EXPECT_TRUE(kept(rig, "bucket").empty());
  });
}

TEST(Tallies, MoveWithWhatCompactionMoves) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      for (int i = 0; i < 40; ++i) CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), pattern(300, 1)));
      const std::string id = co_await begin(&rig, "parts");
      const std::string open = co_await begin(&rig, "open");
      CompleteUpload::Part one = co_await part(&rig, "parts", id, 1, 300);
      co_await part(&rig, "parts", id, 2, 300);  // left out, and dropped by no round yet
      co_await part(&rig, "open", open, 1, 300);
      CompleteUpload request{"bucket", "parts", id, {one}, {}, {}, {}, {}};
      Result<ObjectInfo> done = co_await rig.store->complete_upload(request);
      EXPECT_EQ(code_of(done), "ok");
      EXPECT_EQ(kept(rig, "bucket"), (Tallies{{six(In::commits), {42, 40 * 300 + 2 * 300}}}));
      rig.raise_limit();
      CO_ASSERT_TRUE(co_await rig.compact());
      const Tallies after = kept(rig, "bucket");
      CO_ASSERT_TRUE(after.contains(six(In::extents)));
      EXPECT_EQ(after.at(six(In::extents)).streams, 42u);
      rig.expect_true_registry();
    }
  };
  with_collector(&Body::go);
}

TEST(Tallies, RecordsSurviveTheirWayThroughBytes) {
  EXPECT_TRUE(rc::check("what is written is read", [] {
    Tallies tallies;
    const int count = *rc::gen::inRange(0, 4);
    for (int i = 0; i < count; ++i) {
      PlacedAs as{*rc::gen::element(In::commits, In::extents), 0, 0, {}};
      as.n = *rc::gen::inRange<uint8_t>(1, 17);
      as.k = *rc::gen::inRange<uint8_t>(1, static_cast<uint8_t>(as.n + 1));
      for (uint8_t shard = 0; shard < as.n; ++shard) as.islands[shard] = *rc::gen::inRange<uint8_t>(0, 16);
      tallies[as] = {*rc::gen::inRange<uint64_t>(1, 1000), *rc::gen::arbitrary<uint64_t>()};
    }
    const std::string bytes = encode(UsageRecord{{1, 2}, {}, tallies});
    Result<UsageRecord> read = decode_usage(bytes);
    RC_ASSERT(read.has_value());
    RC_ASSERT(read->tallies == std::optional(tallies));
    for (size_t size = 0; size < bytes.size(); ++size)
      RC_ASSERT(!decode_usage(std::string_view(bytes).substr(0, size)).has_value());
  }));
}

}  // namespace
}  // namespace archipel::store
