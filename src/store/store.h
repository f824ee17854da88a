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
#include "store/identity.h"

namespace archipel::store {

class RepairLedger;
class Pins;              // pins.h
class Placements;        // placements.h
struct BucketPlacement;  // placements.h
struct StoreInventory;   // inventory.h

inline constexpr uint64_t kObjectBytesMax = 5ull << 30;  // of one PUT (S3 limit)
inline constexpr size_t kSmallBytesMax = 128u << 10;     // bodies up to this travel inside the commit blob
inline constexpr size_t kUserMetadataBytesMax = 2048;    // names and values together (S3 limit)

enum class Versioning : uint8_t { never = 0, enabled = 1, suspended = 2 };

// At most so much may be kept; 0 = no limit. Parts of unfinished uploads and noncurrent versions count.
struct Quota {
  uint64_t bytes = 0, versions = 0;
};

struct Usage {
  uint64_t bytes = 0, versions = 0;  // a delete marker is a version of no bytes; so is a part, with its bytes
};

// The documents that configure a bucket, as the door wrote them: opaque to the store. Names: acl cors encryption lifecycle logging
// object-lock ownership policy public-access request-payment tagging website; and "placement", the store's own (placements.h), which place_bucket() alone changes.
using BucketConfigs = std::map<std::string, std::string>;
inline constexpr size_t kBucketConfigBytesMax = 256u << 10;  // of one document

struct BucketInfo {
  std::string name;
  std::string owner;  // account id
  UnixMs created_ms = 0;
  Versioning versioning = Versioning::never;
  bool object_lock =
      false;  // versions may carry retention and legal hold; for ever, and then versioning cannot be suspended
  Quota quota = {};
  std::shared_ptr<const BucketConfigs> configs =
      nullptr;  // null: none. Two infos with the same pointer have the same configuration
};

struct CreateBucket {
  std::string name, owner;
  bool object_lock = false;  // versioning is enabled with it
  BucketConfigs configs;
  std::string policy = {}, data_class = {};  // BucketPlacement; both empty: no document
};

// What changes of a bucket, in one commit. A config set to nullopt is removed.
struct BucketChange {
  std::map<std::string, std::optional<std::string>> configs;
  std::optional<Versioning> versioning;  // never `never`
  bool enable_object_lock = false;       // of a bucket whose versioning is enabled
  std::optional<Quota> quota;
};

// A checksum as S3 names it. Value: raw bytes, big-endian.
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
  // Of a multipart object: the checksum of its parts' checksums instead of its bytes'. Shown with "-N" behind it.
  bool composite = false;
};

struct Retention {
  enum class Mode : uint8_t { none = 0, governance = 1, compliance = 2 } mode = Mode::none;
  UnixMs until_ms = 0;
};

// What a version carries besides headers and metadata, and may change without a new version.
struct Attributes {
  std::map<std::string, std::string> tags;
  std::string acl;    // the door's encoding, opaque; empty: the owner's alone
  std::string owner;  // account id; empty: the bucket's owner
  Retention retention;
  bool legal_hold = false;
};

// How a client asked for its object to be encrypted. Every object is sealed whatever it asked; this says what is answered, and with SSE-C
// that the data key is wrapped with the customer's key too (protocol §3).
struct Encryption {
  enum class Kind : uint8_t { none = 0, sse_s3 = 1, sse_c = 2, sse_kms = 3 } kind = Kind::none;
  std::string name;  // SSE-C: base64 of the key's MD5, as clients send it. SSE-KMS: the key's name
};

// The 32 bytes a client gives with each SSE-C request. Never stored, never logged.
struct CustomerKey {
  crypto::Secret32 key;
  std::string md5;  // base64 of its MD5, verified by the door
};

