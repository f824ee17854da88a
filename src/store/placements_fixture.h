// A store with buckets of three placement classes. For tests of src/store only.
#pragma once

#include "store/collector_fixture.h"
#include "store/placements.h"

namespace archipel::store {

// Four islands of the six, in an order of their own; small bodies stay out of the journal.
inline const PlacementChoice kFew{"few", {4, 2}, {5, 0, 3, 2}, false};
// Five of them, and the journal's islands are good enough for small bodies.
inline const PlacementChoice kMost{"most", {5, 3}, {1, 2, 3, 4, 5}, true};
inline constexpr uint32_t kFewMask = 0b101101;

// What is live in extents of their own, as the registry says.
inline std::vector<extent::ExtentRef> live_refs(StoreRig& rig) {
  std::vector<extent::ExtentRef> refs;
  auto done = scan_live(*rig.journal.kv->snapshot(), {extent::ExtentRef::Kind::data, {}},
                        [&](const ExtentKey& key, const LiveRecord& record) {
                          if (key.kind == extent::ExtentRef::Kind::data) refs.push_back(record.ref);
                          return true;
                        });
  EXPECT_TRUE(done.has_value());
  return refs;
}

// Islands on which a shard of this extent lies, under whatever shard number.
inline uint32_t islands_with(StoreRig& rig, const extent::ExtentRef& ref) {
  uint32_t mask = 0;
  extent::ExtentRef anywhere = ref;
  anywhere.homes = {};
  anywhere.geometry.code = {6, 3};
  for (int i = 0; i < 6; ++i) {
    auto& island = *rig.islands[static_cast<size_t>(i)];
    if (island.blobs().contains(extent::shard_name(*rig.keys, island.id(), anywhere, i))) mask |= 1u << i;
  }
  return mask;
}

// Runs `scenario(rig)` on a fresh loop, with buckets `few`, `most` and, in the default class, `bucket`.
inline void with_classes(io::Task<void> (*scenario)(CollectorRig&)) {
  struct Runner {
    static io::Task<void> run(io::Task<void> (*body)(CollectorRig&)) {
      CollectorRig rig;
      rig.choices = {kFew, kMost};
      bool started = co_await rig.begin();
      if (started) {
        Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
        EXPECT_EQ(code_of(made), "ok");
        bool few = co_await rig.make_bucket("few", "few");
        bool most = co_await rig.make_bucket("most", "most");
        if (few && most) co_await body(rig);
      }
      for (auto& island : rig.islands) island->up();
      co_await rig.end();
    }
  };
  io::run_blocking([&] { return Runner::run(scenario); });
}

// The fixture runs free functions: each test is one.
#define PLACED_TEST(suite, name)          \
  io::Task<void> name(CollectorRig& rig); \
  TEST(suite, name) {                     \
    with_classes(name);                   \
  }                                       \
  io::Task<void> name(CollectorRig& rig)

inline const std::vector<size_t> kPlacedSizes = {0, 1, 70'000, 131'072, 131'073, 900'000};

// Of one bucket in the class of four: extents of one stripe, two segments each.
inline constexpr size_t kFewExtents = 1 + 1 + 1 + 2 + 7;

inline io::Task<void> fill(StoreRig& rig, std::string bucket) {
  for (size_t size : kPlacedSizes) {
    Result<ObjectInfo> put = co_await rig.put(bucket, "o" + std::to_string(size), pattern(size, size));
    EXPECT_EQ(code_of(put), "ok");
  }
}

inline io::Task<void> expect_filled(StoreRig& rig, std::string bucket) {
  for (size_t size : kPlacedSizes) {
    Result<std::string> got = co_await rig.get(bucket, "o" + std::to_string(size));
    EXPECT_EQ(code_of(got), "ok") << bucket << size;
    if (got) EXPECT_TRUE(*got == pattern(size, size)) << bucket << size;
  }
}

inline io::Task<Result<ObjectInfo>> put_parts(CollectorRig& rig, std::string bucket,
                                              std::vector<std::string> bodies) {
  CreateUpload begin;
  begin.bucket = bucket;
  begin.key = "parts";
  Result<UploadInfo> upload = co_await rig.store->create_upload(std::move(begin));
  if (!upload) co_return fail(upload.error());
  CompleteUpload complete;
  complete.bucket = bucket;
  complete.key = "parts";
  complete.upload = upload->id;
  for (std::string& bytes : bodies) {
    StringBody body(std::move(bytes));
    PartRequest request{bucket,       "parts", upload->id, static_cast<uint32_t>(complete.parts.size()) + 1,
                        std::nullopt, nullptr};
    Result<PartInfo> part = co_await rig.store->put_part(std::move(request), body);
    if (!part) co_return fail(part.error());
    complete.parts.push_back({part->number, part->etag, {}});
  }
  Result<ObjectInfo> done = co_await rig.store->complete_upload(std::move(complete));
  co_return done;
}

}  // namespace archipel::store
