// Packing: where the sealed segments of a batch lie in the commit's data section. Pure arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "extent/geometry.h"

namespace archipel::index {

struct Packing {
  extent::Geometry geometry;      // length 0 if there are no segments
  std::vector<uint64_t> offsets;  // of each segment; the gaps between them are for random bytes
};

// In the given order; a segment never straddles two cells. Cells are as small as the batch allows while it needs at most k of them, so that
// a small batch is spread over all data shards; a larger batch gets cells of kCellBytesMax. sizes: 1..kCellBytesMax each (CHECK).
Packing pack(erasure::Code code, const std::vector<uint32_t>& sizes);

}  // namespace archipel::index
