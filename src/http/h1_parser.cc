#include "http/h1_parser.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace archipel::http {
namespace {

constexpr size_t kShortNameBytes = 64;  // names up to this long are put into lower case on the stack

// tchar of RFC 9110 §5.6.2, mapped to lower case; 0 for every other byte.
constexpr std::array<char, 256> make_token_table() {
  std::array<char, 256> t{};
  for (char c = '0'; c <= '9'; ++c) t[static_cast<uint8_t>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) t[static_cast<uint8_t>(c)] = c;
  for (char c = 'A'; c <= 'Z'; ++c) t[static_cast<uint8_t>(c)] = static_cast<char>(c - 'A' + 'a');
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) t[static_cast<uint8_t>(c)] = c;
  return t;
}
constexpr auto kTokenLower = make_token_table();

char token_lower(char c) {
  return kTokenLower[static_cast<uint8_t>(c)];
}

bool is_value_byte(char c) {
  auto u = static_cast<uint8_t>(c);
  return (u >= 0x20 && u != 0x7f) || u == '\t';
}

// Is one of the eight bytes below 0x20, or 0x7f? Also true for some others next to one; false is certain.
bool may_be_control(uint64_t eight) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x80 * kOnes;
  const uint64_t below = (eight - 0x20 * kOnes) & ~eight;
  const uint64_t other = eight ^ (0x7f * kOnes);
  const uint64_t deleted = (other - kOnes) & ~other;
  return ((below | deleted) & kHigh) != 0;
}

// Bytes of a request target. Wider than RFC 3986 (raw '"', '{', UTF-8 arrive in practice, and signatures cover them as they are), but never
// white space, controls, or '#', which would hide the rest from some readers.
bool is_target_byte(char c) {
  auto u = static_cast<uint8_t>(c);
  return u > 0x20 && u != 0x7f && u != '#';
}

