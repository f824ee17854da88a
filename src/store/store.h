// Store: buckets, versions, accounts. What a door calls; it knows no HTTP and no XML.
//
// Every method may be called from any loop and resumes there. A success of a mutating method is durable (P4); reads see every mutation
// acknowledged before they began. Names are raw bytes: bucket names are checked by the S3 rules, keys are 1..1024 bytes of UTF-8 without NUL.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "crypto/keyring.h"
#include "extent/extent.h"
#include "index/committer.h"
#include "io/task.h"
#include "io/workers.h"

namespace archipel::store {

class RepairLedger;
class Pins;  // pins.h

inline constexpr uint64_t kObjectBytesMax = 5ull << 30;  // of one PUT (S3 limit)
inline constexpr size_t kSmallBytesMax = 128u << 10;     // bodies up to this travel inside the commit blob
inline constexpr size_t kUserMetadataBytesMax = 2048;    // names and values together (S3 limit)

struct Account {
  std::string id;  // canonical id: 64 hex
  std::string display_name;
  std::string access_key;
  std::string secret_key;
};

struct BucketInfo {
  std::string name;
  std::string owner;  // account id
  UnixMs created_ms = 0;
};

// A full-object checksum as S3 names it. Value: raw bytes, big-endian.
struct Checksum {
  enum class Kind : uint8_t {
    none = 0,
    crc32 = 1,
    crc32c = 2,
    crc64nvme = 3,
    sha1 = 4,
    sha256 = 5
  } kind = Kind::none;
  std::string value;
};

struct ObjectInfo {
  uint64_t size = 0;
  std::string etag;  // without quotes: 32 hex of MD5
  UnixMs modified_ms = 0;
  std::map<std::string, std::string>
      headers;  // system headers kept and returned: content-type, cache-control, content-disposition, content-encoding, content-language, expires (lower-case names)
  std::map<std::string, std::string> metadata;  // x-amz-meta-* without the prefix, lower-case names
  Checksum checksum;
};

// HTTP preconditions (RFC 9110 §13 with the precedence of S3). ETags without quotes; "*" in if_match/if_none_match = any.
struct Conditions {
  std::vector<std::string> if_match, if_none_match;
  std::optional<UnixMs> if_modified_since_ms, if_unmodified_since_ms;
  bool empty() const {
    return if_match.empty() && if_none_match.empty() && !if_modified_since_ms && !if_unmodified_since_ms;
  }
};

// Where a PUT's bytes come from. read() returns 0 at the end, and only after every check on the body (signature, checksums, length) has
// passed; any error refuses the whole PUT and nothing is stored.
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual io::Task<Result<size_t>> read(MutableBytes out) = 0;
  // Known after the end: what the body's own trailer or header said and was verified. May be none: the store then computes nothing.
  virtual Checksum checksum() const { return {}; }
  // If the source has computed the MD5 of the body anyway: 16 raw bytes, after the end. Else the store computes it.
  virtual std::optional<std::string> md5() const { return std::nullopt; }
  // Said before the first read: md5() will have a value after the end, so that the store need not compute one beside it.
  virtual bool brings_md5() const { return false; }
};

struct PutRequest {
  std::string bucket, key;
  std::map<std::string, std::string> headers, metadata;
  Conditions conditions;           // If-Match / If-None-Match of PutObject
  std::optional<uint64_t> length;  // if known
};

// A GET under way: info is final, read() yields the range in order, each byte verified before it is handed out.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  virtual const ObjectInfo& info() const = 0;
  // The next piece, at most one extent's worth and usually 1 MiB; empty at the end. An error means the body must be aborted.
  virtual io::Task<Result<Buffer>> read() = 0;
};

struct ListRequest {
  std::string bucket, prefix, delimiter,
      start_after;  // start_after: exclusive; may be a common prefix to resume after
  size_t max_keys = 1000;
};
struct ListEntry {
  std::string key;
  ObjectInfo info;  // without headers and metadata, which no listing shows
};
struct ListResult {
  std::vector<ListEntry> entries;
  std::vector<std::string> common_prefixes;
  bool truncated = false;
  std::string next;  // what to pass as start_after: the last key or common prefix returned
};

