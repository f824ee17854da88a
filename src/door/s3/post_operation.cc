// PostObject: an upload by an HTML form. Nothing is stored before the form's fields, its policy and the caller's rights are known good.
#include <algorithm>
#include <array>

#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/new_object.h"
#include "door/s3/object_headers.h"
#include "door/s3/post_form.h"
#include "door/s3/post_policy.h"
#include "door/s3/xml.h"
#include "http/uri.h"

namespace archipel::door::s3 {

namespace {

// Fields that are headers of the PUT that the form stands for; x-amz-* are too, but those that sign.
constexpr std::string_view kHeaderFields[] = {"cache-control",    "content-disposition", "content-encoding",
                                              "content-language", "content-md5",         "content-type",
                                              "expires"};
constexpr std::string_view kSigningFields[] = {"x-amz-algorithm",      "x-amz-credential",
                                               "x-amz-date",           "x-amz-signature",
                                               "x-amz-security-token", "x-amz-content-sha256"};

template <size_t N>
bool contains(const std::string_view (&names)[N], std::string_view name) {
  return std::ranges::find(names, name) != std::end(names);
}

std::string field(const FormFields& fields, std::string_view name) {
  auto it = fields.find(name);
  return it == fields.end() ? std::string() : it->second;
}

std::unexpected<Error> missing(std::string_view name) {
  return refuse("InvalidArgument", "Bucket POST must contain a field named '" + std::string(name) +
                                       "'.  If it is specified, please check the order of the fields.");
}

// Who signed the form; anonymous if it has no policy and nothing that signs. Errors: those of authenticate_form(); InvalidArgument (a part of the
// signature is missing), InvalidPolicyDocument.
Result<Identity> authenticate(Call& call, FormFields fields, const std::string& key, PostLimits& limits) {
  const bool v4 = fields.contains("x-amz-signature") || fields.contains("x-amz-credential") ||
                  fields.contains("x-amz-algorithm");
  const bool v2 = fields.contains("signature") || fields.contains("awsaccesskeyid");
  if (!v4 && !v2 && !fields.contains("policy")) return std::move(call.identity);
  if (!fields.contains("policy")) return missing("policy");
  Authenticator::FormSignature signature;
  signature.policy = field(fields, "policy");
  signature.token = field(fields, "x-amz-security-token");
  signature.v2 = !v4;
  if (v4) {
    for (std::string_view name : {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"})
      if (field(fields, name).empty()) return missing(name);
    if (field(fields, "x-amz-algorithm") != "AWS4-HMAC-SHA256")
      return refuse("InvalidArgument", "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    signature.credential = field(fields, "x-amz-credential");
    signature.date = field(fields, "x-amz-date");
    signature.signature = field(fields, "x-amz-signature");
  } else {
    for (std::string_view name : {"awsaccesskeyid", "signature"})
      if (field(fields, name).empty()) return missing(name);
    signature.credential = field(fields, "awsaccesskeyid");
    signature.signature = field(fields, "signature");
  }
  ASSIGN_OR_RETURN(Identity identity, call.door.authenticator.authenticate_form(signature));
  auto policy = unbase64(signature.policy);
  if (!policy) return refuse("InvalidPolicyDocument", "Invalid Policy: Invalid Base64.");
  fields["key"] = key;  // the policy speaks of the key with the name of the file in it
  ASSIGN_OR_RETURN(limits, check_post_policy(*policy, fields, call.target.bucket, call.door.clock.unix_ms()));
  return identity;
}

// <Tagging><TagSet><Tag>… as the x-amz-tagging header has it.
Result<std::string> tagging_header(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "Tagging"));
  const XmlElement* set = root.child("TagSet");
  if (!root.has_only({"TagSet"}) || set == nullptr || !set->has_only({"Tag*"})) return refuse("MalformedXML");
  std::string out;
  for (const XmlElement& tag : set->children) {
    const XmlElement *key = tag.child("Key"), *value = tag.child("Value");
    if (!tag.has_only({"Key", "Value"}) || key == nullptr || value == nullptr) return refuse("MalformedXML");
    if (!out.empty()) out += '&';
    out += http::uri_encode(key->text) + '=' + http::uri_encode(value->text);
  }
  return out;
}

bool fit_for_header(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

// The PUT that the form stands for: what reads headers reads the form's fields there.
Result<http::Request> make_put(const Call& call, const FormFields& fields) {
  http::Request out;
  out.method = "PUT";
  out.target = call.request.target;
  out.peer = call.request.peer;
  out.secure = call.request.secure;
  for (std::string_view name : {"host", "user-agent", "referer", "origin", "x-amz-expected-bucket-owner"})
    if (const std::string* value = call.request.headers.find(name))
      out.headers.add(std::string(name), *value);
  for (const auto& [name, value] : fields) {
    const bool header =
        contains(kHeaderFields, name) || (name.starts_with("x-amz-") && !contains(kSigningFields, name));
    if (!header && name != "acl") continue;
    if (!fit_for_header(value)) return refuse("InvalidArgument", "A field of the form has a line break.");
    out.headers.set(name == "acl" ? std::string_view("x-amz-acl") : std::string_view(name), value);
  }
  if (fields.contains("tagging")) {
    ASSIGN_OR_RETURN(std::string tags, tagging_header(field(fields, "tagging")));
    out.headers.set("x-amz-tagging", std::move(tags));
  }
  return out;
}

Result<std::string> make_key(const FormFields& fields, std::string_view filename) {
  std::string key = field(fields, "key");
  if (key.empty()) return missing("key");
  // A browser of old sends the whole path of the file.
  filename.remove_prefix(std::min(filename.size(), filename.find_last_of("/\\") + 1));
  static constexpr std::string_view kName = "${filename}";
  if (size_t at = key.find(kName); at != std::string::npos) key.replace(at, kName.size(), filename);
  if (!valid_utf8(key) || key.empty()) return refuse("InvalidArgument", "The key is not UTF-8, or empty.");
  if (key.size() > kKeyBytesMax) return refuse("KeyTooLongError");
  return key;
}

std::string quoted_url(std::string_view etag) {
  return "%22" + std::string(etag) + "%22";
}

bool good_redirect(std::string_view url) {
  bool web = url.starts_with("http://") || url.starts_with("https://");
  return web && url.size() <= 4096 && std::ranges::none_of(url, [](char c) {
           return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '"' || c == '<' || c == '>';
         });
}

io::Task<Result<void>> answer(Call& call, const FormFields& fields, const store::BucketInfo& bucket,
                              const store::ObjectInfo& stored) {
  std::string redirect = field(fields, "success_action_redirect");
  if (redirect.empty()) redirect = field(fields, "redirect");
  std::string_view status = fields.contains("success_action_status")
                                ? std::string_view(fields.find("success_action_status")->second)
                                : std::string_view();
  const bool redirected = good_redirect(redirect);
  http::Response response = make_response(call, redirected        ? 303
                                                : status == "200" ? 200
                                                : status == "201" ? 201
                                                                  : 204);
  response.headers.add("etag", quoted(stored.etag));
  add_written_version(bucket, stored.version, response.headers);
  std::string document;
  if (redirected) {
    redirect += redirect.find('?') == std::string::npos ? '?' : '&';
    redirect += "bucket=" + http::uri_encode(call.target.bucket) +
                "&key=" + http::uri_encode(call.target.key) + "&etag=" + quoted_url(stored.etag);
    response.headers.add("location", std::move(redirect));
  } else {
    response.headers.add("location", location_of(call));
    if (response.status == 201) {
      XmlWriter xml("PostResponse", {});
      xml.element("Location", location_of(call)).element("Bucket", call.target.bucket);
      xml.element("Key", call.target.key).element("ETag", quoted(stored.etag));
      document = xml.take();
      response.headers.add("content-type", "application/xml");
    }
  }
  auto sent = co_await reply(call, std::move(response), std::move(document));
  co_return sent;
}

Result<FormBody::Promise> read_promise(const http::Request& put) {
  FormBody::Promise out;
  // As for a PUT of the whole body in one: what is wrong with a digest is wrong here too.
  ASSIGN_OR_RETURN(BodyPlan plan, plan_body(put, std::nullopt, "UNSIGNED-PAYLOAD"));
  out.md5 = plan.md5;
  out.checksum = plan.checksum;
  out.checksum_value = plan.checksum_value;
  if (plan.checksum == ChecksumKind::none) out.computed = ChecksumKind::crc64nvme;  // as S3 does
  return out;
}

io::Task<Result<void>> store_form(Call& call, PostForm& form, PostLimits limits) {
  CO_ASSIGN_OR_RETURN(FormBody::Promise promise, read_promise(call.request));
  CO_ASSIGN_OR_RETURN(NewObject object, read_new_object(call));
  auto admitted = co_await admit_form(call);
  if (!admitted) co_return admitted;
  const store::BucketInfo bucket = call.bucket->info;
  const bool digest = promise.md5.has_value() || promise.checksum != ChecksumKind::none;
  CO_RETURN_IF_ERROR(apply_bucket_defaults(call, bucket, digest, object));
  store::PutRequest request;
  request.bucket = call.target.bucket;
  request.key = call.target.key;
  fill(call, object, request);
  FormBody body(form, limits, std::move(promise));
  auto stored = co_await call.door.store.put(std::move(request), body);
  call.bytes_in = body.bytes();
  if (body.failure()) {
    if (stored) co_return fail(Code::internal, "the store kept a form that failed its checks");
    co_return fail(*body.failure());
  }
  if (!stored) co_return std::unexpected(std::move(stored).error());
  auto sent = co_await answer(call, form.fields(), bucket, *stored);
  co_return sent;
}

}  // namespace

io::Task<Result<void>> post_object(Call& call) {
  auto boundary = form_boundary(call.request.headers.get("content-type"));
  if (!boundary)
    co_return refuse("PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data");
  if (!call.identity.anonymous())
    co_return refuse("InvalidArgument",
                     "Only one auth mechanism allowed; a form is signed in its fields, not in a header.");
  PostForm form(call.exchange, std::move(*boundary));
  auto read = co_await form.read_fields();
  if (!read) co_return read;
  const FormFields& fields = form.fields();
  PostLimits limits;
  CO_ASSIGN_OR_RETURN(std::string key, make_key(fields, form.filename()));
  CO_ASSIGN_OR_RETURN(Identity identity, authenticate(call, fields, key, limits));
  CO_ASSIGN_OR_RETURN(const http::Request put, make_put(call, fields));
  CO_RETURN_IF_ERROR(check_allowed(Operation::put_object, put, call.target));
  Call inner{.door = call.door, .exchange = call.exchange, .request = put, .request_id = call.request_id};
  inner.operation = Operation::post_object;
  inner.target = call.target;
  inner.target.key = std::move(key);
  inner.identity = std::move(identity);
  inner.bucket = call.bucket;
  auto done = co_await store_form(inner, form, limits);
  call.status = inner.status;
  call.bytes_in = inner.bytes_in;
  call.bytes_out = inner.bytes_out;
  call.target.key = inner.target.key;
  co_return done;
}

}  // namespace archipel::door::s3
