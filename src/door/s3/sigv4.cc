#include "door/s3/sigv4.h"

#include <algorithm>
#include <charconv>

#include "door/s3/errors.h"
#include "door/s3/presign.h"
#include "door/s3/sigv2.h"
#include "http/date.h"
#include "http/h1_parser.h"

namespace archipel::door::s3 {

static constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

static std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (true) {
    size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

static std::unexpected<Error> malformed(std::string_view why) {
  return refuse("AuthorizationHeaderMalformed", "The authorization header is malformed; " + std::string(why));
}

static bool lower_token(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").contains(c);
  });
}

Result<void> parse_credential(std::string_view text, Authorization& out, std::string_view service) {
  std::vector<std::string_view> parts = split(text, '/');
  if (parts.size() != 5 || std::ranges::any_of(parts, [](auto p) { return p.empty() || p.size() > 128; }))
    return malformed(
        "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (parts[1].size() != 8 || !std::ranges::all_of(parts[1], digit))
    return malformed("the date of the Credential must be YYYYMMDD.");
  auto region_char = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || digit(c) || c == '-';
  };
  if (!std::ranges::all_of(parts[2], region_char))
    return malformed("the region of the Credential is not a region name.");
  if (parts[3] != service)
    return malformed("incorrect service in the Credential. This endpoint belongs to \"" +
                     std::string(service) + "\".");
  if (parts[4] != "aws4_request")
    return malformed("incorrect terminal in the Credential. This endpoint uses \"aws4_request\".");
  out.access_key = parts[0];
  out.date = parts[1];
  out.region = parts[2];
  out.service = parts[3];
  out.terminal = parts[4];
  return {};
}

Result<void> parse_signed_headers(std::string_view text, Authorization& out) {
  out.signed_headers_text = text;
  for (std::string_view name : split(text, ';')) {
    if (!lower_token(name)) return malformed("SignedHeaders must be lower-case header names joined by ';'.");
    if (std::ranges::find(out.signed_headers, name) != out.signed_headers.end())
      return malformed("SignedHeaders names a header twice.");
    if (out.signed_headers.size() == kSignedHeadersMax)
      return malformed("SignedHeaders names too many headers.");
    out.signed_headers.emplace_back(name);
  }
  return {};
}

Result<Authorization> parse_authorization(std::string_view header, std::string_view service) {
  size_t space = header.find(' ');
  std::string_view mechanism = header.substr(0, space);
  if (mechanism != kAlgorithm)
    return refuse(
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.");
  if (space == std::string_view::npos)
    return malformed("Credential, SignedHeaders and Signature are missing.");
  Authorization out;
  bool credential = false, signed_headers = false, signature = false;
  for (std::string_view piece : split(header.substr(space + 1), ',')) {
    piece = http::trim_blanks(piece);
    size_t equals = piece.find('=');
    if (equals == std::string_view::npos) return malformed("expecting name=value pairs joined by ','.");
    std::string_view name = piece.substr(0, equals), value = piece.substr(equals + 1);
    bool* seen = name == "Credential"      ? &credential
                 : name == "SignedHeaders" ? &signed_headers
                 : name == "Signature"     ? &signature
                                           : nullptr;
    if (seen == nullptr || *seen)
      return malformed("expecting Credential, SignedHeaders and Signature, once each.");
    *seen = true;
    if (seen == &credential) RETURN_IF_ERROR(parse_credential(value, out, service));
    if (seen == &signed_headers) RETURN_IF_ERROR(parse_signed_headers(value, out));
    if (seen == &signature) out.signature = value;
  }
  if (!credential) return malformed("the Credential is missing.");
  if (!signed_headers) return malformed("SignedHeaders is missing.");
  if (!signature || out.signature.empty()) return malformed("the Signature is missing.");
  return out;
}

static std::string string_to_sign(std::string_view timestamp, std::string_view scope,
                                  std::string_view canonical) {
  std::string out(kAlgorithm);
  out.append("\n").append(timestamp).append("\n").append(scope).append("\n");
  out += hex(crypto::sha256(as_bytes(canonical)));
  return out;
}

static std::string canonical_query(const std::vector<http::QueryParam>& query) {
  std::vector<std::pair<std::string, std::string>> encoded;
  encoded.reserve(query.size());
  for (const auto& p : query) encoded.emplace_back(http::uri_encode(p.name), http::uri_encode(p.value));
  std::ranges::sort(encoded);
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out += name;
    out += '=';
    out += value;
  }
  return out;
}

