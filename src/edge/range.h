// Range: which bytes a request wants (RFC 9110 §14). Pure functions.
//
// What is malformed, of another unit, or asks for much with little (more than kRangesMax ranges, or overlapping ones: RangeAmp OBR) is answered as if
// it had not been asked for: with the whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "edge/entry.h"
#include "http/message.h"

namespace archipel::edge {

inline constexpr size_t kRangesMax = 16;

// "5-9", "5-" (no last), "-5" (no first: the last 5 bytes).
struct RangeSpec {
  std::optional<uint64_t> first, last;
};
struct ByteRange {
  uint64_t first = 0, last = 0;  // both included
  uint64_t size() const { return last - first + 1; }
  bool operator==(const ByteRange&) const = default;
};

// nullopt: no (usable) Range field.
std::optional<std::vector<RangeSpec>> parse_range(const http::Headers& request);

struct Wanted {
  enum class Kind { whole, ranges, none };  // none: 416
  Kind kind = Kind::whole;
  std::vector<ByteRange> ranges;  // in the order asked for; disjoint
};
Wanted resolve(const std::vector<RangeSpec>& specs, uint64_t length);

// "bytes 5-9/10", "bytes 5-9/*"; not the unsatisfied form.
struct ContentRange {
  ByteRange range;
  std::optional<uint64_t> whole;
};
std::optional<ContentRange> parse_content_range(std::string_view value);
std::string write_content_range(const ByteRange& range, uint64_t whole);

// The head of one part of multipart/byteranges; the parts are separated by it, "\r\n" stands before all but the first.
std::string part_head(std::string_view boundary, std::string_view content_type, const ByteRange& range,
                      uint64_t whole);

}  // namespace archipel::edge
