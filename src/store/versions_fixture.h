// A bucket with versions, and the few words in which tests speak of it.
#pragma once

#include "store/store_fixture.h"
#include "store/versions.h"

namespace archipel::store {

inline constexpr UnixMs kDay = 86'400'000;

inline io::Task<void> make_bucket(StoreRig& rig, std::optional<Versioning> versioning, bool lock = false) {
  Result<void> made = co_await rig.store->create_bucket(CreateBucket{"bucket", kAlice, lock, {}});
  EXPECT_EQ(code_of(made), "ok");
  if (!versioning) co_return;
  BucketChange change;
  change.versioning = versioning;
  Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", std::move(change));
  EXPECT_EQ(code_of(changed), "ok");
}

inline io::Task<void> set_versioning(StoreRig& rig, Versioning versioning) {
  BucketChange change;
  change.versioning = versioning;
  Result<BucketInfo> changed = co_await rig.store->configure_bucket("bucket", std::move(change));
  EXPECT_EQ(code_of(changed), "ok");
}

inline io::Task<std::string> put(StoreRig& rig, std::string key, std::string bytes) {
  rig.clock.wall_ms += 1;
  Result<ObjectInfo> done = co_await rig.put("bucket", key, bytes);
  EXPECT_EQ(code_of(done), "ok");
  co_return done ? done->version : "";
}

// The bytes, or the S3 code.
inline io::Task<std::string> read(StoreRig& rig, std::string key, VersionName version = {}) {
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

inline io::Task<DeleteOutcome> remove(StoreRig& rig, DeleteItem item, bool bypass = false) {
  rig.clock.wall_ms += 1;
  RemoveRequest request{"bucket", {item}, bypass, {}};
  Result<std::vector<DeleteOutcome>> done = co_await rig.store->remove(std::move(request));
  EXPECT_EQ(code_of(done), "ok");
  if (!done || done->size() != 1) co_return DeleteOutcome{};
  co_return (*done)[0];
}

// Every version, as "key=size" or "key!" for a marker, '*' before the latest.
inline io::Task<std::string> all(StoreRig& rig, size_t page = 1000) {
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

// A commit of what an older release would have written.
inline io::Task<void> write(StoreRig& rig, std::vector<index::Mutation> mutations) {
  index::Intent intent;
  intent.build = [mutations](const index::View&, const std::vector<index::SmallLocation>&,
                             std::vector<index::Mutation>& out) -> Result<void> {
    out = mutations;
    return {};
  };
  Result<index::CommitPosition> done = co_await rig.journal.committer->commit(std::move(intent));
  EXPECT_TRUE(done.has_value());
}

}  // namespace archipel::store
