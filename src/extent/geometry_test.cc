#include "extent/geometry.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <vector>

namespace archipel::extent {
namespace {

Geometry any_geometry() {
  auto code = *rc::gen::element(erasure::Code{4, 2}, erasure::Code{5, 3}, erasure::Code{6, 3},
                                erasure::Code{7, 4}, erasure::Code{9, 6});
  auto cell_bytes = *rc::gen::inRange<uint32_t>(1, 50);
  auto length = *rc::gen::inRange<uint64_t>(1, 1500);
  return {code, cell_bytes, length};
}

RC_GTEST_PROP(Geometry, MapsEveryByteIntoExactlyOneCell, ()) {
  Geometry g = any_geometry();
  uint64_t total = 0;
  for (uint64_t stripe = 0; stripe < g.stripes(); ++stripe) {
    for (int shard = 0; shard < g.code.k; ++shard) {
      uint64_t c = stripe * static_cast<uint64_t>(g.code.k) + static_cast<uint64_t>(shard);
      RC_ASSERT(g.cell_on_shard(stripe, shard) == g.data_cell_bytes(c));
      if (g.data_cell_bytes(c) > 0) RC_ASSERT(c * g.cell_bytes == total);
      total += g.data_cell_bytes(c);
    }
  }
  RC_ASSERT(total == g.length);
}

RC_GTEST_PROP(Geometry, AddsUpToTheBytesOfEachShardWithoutOverlap, ()) {
  Geometry g = any_geometry();
  for (int shard = 0; shard < g.code.n; ++shard) {
    uint64_t end = 0;
    for (uint64_t stripe = 0; stripe < g.stripes(); ++stripe) {
      uint64_t size = g.cell_on_shard(stripe, shard);
      if (size == 0) continue;
      RC_ASSERT(g.cell_offset(stripe) == end);
      end += size + kTagBytes;
    }
    RC_ASSERT(g.shard_bytes(shard) == end);
  }
}

RC_GTEST_PROP(Geometry, GivesParityTheLengthOfTheLongestCell, ()) {
  Geometry g = any_geometry();
  for (uint64_t stripe = 0; stripe < g.stripes(); ++stripe) {
    uint32_t longest = 0;
    for (int shard = 0; shard < g.code.k; ++shard)
      longest = std::max(longest, g.cell_on_shard(stripe, shard));
    for (int shard = g.code.k; shard < g.code.n; ++shard)
      RC_ASSERT(g.cell_on_shard(stripe, shard) == longest);
  }
}

TEST(Geometry, RefusesWhatNoWriterMakes) {
  EXPECT_TRUE(check_geometry({{6, 3}, kCellBytesMax, kExtentBytesMax}));
  EXPECT_FALSE(check_geometry({{6, 3}, 0, 100}));
  EXPECT_FALSE(check_geometry({{6, 3}, kCellBytesMax + 1, 100}));
  EXPECT_FALSE(check_geometry({{6, 3}, 100, kExtentBytesMax + 1}));
  EXPECT_FALSE(check_geometry({{6, 5}, 100, 100}));
}

}  // namespace
}  // namespace archipel::extent
