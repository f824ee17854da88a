// GetBucketAcl, PutBucketAcl, GetObjectAcl, PutObjectAcl.
#include <algorithm>

#include "door/s3/acl.h"
#include "door/s3/bucket_handlers.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/object_headers.h"

namespace archipel::door::s3 {

namespace {

io::Task<Result<void>> reply_acl(Call& call, std::string owner, Grants grants) {
  auto accounts = co_await grantable_accounts(call);
  if (!accounts) co_return std::unexpected(std::move(accounts).error());
  auto name_of = [&](const std::string& id) {
    auto it = std::ranges::find(*accounts, id, &Grantable::id);
    return it == accounts->end() ? std::string() : it->display_name;
  };
  auto sent = co_await reply_xml(call, acl_xml(owner, grants, name_of));
  co_return sent;
}

// The ACL that a request asks for: by its headers, or by its body, never by both. Errors besides resolve_for()'s: MissingSecurityHeader (neither),
// UnexpectedContent (both), AccessDenied (the document names another owner), MalformedACLError.
io::Task<Result<Grants>> read_asked_acl(Call& call, std::string owner) {
  CO_ASSIGN_OR_RETURN(AskedAcl asked, read_acl_headers(call.request.headers));
  auto document = co_await read_request_document(call, kAclDocumentBytesMax, "MalformedACLError");
  if (!document) co_return std::unexpected(std::move(document).error());
  if (asked.given()) {
    if (!document->text.empty()) co_return refuse("UnexpectedContent");
    auto grants = co_await resolve_for(call, std::move(asked), std::move(owner));
    co_return grants;
  }
  if (document->text.empty())
    co_return refuse("MissingSecurityHeader", "Your request was missing a required header: x-amz-acl.");
  CO_ASSIGN_OR_RETURN(AclDocument said, parse_acl(document->text));
  if (!said.owner.empty() && said.owner != owner)
    co_return refuse("AccessDenied", "The owner of a bucket or an object does not change with its ACL.");
  auto grants = co_await resolve_for(call, AskedAcl{std::nullopt, std::move(said.grants)}, std::move(owner));
  co_return grants;
}

std::string owner_of_object(const Call& call) {
  const std::string& owner = call.object->attributes.owner;
  return owner.empty() || call.bucket->access->acls_off() ? call.bucket->info.owner : owner;
}

std::optional<std::string> version_asked(const Call& call) {
  const http::QueryParam* version = call.target.param("versionId");
  if (version == nullptr) return std::nullopt;
  return version->value;
}

// Judged, and there; a delete marker has no ACL.
Result<void> check_object(Call& call) {
  if (!call.object) return refuse(version_asked(call) ? "NoSuchVersion" : "NoSuchKey");
  if (!call.object->delete_marker) return {};
  return refuse(version_asked(call) ? "MethodNotAllowed" : "NoSuchKey");
}

}  // namespace

io::Task<Result<void>> get_bucket_acl(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  const BucketAccess& access = *call.bucket->access;
  Grants grants = access.acls_off() ? private_grants(bucket->owner) : access.acl;
  auto sent = co_await reply_acl(call, bucket->owner, std::move(grants));
  co_return sent;
}

io::Task<Result<void>> put_bucket_acl(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto grants = co_await read_asked_acl(call, bucket->owner);
  if (!grants) co_return std::unexpected(std::move(grants).error());
  std::string acl = encode_acl(*grants, bucket->owner);
  store::BucketChange change;
  change.configs["acl"] = acl.empty() ? std::nullopt : std::optional(std::move(acl));
  auto done = co_await configure(call, std::move(change), 200);
  co_return done;
}

io::Task<Result<void>> get_object_acl(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  CO_RETURN_IF_ERROR(check_object(call));
  std::string owner = owner_of_object(call);
  Grants grants = private_grants(owner);
  if (!call.bucket->access->acls_off()) {
    CO_ASSIGN_OR_RETURN(grants, decode_acl(call.object->attributes.acl, owner));
  }
  auto sent = co_await reply_acl(call, std::move(owner), std::move(grants));
  co_return sent;
}

io::Task<Result<void>> put_object_acl(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  CO_RETURN_IF_ERROR(check_object(call));
  std::string owner = owner_of_object(call);
  auto grants = co_await read_asked_acl(call, owner);
  if (!grants) co_return std::unexpected(std::move(grants).error());
  CO_ASSIGN_OR_RETURN(store::AttributeChange change, change_of(call.target));
  change.acl = encode_acl(*grants, owner);
  auto changed = co_await call.door.store.change_attributes(std::move(change));
  if (!changed) co_return std::unexpected(std::move(changed).error());
  http::Response response = make_response(call, 200);
  add_version(*bucket, changed->version, response.headers);
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

}  // namespace archipel::door::s3
