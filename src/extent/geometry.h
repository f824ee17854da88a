// Geometry: how the bytes of an extent lie in cells, stripes and shards. Pure arithmetic; the same for data extents and for the
// data section of a commit blob (docs/formats/extent.md).
//
// An extent is `length` bytes cut into data cells of `cell_bytes` (the last may be shorter). Cell c lies in stripe c / k on
// shard c % k. In the last stripe absent data cells are zeros and not stored; parity has the length of the stripe's longest
// cell. Every stored cell is followed by its 16-byte tag. Shards k..n-1 hold parity.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "erasure/coder.h"

namespace archipel::extent {

inline constexpr uint32_t kSegmentPlain = 65'536;  // plaintext bytes of a full segment
inline constexpr uint32_t kTagBytes = 16;          // of AES-GCM and of GMAC
inline constexpr uint32_t kSegmentSealed = kSegmentPlain + kTagBytes;
inline constexpr uint32_t kCellBytesMax = kSegmentSealed;  // 65,552
inline constexpr uint64_t kExtentBytesMax = 64u << 20;

struct Geometry {
  erasure::Code code;
  uint32_t cell_bytes = kCellBytesMax;  // 1..kCellBytesMax
  uint64_t length = 0;  // bytes of the extent: 1..kExtentBytesMax (0 only for an empty data section)

  bool operator==(const Geometry&) const = default;

  uint64_t cells() const { return (length + cell_bytes - 1) / cell_bytes; }
  uint64_t stripes() const { return (cells() + code.k - 1) / code.k; }
  // Length of data cell c, without tag; 0 if it lies past the end.
  uint32_t data_cell_bytes(uint64_t c) const {
    uint64_t start = c * cell_bytes;
    return start >= length ? 0 : static_cast<uint32_t>(std::min<uint64_t>(cell_bytes, length - start));
  }
  // Length of the cell of `stripe` on `shard`, without tag; 0 = not stored.
  uint32_t cell_on_shard(uint64_t stripe, int shard) const {
    return shard < code.k ? data_cell_bytes(stripe * code.k + shard) : data_cell_bytes(stripe * code.k);
  }
  // Offset of that cell within the shard's cells (headers not counted).
  uint64_t cell_offset(uint64_t stripe) const { return stripe * (uint64_t{cell_bytes} + kTagBytes); }
  // All cells of a shard with their tags.
  uint64_t shard_bytes(int shard) const {
    if (length == 0) return 0;
    uint64_t last = stripes() - 1;
    uint64_t tail = cell_on_shard(last, shard);
    return cell_offset(last) + (tail == 0 ? 0 : tail + kTagBytes);
  }
};

// Limits above hold and the code is admitted; for geometry read from the index or a header.
Result<void> check_geometry(const Geometry& geometry);

}  // namespace archipel::extent
