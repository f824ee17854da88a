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

void H2RequestBuilder::add(std::string_view name, std::string_view value) {
  if (refusal_) return;
  refusal_ = take(name, value);
}

std::optional<Refusal> H2RequestBuilder::take(std::string_view name, std::string_view value) {
  bytes_ += name.size() + value.size() + kFieldOverhead;
  if (bytes_ > limits_.request_line_bytes_max + limits_.header_bytes_max) return Refusal::headers_too_large;
  if (name.starts_with(':')) return take_pseudo(name, value);
  return take_field(name, value);
}

std::optional<Refusal> H2RequestBuilder::take_pseudo(std::string_view name, std::string_view value) {
  if (fields_begun_) return Refusal::bad_header_name;
  if (name == ":method") {
    if (!request_.method.empty() || !is_token(value)) return Refusal::bad_method;
    if (value.size() > kMethodBytesMax) return Refusal::unknown_method;
    request_.method = value;
  } else if (name == ":path") {
    if (value.size() > limits_.request_line_bytes_max) return Refusal::target_too_long;
    if (!request_.target.empty() || !is_target(value)) return Refusal::bad_target;
    request_.target = value;
  } else if (name == ":scheme") {
    if (has_scheme_ || (value != "http" && value != "https")) return Refusal::bad_target;
    has_scheme_ = true;
  } else if (name == ":authority") {
    // Nothing but pseudo-fields came before: it is the first field, and the only one yet.
    if (request_.headers.size() > 0 || !is_authority(value)) return Refusal::bad_host;
    request_.headers.add("host", std::string(value));
  } else {
    return Refusal::bad_header_name;
  }
  return std::nullopt;
}

std::optional<Refusal> H2RequestBuilder::take_field(std::string_view name, std::string_view value) {
  fields_begun_ = true;
  if (!is_h2_name(name) || is_of_a_connection(name)) return Refusal::bad_header_name;
  const bool padded = !value.empty() && (value.front() == ' ' || value.front() == '\t' ||
                                         value.back() == ' ' || value.back() == '\t');
  if (padded || !is_field_value(value)) return Refusal::bad_header_value;
  if (request_.headers.size() >= limits_.headers_max) return Refusal::headers_too_large;
  if (name == "cookie") {
    if (has_cookie_) cookie_ += "; ";
    has_cookie_ = true;
    cookie_ += value;
    return std::nullopt;
  }
  if (name == "host") {
    // Allowed beside :authority, as long as it says the same.
    if (!is_authority(value)) return Refusal::bad_host;
    if (request_.headers.find("host") != nullptr)
      return value == request_.headers.get("host") ? std::nullopt : std::optional(Refusal::bad_host);
  }
  if (name == "te" && !equals_ignoring_case(value, "trailers")) return Refusal::bad_header_value;
  if (name == "content-length") {
    uint64_t length = 0;
    if (content_length_) return Refusal::bad_content_length;
    if (auto refused = parse_content_length(value, length)) return refused;
    content_length_ = length;
  }
  if (name == "expect" && equals_ignoring_case(value, "100-continue")) expect_continue_ = true;
  request_.headers.add(std::string(name), std::string(value));
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
