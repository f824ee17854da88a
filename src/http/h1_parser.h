// RequestParser: a request head of HTTP/1.1 or 1.0, strictly (RFC 9112 §2-§6, RFC 9110 §5, §7.2). No I/O: bytes in, verdict out.
//
// What two parsers could read differently is refused, never repaired: request smuggling lives in such differences. The verdict depends on
// the bytes alone, not on how they were split into reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/limits.h"
#include "http/message.h"
#include "http/refusal.h"

namespace archipel::http {

struct RequestHead {
  Request request;               // peer is left empty
  bool chunked = false;          // Transfer-Encoding: chunked; then content_length is 0
  uint64_t content_length = 0;   // 0 without a body
  bool keep_alive = true;        // what the client wants
  bool expect_continue = false;  // Expect: 100-continue, in 1.1 only
};

class RequestParser {
 public:
  enum class Progress { need_more, done, refused };

  // `limits` must outlive the parser.
  explicit RequestParser(const Limits& limits) : limits_(limits) {}

  // For another request; what was allocated is used again.
  void reset();

  // `buffered` = everything received since the head began; each call passes the same bytes again, and more behind them. Only the new part is
  // scanned. Not to be called again after done or refused.
  Progress parse(std::string_view buffered);

  // After done: the head, and how many bytes of `buffered` it took; the rest is body or the next request.
  RequestHead& head() { return head_; }
  const RequestHead& head() const { return head_; }
  size_t head_bytes() const { return line_start_; }
  // After refused. head().request is filled as far as it was understood.
  Refusal refusal() const { return refusal_; }

 private:
  std::optional<Refusal> check_growth(std::string_view line, bool complete) const;
  std::optional<Refusal> take_line(std::string_view line);
  std::optional<Refusal> take_request_line(std::string_view line);
  std::optional<Refusal> take_target(std::string_view target);
  std::optional<Refusal> check_head();
  Progress refuse(Refusal refusal);

  enum class State { before, headers, done };

  const Limits& limits_;
  RequestHead head_;
  State state_ = State::before;
  bool skipped_empty_line_ = false;
  size_t line_start_ = 0, scanned_ = 0;  // offsets into `buffered`
  size_t header_bytes_ = 0;
  std::string authority_;  // of an absolute-form target: it replaces Host
  Refusal refusal_ = Refusal::bad_request_line;
};

// One field line without its CRLF, appended to `out` (name in lower case, value trimmed). Shared with trailers.
std::optional<Refusal> parse_field(std::string_view line, Headers& out);

// A Content-Length: decimal digits alone, at most 2^63-1.
std::optional<Refusal> parse_content_length(std::string_view text, uint64_t& out);

bool is_token(std::string_view text);
bool is_target(std::string_view text);       // bytes that may stand in a request target, and at least one
bool is_authority(std::string_view text);    // uri-host [":" port]
bool is_field_value(std::string_view text);  // no control characters but HTAB; 0x80-0xff pass
// Without the spaces and tabs around it: OWS (RFC 9110 §5.6.3).
std::string_view trim_blanks(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view lower);
// Does the comma-separated list `value` contain the token `lower`?
bool list_contains(std::string_view value, std::string_view lower);

}  // namespace archipel::http
