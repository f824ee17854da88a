// Bucket policy, its status, ownership controls, public access block.
#include "door/s3/bucket_handlers.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {

namespace {

constexpr size_t kSmallDocumentBytesMax = 16u << 10;

io::Task<Result<void>> set_config(Call& call, std::string name, std::optional<std::string> bytes,
                                  int status) {
  store::BucketChange change;
  change.configs[std::move(name)] = std::move(bytes);
  auto done = co_await configure(call, std::move(change), status);
  co_return done;
}

// May `policy` be this bucket's? Errors: MalformedPolicy, AccessDenied (it is public, and that is blocked).
Result<void> check_policy(const Call& call, std::string_view text) {
  auto policy = iam::parse_policy(text, iam::PolicyKind::resource);
  if (!policy) return refuse("MalformedPolicy", policy.error().message);
  if (!iam::names_only_bucket(**policy, call.target.bucket))
    return refuse("MalformedPolicy",
                  "Policy has invalid resource: it must name this bucket or what is in it.");
  const auto& block = call.bucket->access->block;
  if (block && block->block_public_policy && iam::is_public(**policy)) return refuse("AccessDenied");
  return {};
}

Result<bool> parse_flag(const XmlElement& root, std::string_view name) {
  if (root.child(name) == nullptr) return false;
  std::string_view text = root.value(name);
  if (text == "true" || text == "TRUE" || text == "True" || text == "1") return true;
  if (text == "false" || text == "FALSE" || text == "False" || text == "0") return false;
  return refuse("MalformedXML");
}

Result<PublicAccessBlock> parse_block(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "PublicAccessBlockConfiguration"));
  if (!root.has_only({"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"}))
    return refuse("MalformedXML");
  PublicAccessBlock out;
  ASSIGN_OR_RETURN(out.block_public_acls, parse_flag(root, "BlockPublicAcls"));
  ASSIGN_OR_RETURN(out.ignore_public_acls, parse_flag(root, "IgnorePublicAcls"));
  ASSIGN_OR_RETURN(out.block_public_policy, parse_flag(root, "BlockPublicPolicy"));
  ASSIGN_OR_RETURN(out.restrict_public_buckets, parse_flag(root, "RestrictPublicBuckets"));
  return out;
}

Result<Ownership> parse_controls(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "OwnershipControls"));
  const XmlElement* rule = root.child("Rule");
  if (!root.has_only({"Rule"}) || rule == nullptr || !rule->has_only({"ObjectOwnership"}))
    return refuse("MalformedXML");
  auto ownership = parse_ownership(rule->value("ObjectOwnership"));
  if (!ownership) return refuse("MalformedXML");
  return *ownership;
}

}  // namespace

io::Task<Result<void>> get_bucket_policy(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  std::string_view policy = config_of(*bucket, "policy");
  if (policy.empty()) co_return refuse("NoSuchBucketPolicy");
  http::Response response = make_response(call, 200);
  response.headers.add("content-type", "application/json");
  auto sent = co_await reply(call, std::move(response), std::string(policy));
  co_return sent;
}

io::Task<Result<void>> put_bucket_policy(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto document = co_await read_request_document(call, iam::kResourcePolicyBytesMax, "MalformedPolicy");
  if (!document) co_return std::unexpected(std::move(document).error());
  if (document->text.empty()) co_return refuse("MissingRequestBodyError");
  CO_RETURN_IF_ERROR(check_policy(call, document->text));
  auto done = co_await set_config(call, "policy", std::move(document->text), 204);
  co_return done;
}

io::Task<Result<void>> delete_bucket_policy(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto done = co_await set_config(call, "policy", std::nullopt, 204);
  co_return done;
}

// Public by its policy; ACLs say nothing here, as in S3.
io::Task<Result<void>> get_bucket_policy_status(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  const BucketAccess& access = *call.bucket->access;
  bool by_acl = !access.acls_off() && !access.ignores_public_acls() && is_public(access.acl);
  bool restricted = access.block && access.block->restrict_public_buckets;
  XmlWriter xml("PolicyStatus");
  xml.element("IsPublic", by_acl || (access.policy_public && !restricted));
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

io::Task<Result<void>> get_bucket_ownership_controls(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  const auto& ownership = call.bucket->access->ownership;
  if (!ownership) co_return refuse("OwnershipControlsNotFoundError");
  XmlWriter xml("OwnershipControls");
  xml.open("Rule").element("ObjectOwnership", to_string(*ownership));
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

io::Task<Result<void>> put_bucket_ownership_controls(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto document = co_await read_request_document(call, kSmallDocumentBytesMax, "MalformedXML");
  if (!document) co_return std::unexpected(std::move(document).error());
  CO_ASSIGN_OR_RETURN(Ownership ownership, parse_controls(document->text));
  // What an ACL gives would silently end.
  if (ownership == Ownership::bucket_owner_enforced && !config_of(*bucket, "acl").empty())
    co_return refuse("InvalidBucketAclWithObjectOwnership");
  auto done = co_await set_config(call, "ownership", std::string(to_string(ownership)), 200);
  co_return done;
}

io::Task<Result<void>> delete_bucket_ownership_controls(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto done = co_await set_config(call, "ownership", std::nullopt, 204);
  co_return done;
}

io::Task<Result<void>> get_public_access_block(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  const auto& block = call.bucket->access->block;
  if (!block) co_return refuse("NoSuchPublicAccessBlockConfiguration");
  XmlWriter xml("PublicAccessBlockConfiguration");
  xml.element("BlockPublicAcls", block->block_public_acls)
      .element("IgnorePublicAcls", block->ignore_public_acls)
      .element("BlockPublicPolicy", block->block_public_policy)
      .element("RestrictPublicBuckets", block->restrict_public_buckets);
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

io::Task<Result<void>> put_public_access_block(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto document = co_await read_request_document(call, kSmallDocumentBytesMax, "MalformedXML");
  if (!document) co_return std::unexpected(std::move(document).error());
  CO_ASSIGN_OR_RETURN(PublicAccessBlock block, parse_block(document->text));
  auto done = co_await set_config(call, "public-access", block.encode(), 200);
  co_return done;
}

io::Task<Result<void>> delete_public_access_block(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto done = co_await set_config(call, "public-access", std::nullopt, 204);
  co_return done;
}

}  // namespace archipel::door::s3
