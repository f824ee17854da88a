// Decode: verified cells back into bytes, from any k shards. The counterpart of the builder, without I/O.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "erasure/coder.h"
#include "extent/cells.h"
#include "extent/extent.h"

namespace archipel::extent {

// Where the first cell lies in a shard's blob: after the header of a data extent, or at ref.base in a commit blob.
uint64_t first_cell_offset(const ExtentRef& ref);

// Cells of stripes first..last of one shard as they lie in its blob, tags included.
struct CellRun {
  int shard = 0;
  uint64_t first = 0, last = 0;
};
uint64_t run_offset(const ExtentRef& ref, const CellRun& run);  // within the blob
uint64_t run_bytes(const Geometry& geometry, const CellRun& run);
// Cell of `stripe` within a run's bytes, with or without its tag; empty if it is not stored, or if `bytes` was cut before its end.
ByteView stored_cell(const Geometry& geometry, const CellRun& run, ByteView bytes, uint64_t stripe);
ByteView cell_payload(const Geometry& geometry, const CellRun& run, ByteView bytes, uint64_t stripe);

// One flag per stripe of the run: its cell is stored and verified, or is not stored at all (zeros by definition). `bytes` may be short: cells
// that were cut off are wrong.
std::vector<bool> verify_run(CellTagger& tagger, const Geometry& geometry, const CellRun& run,
                             ByteView bytes);

// As verify_run, but without a look at the bytes: one flag per stripe, whether its cell is all there, or not stored at all.
std::vector<bool> present(const Geometry& geometry, const CellRun& run, ByteView bytes);

// A verified cell of one stripe: cell_on_shard(stripe, shard) bytes; empty for a cell that is not stored.
struct GoodCell {
  int shard = 0;
  ByteView bytes;
};
// Rebuilds the cells of `wanted` shards from exactly k good cells (CHECK) of distinct shards; result i has cell_on_shard(stripe, wanted[i]) bytes.
std::vector<Buffer> rebuild_cells(const erasure::Coder& coder, const Geometry& geometry, uint64_t stripe,
                                  std::span<const GoodCell> good, std::span<const int> wanted);

// The whole extent from its shards' cells (headers cut off): cells[i] is what island i holds, nullopt if it was not heard. Every cell is verified;
// wrong ones are counted per shard into `wrong` (n entries) and treated as missing. unavailable if some stripe has fewer than k good cells, and
// corrupt if it is wrong cells that made it so. For recovery and repair; CPU-bound.
Result<Buffer> decode_extent(const CellKeys& keys, const erasure::Coder& coder, const ExtentRef& ref,
                             const std::vector<std::optional<ByteView>>& cells,
                             std::vector<uint64_t>* wrong = nullptr);

}  // namespace archipel::extent
