#include "http/h2_request.h"

#include <algorithm>
#include <array>

#include "http/h1_parser.h"
#include "http/h2_writer.h"

namespace archipel::http {
namespace {

// What a field costs beside its text (RFC 7541 §4.1).
constexpr size_t kFieldOverhead = 32;

// RFC 9113 §8.2.2: fields that speak of a connection have no place in a stream.
bool is_of_a_connection(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"connection", "keep-alive", "proxy-connection",
                                                             "transfer-encoding", "upgrade"};
  return std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace

enum class H2RequestBuilder::Kind : uint8_t {
  unknown,  // not judged yet, or refused
  method,
  path,
  scheme,
  authority,
  plain,  // a field that means nothing here
  cookie,
  host,
  content_length,
  expect_continue,
};

void H2RequestBuilder::add(std::string_view name, std::string_view value, uint8_t& note) {
  if (refusal_) return;
  bytes_ += name.size() + value.size() + kFieldOverhead;
  if (bytes_ > limits_.request_line_bytes_max + limits_.header_bytes_max) {
    refusal_ = Refusal::headers_too_large;
    return;
  }
  if (note == static_cast<uint8_t>(Kind::unknown)) {
    const std::expected<Kind, Refusal> judged = judge(name, value);
    if (!judged) {
      refusal_ = judged.error();
      return;
    }
    note = static_cast<uint8_t>(*judged);
  }
  refusal_ = take(static_cast<Kind>(note), name, value);
}

std::expected<H2RequestBuilder::Kind, Refusal> H2RequestBuilder::judge(std::string_view name,
                                                                       std::string_view value) const {
  return name.starts_with(':') ? judge_pseudo(name, value) : judge_field(name, value);
}

std::expected<H2RequestBuilder::Kind, Refusal> H2RequestBuilder::judge_pseudo(std::string_view name,
                                                                              std::string_view value) const {
  if (name == ":method") {
    if (!is_token(value)) return std::unexpected(Refusal::bad_method);
    if (value.size() > kMethodBytesMax) return std::unexpected(Refusal::unknown_method);
    return Kind::method;
  }
  if (name == ":path") {
    if (value.size() > limits_.request_line_bytes_max) return std::unexpected(Refusal::target_too_long);
    if (!is_target(value)) return std::unexpected(Refusal::bad_target);
    return Kind::path;
  }
  if (name == ":scheme") {
    if (value != "http" && value != "https") return std::unexpected(Refusal::bad_target);
    return Kind::scheme;
  }
  if (name == ":authority") {
    if (!is_authority(value)) return std::unexpected(Refusal::bad_host);
    return Kind::authority;
  }
  return std::unexpected(Refusal::bad_header_name);
}

std::expected<H2RequestBuilder::Kind, Refusal> H2RequestBuilder::judge_field(std::string_view name,
                                                                             std::string_view value) {
  if (!is_h2_name(name) || is_of_a_connection(name)) return std::unexpected(Refusal::bad_header_name);
  const bool padded = !value.empty() && (value.front() == ' ' || value.front() == '\t' ||
                                         value.back() == ' ' || value.back() == '\t');
  if (padded || !is_field_value(value)) return std::unexpected(Refusal::bad_header_value);
  if (name == "cookie") return Kind::cookie;
  if (name == "host") {
    if (!is_authority(value)) return std::unexpected(Refusal::bad_host);
    return Kind::host;
  }
  if (name == "te" && !equals_ignoring_case(value, "trailers"))
    return std::unexpected(Refusal::bad_header_value);
  if (name == "content-length") return Kind::content_length;
  if (name == "expect" && equals_ignoring_case(value, "100-continue")) return Kind::expect_continue;
  return Kind::plain;
}

std::optional<Refusal> H2RequestBuilder::take(Kind kind, std::string_view name, std::string_view value) {
  if (kind >= Kind::plain) return take_field(kind, name, value);
  if (fields_begun_) return Refusal::bad_header_name;
  switch (kind) {
    case Kind::method:
      if (!request_.method.empty()) return Refusal::bad_method;
      request_.method.assign(value);
      break;
    case Kind::path:
      if (!request_.target.empty()) return Refusal::bad_target;
      request_.target.assign(value);
      break;
    case Kind::scheme:
      if (has_scheme_) return Refusal::bad_target;
      has_scheme_ = true;
      break;
    default:
      // :authority. Nothing but pseudo-fields came before: it is the first field, and the only one yet.
      if (request_.headers.size() > 0) return Refusal::bad_host;
      request_.headers.add_copy("host", value);
      break;
  }
  return std::nullopt;
}

std::optional<Refusal> H2RequestBuilder::take_field(Kind kind, std::string_view name,
                                                    std::string_view value) {
  fields_begun_ = true;
  if (request_.headers.size() >= limits_.headers_max) return Refusal::headers_too_large;
  switch (kind) {
    case Kind::cookie:
      if (has_cookie_) cookie_ += "; ";
      has_cookie_ = true;
      cookie_ += value;
      return std::nullopt;
    case Kind::host:
      // Allowed beside :authority, as long as it says the same.
      if (const std::string* host = request_.headers.find("host"))
        return value == *host ? std::nullopt : std::optional(Refusal::bad_host);
      break;
    case Kind::content_length: {
      uint64_t length = 0;
      if (content_length_) return Refusal::bad_content_length;
      if (auto refused = parse_content_length(value, length)) return refused;
      content_length_ = length;
      break;
    }
    case Kind::expect_continue:
      expect_continue_ = true;
      break;
    default:
      break;
  }
  request_.headers.add_copy(name, value);
  return std::nullopt;
}

std::optional<Refusal> H2RequestBuilder::finish() {
  if (has_cookie_) request_.headers.add("cookie", std::move(cookie_));
  request_.major_version = 2;
  request_.minor_version = 0;
  if (!refusal_) {
    const std::string& target = request_.target;
    if (request_.method.empty())
      refusal_ = Refusal::bad_method;
    else if (!has_scheme_ || !(target.starts_with('/') || (target == "*" && request_.method == "OPTIONS")))
      refusal_ = Refusal::bad_target;
    else if (request_.headers.find("host") == nullptr)
      refusal_ = Refusal::bad_host;
  }
  return refusal_;
}

}  // namespace archipel::http
