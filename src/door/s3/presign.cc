#include "door/s3/presign.h"

#include <algorithm>
#include <charconv>

#include "door/s3/errors.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

constexpr std::string_view kSigned[] = {"X-Amz-Algorithm",     "X-Amz-Credential", "X-Amz-Date",
                                        "X-Amz-Expires",       "X-Amz-Signature",  "X-Amz-SignedHeaders",
                                        "X-Amz-Content-Sha256"};
constexpr std::string_view kToken = "X-Amz-Security-Token";

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

const std::string* find(const std::vector<http::QueryParam>& query, std::string_view name) {
  auto it = std::ranges::find(query, name, &http::QueryParam::name);
  return it == query.end() ? nullptr : &it->value;
}

std::unexpected<Error> bad(std::string message) {
  return refuse("AuthorizationQueryParametersError", std::move(message));
}

Result<int64_t> parse_expires(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range && !text.starts_with('-')) value = kPresignedSecondsMax + 1;
  bool number = end == text.data() + text.size() && !text.empty() && error != std::errc::invalid_argument;
  if (!number) return bad("X-Amz-Expires should be a number");
  // Both are well-formed, and valid never: access is what they are denied.
  if (value < 0) return refuse("AccessDenied", "X-Amz-Expires must be non-negative");
  if (value > kPresignedSecondsMax)
    return refuse(
        "AccessDenied",
        "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less "
        "than 604800 seconds");
  return value;
}

}  // namespace

bool has_v2_query_signature(const std::vector<http::QueryParam>& query) {
  return find(query, "AWSAccessKeyId") != nullptr || find(query, "Signature") != nullptr;
}

bool has_query_signature(const std::vector<http::QueryParam>& query) {
  return has_v2_query_signature(query) || find(query, "X-Amz-Algorithm") != nullptr ||
         find(query, "X-Amz-Signature") != nullptr || find(query, "X-Amz-Credential") != nullptr;
}

Result<Presigned> parse_presigned(const http::Request& request, const std::vector<http::QueryParam>& query) {
  const std::string *algorithm = find(query, "X-Amz-Algorithm"),
                    *credential = find(query, "X-Amz-Credential"), *date = find(query, "X-Amz-Date"),
                    *expires = find(query, "X-Amz-Expires"), *names = find(query, "X-Amz-SignedHeaders"),
                    *signature = find(query, "X-Amz-Signature");
  for (const std::string* needed : {algorithm, credential, date, expires, names, signature})
    if (needed == nullptr || needed->empty())
      return bad(
          "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
          "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.");
  if (*algorithm != "AWS4-HMAC-SHA256") return bad("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
  Presigned out;
  Result<void> parsed = parse_credential(*credential, out.authorization);
  if (!parsed) return bad("Error parsing the X-Amz-Credential parameter; " + parsed.error().message);
  parsed = parse_signed_headers(*names, out.authorization);
  if (!parsed) return bad("X-Amz-SignedHeaders must be lower-case header names joined by ';'.");
  out.authorization.signature = *signature;
  auto when = http::parse_iso_basic(*date);
  if (!when) return bad("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  if (date->substr(0, 8) != out.authorization.date)
    return bad("Invalid credential date \"" + out.authorization.date +
               "\". This date is not the same as X-Amz-Date: \"" + date->substr(0, 8) + "\".");
  out.timestamp = *date;
  out.signed_ms = *when;
  ASSIGN_OR_RETURN(out.expires_s, parse_expires(*expires));
  const std::string* header = request.headers.find("x-amz-content-sha256");
  const std::string* hash = header != nullptr ? header : find(query, "X-Amz-Content-Sha256");
  out.payload_hash = hash != nullptr ? *hash : "UNSIGNED-PAYLOAD";
  if (const std::string* token = find(query, kToken)) out.session_token = *token;
  return out;
}

std::vector<http::QueryParam> without_signature(const std::vector<http::QueryParam>& query) {
  std::vector<http::QueryParam> out = query;
  std::erase_if(out, [](const http::QueryParam& p) { return p.name == "X-Amz-Signature"; });
  return out;
}

std::optional<std::string> hoisted_name(const http::QueryParam& parameter) {
  if (contains(kSigned, parameter.name) || parameter.name == kToken) return std::nullopt;
  std::string name = parameter.name;
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (!name.starts_with("x-amz-")) return std::nullopt;
  return name;
}

void strip_signature(std::vector<http::QueryParam>& query) {
  const bool v2 = has_v2_query_signature(query);
  std::erase_if(query, [&](const http::QueryParam& p) {
    if (v2)
      return p.name == "AWSAccessKeyId" || p.name == "Signature" || p.name == "Expires" ||
             p.name == "x-amz-security-token" || hoisted_name(p).has_value();
    return contains(kSigned, p.name) || p.name == kToken || hoisted_name(p).has_value();
  });
}

std::optional<http::Request> with_hoisted_headers(const http::Request& request) {
  // Cheap for nearly all requests.
  if (request.query().find("Signature=") == std::string_view::npos) return std::nullopt;
  auto query = http::parse_query(request.query());
  if (!query || !has_query_signature(*query)) return std::nullopt;
  std::optional<http::Request> out;
  for (const http::QueryParam& parameter : *query) {
    auto name = hoisted_name(parameter);
    // A value that no header could have is left out here, and refused as a parameter nobody knows.
    if (!name || parameter.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) continue;
    if (request.headers.find(*name) != nullptr) continue;
    if (!out) out = request;
    out->headers.add(std::move(*name), parameter.value);
  }
  return out;
}

}  // namespace archipel::door::s3
