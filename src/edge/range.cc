#include "edge/range.h"

#include <algorithm>

#include "edge/directives.h"

namespace archipel::edge {
namespace {

// Digits only; so many that no position can be meant are the largest position.
std::optional<uint64_t> parse_position(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t out = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    uint64_t digit = static_cast<uint64_t>(c - '0');
    out = out > (INT64_MAX - digit) / 10 ? static_cast<uint64_t>(INT64_MAX) : out * 10 + digit;
  }
  return out;
}

std::optional<RangeSpec> parse_spec(std::string_view text) {
  size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  RangeSpec out;
  std::string_view first = text.substr(0, dash), last = text.substr(dash + 1);
  out.first = parse_position(first);
  out.last = parse_position(last);
  if ((!first.empty() && !out.first) || (!last.empty() && !out.last) || (first.empty() && last.empty()))
    return std::nullopt;
  if (out.first && out.last && *out.first > *out.last) return std::nullopt;
  return out;
}

}  // namespace

std::optional<std::vector<RangeSpec>> parse_range(const http::Headers& request) {
  if (request.count("range") != 1) return std::nullopt;
  std::string value = lower_case(request.get("range"));
  size_t equals = value.find('=');
  if (equals == std::string::npos || value.substr(0, equals) != "bytes") return std::nullopt;
  std::vector<RangeSpec> out;
  for (std::string_view member : split_list(std::string_view(value).substr(equals + 1))) {
    auto spec = parse_spec(member);
    if (!spec || out.size() == kRangesMax) return std::nullopt;
    out.push_back(*spec);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

Wanted resolve(const std::vector<RangeSpec>& specs, uint64_t length) {
  Wanted out;
  for (const RangeSpec& spec : specs) {
    ByteRange r;
    if (!spec.first) {
      uint64_t n = std::min(*spec.last, length);
      if (n == 0) continue;
      r = {length - n, length - 1};
    } else {
      if (*spec.first >= length) continue;
      r = {*spec.first, spec.last ? std::min(*spec.last, length - 1) : length - 1};
    }
    for (const ByteRange& other : out.ranges)
      if (r.first <= other.last && other.first <= r.last) return {};
    out.ranges.push_back(r);
  }
  out.kind = out.ranges.empty() ? Wanted::Kind::none : Wanted::Kind::ranges;
  return out;
}

std::optional<ContentRange> parse_content_range(std::string_view value) {
  std::string lower = lower_case(value);
  std::string_view text = lower;
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  size_t slash = text.find('/'), dash = text.find('-');
  if (slash == std::string_view::npos || dash == std::string_view::npos || dash > slash) return std::nullopt;
  auto first = parse_position(text.substr(0, dash));
  auto last = parse_position(text.substr(dash + 1, slash - dash - 1));
  if (!first || !last || *first > *last) return std::nullopt;
  ContentRange out{{*first, *last}, std::nullopt};
  if (text.substr(slash + 1) == "*") return out;
  out.whole = parse_position(text.substr(slash + 1));
  if (!out.whole || *out.whole <= *last) return std::nullopt;
  return out;
}

std::string write_content_range(const ByteRange& range, uint64_t whole) {
  return "bytes " + std::to_string(range.first) + "-" + std::to_string(range.last) + "/" +
         std::to_string(whole);
}

std::string part_head(std::string_view boundary, std::string_view content_type, const ByteRange& range,
                      uint64_t whole) {
  std::string out = "--";
  out += boundary;
  if (!content_type.empty()) (out += "\r\ncontent-type: ") += content_type;
  (out += "\r\ncontent-range: ") += write_content_range(range, whole);
  return out + "\r\n\r\n";
}

}  // namespace archipel::edge
