// AWS Signature Version 4 in the Authorization header, as S3 applies it: who sent this request, and was it changed on the way?
//
// S3's variant: the path is encoded once and never normalised ("//", ".", ".." are kept), so it is computed from the raw
// request-target; the payload hash is the literal text of x-amz-content-sha256, whose meaning body.h checks. Any region is
// accepted in the scope: clients sign some calls for us-east-1 whatever they are told. Sources: S3 API "Authenticating Requests:
// Using the Authorization Header"; the order and wording of errors follow the service.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "http/message.h"
#include "http/uri.h"
#include "iam/policy.h"
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr Duration kSkewMax = std::chrono::minutes(15);
inline constexpr size_t kSignedHeadersMax = 128;
inline constexpr size_t kSigningKeysMax = 1024;  // cache entries; the oldest leaves

// Hex SHA-256 of nothing: the payload hash of a request without a body.
inline constexpr std::string_view kEmptySha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// The account of those who do not sign; its id is the one that S3 has for them. It owns nothing.
const std::shared_ptr<const store::Account>& anonymous_account();

// Who a verified request is from, and what the signatures of its chunks continue from.
struct Identity {
  std::shared_ptr<const store::Account> account;  // never null once authenticated
  crypto::Secret32 signing_key;
  std::string timestamp;  // "20130524T000000Z"
  std::string scope;      // "20130524/us-east-1/s3/aws4_request"
  std::string region;
  std::string signature;     // 64 hex: the seed of chunk signatures
  std::string payload_hash;  // x-amz-content-sha256 as sent
  enum class Method { anonymous, header, query, form } method = Method::anonymous;
  bool v2 = false;       // signed as of before SigV4
  UnixMs signed_ms = 0;  // when, as the signature says
  iam::Principal principal = {};
  std::shared_ptr<const iam::Policy> session = nullptr;  // of a session that was given one

  bool anonymous() const { return method == Method::anonymous; }
  // Of the user or role; none for an account's root and for anonymous.
  std::span<const std::shared_ptr<const iam::Policy>> policies() const {
    return account ? std::span(account->policies) : std::span<const std::shared_ptr<const iam::Policy>>();
  }
};

// Pure parts, public for tests and fuzzing.
struct Authorization {
  std::string access_key, date, region, service, terminal, signature;
  std::vector<std::string> signed_headers;
  std::string signed_headers_text;  // as sent: "host;x-amz-date"
  std::string scope() const { return date + '/' + region + '/' + service + '/' + terminal; }
};
// Errors: AuthorizationHeaderMalformed; InvalidRequest for another mechanism ("AWS ", "Basic ").
Result<Authorization> parse_authorization(std::string_view header, std::string_view service = "s3");
// The two pieces of it that a query has too. Errors: AuthorizationHeaderMalformed.
Result<void> parse_credential(std::string_view text, Authorization& out, std::string_view service = "s3");
Result<void> parse_signed_headers(std::string_view text, Authorization& out);
// The canonical request of `request` with `query` already parsed; nullopt if a signed header is absent.
std::optional<std::string> canonical_request(const http::Request& request,
                                             const std::vector<http::QueryParam>& query,
                                             const Authorization& authorization,
                                             std::string_view payload_hash);
crypto::Secret32 derive_signing_key(std::string_view secret_key, std::string_view date,
                                    std::string_view region, std::string_view service);
// Lower-case hex HMAC-SHA256 of `string_to_sign`.
std::string sign(const crypto::Secret32& key, std::string_view string_to_sign);

// Thread-safe: one per door.
class Authenticator {
 public:
  using Found = std::shared_ptr<const store::Account>;
  using FindAccount = std::function<Found(const std::string& access_key)>;
  struct Settings {
    bool sigv2 = false;  // take SigV2 too (sigv2.h)
    // What a session token stands for. Errors: InvalidToken, ExpiredToken. Null: no sessions.
    std::function<Result<Found>(std::string_view token, const std::string& access_key)> open_session = {};
  };
  Authenticator(FindAccount find_account, Clock& clock, Settings settings);
  Authenticator(FindAccount find_account, Clock& clock)
      : Authenticator(std::move(find_account), clock, Settings()) {}

  // Who sends this: by the Authorization header, by the query, or nobody (anonymous), whose rights are for others to judge. `bucket` as the
  // Host header names it, else empty. Errors (Error::detail): AccessDenied (no or bad date; unsigned x-amz-* or Host; a URL that has expired
  // or is not valid yet), AuthorizationHeaderMalformed, AuthorizationQueryParametersError, InvalidArgument (two signatures; a malformed one of
  // SigV2), InvalidRequest (other mechanism, no x-amz-content-sha256, header given twice), MissingSecurityHeader (no Host),
  // InvalidAccessKeyId, InvalidToken, ExpiredToken, RequestTimeTooSkewed, SignatureDoesNotMatch.
  Result<Identity> authenticate(const http::Request& request, const std::vector<http::QueryParam>& query,
                                std::string_view bucket = {});

  // A form's policy, signed with SigV4 or SigV2: the identity it belongs to. Errors: InvalidAccessKeyId, SignatureDoesNotMatch, AccessDenied,
  // AuthorizationHeaderMalformed, InvalidRequest (SigV2 is off).
  struct FormSignature {
    bool v2 = false;
    std::string credential;  // SigV4: X-Amz-Credential; SigV2: the access key
    std::string date, signature, token, policy;
  };
  Result<Identity> authenticate_form(const FormSignature& form);

 private:
  struct CachedKey {
    std::shared_ptr<const store::Account> account;  // identity of the secret it was derived from
    crypto::Secret32 key;
  };
  Result<Identity> authenticate_header(const http::Request& request,
                                       const std::vector<http::QueryParam>& query);
  Result<Identity> authenticate_query(const http::Request& request,
                                      const std::vector<http::QueryParam>& query);
  Result<Identity> authenticate_v2(const http::Request& request, const std::vector<http::QueryParam>& query,
                                   std::string_view bucket);
  Result<Found> find(const std::string& access_key, std::string_view token) const;
  crypto::Secret32 signing_key(const std::shared_ptr<const store::Account>& account,
                               const Authorization& authorization, bool& cached);
  void remember(const std::shared_ptr<const store::Account>& account, const Authorization& authorization,
                const crypto::Secret32& key);

  FindAccount find_account_;
  Clock& clock_;
  const Settings settings_;
  std::mutex mutex_;
  std::unordered_map<std::string, CachedKey> keys_;
  std::vector<std::string> order_;  // ring of cache names, oldest at next_
  size_t next_ = 0;
};

}  // namespace archipel::door::s3
