// The head of a response as bytes (RFC 9112 §4, §6). No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "http/message.h"

namespace archipel::http {

enum class Framing : uint8_t {
  none,         // no body and no length: 204, and 304 without a content-length of its own
  length,       // content-length
  chunked,      // transfer-encoding: chunked; 1.1 clients only
  until_close,  // the end of the connection ends the body; 1.0 clients only
};

struct ResponseFraming {
  Framing framing = Framing::none;
  uint64_t length = 0;
};

struct ResponseContext {
  int request_minor_version = 1;
  bool keep_alive = true;
  std::string_view date;      // IMF-fixdate
  bool forward_date = false;  // a date among the fields is kept instead of `date`
};

// Appends status line, `response.headers` (without connection, date, content-length and transfer-encoding, which are ours), and the empty line.
// False, with `out` unchanged, if the status is not 200..599 or a name or value cannot go on the wire (a value decoded from a query may
// hold a CR LF: it must never split the response).
[[nodiscard]] bool write_response_head(std::string& out, const Response& response, ResponseFraming framing,
                                       const ResponseContext& context);

// A head in two parts, for responses that are kept. The first is the same whenever it is sent: status line and fields, but for those that are ours.
[[nodiscard]] bool write_stored_head(std::string& out, int status, const Headers& headers);
// The second: `extra`, date (`date`, or if that is empty the context's), framing, connection, and the empty line.
[[nodiscard]] bool write_stored_rest(std::string& out, std::span<const FieldView> extra,
                                     std::string_view date, ResponseFraming framing,
                                     const ResponseContext& context);

// Both and `body`, in one run of bytes at the beginning of `out`, with nothing looked at: for what is known to be fit for the wire.
// Returns how many bytes that are; 0 if there is not room for them all.
size_t write_stored_whole(std::span<char> out, std::string_view stored_head, std::span<const FieldView> extra,
                          std::string_view date, ResponseFraming framing, const ResponseContext& context,
                          ByteView body);

// An interim response (102 to 199), or 101 with `connection: upgrade`.
[[nodiscard]] bool write_interim_head(std::string& out, int status, const Headers& headers);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// RFC 9110 §15; "Unknown" for others.
std::string_view reason_phrase(int status);

}  // namespace archipel::http
