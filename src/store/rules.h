// Rules: what S3 says about names, sizes, preconditions and ranges, as pure functions. Every refusal carries its S3 code in
// Error::detail. Messages never hold object names. Thread-safe.
#pragma once

#include "store/store.h"

namespace archipel::store {

inline constexpr size_t kKeyBytesMax = 1024;               // S3 limit
inline constexpr size_t kSystemHeaderBytesMax = 8u << 10;  // names and values of ObjectInfo::headers together
inline constexpr size_t kTagsMax = 50;                     // of one version; the door allows fewer
inline constexpr size_t kTagBytesMax = 16u << 10;          // all names and values
inline constexpr size_t kObjectAclBytesMax = 64u << 10;    // in the door's encoding
inline constexpr size_t kDeleteKeysMax = 1000;             // of one DeleteObjects (S3 limit)
inline constexpr size_t kListKeysMax = 1000;               // of one answer (S3 limit)
inline constexpr size_t kBucketsPerOwnerMax = 1000;
inline constexpr size_t kOwnerBytesMax = 128;

std::unexpected<Error> no_such_bucket();
std::unexpected<Error> no_such_key();
std::unexpected<Error> no_such_version();

// An Error that reached the store from below or from a body gets an S3 code if it has none yet.
Error with_s3_code(Error error);

// "Bucket naming rules", Amazon S3 user guide: InvalidBucketName.
Result<void> check_bucket_name(std::string_view name);
// 1..1024 bytes of UTF-8 without NUL: KeyTooLongError, InvalidRequest.
Result<void> check_object_key(std::string_view key);
// MetadataTooLarge.
Result<void> check_metadata(const std::map<std::string, std::string>& headers,
                            const std::map<std::string, std::string>& metadata);

// Conditions of a GET or HEAD on an object that exists; If-Match beats If-Unmodified-Since, If-None-Match beats If-Modified-Since
// (RFC 9110 §13.2.2). Times compare by the second, as HTTP writes them. PreconditionFailed, or NotModified.
Result<void> check_read_conditions(const Conditions& conditions, const ObjectInfo& info);
// The same for the source of a copy: what would be NotModified is PreconditionFailed there.
Result<void> check_copy_conditions(const Conditions& conditions, const ObjectInfo& info);
// Conditions of a write over `current` (nullptr: no object). If-Match on a missing object is NoSuchKey.
Result<void> check_write_conditions(const Conditions& conditions, const ObjectInfo* current);

// Sizes of what a version carries besides headers and metadata: InvalidRequest. What its parts mean is the door's business.
Result<void> check_attributes(const Attributes& attributes);

// Object Lock. AccessDenied: retention or a legal hold keeps the version. `bypass_governance`: the caller may remove what governance keeps.
Result<void> check_unlocked(const Attributes& attributes, UnixMs now_ms, bool bypass_governance);
// AccessDenied: a retention that still runs may only be lengthened, and governance made compliance only with the bypass.
Result<void> check_retention_change(const Retention& before, const Retention& after, UnixMs now_ms,
                                    bool bypass_governance);
// InvalidRequest: the bucket has no object lock.
Result<void> check_lockable(const Attributes& attributes, bool bucket_has_lock);

struct ByteRange {
  uint64_t first = 0, length = 0;
};
// What of `size` bytes a range asks for; absent: everything. InvalidRange when nothing is left of it.
Result<ByteRange> resolve_range(const std::optional<Store::Range>& range, uint64_t size);

}  // namespace archipel::store