// Runs of blanks count as one.
static void append_collapsed(std::string& out, std::string_view value) {
  value = http::trim_blanks(value);
  bool blank = false;
  for (char c : value) {
    bool is_blank = c == ' ' || c == '\t';
    if (is_blank && blank) continue;
    blank = is_blank;
    out += is_blank ? ' ' : c;
  }
}

std::optional<std::string> canonical_request(const http::Request& request,
                                             const std::vector<http::QueryParam>& query,
                                             const Authorization& authorization,
                                             std::string_view payload_hash) {
  // Decoding and encoding once more makes one spelling of "%7E" and "~", and leaves '//' and '..' alone.
  auto path = http::percent_decode(request.path());
  if (!path) return std::nullopt;
  std::string out = request.method;
  out += '\n';
  out += http::uri_encode(*path, http::Slash::keep);
  out += '\n';
  out += canonical_query(query);
  out += '\n';
  for (const std::string& name : authorization.signed_headers) {
    out += name;
    out += ':';
    bool first = true;
    for (const auto& [n, v] : request.headers) {
      if (n != name) continue;
      if (!first) out += ',';
      first = false;
      append_collapsed(out, v);
    }
    if (first) return std::nullopt;
    out += '\n';
  }
  out += '\n';
  out += authorization.signed_headers_text;
  out += '\n';
  out += payload_hash;
  return out;
}

crypto::Secret32 derive_signing_key(std::string_view secret_key, std::string_view date,
                                    std::string_view region, std::string_view service) {
  std::string first = "AWS4";
  first += secret_key;
  crypto::Digest32 key = crypto::hmac_sha256(as_bytes(first), as_bytes(date));
  crypto::secure_clear(first.data(), first.size());
  key = crypto::hmac_sha256(key, as_bytes(region));
  key = crypto::hmac_sha256(key, as_bytes(service));
  key = crypto::hmac_sha256(key, as_bytes("aws4_request"));
  crypto::Secret32 out{ByteView(key)};
  crypto::secure_clear(key.data(), key.size());
  return out;
}

std::string sign(const crypto::Secret32& key, std::string_view string_to_sign) {
  return hex(crypto::hmac_sha256(key.view(), as_bytes(string_to_sign)));
}

Authenticator::Authenticator(FindAccount find_account, Clock& clock, Settings settings)
    : find_account_(std::move(find_account)), clock_(clock), settings_(settings) {}

static std::string cache_name(const Authorization& a) {
  return a.access_key + '/' + a.date + '/' + a.region;
}

crypto::Secret32 Authenticator::signing_key(const std::shared_ptr<const store::Account>& account,
                                            const Authorization& authorization, bool& cached) {
  {
    std::lock_guard lock(mutex_);
    auto it = keys_.find(cache_name(authorization));
    cached = it != keys_.end() && it->second.account == account;
    if (cached) return it->second.key.clone();
  }
  return derive_signing_key(account->secret_key, authorization.date, authorization.region,
                            authorization.service);
}

// Called only after a signature verified, so that strangers cannot push keys out.
void Authenticator::remember(const std::shared_ptr<const store::Account>& account,
                             const Authorization& authorization, const crypto::Secret32& key) {
  if (!account->issuer.empty()) return;  // a session is opened anew for every request
  std::string name = cache_name(authorization);
  std::lock_guard lock(mutex_);
  auto it = keys_.find(name);
  if (it != keys_.end()) {
    it->second = CachedKey{account, key.clone()};
    return;
  }
  if (order_.size() < kSigningKeysMax) {
    order_.push_back(name);
  } else {
    keys_.erase(order_[next_]);
    order_[next_] = name;
    next_ = (next_ + 1) % kSigningKeysMax;
  }
  keys_.emplace(std::move(name), CachedKey{account, key.clone()});
}

