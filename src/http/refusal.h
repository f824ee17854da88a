// Refusal: why a request is not served. Closed list: each reason has one status, one metric label and one sentence. After any of
// them the connection is closed, since where the next request starts can no longer be trusted.
#pragma once

#include <cstdint>
#include <string_view>

namespace archipel::http {

enum class Refusal : uint8_t {
  bad_request_line,
  bad_method,
  unknown_method,
  target_too_long,
  bad_target,
  unsupported_version,
  bare_line_feed,
  bad_header_name,
  bad_header_value,
  folded_header,
  headers_too_large,
  bad_host,
  bad_content_length,
  body_too_large,
  length_conflict,
  bad_transfer_encoding,
  unknown_transfer_encoding,
  bad_chunk,
  bad_trailer,
  trailers_too_large,
  header_timeout,
  bad_status_line,  // of a server that we ask
};
inline constexpr int kRefusals = static_cast<int>(Refusal::bad_status_line) + 1;

struct RefusalInfo {
  int status;
  std::string_view name;  // metric label
  std::string_view text;  // for a person
};
const RefusalInfo& info(Refusal refusal);

}  // namespace archipel::http
