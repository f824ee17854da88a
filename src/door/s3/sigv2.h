// AWS Signature Version 2, in the Authorization header and in the query: HMAC-SHA1 over a few lines of the request. Off unless the
// configuration turns it on: it signs neither the body nor most of the query, and is here for clients that know nothing newer.
//
// Pure; any thread. Source: S3 developer guide, "Signing and authenticating REST requests" (Signature Version 2).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/uri.h"

namespace archipel::door::s3 {

struct V2Signature {
  std::string access_key, signature;  // signature: base64, as given
  std::string expires;                // of a query, seconds since 1970; empty: in a header
};

// "AWS <access key>:<signature>". Errors: InvalidArgument.
Result<V2Signature> parse_v2_header(std::string_view header);
// AWSAccessKeyId, Signature and Expires. Errors: AccessDenied.
Result<V2Signature> parse_v2_query(const std::vector<http::QueryParam>& query);

// What is signed. `bucket` empty unless the Host header names it.
std::string v2_string_to_sign(const http::Request& request, const std::vector<http::QueryParam>& query,
                              std::string_view bucket, std::string_view expires);
// base64(HMAC-SHA1(secret, text)).
std::string v2_sign(std::string_view secret_key, std::string_view text);

}  // namespace archipel::door::s3