struct ObjectInfo {
  uint64_t size = 0;
  std::string etag;  // without quotes: 32 hex of MD5; of a multipart object 32 hex, '-', number of parts
  UnixMs modified_ms = 0;
  std::map<std::string, std::string>
      headers;  // system headers kept and returned: content-type, cache-control, content-disposition, content-encoding, content-language, expires (lower-case names)
  std::map<std::string, std::string> metadata;  // x-amz-meta-* without the prefix, lower-case names
  Checksum checksum;
  std::string version = {};    // its id as clients see it: 32 hex, or "null"
  bool delete_marker = false;  // only in listings of versions and outcomes of deletes
  bool latest = true;
  Attributes attributes = {};  // listings: the owner only
  Encryption encryption = {};
  uint32_t parts = 0;  // 0: not a multipart object
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
  Conditions conditions;                          // If-Match / If-None-Match of PutObject
  std::optional<uint64_t> length = std::nullopt;  // if known
  Attributes attributes = {};
  Encryption encryption = {};
  std::shared_ptr<const CustomerKey> customer_key = nullptr;  // with Encryption::Kind::sse_c
};

// Which version of a key: absent = the current one.
using VersionName = std::optional<std::string>;

struct HeadRequest {
  std::string bucket, key;
  VersionName version;
  std::optional<uint32_t> part;  // partNumber: 1 of an object that is not multipart is the whole
  Conditions conditions;
  std::shared_ptr<const CustomerKey> customer_key;
  bool see_markers = false;  // head(): a delete marker is an answer, not an error
  bool attributes_only =
      false;  // head(): conditions do not count, and what a customer's key protects is described without it
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
  VersionName source_version = std::nullopt;
  bool replace_tags =
      false;  // x-amz-tagging-directive: REPLACE; attributes.tags then count, else the source's
  Attributes attributes = {};  // owner, acl, retention and hold of the copy; they are never copied
  Encryption encryption = {};
  std::shared_ptr<const CustomerKey> source_customer_key = nullptr, customer_key = nullptr;
  Checksum::Kind checksum = Checksum::Kind::none;  // none: the source's, if it has a full one
};

// Every S3 error of the parts is said with the upload's state unchanged, except where it says otherwise.
struct CreateUpload {
  std::string bucket, key;
  std::map<std::string, std::string> headers, metadata;
  Attributes attributes;
  Encryption encryption;
  std::shared_ptr<const CustomerKey> customer_key;
  Checksum::Kind checksum = Checksum::Kind::none;
  bool composite = false;
  std::string initiator;  // account id
};

struct UploadInfo {
  std::string key, id;  // id: 32 hex, rising with the time of its beginning
  UnixMs initiated_ms = 0;
  std::string initiator, owner;
  Checksum::Kind checksum = Checksum::Kind::none;
  bool composite = false;
  Encryption encryption;
};

inline constexpr uint32_t kPartNumberMax = 10'000;
inline constexpr uint64_t kPartBytesMin = 5u << 20;  // of every part but the last (EntityTooSmall)

struct PartRequest {
  std::string bucket, key, upload;
  uint32_t number = 0;  // 1..kPartNumberMax
  std::optional<uint64_t> length;
  std::shared_ptr<const CustomerKey> customer_key;
};

struct CopyPartRequest {
  PartRequest part;
  std::string source_bucket, source_key;
  VersionName source_version;
  Conditions source_conditions;
  std::optional<std::pair<uint64_t, uint64_t>>
      range;  // first and last byte, both inclusive and within the source (InvalidRange)
  std::shared_ptr<const CustomerKey> source_customer_key;
};

struct PartInfo {
  uint32_t number = 0;
  uint64_t size = 0;
  std::string etag;
  UnixMs modified_ms = 0;
  Checksum checksum;
};

struct CompleteUpload {
  struct Part {
    uint32_t number = 0;
    std::string etag;   // without quotes
    Checksum checksum;  // as the client lists it; none = it does not
  };
  std::string bucket, key, upload;
  std::vector<Part> parts;
  Conditions conditions;
  Checksum checksum;             // of the whole object, as the client says; none = it does not
  std::optional<uint64_t> size;  // x-amz-mp-object-size
  std::shared_ptr<const CustomerKey> customer_key;
};

struct ListUploadsRequest {
  std::string bucket, prefix, delimiter, key_marker, upload_marker;
  size_t max_uploads = 1000;
};
struct ListUploadsResult {
  std::vector<UploadInfo> uploads;  // by key, then by time
  std::vector<std::string> common_prefixes;
  bool truncated = false;
  std::string next_key, next_upload;
};
struct ListPartsResult {
  UploadInfo upload;
  std::vector<PartInfo> parts;
  bool truncated = false;
  uint32_t next = 0;  // pass as `after`
};
// Of a completed multipart object.
struct ObjectParts {
  uint32_t total = 0;
  std::vector<PartInfo> parts;  // the page: numbers > after
  bool truncated = false;
};

