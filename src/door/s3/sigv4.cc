#include "door/s3/sigv4.h"

#include <algorithm>

#include "door/s3/errors.h"
#include "http/date.h"

namespace archipel::door::s3 {

static constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

static std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

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

static Result<void> parse_credential(std::string_view text, Authorization& out) {
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
  if (parts[3] != "s3")
    return malformed("incorrect service in the Credential. This endpoint belongs to \"s3\".");
  if (parts[4] != "aws4_request")
    return malformed("incorrect terminal in the Credential. This endpoint uses \"aws4_request\".");
  out.access_key = parts[0];
  out.date = parts[1];
  out.region = parts[2];
  out.service = parts[3];
  out.terminal = parts[4];
  return {};
}

static Result<void> parse_signed_headers(std::string_view text, Authorization& out) {
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

Result<Authorization> parse_authorization(std::string_view header) {
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
    piece = trim(piece);
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
    if (seen == &credential) RETURN_IF_ERROR(parse_credential(value, out));
    if (seen == &signed_headers) RETURN_IF_ERROR(parse_signed_headers(value, out));
    if (seen == &signature) out.signature = value;
  }
  if (!credential) return malformed("the Credential is missing.");
  if (!signed_headers) return malformed("SignedHeaders is missing.");
  if (!signature || out.signature.empty()) return malformed("the Signature is missing.");
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
  value = trim(value);
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

Authenticator::Authenticator(FindAccount find_account, Clock& clock)
    : find_account_(std::move(find_account)), clock_(clock) {}

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

static bool presigned(const std::vector<http::QueryParam>& query) {
  return std::ranges::any_of(query, [](const auto& p) {
    return p.name.starts_with("X-Amz-") || p.name == "AWSAccessKeyId" || p.name == "Signature";
  });
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

// Headers that decide something must be signed, and said once: what was signed is then what is acted on.
static Result<void> check_headers(const http::Headers& headers, const Authorization& authorization) {
  auto is_signed = [&](std::string_view name) {
    return std::ranges::find(authorization.signed_headers, name) != authorization.signed_headers.end();
  };
  if (headers.find("host") == nullptr) return refuse("MissingSecurityHeader", "The Host header is missing.");
  for (const auto& [name, value] : headers) {
    bool amz = name.starts_with("x-amz-");
    if ((amz || name == "host") && !is_signed(name))
      return refuse("AccessDenied",
                    "There were headers present in the request which were not signed: " + name);
    bool single = (amz && !name.starts_with("x-amz-meta-")) || name == "host" || name == "date" ||
                  name == "content-md5";
    if (single && headers.count(name) > 1)
      return refuse("InvalidRequest", "The header " + name + " is given more than once.");
  }
  if (headers.find("x-amz-content-sha256") == nullptr)
    return refuse("InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
  return {};
}

Result<Identity> Authenticator::authenticate(const http::Request& request,
                                             const std::vector<http::QueryParam>& query) {
  const http::Headers& headers = request.headers;
  if (presigned(query))
    return refuse("NotImplemented",
                  "Presigned URLs (authentication in the query string) are not offered; sign in the "
                  "Authorization header.");
  if (headers.find("authorization") == nullptr)
    return refuse("AccessDenied", "Access Denied: the request is not signed.");
  if (headers.count("authorization") > 1) return malformed("there is more than one.");
  ASSIGN_OR_RETURN(Authorization authorization, parse_authorization(headers.get("authorization")));

  UnixMs now = clock_.unix_ms();
  auto when = request_time(headers, now);
  if (!when) return refuse("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
  std::string timestamp = http::format_iso_basic(*when);
  if (timestamp.substr(0, 8) != authorization.date)
    return malformed("Invalid credential date \"" + authorization.date +
                     "\". This date is not the same as X-Amz-Date: \"" + timestamp.substr(0, 8) + "\".");
  RETURN_IF_ERROR(check_headers(headers, authorization));

  auto account = find_account_(authorization.access_key);
  if (account == nullptr) return refuse("InvalidAccessKeyId");
  UnixMs skew = now > *when ? now - *when : *when - now;
  if (skew > std::chrono::duration_cast<std::chrono::milliseconds>(kSkewMax).count())
    return refuse("RequestTimeTooSkewed");

  std::string payload_hash(headers.get("x-amz-content-sha256"));
  auto canonical = canonical_request(request, query, authorization, payload_hash);
  if (!canonical) return refuse("SignatureDoesNotMatch");
  std::string to_sign(kAlgorithm);
  to_sign +=
      '\n' + timestamp + '\n' + authorization.scope() + '\n' + hex(crypto::sha256(as_bytes(*canonical)));
  bool cached = false;
  crypto::Secret32 key = signing_key(account, authorization, cached);
  if (!crypto::constant_time_equal(as_bytes(sign(key, to_sign)), as_bytes(authorization.signature)))
    return refuse("SignatureDoesNotMatch");
  if (!cached) remember(account, authorization, key);
  return Identity{std::move(account),     std::move(key),       std::move(timestamp),
                  authorization.scope(),  authorization.region, authorization.signature,
                  std::move(payload_hash)};
}

}  // namespace archipel::door::s3