// The request's time: x-amz-date, or Date in either form.
static std::optional<UnixMs> request_time(const http::Headers& headers, UnixMs now) {
  if (const std::string* amz = headers.find("x-amz-date")) return http::parse_iso_basic(*amz);
  const std::string* date = headers.find("date");
  if (date == nullptr) return std::nullopt;
  if (auto iso = http::parse_iso_basic(*date)) return iso;
  // Date libraries of mail write the zone of HTTP as a number; boto3 sends such a Date when the caller set one.
  std::string text = *date;
  if (text.ends_with(" -0000") || text.ends_with(" +0000")) text.replace(text.size() - 5, 5, "GMT");
  return http::parse_http_date(text, now);
}

const std::shared_ptr<const store::Account>& anonymous_account() {
  static const auto kAnonymous = std::make_shared<const store::Account>(
      store::Account{"65a011a29cdf8ec533ec3d1ccaae921c", "anonymous", {}, {}});
  return kAnonymous;
}

static Identity identity_of(std::shared_ptr<const store::Account> account) {
  Identity identity;
  identity.principal = account->principal();
  identity.session = account->session_policy;
  identity.account = std::move(account);
  return identity;
}

// S3's own headers, and ours.
static bool asks_something(std::string_view name) {
  return name.starts_with("x-amz-") || name.starts_with("x-archipel-");
}

// A header that decides something is said once, or two readers of the request could differ.
static Result<void> check_single_headers(const http::Headers& headers) {
  for (const auto& [name, value] : headers) {
    bool single = (asks_something(name) && !name.starts_with("x-amz-meta-")) || name == "host" ||
                  name == "date" || name == "content-md5";
    if (single && headers.count(name) > 1)
      return refuse("InvalidRequest", "The header " + name + " is given more than once.");
  }
  return {};
}

// Nobody signed: what the headers say is anybody's word.
static Result<Identity> authenticate_anonymous(const http::Headers& headers) {
  RETURN_IF_ERROR(check_single_headers(headers));
  std::string_view hash = headers.get("x-amz-content-sha256");
  if (hash.starts_with("STREAMING-AWS4-"))
    return refuse("AccessDenied",
                  "Access Denied: the body claims signatures, and the request is not signed.");
  Identity identity;
  identity.account = anonymous_account();
  identity.payload_hash = hash.empty() ? std::string_view("UNSIGNED-PAYLOAD") : hash;
  return identity;
}

// Headers that decide something must be signed, and said once: what was signed is then what is acted on.
static Result<void> check_headers(const http::Headers& headers, const Authorization& authorization) {
  auto is_signed = [&](std::string_view name) {
    return std::ranges::find(authorization.signed_headers, name) != authorization.signed_headers.end();
  };
  if (headers.find("host") == nullptr) return refuse("MissingSecurityHeader", "The Host header is missing.");
  for (const auto& [name, value] : headers)
    if ((asks_something(name) || name == "host") && !is_signed(name))
      return refuse("AccessDenied",
                    "There were headers present in the request which were not signed: " + name);
  return check_single_headers(headers);
}

static bool outside_skew(UnixMs now, UnixMs when) {
  UnixMs skew = now > when ? now - when : when - now;
  return skew > std::chrono::duration_cast<std::chrono::milliseconds>(kSkewMax).count();
}

static std::unexpected<Error> other_mechanism() {
  return refuse(
      "InvalidRequest",
      "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.");
}

Result<Authenticator::Found> Authenticator::find(const std::string& access_key,
                                                 std::string_view token) const {
  if (!token.empty() && !settings_.open_session) return refuse("InvalidToken");
  if (!token.empty()) return settings_.open_session(token, access_key);
  Found account = find_account_(access_key);
  if (account == nullptr) return refuse("InvalidAccessKeyId");
  return account;
}