struct CopyRequest {
  std::string source_bucket, source_key, bucket, key;
  Conditions source_conditions, conditions;
  bool replace_metadata = false;                         // x-amz-metadata-directive: REPLACE
  std::map<std::string, std::string> headers, metadata;  // used with replace_metadata
};

struct DeleteOutcome {
  std::string key;
  Result<void> result;
};

// Error details (Error::detail) are S3 error codes: NoSuchBucket, NoSuchKey, BucketAlreadyOwnedByYou, BucketAlreadyExists, BucketNotEmpty,
// InvalidBucketName, KeyTooLongError, PreconditionFailed, NotModified, EntityTooLarge, MetadataTooLarge, SlowDown, ServiceUnavailable,
// InternalError, InvalidRange, InvalidRequest, AccessDenied, TooManyBuckets.
class Store {
 public:
  virtual ~Store() = default;

  // Waits for reads that their callers have given up; for shutdown, after the doors have stopped and before the loops do.
  virtual io::Task<void> drain() { co_return; }

  // Reads again from the view what is kept in memory: after a recovery has changed the view behind the store. Any loop.
  virtual io::Task<Result<void>> refresh() { co_return Result<void>{}; }

  // Accounts. find_account: by access key, from memory; nullptr if unknown. The pointer stays valid while held.
  virtual std::shared_ptr<const Account> find_account(const std::string& access_key) const = 0;
  // An account has one access key: another one replaces it, and what was signed with the old key is refused from then on.
  virtual io::Task<Result<void>> put_account(Account account) = 0;
  virtual io::Task<Result<std::vector<Account>>> list_accounts() = 0;

  virtual io::Task<Result<void>> create_bucket(std::string name, std::string owner) = 0;
  virtual io::Task<Result<BucketInfo>> head_bucket(std::string name) = 0;
  virtual io::Task<Result<void>> delete_bucket(std::string name) = 0;
  virtual io::Task<Result<std::vector<BucketInfo>>> list_buckets(std::string owner) = 0;

  virtual io::Task<Result<ObjectInfo>> put(PutRequest request, BodySource& body) = 0;
  // `range`: [first, last] inclusive, resolved by the caller after head(), or the whole when absent. Conditions are checked first.
  struct Range {
    // S3 single ranges: first-last, first-, -suffix.
    std::optional<uint64_t> first, last;  // suffix: only `last` set
  };
  struct Opened {
    std::unique_ptr<ObjectReader> reader;
    uint64_t first = 0, length = 0;  // what the reader yields
  };
  virtual io::Task<Result<Opened>> get(std::string bucket, std::string key, std::optional<Range> range,
                                       Conditions conditions) = 0;
  virtual io::Task<Result<ObjectInfo>> head(std::string bucket, std::string key, Conditions conditions) = 0;
  // Absent already = success. In one commit for DeleteObjects (at most 1,000 keys).
  virtual io::Task<Result<std::vector<DeleteOutcome>>> remove(std::string bucket,
                                                              std::vector<std::string> keys) = 0;
  virtual io::Task<Result<ObjectInfo>> copy(CopyRequest request) = 0;
  virtual io::Task<Result<ListResult>> list(ListRequest request) = 0;
};

struct StoreOptions {
  uint64_t memory_budget_bytes = 512u
                                 << 20;  // bodies in flight, all requests together; first come, first served
  uint64_t extent_plain_bytes = 8u << 20;          // rounded down to whole stripes of segments
  std::shared_ptr<RepairLedger> ledger = nullptr;  // told of shards that were not confirmed; may be null
  std::shared_ptr<Pins> pins = nullptr;  // shared with the collector of the same view; null: nobody collects
};

// The references must outlive the store. Loads accounts from the view.
io::Task<Result<std::unique_ptr<Store>>> open_store(StoreOptions options, const crypto::Keyring& keys,
                                                    index::Kv& kv, index::Committer& committer,
                                                    extent::Fanout& fanout, extent::ExtentReader& reader,
                                                    std::shared_ptr<const extent::Placement> placement,
                                                    erasure::Code code, extent::AckRule ack,
                                                    io::Workers& workers, Random& random, Clock& clock);

}  // namespace archipel::store
