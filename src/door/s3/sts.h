// STS on the S3 port: temporary keys. POST / with a form, signed for the service "sts": GetCallerIdentity, GetSessionToken, AssumeRole.
//
// A client of STS signs the hash of its body and sends no x-amz-content-sha256, so the body, at most kStsBodyBytesMax, is read before the caller
// is known: it is counted against the budget of documents. Answers and errors are those of STS (XML, its own namespace). Source: AWS STS API
// reference, version 2011-06-15.
#pragma once

#include "door/s3/call.h"

namespace archipel::door::s3 {

inline constexpr size_t kStsBodyBytesMax = 16u
                                           << 10;  // a session policy of 2 KiB, percent-encoded, and names
inline constexpr int64_t kSessionSecondsMin = 900;
inline constexpr int64_t kSessionTokenSecondsMax = 129'600;  // of a user; default 12 hours
inline constexpr int64_t kRootSecondsMax = 3600;    // of an account's root, and of a role assumed by a role
inline constexpr int64_t kRoleSecondsMax = 43'200;  // default one hour

// Whether STS is asked: before the request is authenticated.
bool is_sts(const http::Request& request, const Target& target);
// Answers, errors included. An error that is returned is one of the connection.
io::Task<Result<void>> serve_sts(Call& call);

}  // namespace archipel::door::s3