struct ListVersionsRequest {
  std::string bucket, prefix, delimiter, key_marker,
      version_marker;  // exclusive; version_marker needs key_marker
  size_t max_keys = 1000;
};
struct ListVersionsResult {
  std::vector<ListEntry> entries;  // versions and delete markers: by key, newest first
  std::vector<std::string> common_prefixes;
  bool truncated = false;
  std::string next_key, next_version;
};

struct DeleteItem {
  std::string key;
  VersionName version;
  // Conditional delete: judged on the version that would go, or on the current one if a marker would be placed.
  Conditions conditions = {};
  std::optional<uint64_t> if_size = std::nullopt;
  std::optional<UnixMs> if_modified_ms = std::nullopt;  // to the second
  // Exactly the version that somebody has judged before (lifecycle); not there any more: PreconditionFailed.
  struct Judged {
    std::string version;
    UnixMs modified_ms = 0;
  };
  std::optional<Judged> if_is = std::nullopt;
  // Only while it is not the latest; or only if it is a delete marker and the only version of its key.
  enum class Only : uint8_t { any, noncurrent, lone_marker } only = Only::any;
};

struct RemoveRequest {
  std::string bucket;
  std::vector<DeleteItem> items;   // at most 1,000
  bool bypass_governance = false;  // the caller may; compliance and legal hold stand whoever asks
  std::string owner;               // of delete markers; empty: the bucket's owner
};

struct DeleteOutcome {
  std::string key;
  Result<void> result;
  VersionName version = std::nullopt;  // as asked
  bool delete_marker = false;          // a marker was placed, or what was removed was one
  std::string marker_version = {};     // that marker's id
};

// Changes what a version carries; nullopt = stays. Errors: NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker), AccessDenied (retention that may
// only be lengthened), InvalidRequest (the bucket has no object lock).
struct AttributeChange {
  std::string bucket, key;
  VersionName version;
  std::optional<std::map<std::string, std::string>> tags;
  std::optional<std::string> acl;
  std::optional<Retention> retention;
  bool bypass_governance = false;
  std::optional<bool> legal_hold;
};

// Error details (Error::detail) are S3 error codes: NoSuchBucket, NoSuchKey, BucketAlreadyOwnedByYou, BucketAlreadyExists, BucketNotEmpty,
// InvalidBucketName, KeyTooLongError, PreconditionFailed, NotModified, EntityTooLarge, MetadataTooLarge, SlowDown, ServiceUnavailable,
// InternalError, InvalidRange, InvalidRequest, AccessDenied, TooManyBuckets, NoSuchVersion, NoSuchUpload, MethodNotAllowed,
// QuotaExceeded, InvalidArgument (a version's name that cannot be one), and those named at the methods.
// What a store that does not have an operation answers.
std::unexpected<Error> unoffered();

class Store {
 public:
  virtual ~Store() = default;

  // Waits for reads that their callers have given up; for shutdown, after the doors have stopped and before the loops do.
  virtual io::Task<void> drain() { co_return; }

  // Reads again from the view what is kept in memory: after a recovery has changed the view behind the store. Any loop.
  virtual io::Task<Result<void>> refresh() { co_return Result<void>{}; }

  // Identities (identity.h). find_*: from memory; nullptr if unknown. The pointer stays valid while held.
  // By access key, of a root or a user; not found if it is not active.
  virtual std::shared_ptr<const Account> find_account(const std::string& access_key) const = 0;
  // An account by its id, or by its e-mail address: its root.
  virtual std::shared_ptr<const Account> find_owner(const std::string&) const { return nullptr; }
  virtual std::shared_ptr<const Account> find_owner_by_email(const std::string&) const { return nullptr; }
  virtual std::shared_ptr<const Role> find_role(const std::string&, const std::string&) const {
    return nullptr;
  }
  // What a session token stands for: the temporary key with its secret. Errors: InvalidToken, ExpiredToken.
  virtual Result<std::shared_ptr<const Account>> open_session(std::string_view, std::string_view) const {
    return fail(Code::denied, "no sessions here", "InvalidToken");
  }
  // Errors: MalformedPolicy.
  virtual Result<SessionGrant> make_session(const SessionRequest&) { return unoffered(); }

