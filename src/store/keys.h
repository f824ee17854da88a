// Keys of the view: how buckets, objects and the store's bookkeeping lie in the ordered key-value view (docs/formats/view.md).
//
//   a/<access key>                               account
//   b/<bucket>                                   bucket
//   c/<bucket> NUL <name>                        a document that configures the bucket
//   e/<kind u8><epoch u64><counter u64>          an extent or section with live bytes (registry.h)
//   f/<kind u8><epoch u64><counter u64>          an extent with shards that are missing or were repaired (repair_records.h)
//   g/…                                          how far collection is (collector.h)
//   i/<account> NUL <user>, i/<account> NUL role/<role>   users and roles (identity_records.h)
//   k/<tenant>/<generation u32>                  which KEK slot a tenant's generation took
//   n/<bucket> NUL <object key> NUL              where the null version is, if it is under v/
//   o/<bucket> NUL <object key> NUL              the current version of an object
//   r/<data id>                                  references to a stream beyond the first
//   s/<shard u8>                                 how far the rebuilding of a wiped island is (repair_records.h)
//   u/<owner> NUL <bucket>                       the buckets of an owner
//   v/<bucket> NUL <object key> NUL <~order u64> a version that is not current, or a delete marker: newest first
//   x/<kind u8><epoch u64><counter u64>          an extent or section without live bytes, to be deleted (registry.h)
//   y/b/<bucket>  y/a/<owner>                    how much a bucket or an account keeps
//   y/e/<placing>                                live extents that lie so (tallies.h)
//
// Bucket names, object keys and owners hold no NUL (rules.h), so NUL ends them and raw byte order of object keys is the order of
// the view: LIST is a range scan. If a key has nothing under o/ and something under v/, the newest there is a delete marker. Other prefixes belong to the journal. Pure functions; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crypto/stream.h"

namespace archipel::store {

inline constexpr std::string_view kAccountPrefix = "a/";
inline constexpr std::string_view kBucketPrefix = "b/";
inline constexpr std::string_view kConfigPrefix = "c/";
inline constexpr std::string_view kLivePrefix = "e/";
inline constexpr std::string_view kExceptionPrefix = "f/";
inline constexpr std::string_view kCollectPrefix = "g/";
inline constexpr std::string_view kIdentityPrefix = "i/";
inline constexpr std::string_view kKekPrefix = "k/";
inline constexpr std::string_view kNullPrefix = "n/";
inline constexpr std::string_view kObjectPrefix = "o/";
inline constexpr std::string_view kReferencePrefix = "r/";
inline constexpr std::string_view kRebuildPrefix = "s/";
inline constexpr std::string_view kOwnerPrefix = "u/";
inline constexpr std::string_view kVersionPrefix = "v/";
inline constexpr std::string_view kDoomedPrefix = "x/";
inline constexpr std::string_view kUsagePrefix = "y/";

std::string account_key(std::string_view access_key);
std::string bucket_key(std::string_view bucket);
std::string kek_key(std::string_view tenant, uint32_t generation);
std::string owner_key(std::string_view owner, std::string_view bucket);
std::string owner_prefix(std::string_view owner);
std::string reference_key(const crypto::DataId& data_id);

// Where the objects of a bucket begin; an object key appended to it gives the place of that key and everything that starts with it.
std::string objects_prefix(std::string_view bucket);
std::string object_key(std::string_view bucket, std::string_view key);
// The object key inside a view key that starts with objects_prefix(bucket) of `prefix_bytes`; nothing if it does not end as it must.
std::optional<std::string_view> object_key_of(std::string_view view_key, size_t prefix_bytes);
// The first place after `key` and all its versions.
std::string after_object(std::string_view bucket, std::string_view key);

// The same for what is not current: versions_of() is where those of one key begin, and every one of them starts with it.
std::string versions_prefix(std::string_view bucket);
std::string versions_of(std::string_view bucket, std::string_view key);
std::string version_key(std::string_view bucket, std::string_view key, uint64_t order);
struct VersionPlace {
  std::string_view key;
  uint64_t order = 0;
};
// What a view key names that starts with versions_prefix(bucket) of `prefix_bytes`; nothing if it is no such key.
std::optional<VersionPlace> version_place_of(std::string_view view_key, size_t prefix_bytes);
// Its value is the order of the null version as a u64.
std::string null_key(std::string_view bucket, std::string_view key);

std::string configs_prefix(std::string_view bucket);
std::string config_key(std::string_view bucket, std::string_view name);
std::string bucket_usage_key(std::string_view bucket);
std::string owner_usage_key(std::string_view owner);

// The smallest string greater than every string that starts with `prefix`; empty (no end) if there is none.
std::string after_prefix(std::string prefix);

}  // namespace archipel::store
