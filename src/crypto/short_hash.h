// SipHash-2-4 with 128 bits (Aumasson and Bernstein): a keyed hash for tables whose keys come from strangers. Without the key nobody can
// choose inputs that meet. Not for authentication of anything that leaves the process. Thread-safe; about 20 ns and 1 ns a byte.
#pragma once

#include <array>

#include "base/bytes.h"

namespace archipel::crypto {

struct ShortHash {
  uint64_t high = 0, low = 0;  // bytes 0 to 7 and 8 to 15 of the published output, little-endian
  bool operator==(const ShortHash&) const = default;
};

ShortHash short_hash(const std::array<uint8_t, 16>& key, ByteView data);

}  // namespace archipel::crypto