  // Puts an access key. A root key (no user) replaces the account's old one, and what was signed with that is refused from then on; a user's is
  // added to its at most two. Errors: InvalidRequest; EntityAlreadyExists (the name, e-mail or number of another account); NoSuchEntity; LimitExceeded.
  virtual io::Task<Result<void>> put_account(Account account) = 0;
  // Root keys, by access key: the accounts.
  virtual io::Task<Result<std::vector<Account>>> list_accounts() = 0;
  // With its users, roles and keys. Errors: NoSuchEntity, DeleteConflict (it owns buckets).
  virtual io::Task<Result<void>> remove_account(std::string) { co_return unoffered(); }
  // A user's. Errors: NoSuchEntity, InvalidRequest (a root's).
  virtual io::Task<Result<void>> remove_key(std::string) { co_return unoffered(); }
  // Makes or replaces. Errors: NoSuchEntity (the account), MalformedPolicy, LimitExceeded, InvalidRequest.
  virtual io::Task<Result<void>> put_user(User) { co_return unoffered(); }
  virtual io::Task<Result<void>> put_role(Role) { co_return unoffered(); }
  // (account id, name). A user's keys go with it. Errors: NoSuchEntity.
  virtual io::Task<Result<void>> remove_user(std::string, std::string) { co_return unoffered(); }
  virtual io::Task<Result<void>> remove_role(std::string, std::string) { co_return unoffered(); }
  // Of an account, by name.
  virtual std::vector<User> list_users(const std::string&) const { return {}; }
  virtual std::vector<Role> list_roles(const std::string&) const { return {}; }
  // Every key of a user, active or not, by access key.
  virtual std::vector<Account> list_keys(const std::string&, const std::string&) const { return {}; }

  virtual io::Task<Result<void>> create_bucket(CreateBucket request) = 0;
  virtual io::Task<Result<BucketInfo>> head_bucket(std::string name) = 0;
  // Uploads under way do not keep a bucket; versions and delete markers do.
  virtual io::Task<Result<void>> delete_bucket(std::string name) = 0;
  virtual io::Task<Result<std::vector<BucketInfo>>> list_buckets(std::string owner) = 0;
  // Errors: InvalidBucketState (versioning of a bucket with object lock; object lock without versioning), EntityTooLarge (a document).
  virtual io::Task<Result<BucketInfo>> configure_bucket([[maybe_unused]] std::string name,
                                                        [[maybe_unused]] BucketChange change) {
    co_return unoffered();
  }
  // Where its bodies go from now on; nothing is moved. Errors: PlacementRefused (no such policy or data class is configured; it is named).
  virtual io::Task<Result<BucketInfo>> place_bucket(std::string, BucketPlacement);
  // What lies where, by bucket and placing: counts, never objects. Buckets of older releases are counted by a scan. Errors: those of the view.
  virtual io::Task<Result<StoreInventory>> inventory();
  // The classes that bodies are placed in, and others instead from now on (a reload). Any thread.
  virtual std::shared_ptr<const Placements> placements() const { return nullptr; }
  virtual void use_placements(std::shared_ptr<const Placements>) {}
  virtual io::Task<Result<Usage>> bucket_usage([[maybe_unused]] std::string name) { co_return unoffered(); }
  // What all buckets of an owner keep together, and may keep.
  virtual io::Task<Result<std::pair<Usage, Quota>>> account_usage([[maybe_unused]] std::string owner) {
    co_return unoffered();
  }
  virtual io::Task<Result<void>> set_account_quota([[maybe_unused]] std::string owner,
                                                   [[maybe_unused]] Quota quota) {
    co_return unoffered();
  }

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
  struct GetRequest {
    HeadRequest what;  // a part and a range exclude each other
    std::optional<Range> range;
  };
  // A delete marker is NoSuchKey, or MethodNotAllowed if it was named.
  virtual io::Task<Result<Opened>> get(GetRequest request) = 0;
  virtual io::Task<Result<ObjectInfo>> head(HeadRequest request) = 0;
  // Absent already = success. In one commit where it fits (at most 1,000 items).
  virtual io::Task<Result<std::vector<DeleteOutcome>>> remove(RemoveRequest request) = 0;
  virtual io::Task<Result<ObjectInfo>> copy(CopyRequest request) = 0;
  virtual io::Task<Result<ListResult>> list(ListRequest request) = 0;
  virtual io::Task<Result<ListVersionsResult>> list_versions([[maybe_unused]] ListVersionsRequest request) {
    co_return unoffered();
  }
  virtual io::Task<Result<ObjectInfo>> change_attributes([[maybe_unused]] AttributeChange change) {
    co_return unoffered();
  }

