#include "edge/units.h"

#include <charconv>
#include <utility>

namespace archipel::edge {
namespace {

constexpr uint64_t kBytesMax = (uint64_t{1} << 63) - 1;
constexpr uint64_t kMillisecondsMax = uint64_t{3660} * 86'400'000;

// Splits "12M" into 12 and "M".
std::optional<std::pair<uint64_t, std::string_view>> split(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return std::pair(value, text.substr(static_cast<size_t>(end - text.data())));
}

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  auto parts = split(text);
  if (!parts) return std::nullopt;
  auto [value, unit] = *parts;
  if (unit.ends_with("iB"))
    unit.remove_suffix(2);
  else if (unit.size() == 2 && unit.ends_with('B'))
    unit.remove_suffix(1);
  int shift = 0;
  if (unit == "K")
    shift = 10;
  else if (unit == "M")
    shift = 20;
  else if (unit == "G")
    shift = 30;
  else if (unit == "T")
    shift = 40;
  else if (!unit.empty() && unit != "B")
    return std::nullopt;
  if (value > kBytesMax >> shift) return std::nullopt;
  return value << shift;
}

std::optional<Duration> parse_duration(std::string_view text) {
  auto parts = split(text);
  if (!parts) return std::nullopt;
  auto [value, unit] = *parts;
  uint64_t each = 0;  // milliseconds
  if (unit == "ms")
    each = 1;
  else if (unit == "s")
    each = 1000;
  else if (unit == "m")
    each = 60'000;
  else if (unit == "h")
    each = 3'600'000;
  else if (unit == "d")
    each = 86'400'000;
  if (each == 0 || value > kMillisecondsMax / each) return std::nullopt;
  return std::chrono::milliseconds(static_cast<int64_t>(value * each));
}

}  // namespace archipel::edge
