// What a request addresses: bucket, key and query, from the raw request-target and the Host header.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/uri.h"

namespace archipel::door::s3 {

inline constexpr size_t kKeyBytesMax = 1024;  // S3: of the UTF-8 key, decoded

struct Target {
  std::string bucket;  // empty: the service itself
  std::string key;     // empty: the bucket itself. "//", "." and ".." are ordinary characters here
  std::vector<http::QueryParam> query;
  bool virtual_hosted = false;

  // The first parameter of that name, or nullptr.
  const http::QueryParam* param(std::string_view name) const;
  std::string_view value(std::string_view name) const;  // empty if absent
};

// Virtual-hosted style if Host is "<bucket>.<virtual_host_base>" (port and case ignored), path style otherwise. "/bucket" and
// "/bucket/" are the same resource. Errors: InvalidURI (no leading '/', a bad %-escape, NUL, not UTF-8), KeyTooLongError,
// InvalidArgument (a query parameter given twice).
Result<Target> parse_target(const http::Request& request, std::string_view virtual_host_base);

// Strict UTF-8 (RFC 3629: no surrogates, no over-long forms, at most U+10FFFF).
bool valid_utf8(std::string_view text);

}  // namespace archipel::door::s3
