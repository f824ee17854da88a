// Signatures in the query string: presigned URLs (SigV4), and what of such a query is part of the request itself.
//
// SDKs move x-amz-* headers into the query of a URL that they presign ("hoisting"); S3 reads them there as if they were headers, so does this.
// Pure; any thread. Source: S3 API, "Authenticating Requests: Using Query Parameters".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "door/s3/sigv4.h"
#include "http/message.h"
#include "http/uri.h"

namespace archipel::door::s3 {

inline constexpr int64_t kPresignedSecondsMax = 604'800;  // a week (S3's limit)

struct Presigned {
  Authorization authorization;
  std::string timestamp;  // X-Amz-Date
  UnixMs signed_ms = 0;
  int64_t expires_s = 0;  // 1..kPresignedSecondsMax
  std::string payload_hash;
  std::string session_token;  // X-Amz-Security-Token; empty: none
};

// Does the query carry a signature, or claim to?
bool has_query_signature(const std::vector<http::QueryParam>& query);
// As of SigV2: AWSAccessKeyId, Expires, Signature.
bool has_v2_query_signature(const std::vector<http::QueryParam>& query);

// Errors: AuthorizationQueryParametersError.
Result<Presigned> parse_presigned(const http::Request& request, const std::vector<http::QueryParam>& query);

// `query` without its signature: what the signature is computed over.
std::vector<http::QueryParam> without_signature(const std::vector<http::QueryParam>& query);

// Takes out of `query` what signs it and what was hoisted into it: what is left is what the request asks for.
void strip_signature(std::vector<http::QueryParam>& query);

// The request with hoisted headers among its headers; nullopt if it has none. A header that is there already stays alone: the authenticator refuses the
// two of them.
std::optional<http::Request> with_hoisted_headers(const http::Request& request);
// The lower-case header name if this parameter was hoisted.
std::optional<std::string> hoisted_name(const http::QueryParam& parameter);

}  // namespace archipel::door::s3
