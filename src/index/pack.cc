#include "index/pack.h"

#include <numeric>

namespace archipel::index {
namespace {

// How many cells of `cell_bytes` the segments take, one after the other.
uint64_t cells_needed(const std::vector<uint32_t>& sizes, uint32_t cell_bytes) {
  uint64_t cells = 0;
  uint32_t room = 0;
  for (uint32_t size : sizes) {
    if (size > room) {
      ++cells;
      room = cell_bytes;
    }
    room -= size;
  }
  return cells;
}

// The number of cells falls as cells grow (filling in order is optimal for a fixed order), so the smallest is found by halving.
uint32_t choose_cell_bytes(int k, const std::vector<uint32_t>& sizes) {
  const uint64_t spread = static_cast<uint64_t>(k);
  if (cells_needed(sizes, extent::kCellBytesMax) > spread) return extent::kCellBytesMax;
  uint32_t low = *std::ranges::max_element(sizes), high = extent::kCellBytesMax;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (cells_needed(sizes, middle) <= spread) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace

Packing pack(erasure::Code code, const std::vector<uint32_t>& sizes) {
  Packing out;
  out.geometry.code = code;
  if (sizes.empty()) return out;
  for (uint32_t size : sizes) CHECK(size >= 1 && size <= extent::kCellBytesMax);
  const uint32_t cell = choose_cell_bytes(code.k, sizes);
  uint64_t end = 0;
  for (uint32_t size : sizes) {
    uint64_t left = (cell - end % cell) % cell;
    if (size > left) end += left;
    out.offsets.push_back(end);
    end += size;
  }
  out.geometry.cell_bytes = cell;
  out.geometry.length = end;
  return out;
}

}  // namespace archipel::index
