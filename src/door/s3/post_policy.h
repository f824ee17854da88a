// The policy document of a POST form: what its signer allows the form to be.
//
// Every field of the form, and the bucket, must satisfy a condition that names it, but those that sign it, the policy, the file, checksums and
// x-ignore-*. Pure; any thread. Source: S3 API, "Browser-based uploads using POST: POST policy".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace archipel::door::s3 {

inline constexpr size_t kPostConditionsMax = 256;
inline constexpr size_t kPostDepthMax = 8;

// Fields by lower-case name.
using FormFields = std::map<std::string, std::string, std::less<>>;

struct PostLimits {
  uint64_t bytes_min = 0, bytes_max = UINT64_MAX;  // content-length-range
};

// `json` decoded from base64. Errors: InvalidPolicyDocument (not one, whole and well-formed), AccessDenied (expired; a condition that does not hold;
// a field that no condition names).
Result<PostLimits> check_post_policy(std::string_view json, const FormFields& fields, std::string_view bucket,
                                     UnixMs now);

}  // namespace archipel::door::s3
