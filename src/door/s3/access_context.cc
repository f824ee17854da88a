#include "door/s3/access_context.h"

#include "door/s3/call.h"
#include "http/uri.h"

namespace archipel::door::s3 {

std::string_view address_of_peer(std::string_view peer) {
  if (peer.starts_with('[')) {
    size_t end = peer.find(']');
    return end == std::string_view::npos ? std::string_view{} : peer.substr(1, end - 1);
  }
  return peer.substr(0, peer.rfind(':'));
}

static void add_connection(const Call& call, iam::ConditionContext& context) {
  const http::Request& request = call.request;
  context.add("aws:SourceIp", std::string(address_of_peer(request.peer)));
  context.add("aws:SecureTransport", request.secure ? "true" : "false");
  if (const std::string* agent = request.headers.find("user-agent")) context.add("aws:UserAgent", *agent);
  if (const std::string* referer = request.headers.find("referer")) context.add("aws:Referer", *referer);
  context.add("aws:RequestedRegion", call.door.options.region);
}

static void add_signature(const Call& call, UnixMs now, iam::ConditionContext& context) {
  using Method = Identity::Method;
  const Identity& identity = call.identity;
  if (identity.method == Method::anonymous) return;
  bool query = identity.method == Method::query;
  context.add("s3:authType", query                             ? "REST-QUERY-STRING"
                             : identity.method == Method::form ? "POST"
                                                               : "REST-HEADER");
  context.add("s3:signatureversion", identity.v2 ? "AWS" : "AWS4-HMAC-SHA256");
  if (query && !identity.v2)
    context.add("s3:signatureAge",
                std::to_string(now > identity.signed_ms ? now - identity.signed_ms : UnixMs{0}));
}

// As S3 compares it: decoded, without the slash in front and the version behind.
static std::string plain_copy_source(std::string_view header) {
  header = header.substr(0, header.rfind("?versionId="));
  auto decoded = http::percent_decode(header, http::Plus::space);
  std::string out = decoded ? std::move(*decoded) : std::string(header);
  if (out.starts_with('/')) out.erase(0, 1);
  return out;
}

static void add_headers(const Call& call, iam::ConditionContext& context) {
  for (const auto& [name, value] : call.request.headers) {
    auto key = iam::condition_key_of_header(name);
    if (!key) continue;
    context.add(*key, name == "x-amz-copy-source" ? plain_copy_source(value) : value);
  }
  const std::string* tagging = call.request.headers.find("x-amz-tagging");
  if (tagging == nullptr) return;
  auto tags = http::parse_query(*tagging);
  if (!tags) return;  // the operation refuses it
  for (const http::QueryParam& tag : *tags) {
    context.add("s3:RequestObjectTag/" + tag.name, tag.value);
    context.add("s3:RequestObjectTagKeys", tag.name);
  }
}

static void add_query(const Call& call, iam::ConditionContext& context) {
  const Target& target = call.target;
  switch (call.operation) {
    case Operation::list_objects_v1:
    case Operation::list_objects_v2:
    case Operation::list_object_versions:
    case Operation::list_multipart_uploads:
      if (const http::QueryParam* p = target.param("prefix")) context.add("s3:prefix", p->value);
      if (const http::QueryParam* p = target.param("delimiter")) context.add("s3:delimiter", p->value);
      if (const http::QueryParam* p = target.param("max-keys")) context.add("s3:max-keys", p->value);
      break;
    default:
      if (const http::QueryParam* p = target.param("versionId")) context.add("s3:VersionId", p->value);
  }
}

iam::ConditionContext make_context(const Call& call) {
  UnixMs now = call.door.clock.unix_ms();
  iam::ConditionContext context;
  context.add_principal(call.identity.principal);
  context.add_time(now);
  add_connection(call, context);
  add_signature(call, now, context);
  add_headers(call, context);
  add_query(call, context);
  if (call.bucket) {
    std::string number = iam::account_number(call.bucket->info.owner);
    context.add("s3:ResourceAccount", number);
    context.add("aws:ResourceAccount", std::move(number));
  }
  for (const auto& [key, values] : call.more_context)
    for (const std::string& value : values) context.add(key, value);
  return context;
}

}  // namespace archipel::door::s3
