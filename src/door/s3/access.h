// Who may do what: the one check that every operation passes before anything of it happens. Private to door/s3.
//
// door.cc calls admit() for the row's own action; what a request does besides (its source, each key of DeleteObjects, tags, ACLs, retention
// that it sets) is asked for where it is known. A handler gets its bucket from open_target_bucket(), which refuses what was not admitted.
//
// The rule is iam::authorize(). What counts for it: the policies of the user, role and session; the bucket's policy; ACLs, unless the bucket's
// ownership controls turn them off; and the public access block, which takes grants away. What cannot be read denies: a bucket whose policy, ACL,
// ownership controls or public access block do not parse serves nobody until its owner's root has replaced them.
//
// Ownership: a bucket without ownership controls is as S3 has it without them (ObjectWriter): ACLs count, and who writes an object owns it. An
// anonymous writer's object belongs to the bucket's owner.
//
// Source: S3 user guide, "How Amazon S3 authorizes a request", "Controlling ownership of objects", "Blocking public access".
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "door/s3/acl.h"
#include "iam/policy.h"
#include "io/task.h"
#include "store/store.h"

namespace archipel::door::s3 {

struct Call;

enum class Ownership : uint8_t { object_writer, bucket_owner_preferred, bucket_owner_enforced };
std::string_view to_string(Ownership ownership);
std::optional<Ownership> parse_ownership(std::string_view text);

struct PublicAccessBlock {
  bool block_public_acls = false, ignore_public_acls = false, block_public_policy = false,
       restrict_public_buckets = false;
  // The bucket document "public-access": u8 1, u8 flags in this order from bit 0.
  std::string encode() const;
  static Result<PublicAccessBlock> decode(std::string_view bytes);
};

// What a bucket's configuration says of access, parsed.
struct BucketAccess {
  bool broken = false;  // something of it cannot be read
  std::shared_ptr<const iam::Policy> policy;
  bool policy_public = false;
  Grants acl;
  std::optional<Ownership> ownership;  // as set
  std::optional<PublicAccessBlock> block;

  bool acls_off() const { return ownership == Ownership::bucket_owner_enforced; }
  bool ignores_public_acls() const { return block && block->ignore_public_acls; }
};
std::shared_ptr<const BucketAccess> parse_bucket_access(const store::BucketInfo& bucket);

inline constexpr size_t kParsedBucketsMax = 1024;  // kept parsed; the oldest leaves

// Thread-safe: one per door.
class BucketAccesses {
 public:
  std::shared_ptr<const BucketAccess> of(const store::BucketInfo& bucket);

 private:
  struct Entry {
    std::shared_ptr<const store::BucketConfigs> configs;  // held, so that its address means it
    std::string owner;
    std::shared_ptr<const BucketAccess> access;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::vector<std::string> order_;  // ring, oldest at next_
  size_t next_ = 0;
};

// A bucket that a request touches.
struct BucketGrounds {
  store::BucketInfo info;
  std::shared_ptr<const BucketAccess> access;
};

// What is asked of a bucket or of a key in it.
struct Ask {
  std::string_view action;
  std::string_view key = {};                  // empty: of the bucket itself
  const store::ObjectInfo* object = nullptr;  // the object that is there, where the action speaks of one
  std::string_view owner = {};  // of what is asked for, if that is not there yet; empty: as usual
};

// What an object that this request writes starts with, besides what its own headers say: owner (empty: the bucket's) and ACL.
struct NewAccess {
  std::string owner, acl;
};

// The row's action, for the target. Loads call.bucket; where the action speaks of an object that is there, also that. Resolves the request's ACL
// headers to call.new_access. Errors: NoSuchBucket, AccessDenied, NoSuchKey and NoSuchVersion to callers who may list,
// InvalidArgument, AccessControlListNotSupported, and the like of ACLs.
io::Task<Result<void>> admit(Call& call);

// Part of admit() for operations that learn from their body what they ask for (PostObject): the bucket only, nothing admitted.
io::Task<Result<void>> load_target_bucket(Call& call);

// The rest of it, for a form whose key and fields are known by then (call.target, call.request): s3:PutObject, owner and ACL.
io::Task<Result<void>> admit_form(Call& call);

// May the caller do this? No I/O. Errors: AccessDenied.
Result<void> authorize(Call& call, const BucketGrounds& bucket, const Ask& ask);
// As the above for the target bucket.
Result<void> authorize(Call& call, const Ask& ask);

// s3:DeleteObject or s3:DeleteObjectVersion of one key of the target bucket. Errors: AccessDenied.
Result<void> authorize_delete(Call& call, std::string_view key, const store::VersionName& version);

// The bucket of a copy's source, if the caller may read that version. `expected_owner` empty: whoever's. Errors: as admit().
io::Task<Result<store::BucketInfo>> open_source(Call& call, std::string bucket, std::string key,
                                                store::VersionName version, std::string_view expected_owner);

// Between judging a read and opening what is read, another version may have taken its place: what was opened is judged again, unless owner, ACL and
// tags are those that were judged. Errors: AccessDenied.
Result<void> confirm_read(Call& call, const store::ObjectInfo& opened);

// For operations whose body says what they do (PutObjectTagging, retention): judges the row's action once more, with `more` known. A handler
// that calls it does so before it changes anything.
Result<void> authorize_with(Call& call, const std::map<std::string, std::vector<std::string>>& more);

// The owner and ACL for what this request writes: put, copy, upload, form. acl_from_headers() is the ACL alone.
void set_access(const Call& call, store::Attributes& attributes);
Result<std::string> acl_from_headers(const Call& call);

// What CreateBucket begins with: the documents "acl" and "ownership". Errors: InvalidArgument, InvalidBucketAclWithObjectOwnership.
Result<store::BucketConfigs> initial_access(const Call& call);

// Resolves `asked` for something of `owner` in the target bucket, as the bucket's settings allow. Errors: AccessControlListNotSupported, AccessDenied (public ACLs are
// blocked), InvalidArgument, UnresolvableGrantByEmailAddress.
io::Task<Result<Grants>> resolve_for(Call& call, AskedAcl asked, std::string owner);
// Names of accounts, for documents that show them.
io::Task<Result<std::vector<Grantable>>> grantable_accounts(Call& call);

// The bytes of `bucket`'s document `name`; empty if there is none.
std::string_view config_of(const store::BucketInfo& bucket, std::string_view name);

}  // namespace archipel::door::s3
