#include "door/s3/sigv2.h"

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "door/s3/errors.h"

namespace archipel::door::s3 {

namespace {

// Query parameters that are part of the resource; all others are not signed.
constexpr std::string_view kSubResources[] = {"accelerate",
                                              "acl",
                                              "analytics",
                                              "attributes",
                                              "cors",
                                              "delete",
                                              "encryption",
                                              "inventory",
                                              "legal-hold",
                                              "lifecycle",
                                              "location",
                                              "logging",
                                              "metrics",
                                              "notification",
                                              "object-lock",
                                              "ownershipControls",
                                              "partNumber",
                                              "policy",
                                              "policyStatus",
                                              "publicAccessBlock",
                                              "replication",
                                              "requestPayment",
                                              "response-cache-control",
                                              "response-content-disposition",
                                              "response-content-encoding",
                                              "response-content-language",
                                              "response-content-type",
                                              "response-expires",
                                              "restore",
                                              "retention",
                                              "select",
                                              "select-type",
                                              "tagging",
                                              "torrent",
                                              "uploadId",
                                              "uploads",
                                              "versionId",
                                              "versioning",
                                              "versions",
                                              "website"};

// Header values as SigV2 wants them: blanks at the ends gone.
void append_amz_headers(const http::Request& request, std::string& out) {
  std::map<std::string, std::string> lines;
  for (const auto& [name, value] : request.headers) {
    if (!name.starts_with("x-amz-")) continue;
    auto [it, fresh] = lines.emplace(name, value);
    if (!fresh) it->second += ',' + value;
  }
  for (const auto& [name, value] : lines) out += name + ':' + value + '\n';
}

void append_resource(const http::Request& request, const std::vector<http::QueryParam>& query,
                     std::string_view bucket, std::string& out) {
  if (!bucket.empty()) out.append("/").append(bucket);
  out += request.path();
  std::vector<std::string> pieces;
  for (const http::QueryParam& p : query) {
    if (std::ranges::find(kSubResources, p.name) == std::end(kSubResources)) continue;
    pieces.push_back(p.value.empty() ? p.name : p.name + '=' + p.value);
  }
  std::ranges::sort(pieces);
  char separator = '?';
  for (const std::string& piece : pieces) {
    out += separator;
    out += piece;
    separator = '&';
  }
}

}  // namespace

Result<V2Signature> parse_v2_header(std::string_view header) {
  header.remove_prefix(std::min<size_t>(4, header.size()));  // "AWS "
  size_t colon = header.find(':');
  if (colon == 0 || colon == std::string_view::npos || colon + 1 == header.size() ||
      header.find(' ') != std::string_view::npos)
    return refuse("InvalidArgument",
                  "AWS authorization header is invalid. Expected AwsAccessKeyId:signature");
  return V2Signature{std::string(header.substr(0, colon)), std::string(header.substr(colon + 1)), {}};
}

Result<V2Signature> parse_v2_query(const std::vector<http::QueryParam>& query) {
  V2Signature out;
  for (const http::QueryParam& p : query) {
    if (p.name == "AWSAccessKeyId") out.access_key = p.value;
    if (p.name == "Signature") out.signature = p.value;
    if (p.name == "Expires") out.expires = p.value;
  }
  if (out.access_key.empty() || out.signature.empty() || out.expires.empty())
    return refuse(
        "AccessDenied",
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters");
  return out;
}

std::string v2_string_to_sign(const http::Request& request, const std::vector<http::QueryParam>& query,
                              std::string_view bucket, std::string_view expires) {
  const http::Headers& headers = request.headers;
  std::string out = request.method;
  out += '\n';
  out += headers.get("content-md5");
  out += '\n';
  out += headers.get("content-type");
  out += '\n';
  if (!expires.empty()) {
    out += expires;
  } else if (headers.find("x-amz-date") == nullptr) {
    out += headers.get("date");
  }
  out += '\n';
  append_amz_headers(request, out);
  append_resource(request, query, bucket, out);
  return out;
}

// HMAC (RFC 2104) with SHA-1, which is what this version is made of and nothing else here uses.
std::string v2_sign(std::string_view secret_key, std::string_view text) {
  static constexpr size_t kBlock = 64;
  std::string key(secret_key);
  if (key.size() > kBlock) {
    crypto::Sha1 long_key;
    long_key.update(as_bytes(key));
    auto digest = long_key.finish();
    key = as_text(digest);
  }
  key.resize(kBlock, '\0');
  std::string inner = key, outer = key;
  for (char& c : inner) c = static_cast<char>(c ^ 0x36);
  for (char& c : outer) c = static_cast<char>(c ^ 0x5c);
  crypto::Sha1 sha;
  sha.update(as_bytes(inner));
  sha.update(as_bytes(text));
  auto first = sha.finish();
  sha.update(as_bytes(outer));
  sha.update(first);
  auto mac = sha.finish();
  for (std::string* secret : {&key, &inner, &outer}) crypto::secure_clear(secret->data(), secret->size());
  return base64(mac);
}

}  // namespace archipel::door::s3
