// Records of the edge's logs end with a checksum of themselves: CRC-32C (iSCSI) of all bytes before it, little-endian. It finds torn and rotten records, not
// forged ones: who can write the edge's files is the edge. Pure functions.
#pragma once

#include <string>

#include "base/bytes.h"

namespace archipel::edge {

inline constexpr size_t kCrcBytes = 4;

// Appends the checksum of what `out` holds from `from` on.
void seal_with_crc(std::string& out, size_t from);
// The same for a record of fixed size: zeros up to where the checksum ends `bytes` bytes.
void pad_and_seal(std::string& out, size_t from, size_t bytes);
// `bytes` end with their checksum; at least kCrcBytes.
bool has_good_crc(ByteView bytes);

}  // namespace archipel::edge
