#include "door/s3/access.h"

#include <algorithm>
#include <array>

#include "door/s3/access_context.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"

namespace archipel::door::s3 {

using PrincipalKind = iam::Principal::Kind;

namespace {

// What an ACL says of an action: the bucket's, or that of the object which is there.
struct AclRow {
  std::string_view action;
  bool of_object;
  Permission permission;
};
constexpr AclRow kAclRows[] = {
    {"s3:ListBucket", false, Permission::read},
    {"s3:ListBucketVersions", false, Permission::read},
    {"s3:ListBucketMultipartUploads", false, Permission::read},
    {"s3:GetBucketAcl", false, Permission::read_acp},
    {"s3:PutBucketAcl", false, Permission::write_acp},
    {"s3:PutObject", false, Permission::write},
    {"s3:DeleteObject", false, Permission::write},
    {"s3:DeleteObjectVersion", false, Permission::write},
    {"s3:GetObject", true, Permission::read},
    {"s3:GetObjectVersion", true, Permission::read},
    {"s3:GetObjectAttributes", true, Permission::read},
    {"s3:GetObjectVersionAttributes", true, Permission::read},
    {"s3:GetObjectAcl", true, Permission::read_acp},
    {"s3:GetObjectVersionAcl", true, Permission::read_acp},
    {"s3:PutObjectAcl", true, Permission::write_acp},
    {"s3:PutObjectVersionAcl", true, Permission::write_acp},
};
// What comes with writing a new object: who may write to the bucket by its ACL may give the object these.
constexpr std::string_view kWithNewObject[] = {"s3:PutObjectAcl", "s3:PutObjectTagging"};

// What the owner's root may do whatever the bucket says, lest it lock itself out; and to a bucket that cannot be read.
constexpr std::string_view kPolicyActions[] = {"s3:GetBucketPolicy", "s3:PutBucketPolicy",
                                               "s3:DeleteBucketPolicy"};
constexpr std::string_view kRepairs[] = {"s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketAcl",
                                         "s3:PutBucketOwnershipControls", "s3:PutBucketPublicAccessBlock"};

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

const AclRow* acl_row(std::string_view action) {
  const auto* row = std::ranges::find(kAclRows, action, &AclRow::action);
  return row == std::end(kAclRows) ? nullptr : row;
}

// Who owns what is asked for: objects may be another's than their bucket, where ACLs count.
std::string_view owner_of(const BucketGrounds& bucket, const Ask& ask) {
  if (!ask.owner.empty()) return ask.owner;
  const AclRow* row = acl_row(ask.action);
  bool others = row != nullptr && row->of_object && ask.object != nullptr && !bucket.access->acls_off() &&
                !ask.object->attributes.owner.empty();
  return others ? std::string_view(ask.object->attributes.owner) : std::string_view(bucket.info.owner);
}

// False also if the object's ACL cannot be read.
bool acl_allows(const iam::Principal& who, const BucketGrounds& bucket, const Ask& ask) {
  if (bucket.access->acls_off()) return false;
  const AclRow* row = acl_row(ask.action);
  bool public_too = !bucket.access->ignores_public_acls();
  if (ask.object == nullptr && contains(kWithNewObject, ask.action))
    return granted(bucket.access->acl, who, Permission::write, public_too);
  if (row == nullptr) return false;
  if (!row->of_object) return granted(bucket.access->acl, who, row->permission, public_too);
  if (ask.object == nullptr) return false;
  auto grants = decode_acl(ask.object->attributes.acl, std::string(owner_of(bucket, ask)));
  return grants && granted(*grants, who, row->permission, public_too);
}

iam::Request make_request(Call& call, const BucketGrounds& bucket, const Ask& ask) {
  iam::Request request;
  request.principal = call.identity.principal;
  request.action = ask.action;
  request.resource = "arn:aws:s3:::" + bucket.info.name;
  if (!ask.key.empty()) request.resource.append("/").append(ask.key);
  if (!call.context) call.context = make_context(call);
  request.context = *call.context;
  if (ask.object != nullptr)
    for (const auto& [key, value] : ask.object->attributes.tags)
      request.context.add("s3:ExistingObjectTag/" + key, value);
  return request;
}

iam::Effect judge(Call& call, const BucketGrounds& bucket, const Ask& ask) {
  const iam::Principal& who = call.identity.principal;
  const BucketAccess& access = *bucket.access;
  const bool owner_root = who.kind == PrincipalKind::root && who.account == bucket.info.owner;
  if (access.broken)
    return owner_root && contains(kRepairs, ask.action) ? iam::Effect::allow : iam::Effect::deny;
  const std::string_view owner = owner_of(bucket, ask);
  iam::Grounds grounds;
  grounds.identity = call.identity.policies();
  grounds.session = call.identity.session.get();
  grounds.owner = owner;
  grounds.resource = access.policy.get();
  if (owner_root && contains(kPolicyActions, ask.action)) grounds.resource = nullptr;
  // The common case needs no context: the root of the account that owns it, and no policy in sight.
  if (who.kind == PrincipalKind::root && who.account == owner && grounds.resource == nullptr &&
      grounds.session == nullptr)
    return iam::Effect::allow;
  grounds.acl_allows = acl_allows(who, bucket, ask);
  iam::Request request = make_request(call, bucket, ask);
  // A bucket's policy cannot give away what another account owns, nor a public one anything while that is blocked; it can still deny.
  const bool outsider = who.account != bucket.info.owner && who.kind != PrincipalKind::service;
  const bool restricted =
      access.policy_public && outsider && access.block && access.block->restrict_public_buckets;
  if (grounds.resource != nullptr && (restricted || owner != bucket.info.owner)) {
    if (iam::evaluate(*grounds.resource, request) == iam::Effect::deny) return iam::Effect::deny;
    grounds.resource = nullptr;
  }
  return iam::authorize(request, grounds);
}

// The action on a named version.
std::string_view versioned(std::string_view action) {
  static constexpr std::pair<std::string_view, std::string_view> kVersioned[] = {
      {"s3:GetObject", "s3:GetObjectVersion"},
      {"s3:GetObjectAcl", "s3:GetObjectVersionAcl"},
      {"s3:PutObjectAcl", "s3:PutObjectVersionAcl"},
      {"s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"},
      {"s3:GetObjectTagging", "s3:GetObjectVersionTagging"},
      {"s3:PutObjectTagging", "s3:PutObjectVersionTagging"},
      {"s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"},
      {"s3:DeleteObject", "s3:DeleteObjectVersion"},
  };
  for (const auto& [plain, named] : kVersioned)
    if (plain == action) return named;
  return action;
}

store::VersionName version_of(const Target& target) {
  const http::QueryParam* version = target.param("versionId");
  if (version == nullptr) return std::nullopt;
  return version->value;
}

std::string_view action_of(const Call& call) {
  std::string_view action = row_of(call.operation).action;
  return version_of(call.target) ? versioned(action) : action;
}

// Does the operation speak of an object that is there?
bool reads_object(Operation operation) {
  switch (operation) {
    case Operation::get_object:
    case Operation::head_object:
    case Operation::get_object_acl:
    case Operation::put_object_acl:
    case Operation::get_object_attributes:
    case Operation::get_object_legal_hold:
    case Operation::put_object_legal_hold:
    case Operation::get_object_retention:
    case Operation::put_object_retention:
    case Operation::get_object_tagging:
    case Operation::put_object_tagging:
    case Operation::delete_object_tagging:
      return true;
    default:
      return false;
  }
}

// Does the request ask to override the governance retention of its key?
bool asks_bypass(const Call& call) {
  if (call.target.key.empty()) return false;  // DeleteObjects asks key by key
  std::string_view asked = call.request.headers.get("x-amz-bypass-governance-retention");
  return !asked.empty() && asked != "false" && asked != "False" && asked != "FALSE";
}

// Does it begin an object, with an ACL, tags and a lock of its own?
bool begins_object(Operation operation) {
  return operation == Operation::put_object || operation == Operation::copy_object ||
         operation == Operation::create_multipart_upload || operation == Operation::post_object;
}

// A key, or version, that is not there: who may list the bucket learns so, everybody else is just refused.
Result<void> judge_missing(Call& call, const BucketGrounds& bucket, const Ask& ask) {
  if (judge(call, bucket, ask) == iam::Effect::deny) return refuse("AccessDenied");
  iam::ConditionContext plain;
  if (!call.context) call.context = make_context(call);
  plain = *call.context;
  call.context->add("s3:prefix", std::string(ask.key));
  iam::Effect list = judge(call, bucket, {"s3:ListBucket"});
  call.context = std::move(plain);
  if (list != iam::Effect::allow) return refuse("AccessDenied");
  return {};
}

// The attributes of one version, as they are now. nullopt: not there.
io::Task<Result<std::optional<store::ObjectInfo>>> look_at(Call& call, std::string bucket, std::string key,
                                                           store::VersionName version) {
  store::HeadRequest request;
  request.bucket = std::move(bucket);
  request.key = std::move(key);
  request.version = std::move(version);
  request.see_markers = true;
  request.attributes_only = true;
  auto info = co_await call.door.store.head(std::move(request));
  if (info) co_return std::optional<store::ObjectInfo>(std::move(*info));
  std::string_view code = s3_error_of(info.error()).code;
  // What is no version id is said by the operation itself.
  if (code == "NoSuchKey" || code == "NoSuchVersion" || code == "InvalidArgument" ||
      code == "MethodNotAllowed")
    co_return std::optional<store::ObjectInfo>();
  co_return std::unexpected(std::move(info).error());
}

io::Task<Result<void>> admit_object(Call& call) {
  auto object = co_await look_at(call, call.target.bucket, call.target.key, version_of(call.target));
  if (!object) co_return std::unexpected(std::move(object).error());
  const Ask ask{action_of(call), call.target.key, *object ? &**object : nullptr};
  if (!*object) co_return judge_missing(call, *call.bucket, ask);
  CO_RETURN_IF_ERROR(authorize(call, ask));
  if (call.operation == Operation::get_object_attributes) {
    Ask attributes = ask;
    attributes.action =
        ask.action == "s3:GetObject" ? "s3:GetObjectAttributes" : "s3:GetObjectVersionAttributes";
    CO_RETURN_IF_ERROR(authorize(call, attributes));
  }
  call.object = std::move(*object);
  co_return Result<void>{};
}

// Parts are listed, and uploads given up, also by who began them.
io::Task<Result<void>> admit_upload(Call& call) {
  iam::Effect said = judge(call, *call.bucket, {action_of(call), call.target.key});
  if (said == iam::Effect::allow) co_return Result<void>{};
  if (said == iam::Effect::deny || call.identity.anonymous()) co_return refuse("AccessDenied");
  auto upload = co_await call.door.store.find_upload(call.target.bucket, call.target.key,
                                                     std::string(call.target.value("uploadId")));
  bool own =
      upload && call.identity.principal.kind == PrincipalKind::root && upload->initiator == call.account_id();
  if (!own) co_return refuse("AccessDenied");
  co_return Result<void>{};
}

// What concerns the caller's account as a whole, or a bucket that is not there yet.
Result<void> authorize_own(Call& call, std::string_view action) {
  if (call.identity.anonymous()) return refuse("AccessDenied");
  static const auto kNothing = std::make_shared<const BucketAccess>();
  BucketGrounds own{{call.target.bucket, call.account_id()}, kNothing};
  if (!call.target.bucket.empty()) return authorize(call, own, {action});
  iam::Request request = make_request(call, own, {action});
  request.resource = "*";
  iam::Grounds grounds{call.identity.policies(), call.identity.session.get(), nullptr, call.account_id()};
  if (iam::authorize(request, grounds) != iam::Effect::allow) return refuse("AccessDenied");
  return {};
}

io::Task<Result<void>> admit_create_bucket(Call& call) {
  CO_RETURN_IF_ERROR(authorize_own(call, "s3:CreateBucket"));
  const http::Headers& headers = call.request.headers;
  CO_ASSIGN_OR_RETURN(AskedAcl asked, read_acl_headers(headers));
  if (headers.find("x-amz-object-ownership") != nullptr)
    CO_RETURN_IF_ERROR(authorize_own(call, "s3:PutBucketOwnershipControls"));
  if (headers.get("x-amz-bucket-object-lock-enabled") == "true") {
    CO_RETURN_IF_ERROR(authorize_own(call, "s3:PutBucketObjectLockConfiguration"));
    CO_RETURN_IF_ERROR(authorize_own(call, "s3:PutBucketVersioning"));
  }
  if (!asked.given()) co_return Result<void>{};
  CO_RETURN_IF_ERROR(authorize_own(call, "s3:PutBucketAcl"));
  std::vector<Grantable> accounts;
  if (!asked.grants.empty()) {
    auto all = co_await grantable_accounts(call);
    if (!all) co_return std::unexpected(std::move(all).error());
    accounts = std::move(*all);
  }
  CO_ASSIGN_OR_RETURN(Grants grants, resolve_acl(asked, call.account_id(), call.account_id(), accounts));
  call.new_access.acl = encode_acl(grants, call.account_id());
  co_return Result<void>{};
}

bool asks_for_owner_control(const AskedAcl& asked, const std::string& bucket_owner) {
  if (asked.canned) return *asked.canned == "bucket-owner-full-control";
  return asked.grants.size() == 1 && asked.grants[0].named == AskedGrant::Named::id &&
         asked.grants[0].value == bucket_owner && asked.grants[0].permission == Permission::full_control;
}

}  // namespace

std::string_view to_string(Ownership ownership) {
  switch (ownership) {
    case Ownership::object_writer:
      return "ObjectWriter";
    case Ownership::bucket_owner_preferred:
      return "BucketOwnerPreferred";
    case Ownership::bucket_owner_enforced:
      return "BucketOwnerEnforced";
  }
  return "";
}

std::optional<Ownership> parse_ownership(std::string_view text) {
  for (Ownership o :
       {Ownership::object_writer, Ownership::bucket_owner_preferred, Ownership::bucket_owner_enforced})
    if (text == to_string(o)) return o;
  return std::nullopt;
}

std::string PublicAccessBlock::encode() const {
  unsigned flags = unsigned{block_public_acls} | unsigned{ignore_public_acls} << 1 |
                   unsigned{block_public_policy} << 2 | unsigned{restrict_public_buckets} << 3;
  std::string out;
  Writer(out).u8(1).u8(static_cast<uint8_t>(flags));
  return out;
}

Result<PublicAccessBlock> PublicAccessBlock::decode(std::string_view bytes) {
  Reader reader(bytes);
  uint8_t format = reader.u8(), flags = reader.u8();
  if (!reader.done() || format != 1 || flags > 15)
    return fail(Code::corrupt, "A public access block cannot be read.");
  return PublicAccessBlock{(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0};
}

std::string_view config_of(const store::BucketInfo& bucket, std::string_view name) {
  if (bucket.configs == nullptr) return {};
  auto it = bucket.configs->find(std::string(name));
  return it == bucket.configs->end() ? std::string_view{} : std::string_view(it->second);
}

std::shared_ptr<const BucketAccess> parse_bucket_access(const store::BucketInfo& bucket) {
  auto out = std::make_shared<BucketAccess>();
  if (std::string_view policy = config_of(bucket, "policy"); !policy.empty()) {
    auto parsed = iam::parse_policy(policy, iam::PolicyKind::resource);
    if (parsed) {
      out->policy = std::move(*parsed);
      out->policy_public = iam::is_public(*out->policy);
    } else {
      out->broken = true;
    }
  }
  if (std::string_view ownership = config_of(bucket, "ownership"); !ownership.empty()) {
    out->ownership = parse_ownership(ownership);
    out->broken |= !out->ownership;
  }
  if (std::string_view block = config_of(bucket, "public-access"); !block.empty()) {
    auto decoded = PublicAccessBlock::decode(block);
    out->broken |= !decoded;
    if (decoded) out->block = *decoded;
  }
  auto acl = decode_acl(config_of(bucket, "acl"), bucket.owner);
  out->broken |= !acl;
  if (acl) out->acl = std::move(*acl);
  return out;
}

std::shared_ptr<const BucketAccess> BucketAccesses::of(const store::BucketInfo& bucket) {
  {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(bucket.name);
    if (it != entries_.end() && it->second.configs == bucket.configs && it->second.owner == bucket.owner)
      return it->second.access;
  }
  Entry entry{bucket.configs, bucket.owner, parse_bucket_access(bucket)};
  auto access = entry.access;
  std::lock_guard lock(mutex_);
  auto [it, fresh] = entries_.insert_or_assign(bucket.name, std::move(entry));
  if (!fresh) return access;
  if (order_.size() < kParsedBucketsMax) {
    order_.push_back(bucket.name);
  } else {
    entries_.erase(order_[next_]);
    order_[next_] = bucket.name;
    next_ = (next_ + 1) % kParsedBucketsMax;
  }
  return access;
}

Result<void> authorize(Call& call, const BucketGrounds& bucket, const Ask& ask) {
  if (judge(call, bucket, ask) != iam::Effect::allow) return refuse("AccessDenied");
  return {};
}

Result<void> authorize(Call& call, const Ask& ask) {
  CHECK(call.bucket.has_value());
  return authorize(call, *call.bucket, ask);
}

Result<void> authorize_delete(Call& call, std::string_view key, const store::VersionName& version) {
  return authorize(call, {version ? "s3:DeleteObjectVersion" : "s3:DeleteObject", key});
}

Result<void> confirm_read(Call& call, const store::ObjectInfo& opened) {
  if (call.object && call.object->attributes.owner == opened.attributes.owner &&
      call.object->attributes.acl == opened.attributes.acl &&
      call.object->attributes.tags == opened.attributes.tags)
    return {};
  return authorize(call, {action_of(call), call.target.key, &opened});
}

Result<void> authorize_with(Call& call, const std::map<std::string, std::vector<std::string>>& more) {
  call.more_context = more;
  call.context.reset();
  return authorize(call, {action_of(call), call.target.key, call.object ? &*call.object : nullptr});
}

void set_access(const Call& call, store::Attributes& attributes) {
  attributes.owner = call.new_access.owner;
  attributes.acl = call.new_access.acl;
}

Result<std::string> acl_from_headers(const Call& call) {
  return call.new_access.acl;
}

Result<store::BucketConfigs> initial_access(const Call& call) {
  store::BucketConfigs out;
  if (!call.new_access.acl.empty()) out["acl"] = call.new_access.acl;
  const std::string* asked = call.request.headers.find("x-amz-object-ownership");
  if (asked == nullptr) return out;
  auto ownership = parse_ownership(*asked);
  if (!ownership)
    return refuse("InvalidArgument", "x-amz-object-ownership is no setting of object ownership.");
  if (*ownership == Ownership::bucket_owner_enforced && out.contains("acl"))
    return refuse("InvalidBucketAclWithObjectOwnership");
  out["ownership"] = *asked;
  return out;
}

io::Task<Result<std::vector<Grantable>>> grantable_accounts(Call& call) {
  auto accounts = co_await call.door.store.list_accounts();
  if (!accounts) co_return std::unexpected(std::move(accounts).error());
  std::vector<Grantable> out;
  for (store::Account& account : *accounts)
    out.push_back({std::move(account.id), std::move(account.display_name), std::move(account.email)});
  co_return out;
}

io::Task<Result<Grants>> resolve_for(Call& call, AskedAcl asked, std::string owner) {
  const BucketGrounds& bucket = *call.bucket;
  if (bucket.access->acls_off()) co_return refuse("AccessControlListNotSupported");
  std::vector<Grantable> accounts;
  if (!asked.grants.empty()) {
    auto all = co_await grantable_accounts(call);
    if (!all) co_return std::unexpected(std::move(all).error());
    accounts = std::move(*all);
  }
  CO_ASSIGN_OR_RETURN(Grants grants, resolve_acl(asked, owner, bucket.info.owner, accounts));
  if (bucket.access->block && bucket.access->block->block_public_acls && is_public(grants))
    co_return refuse("AccessDenied");
  co_return grants;
}

// Owner and ACL of what is being written, and whether the caller may give it the tags and the lock that its headers say.
static io::Task<Result<void>> plan_new_object(Call& call) {
  const http::Headers& headers = call.request.headers;
  const std::string& key = call.target.key;
  const std::string& bucket_owner = call.bucket->info.owner;
  CO_ASSIGN_OR_RETURN(AskedAcl asked, read_acl_headers(headers));
  if (headers.find("x-amz-tagging") != nullptr)
    CO_RETURN_IF_ERROR(authorize(call, {"s3:PutObjectTagging", key}));
  if (headers.find("x-amz-object-lock-mode") != nullptr)
    CO_RETURN_IF_ERROR(authorize(call, {"s3:PutObjectRetention", key}));
  if (headers.find("x-amz-object-lock-legal-hold") != nullptr)
    CO_RETURN_IF_ERROR(authorize(call, {"s3:PutObjectLegalHold", key}));
  // The ACL of an object is its owner's affair: who may write here and will own what it writes needs no grant of the bucket's owner for it,
  // though that one may still deny it.
  std::string owner = call.identity.anonymous() ? bucket_owner : call.account_id();
  if (asked.given()) CO_RETURN_IF_ERROR(authorize(call, {"s3:PutObjectAcl", key, nullptr, owner}));
  call.new_access = {};
  if (call.bucket->access->acls_off()) {
    if (asked.given() && !asks_for_owner_control(asked, bucket_owner))
      co_return refuse("AccessControlListNotSupported");
    co_return Result<void>{};
  }
  bool given_away = call.bucket->access->ownership == Ownership::bucket_owner_preferred &&
                    asks_for_owner_control(asked, bucket_owner);
  if (given_away) owner = bucket_owner;
  std::string acl;
  if (asked.given() && !given_away) {
    auto grants = co_await resolve_for(call, std::move(asked), owner);
    if (!grants) co_return std::unexpected(std::move(grants).error());
    acl = encode_acl(*grants, owner);
  }
  call.new_access = {owner == bucket_owner ? std::string() : std::move(owner), std::move(acl)};
  co_return Result<void>{};
}

io::Task<Result<void>> load_target_bucket(Call& call) {
  auto info = co_await call.door.store.head_bucket(call.target.bucket);
  if (!info) co_return std::unexpected(std::move(info).error());
  std::string_view expected = call.request.headers.get("x-amz-expected-bucket-owner");
  if (!expected.empty() && expected != info->owner && expected != iam::account_number(info->owner))
    co_return refuse("AccessDenied", "The bucket does not belong to the expected owner.");
  auto access = call.door.accesses.of(*info);
  call.bucket = BucketGrounds{std::move(*info), std::move(access)};
  co_return Result<void>{};
}

io::Task<Result<void>> admit(Call& call) {
  const OperationRow& row = row_of(call.operation);
  Result<void> admitted;
  if (row.action.empty()) co_return admitted;  // no policy speaks of it
  if (row.level == Level::service) {
    admitted = authorize_own(call, row.action);
  } else if (row.operation == Operation::create_bucket) {
    admitted = co_await admit_create_bucket(call);
  } else {
    admitted = co_await load_target_bucket(call);
    if (!admitted || row.operation == Operation::post_object) co_return admitted;
    if (row.operation == Operation::delete_objects) {
      // each key by itself, where they are known
    } else if (reads_object(row.operation)) {
      admitted = co_await admit_object(call);
    } else if (row.operation == Operation::list_parts || row.operation == Operation::abort_multipart_upload) {
      admitted = co_await admit_upload(call);
    } else {
      admitted = authorize(call, {action_of(call), call.target.key});
      if (admitted && begins_object(row.operation)) admitted = co_await plan_new_object(call);
    }
  }
  if (admitted && asks_bypass(call))
    admitted = authorize(call, {"s3:BypassGovernanceRetention", call.target.key});
  call.admitted = admitted.has_value();
  co_return admitted;
}

io::Task<Result<void>> admit_form(Call& call) {
  CHECK(call.operation == Operation::post_object);
  CO_RETURN_IF_ERROR(authorize(call, {"s3:PutObject", call.target.key}));
  auto planned = co_await plan_new_object(call);
  call.admitted = planned.has_value();
  co_return planned;
}

io::Task<Result<store::BucketInfo>> open_source(Call& call, std::string bucket, std::string key,
                                                store::VersionName version, std::string_view expected_owner) {
  auto info = co_await call.door.store.head_bucket(bucket);
  if (!info) co_return std::unexpected(std::move(info).error());
  if (!expected_owner.empty() && expected_owner != info->owner &&
      expected_owner != iam::account_number(info->owner))
    co_return refuse("AccessDenied", "The bucket does not belong to the expected owner.");
  auto access = call.door.accesses.of(*info);
  BucketGrounds grounds{std::move(*info), std::move(access)};
  bool named = version.has_value();
  auto object = co_await look_at(call, std::move(bucket), key, std::move(version));
  if (!object) co_return std::unexpected(std::move(object).error());
  const Ask ask{named ? "s3:GetObjectVersion" : "s3:GetObject", key, *object ? &**object : nullptr};
  if (*object) {
    CO_RETURN_IF_ERROR(authorize(call, grounds, ask));
  } else {
    CO_RETURN_IF_ERROR(judge_missing(call, grounds, ask));
  }
  co_return std::move(grounds.info);
}

// What admit() did not admit is a bug of a handler, and no reason to let anybody in.
io::Task<Result<store::BucketInfo>> open_target_bucket(Call& call) {
  if (!call.admitted || !call.bucket) co_return refuse("AccessDenied");
  co_return call.bucket->info;
}

}  // namespace archipel::door::s3
