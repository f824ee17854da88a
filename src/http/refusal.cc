#include "http/refusal.h"

#include <array>

#include "base/check.h"

namespace archipel::http {

const RefusalInfo& info(Refusal refusal) {
  // In the order of the enum.
  static constexpr std::array<RefusalInfo, kRefusals> kTable = {{
      {400, "bad_request_line", "the request line is not METHOD SP TARGET SP VERSION"},
      {400, "bad_method", "the method is not a token"},
      {501, "unknown_method", "the method is too long to be one"},
      {414, "target_too_long", "the request line is too long"},
      {400, "bad_target", "the request target is not in origin form or has bytes that do not belong there"},
      {505, "unsupported_version", "only HTTP/1.1 and HTTP/1.0 are spoken here"},
      {400, "bare_line_feed", "a line ends in LF without CR"},
      {400, "bad_header_name", "a header name is empty, not a token, or followed by a space"},
      {400, "bad_header_value", "a header value has a control character"},
      {400, "folded_header", "a header is folded over several lines"},
      {431, "headers_too_large", "the header fields are too many or too long"},
      {400, "bad_host", "exactly one valid Host is needed"},
      {400, "bad_content_length", "Content-Length is not one decimal number"},
      {413, "body_too_large", "the body is longer than any body can be"},
      {400, "length_conflict", "Content-Length and Transfer-Encoding exclude each other"},
      {400, "bad_transfer_encoding", "Transfer-Encoding may be given once, in HTTP/1.1"},
      {501, "unknown_transfer_encoding", "the only transfer coding known here is chunked"},
      {400, "bad_chunk", "the chunked body is malformed"},
      {400, "bad_trailer", "a trailer field is malformed or may not be a trailer"},
      {431, "trailers_too_large", "the trailer fields are too many or too long"},
      {408, "header_timeout", "the request head did not arrive in time"},
      {502, "bad_status_line", "the status line is not VERSION SP STATUS SP REASON"},
  }};
  auto i = static_cast<size_t>(refusal);
  CHECK(i < kTable.size());
  return kTable[i];
}

}  // namespace archipel::http
