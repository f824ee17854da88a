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
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr Duration kSkewMax = std::chrono::minutes(15);
inline constexpr size_t kSignedHeadersMax = 128;
inline constexpr size_t kSigningKeysMax = 1024;  // cache entries; the oldest leaves

// Hex SHA-256 of nothing: the payload hash of a request without a body.
inline constexpr std::string_view kEmptySha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// Who a verified request is from, and what the signatures of its chunks continue from.
struct Identity {
  std::shared_ptr<const store::Account> account;
  crypto::Secret32 signing_key;
  std::string timestamp;  // "20130524T000000Z"
  std::string scope;      // "20130524/us-east-1/s3/aws4_request"
  std::string region;
  std::string signature;     // 64 hex: the seed of chunk signatures
  std::string payload_hash;  // x-amz-content-sha256 as sent
};

// Pure parts, public for tests and fuzzing.
struct Authorization {
  std::string access_key, date, region, service, terminal, signature;
  std::vector<std::string> signed_headers;
  std::string signed_headers_text;  // as sent: "host;x-amz-date"
  std::string scope() const { return date + '/' + region + '/' + service + '/' + terminal; }
};
// Errors: AuthorizationHeaderMalformed; InvalidRequest for another mechanism ("AWS ", "Basic ").
Result<Authorization> parse_authorization(std::string_view header);
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
  using FindAccount = std::function<std::shared_ptr<const store::Account>(const std::string& access_key)>;
  Authenticator(FindAccount find_account, Clock& clock);

  // Errors (Error::detail): AccessDenied (anonymous; no or bad date; unsigned x-amz-* or Host), AuthorizationHeaderMalformed,
  // InvalidRequest (other mechanism, no x-amz-content-sha256, header given twice), MissingSecurityHeader (no Host),
  // InvalidAccessKeyId, RequestTimeTooSkewed, SignatureDoesNotMatch, NotImplemented (presigned URLs).
  Result<Identity> authenticate(const http::Request& request, const std::vector<http::QueryParam>& query);

 private:
  struct CachedKey {
    std::shared_ptr<const store::Account> account;  // identity of the secret it was derived from
    crypto::Secret32 key;
  };
  crypto::Secret32 signing_key(const std::shared_ptr<const store::Account>& account,
                               const Authorization& authorization, bool& cached);
  void remember(const std::shared_ptr<const store::Account>& account, const Authorization& authorization,
                const crypto::Secret32& key);

  FindAccount find_account_;
  Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, CachedKey> keys_;
  std::vector<std::string> order_;  // ring of cache names, oldest at next_
  size_t next_ = 0;
};

}  // namespace archipel::door::s3
