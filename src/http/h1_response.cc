#include "http/h1_response.h"

#include <algorithm>

#include "http/h1_parser.h"

namespace archipel::http {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A transfer coding that nobody registered stands for no coding we could undo or that hides a length: its bytes are what they are, until the connection
// ends. One that is registered is not ours to undo, and whatever resembles "chunked" is meant to be read in two ways.
bool is_meaningless_coding(std::string_view coding) {
  std::string lower(coding);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (!is_token(lower) || lower.find("chunk") != std::string::npos) return false;
  for (std::string_view registered :
       {"gzip", "x-gzip", "deflate", "compress", "x-compress", "identity", "trailers"})
    if (lower == registered) return false;
  return true;
}

}  // namespace

ResponseParser::Progress ResponseParser::refuse(Refusal refusal) {
  refusal_ = refusal;
  return Progress::refused;
}

ResponseParser::Progress ResponseParser::parse(std::string_view in) {
  while (state_ != State::done) {
    size_t lf = in.find('\n', scanned_);
    bool complete = lf != std::string_view::npos;
    std::string_view line = in.substr(line_start_, complete ? lf + 1 - line_start_ : std::string_view::npos);
    if (auto refused = check_growth(line, complete)) return refuse(*refused);
    if (!complete) {
      scanned_ = in.size();
      return Progress::need_more;
    }
    if (auto refused = take_line(line)) return refuse(*refused);
    line_start_ = scanned_ = lf + 1;
  }
  if (auto refused = check_head()) return refuse(*refused);
  return Progress::done;
}

// As in RequestParser: what holds for a line that still grows comes first for a complete one, too.
std::optional<Refusal> ResponseParser::check_growth(std::string_view line, bool complete) const {
  size_t size = line.size() + (complete ? 0 : 1);
  if (state_ == State::status) {
    std::string_view begin = line.substr(0, kVersion.size());
    if (begin != kVersion.substr(0, begin.size())) return Refusal::bad_status_line;
    if (size > limits_.request_line_bytes_max) return Refusal::headers_too_large;
  } else if (header_bytes_ + size > limits_.header_bytes_max) {
    return Refusal::headers_too_large;
  }
  return std::nullopt;
}

std::optional<Refusal> ResponseParser::take_line(std::string_view line) {
  if (!line.ends_with("\r\n")) return Refusal::bare_line_feed;
  if (state_ == State::headers) header_bytes_ += line.size();
  line.remove_suffix(2);
  if (state_ == State::status) return take_status_line(line);
  if (line.empty()) {
    state_ = State::done;
    return std::nullopt;
  }
  if (head_.headers.size() == limits_.headers_max) return Refusal::headers_too_large;
  return parse_field(line, head_.headers);
}

// "HTTP/1.1 200 OK", "HTTP/1.1 200 ", and "HTTP/1.1 200".
std::optional<Refusal> ResponseParser::take_status_line(std::string_view line) {
  if (line.size() < 12 || !is_digit(line[7]) || line[8] != ' ') return Refusal::bad_status_line;
  if (line[7] > '1') return Refusal::unsupported_version;
  std::string_view status = line.substr(9, 3);
  if (!std::all_of(status.begin(), status.end(), is_digit)) return Refusal::bad_status_line;
  if (line.size() > 12 && line[12] != ' ') return Refusal::bad_status_line;
  if (!is_field_value(line.substr(12))) return Refusal::bad_status_line;
  head_.minor_version = line[7] - '0';
  head_.status = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
  if (head_.status < 100 || head_.status > 599) return Refusal::bad_status_line;
  state_ = State::headers;
  return std::nullopt;
}

// RFC 9112 §6.3, and persistence (§9.3). A response with both lengths, several, or a coding of 1.1 in 1.0 is how smuggling begins: none is guessed about.
std::optional<Refusal> ResponseParser::check_head() {
  const std::string *length = nullptr, *coding = nullptr;
  size_t lengths = 0, codings = 0;
  bool close = false, keep = false;
  for (const auto& [name, value] : head_.headers) {
    if (name == "content-length") length = &value, ++lengths;
    if (name == "transfer-encoding") coding = &value, ++codings;
    if (name == "connection") {
      close = close || list_contains(value, "close");
      keep = keep || list_contains(value, "keep-alive");
    }
  }
  bool http_1_0 = head_.minor_version == 0;
  uint64_t size = 0;
  if (codings > 0 && lengths > 0) return Refusal::length_conflict;
  if (lengths > 1) return Refusal::bad_content_length;
  if (length != nullptr)
    if (auto refused = parse_content_length(*length, size)) return refused;
  if (codings > 1 || (codings == 1 && http_1_0)) return Refusal::bad_transfer_encoding;
  if (coding != nullptr && !equals_ignoring_case(*coding, "chunked")) {
    if (!is_meaningless_coding(*coding)) return Refusal::unknown_transfer_encoding;
    codings = 0;  // RFC 9112 §6.3, rule 4: the body ends with the connection
  }

  const int status = head_.status;
  const bool never_a_body = status < 200 || status == 204;
  keep_alive_ = !close && (!http_1_0 || keep);
  if (never_a_body || status == 304 || to_head_) {
    body_end_ = BodyEnd::none;
    head_.content_length = 0;
    // It may send a body all the same: nothing behind it is to be trusted.
    if (never_a_body && (codings > 0 || size > 0)) keep_alive_ = false;
  } else if (codings > 0) {
    body_end_ = BodyEnd::chunked;
  } else if (lengths > 0) {
    body_end_ = BodyEnd::length;
    head_.content_length = size;
  } else {
    body_end_ = BodyEnd::close;
    keep_alive_ = false;
  }
  head_.headers.remove("transfer-encoding");
  return std::nullopt;
}

}  // namespace archipel::http