  // Multipart uploads. Errors besides those of put(): NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest, InvalidRequest (SSE-C headers that
  // are not the upload's). A part written twice is the later one. complete_upload: an upload that was completed with the same
  // parts, and whose object is still there, answers as it did.
  virtual io::Task<Result<UploadInfo>> create_upload([[maybe_unused]] CreateUpload request) {
    co_return unoffered();
  }
  virtual io::Task<Result<UploadInfo>> find_upload([[maybe_unused]] std::string bucket,
                                                   [[maybe_unused]] std::string key,
                                                   [[maybe_unused]] std::string upload) {
    co_return unoffered();
  }
  virtual io::Task<Result<PartInfo>> put_part([[maybe_unused]] PartRequest request,
                                              [[maybe_unused]] BodySource& body) {
    co_return unoffered();
  }
  virtual io::Task<Result<PartInfo>> copy_part([[maybe_unused]] CopyPartRequest request) {
    co_return unoffered();
  }
  virtual io::Task<Result<ObjectInfo>> complete_upload([[maybe_unused]] CompleteUpload request) {
    co_return unoffered();
  }
  virtual io::Task<Result<void>> abort_upload([[maybe_unused]] std::string bucket,
                                              [[maybe_unused]] std::string key,
                                              [[maybe_unused]] std::string upload) {
    co_return unoffered();
  }
  virtual io::Task<Result<ListUploadsResult>> list_uploads([[maybe_unused]] ListUploadsRequest request) {
    co_return unoffered();
  }
  virtual io::Task<Result<ListPartsResult>> list_parts([[maybe_unused]] std::string bucket,
                                                       [[maybe_unused]] std::string key,
                                                       [[maybe_unused]] std::string upload,
                                                       [[maybe_unused]] uint32_t after,
                                                       [[maybe_unused]] size_t max_parts) {
    co_return unoffered();
  }
  virtual io::Task<Result<ObjectParts>> object_parts([[maybe_unused]] HeadRequest request,
                                                     [[maybe_unused]] uint32_t after,
                                                     [[maybe_unused]] size_t max_parts) {
    co_return unoffered();
  }

  // The common cases of the above: the current version, no customer key.
  io::Task<Result<void>> create_bucket(std::string name, std::string owner) {
    return create_bucket(CreateBucket{std::move(name), std::move(owner), false, {}});
  }
  io::Task<Result<Opened>> get(std::string bucket, std::string key, std::optional<Range> range,
                               Conditions conditions) {
    return get(GetRequest{{std::move(bucket), std::move(key), {}, {}, std::move(conditions), {}}, range});
  }
  io::Task<Result<ObjectInfo>> head(std::string bucket, std::string key, Conditions conditions) {
    return head(HeadRequest{std::move(bucket), std::move(key), {}, {}, std::move(conditions), {}});
  }
  io::Task<Result<std::vector<DeleteOutcome>>> remove(std::string bucket, std::vector<std::string> keys) {
    RemoveRequest request;
    request.bucket = std::move(bucket);
    for (std::string& key : keys) request.items.push_back({std::move(key), {}});
    return remove(std::move(request));
  }
};

struct StoreOptions {
  uint64_t memory_budget_bytes = 512u
                                 << 20;  // bodies in flight, all requests together; first come, first served
  uint64_t extent_plain_bytes = 8u << 20;          // rounded down to whole stripes of segments
  std::shared_ptr<RepairLedger> ledger = nullptr;  // told of shards that were not confirmed; may be null
  std::shared_ptr<const Placements> placements = nullptr;  // null: "default" alone, all islands
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