constexpr std::array<bool, 256> make_host_table() {
  std::array<bool, 256> t{};
  for (size_t u = 0; u < t.size(); ++u) {
    const char c = static_cast<char>(u);
    t[u] = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  for (char c : std::string_view("-._~%!$&'()*+;=")) t[static_cast<uint8_t>(c)] = true;
  return t;
}
constexpr auto kHostBytes = make_host_table();

bool is_host_byte(char c) {
  return kHostBytes[static_cast<uint8_t>(c)];
}

// The first byte that cannot continue a method, in the order of arrival: garbage (a TLS hello, say) is refused before its line ends.
std::optional<Refusal> check_method_prefix(std::string_view line) {
  for (size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (c == ' ') return i == 0 ? std::optional(Refusal::bad_request_line) : std::nullopt;
    if (c == '\r' || c == '\n') return std::nullopt;
    if (token_lower(c) == 0) return Refusal::bad_method;
    if (i == kMethodBytesMax) return Refusal::unknown_method;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> parse_content_length(std::string_view text, uint64_t& out) {
  if (text.empty()) return Refusal::bad_content_length;
  uint64_t value = 0;
  bool too_large = false;
  for (char c : text) {
    if (c < '0' || c > '9') return Refusal::bad_content_length;
    auto digit = static_cast<uint64_t>(c - '0');
    // 2^63-1 is the last length that signed 64-bit readers agree on.
    if (value > (static_cast<uint64_t>(INT64_MAX) - digit) / 10) too_large = true;
    if (!too_large) value = value * 10 + digit;
  }
  if (too_large) return Refusal::body_too_large;
  out = value;
  return std::nullopt;
}

bool is_token(std::string_view text) {
  for (char c : text)
    if (token_lower(c) == 0) return false;
  return !text.empty();
}

// uri-host [ ":" port ] of RFC 9110 §7.2, by its characters: user info, paths and lists have no place in it. `host` is not empty, "[…]" may hold
// colons, a port is digits only.
bool is_authority(std::string_view text) {
  bool literal = text.starts_with('[');
  size_t i = literal ? 1 : 0;
  size_t start = i;
  if (literal)
    while (i < text.size() && (is_host_byte(text[i]) || text[i] == ':')) ++i;
  else
    while (i < text.size() && is_host_byte(text[i])) ++i;
  if (i == start) return false;
  if (literal) {
    if (i == text.size() || text[i] != ']') return false;
    ++i;
  }
  if (i == text.size()) return true;
  if (text[i] != ':') return false;
  for (++i; i < text.size(); ++i)
    if (text[i] < '0' || text[i] > '9') return false;
  return true;
}

bool is_target(std::string_view text) {
  for (char c : text)
    if (!is_target_byte(c)) return false;
  return !text.empty();
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_field_value(std::string_view text) {
  constexpr size_t kEight = sizeof(uint64_t);
  auto may_be_control_at = [text](size_t at) {
    uint64_t eight = 0;
    std::memcpy(&eight, text.data() + at, kEight);
    return may_be_control(eight);
  };
  if (text.size() >= kEight) {
    size_t at = 0;
    while (at + kEight <= text.size() && !may_be_control_at(at)) at += kEight;
    // The last eight once more, instead of those that are left one by one.
    if (at + kEight > text.size() && !may_be_control_at(text.size() - kEight)) return true;
    text.remove_prefix(std::min(at, text.size()));
  }
  for (char c : text)
    if (!is_value_byte(c)) return false;
  return true;
}

bool equals_ignoring_case(std::string_view a, std::string_view lower) {
  if (a.size() != lower.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    char c = a[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c != lower[i]) return false;
  }
  return true;
}

bool list_contains(std::string_view value, std::string_view lower) {
  while (true) {
    size_t comma = value.find(',');
    if (equals_ignoring_case(trim_blanks(value.substr(0, comma)), lower)) return true;
    if (comma == std::string_view::npos) return false;
    value.remove_prefix(comma + 1);
  }
}

std::optional<Refusal> parse_field(std::string_view line, Headers& out) {
  if (line.front() == ' ' || line.front() == '\t') return Refusal::folded_header;
  size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return Refusal::bad_header_name;
  std::array<char, kShortNameBytes> usual;
  std::string longer;
  char* name = usual.data();
  if (colon > usual.size()) {
    longer.resize(colon);
    name = longer.data();
  }
  bool good = true;
  for (size_t i = 0; i < colon; ++i) {
    name[i] = token_lower(line[i]);
    good &= name[i] != 0;
  }
  if (!good) return Refusal::bad_header_name;
  std::string_view value = trim_blanks(line.substr(colon + 1));
  if (!is_field_value(value)) return Refusal::bad_header_value;
  out.add_copy({name, colon}, value);
  return std::nullopt;
}

void RequestParser::reset() {
  Request& request = head_.request;
  request.method.clear();
  request.target.clear();
  request.headers.clear();
  request.peer.clear();
  request.major_version = request.minor_version = 1;
  request.secure = false;
  head_.chunked = false;
  head_.content_length = 0;
  head_.keep_alive = true;
  head_.expect_continue = false;
  state_ = State::before;
  skipped_empty_line_ = false;
  line_start_ = scanned_ = header_bytes_ = 0;
  authority_.clear();
}

RequestParser::Progress RequestParser::refuse(Refusal refusal) {
  refusal_ = refusal;
  return Progress::refused;
}

RequestParser::Progress RequestParser::parse(std::string_view in) {
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

// Checks that hold for a line still growing; they come first for a complete one too, so that the verdict does not depend on the split.
// Sizes count the LF, which is still to come if the line is not complete.
std::optional<Refusal> RequestParser::check_growth(std::string_view line, bool complete) const {
  size_t size = line.size() + (complete ? 0 : 1);
  if (state_ == State::before) {
    if (auto refused = check_method_prefix(line)) return refused;
    if (size > limits_.request_line_bytes_max) return Refusal::target_too_long;
  } else if (header_bytes_ + size > limits_.header_bytes_max) {
    return Refusal::headers_too_large;
  }
  return std::nullopt;
}

std::optional<Refusal> RequestParser::take_line(std::string_view line) {
  if (!line.ends_with("\r\n")) return Refusal::bare_line_feed;
  if (state_ == State::headers) header_bytes_ += line.size();
  line.remove_suffix(2);
  if (state_ == State::before) {
    if (!line.empty()) return take_request_line(line);
    // RFC 9112 §2.2: one empty line before a request is forgiven (old clients end a body with it).
    if (skipped_empty_line_) return Refusal::bad_request_line;
    skipped_empty_line_ = true;
    return std::nullopt;
  }
  if (line.empty()) {
    state_ = State::done;
    return std::nullopt;
  }
  if (head_.request.headers.size() == limits_.headers_max) return Refusal::headers_too_large;
  return parse_field(line, head_.request.headers);
}

std::optional<Refusal> RequestParser::take_request_line(std::string_view line) {
  size_t first = line.find(' ');
  size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Refusal::bad_request_line;
  if (!is_token(line.substr(0, first))) return Refusal::bad_method;  // the growth check stops at a CR
  std::string_view version = line.substr(last + 1);
  // HTTP-name and digits are case-sensitive and of fixed width (RFC 9112 §2.3).
  bool well_formed = version.size() == 8 && version.starts_with("HTTP/") && version[5] >= '0' &&
                     version[5] <= '9' && version[6] == '.' && version[7] >= '0' && version[7] <= '9';
  if (!well_formed) return Refusal::bad_request_line;
  if (version[5] != '1' || version[7] > '1') return Refusal::unsupported_version;
  head_.request.minor_version = version[7] - '0';
  head_.request.method.assign(line.substr(0, first));
  state_ = State::headers;
  return take_target(line.substr(first + 1, last - first - 1));
}

// RFC 9112 §3.2. Authority form belongs to CONNECT, which is not served here.
std::optional<Refusal> RequestParser::take_target(std::string_view target) {
  if (target.empty()) return Refusal::bad_target;
  if (!is_target(target)) return Refusal::bad_target;
  Request& request = head_.request;
  if (target.front() == '/' || (target == "*" && request.method == "OPTIONS")) {
    request.target.assign(target);
    return std::nullopt;
  }
  size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) return Refusal::bad_target;
  std::string_view name = target.substr(0, scheme);
  if (!equals_ignoring_case(name, "http") && !equals_ignoring_case(name, "https")) return Refusal::bad_target;
  std::string_view rest = target.substr(scheme + 3);
  size_t end = rest.find_first_of("/?");
  authority_.assign(rest.substr(0, end));
  if (!is_authority(authority_)) return Refusal::bad_target;
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end);
  request.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  return std::nullopt;
}

// What the fields say together: Host, framing, persistence, expectation.
std::optional<Refusal> RequestParser::check_head() {
  Request& request = head_.request;
  const std::string *host = nullptr, *length = nullptr, *coding = nullptr;
  size_t hosts = 0, lengths = 0, codings = 0;
  bool close = false, keep = false;
  for (const auto& [name, value] : request.headers) {
    switch (name.size()) {
      case 4:
        if (name == "host") host = &value, ++hosts;
        break;
      case 6:
        if (name != "expect") break;
        // RFC 9110 §10.1.1 lets a server ignore an expectation that it does not know; S3 does, and clients send some.
        if (equals_ignoring_case(value, "100-continue")) head_.expect_continue = true;
        break;
      case 10:
        if (name != "connection") break;
        close = close || list_contains(value, "close");
        keep = keep || list_contains(value, "keep-alive");
        break;
      case 14:
        if (name == "content-length") length = &value, ++lengths;
        break;
      case 17:
        if (name == "transfer-encoding") coding = &value, ++codings;
        break;
      default:
        break;
    }
  }
  bool http_1_0 = request.minor_version == 0;
  if (hosts > 1 || (hosts == 0 && !http_1_0) || (host != nullptr && !is_authority(*host)))
    return Refusal::bad_host;
  if (codings > 0 && lengths > 0) return Refusal::length_conflict;
  if (lengths > 1) return Refusal::bad_content_length;
  if (length != nullptr)
    if (auto refused = parse_content_length(*length, head_.content_length)) return refused;
  if (codings > 1 || (codings == 1 && http_1_0)) return Refusal::bad_transfer_encoding;
  if (coding != nullptr) {
    if (!equals_ignoring_case(*coding, "chunked")) return Refusal::unknown_transfer_encoding;
    head_.chunked = true;
  }
  if (http_1_0) head_.expect_continue = false;  // RFC 9110 §10.1.1: a 1.0 client cannot mean it
  head_.keep_alive = !close && (!http_1_0 || keep);
  if (!authority_.empty()) request.headers.set("host", std::move(authority_));
  return std::nullopt;
}

}  // namespace archipel::http
