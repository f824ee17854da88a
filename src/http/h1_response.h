// ResponseParser: a response head of HTTP/1.1 or 1.0, as strictly as requests are read (RFC 9112 §4, §6.3). No I/O: bytes in, verdict out.
//
// The verdict depends on the bytes alone, not on how they were split into reads. A missing space before an empty reason phrase is forgiven: many servers leave
// it out, and nothing hangs on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/client.h"
#include "http/limits.h"
#include "http/refusal.h"

namespace archipel::http {

// How the end of a response's body is told.
enum class BodyEnd : uint8_t { none, length, chunked, close };

class ResponseParser {
 public:
  enum class Progress { need_more, done, refused };

  // `limits` must outlive the parser. `request_line_bytes_max` bounds the status line. `to_head`: the request was HEAD.
  ResponseParser(const Limits& limits, bool to_head) : limits_(limits), to_head_(to_head) {}

  // As RequestParser::parse.
  Progress parse(std::string_view buffered);

  // After done.
  ResponseHead& head() { return head_; }
  const ResponseHead& head() const { return head_; }
  size_t head_bytes() const { return line_start_; }
  BodyEnd body_end() const { return body_end_; }
  bool keep_alive() const { return keep_alive_; }  // the server would take another request
  // After refused.
  Refusal refusal() const { return refusal_; }

 private:
  std::optional<Refusal> check_growth(std::string_view line, bool complete) const;
  std::optional<Refusal> take_line(std::string_view line);
  std::optional<Refusal> take_status_line(std::string_view line);
  std::optional<Refusal> check_head();
  Progress refuse(Refusal refusal);

  enum class State { status, headers, done };

  const Limits& limits_;
  const bool to_head_;
  ResponseHead head_;
  State state_ = State::status;
  size_t line_start_ = 0, scanned_ = 0;  // offsets into `buffered`
  size_t header_bytes_ = 0;
  BodyEnd body_end_ = BodyEnd::none;
  bool keep_alive_ = false;
  Refusal refusal_ = Refusal::bad_status_line;
};

}  // namespace archipel::http