Result<Identity> Authenticator::authenticate_header(const http::Request& request,
                                                    const std::vector<http::QueryParam>& query) {
  const http::Headers& headers = request.headers;
  ASSIGN_OR_RETURN(Authorization authorization, parse_authorization(headers.get("authorization")));
  UnixMs now = clock_.unix_ms();
  auto when = request_time(headers, now);
  if (!when) return refuse("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
  std::string timestamp = http::format_iso_basic(*when);
  if (timestamp.substr(0, 8) != authorization.date)
    return malformed("Invalid credential date \"" + authorization.date +
                     "\". This date is not the same as X-Amz-Date: \"" + timestamp.substr(0, 8) + "\".");
  RETURN_IF_ERROR(check_headers(headers, authorization));
  if (headers.find("x-amz-content-sha256") == nullptr)
    return refuse("InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
  ASSIGN_OR_RETURN(Found account, find(authorization.access_key, headers.get("x-amz-security-token")));
  if (outside_skew(now, *when)) return refuse("RequestTimeTooSkewed");

  std::string payload_hash(headers.get("x-amz-content-sha256"));
  auto canonical = canonical_request(request, query, authorization, payload_hash);
  if (!canonical) return refuse("SignatureDoesNotMatch");
  bool cached = false;
  crypto::Secret32 key = signing_key(account, authorization, cached);
  std::string expected = sign(key, string_to_sign(timestamp, authorization.scope(), *canonical));
  if (!crypto::constant_time_equal(as_bytes(expected), as_bytes(authorization.signature)))
    return refuse("SignatureDoesNotMatch");
  if (!cached) remember(account, authorization, key);
  Identity identity = identity_of(std::move(account));
  identity.method = Identity::Method::header;
  identity.signing_key = std::move(key);
  identity.timestamp = std::move(timestamp);
  identity.scope = authorization.scope();
  identity.region = authorization.region;
  identity.signature = authorization.signature;
  identity.payload_hash = std::move(payload_hash);
  identity.signed_ms = *when;
  return identity;
}

Result<Identity> Authenticator::authenticate_query(const http::Request& request,
                                                   const std::vector<http::QueryParam>& query) {
  ASSIGN_OR_RETURN(Presigned url, parse_presigned(request, query));
  const Authorization& authorization = url.authorization;
  RETURN_IF_ERROR(check_headers(request.headers, authorization));
  for (const http::QueryParam& parameter : query)
    if (auto name = hoisted_name(parameter); name && request.headers.find(*name) != nullptr)
      return refuse("InvalidRequest", "The header " + *name + " is given in the query too.");
  ASSIGN_OR_RETURN(Found account, find(authorization.access_key, url.session_token));
  UnixMs now = clock_.unix_ms();
  if (url.signed_ms > now && outside_skew(now, url.signed_ms))
    return refuse("AccessDenied", "Request is not yet valid");
  if (now >= url.signed_ms + url.expires_s * 1000) return refuse("AccessDenied", "Request has expired");
  if (url.payload_hash.starts_with("STREAMING-AWS4-"))
    return refuse("NotImplemented", "A presigned URL with signed chunks is not offered.");

  auto canonical = canonical_request(request, without_signature(query), authorization, url.payload_hash);
  if (!canonical) return refuse("SignatureDoesNotMatch");
  bool cached = false;
  crypto::Secret32 key = signing_key(account, authorization, cached);
  std::string expected = sign(key, string_to_sign(url.timestamp, authorization.scope(), *canonical));
  if (!crypto::constant_time_equal(as_bytes(expected), as_bytes(authorization.signature)))
    return refuse("SignatureDoesNotMatch");
  if (!cached) remember(account, authorization, key);
  Identity identity = identity_of(std::move(account));
  identity.method = Identity::Method::query;
  identity.timestamp = url.timestamp;
  identity.scope = authorization.scope();
  identity.region = authorization.region;
  identity.payload_hash = url.payload_hash;
  identity.signed_ms = url.signed_ms;
  return identity;
}

// Seconds since 1970, as SigV2 has them in a query.
static std::optional<UnixMs> parse_expires_v2(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value > INT64_MAX / 1000)
    return std::nullopt;
  return value * 1000;
}

Result<Identity> Authenticator::authenticate_v2(const http::Request& request,
                                                const std::vector<http::QueryParam>& query,
                                                std::string_view bucket) {
  const http::Headers& headers = request.headers;
  const bool in_query = has_v2_query_signature(query);
  if (!settings_.sigv2) return other_mechanism();
  RETURN_IF_ERROR(check_single_headers(headers));
  V2Signature said;
  UnixMs now = clock_.unix_ms();
  std::optional<UnixMs> when;
  if (in_query) {
    ASSIGN_OR_RETURN(said, parse_v2_query(query));
    auto expires = parse_expires_v2(said.expires);
    if (!expires) return refuse("AccessDenied", "Invalid date (should be seconds since epoch): Expires");
    if (now >= *expires) return refuse("AccessDenied", "Request has expired");
    when = now;
  } else {
    ASSIGN_OR_RETURN(said, parse_v2_header(headers.get("authorization")));
    when = request_time(headers, now);
    if (!when)
      if (const std::string* amz = headers.find("x-amz-date")) when = http::parse_http_date(*amz, now);
    if (!when || *when < 0)
      return refuse("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
  }
  ASSIGN_OR_RETURN(Found account, find(said.access_key, headers.get("x-amz-security-token")));
  if (outside_skew(now, *when)) return refuse("RequestTimeTooSkewed");
  std::string_view hash = headers.get("x-amz-content-sha256");
  if (hash.starts_with("STREAMING-AWS4-"))
    return refuse("InvalidRequest", "A request signed with SigV2 has no signed chunks.");
  std::string expected =
      v2_sign(account->secret_key, v2_string_to_sign(request, query, bucket, said.expires));
  bool matches = crypto::constant_time_equal(as_bytes(expected), as_bytes(said.signature));
  if (!matches && bucket.empty() && request.path().size() > 1 && request.path().rfind('/') == 0) {
    // Of a bucket in path style some clients (boto3) sign "/bucket/" where they ask for "/bucket": it is the same resource.
    http::Request with_slash = request;
    with_slash.target.insert(request.path().size(), "/");
    expected = v2_sign(account->secret_key, v2_string_to_sign(with_slash, query, bucket, said.expires));
    matches = crypto::constant_time_equal(as_bytes(expected), as_bytes(said.signature));
  }
  if (!matches) return refuse("SignatureDoesNotMatch");
  Identity identity = identity_of(std::move(account));
  identity.method = in_query ? Identity::Method::query : Identity::Method::header;
  identity.v2 = true;
  identity.payload_hash = hash.empty() ? std::string_view("UNSIGNED-PAYLOAD") : hash;
  identity.signed_ms = *when;
  return identity;
}

Result<Identity> Authenticator::authenticate_form(const FormSignature& form) {
  if (form.v2) {
    if (!settings_.sigv2) return other_mechanism();
    ASSIGN_OR_RETURN(Found account, find(form.credential, form.token));
    std::string expected = v2_sign(account->secret_key, form.policy);
    if (!crypto::constant_time_equal(as_bytes(expected), as_bytes(form.signature)))
      return refuse("SignatureDoesNotMatch");
    Identity identity = identity_of(std::move(account));
    identity.method = Identity::Method::form;
    identity.v2 = true;
    return identity;
  }
  Authorization authorization;
  RETURN_IF_ERROR(parse_credential(form.credential, authorization));
  auto when = http::parse_iso_basic(form.date);
  if (!when || form.date.substr(0, 8) != authorization.date)
    return malformed("the date of the form is not that of its Credential.");
  ASSIGN_OR_RETURN(Found account, find(authorization.access_key, form.token));
  bool cached = false;
  crypto::Secret32 key = signing_key(account, authorization, cached);
  if (!crypto::constant_time_equal(as_bytes(sign(key, form.policy)), as_bytes(form.signature)))
    return refuse("SignatureDoesNotMatch");
  if (!cached) remember(account, authorization, key);
  Identity identity = identity_of(std::move(account));
  identity.method = Identity::Method::form;
  identity.region = authorization.region;
  identity.signed_ms = *when;
  return identity;
}

Result<Identity> Authenticator::authenticate(const http::Request& request,
                                             const std::vector<http::QueryParam>& query,
                                             std::string_view bucket) {
  const http::Headers& headers = request.headers;
  const bool in_query = has_query_signature(query);
  if (headers.count("authorization") > 1) return malformed("there is more than one.");
  const std::string* header = headers.find("authorization");
  if (header != nullptr && in_query)
    return refuse(
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
        "string parameter or the Authorization header should be specified");
  if (in_query)
    return has_v2_query_signature(query) ? authenticate_v2(request, query, bucket)
                                         : authenticate_query(request, query);
  if (header == nullptr || header->empty()) return authenticate_anonymous(headers);
  if (header->starts_with("AWS ")) return authenticate_v2(request, query, bucket);
  return authenticate_header(request, query);
}

}  // namespace archipel::door::s3
