// Sizes and times as configurations write them: "256M", "10s". Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace archipel::edge {

// A whole number of bytes, or of K, M, G, T (1024 each; "KiB" and "KB" are read as "K"). nullopt: something else, or more than 2^63 - 1.
std::optional<uint64_t> parse_size(std::string_view text);
// A whole number with ms, s, m, h or d. nullopt: something else, or more than 10 years.
std::optional<Duration> parse_duration(std::string_view text);

}  // namespace archipel::edge
