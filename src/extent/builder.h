// ExtentBuilder: fills a coded extent in place. The caller seals each segment straight into its systematic
// place among the shards, so that no sealed byte is copied; stripes are coded and tagged as they fill, while
// they are hot in the cache.
//
//   ExtentBuilder builder(keys, coder, ref);            // ref.geometry.length = the most that will come (the
//   exact length, if known) MutableBytes cell = builder.next_cell();            // geometry.cell_bytes long
//   sealer.seal(index, final, plain, cell.first(plain.size() + 16));
//   builder.commit(plain.size() + 16);                  // only the extent's last cell may be shorter than
//   cell_bytes … CodedExtent extent = builder.finish(names);         // exact: extent.ref.geometry.length ==
//   builder.length()
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "erasure/coder.h"
#include "extent/cell_keys.h"
#include "extent/extent.h"

namespace archipel::extent {

// Not thread-safe; may move between threads between calls. CPU-bound: drive it from a worker for anything
// large. `coder` must outlive it. Memory: n/k x geometry.length, taken at once, not cleared.
class ExtentBuilder {
 public:
  // ref.geometry must pass check_geometry (CHECK); ref.confirmed is ignored. The cell keys depend on the
  // final length: if less than ref.geometry.length is committed, finish() computes all tags again. Correct,
  // but slower, so say the exact length when it is known.
  ExtentBuilder(const CellKeys& keys, const erasure::Coder& coder, ExtentRef ref);
  ~ExtentBuilder();
  ExtentBuilder(ExtentBuilder&&) noexcept;
  ExtentBuilder& operator=(ExtentBuilder&&) noexcept;

  // Room left, in bytes. next_cell() may be called while it is not 0 (CHECK).
  uint64_t room() const;
  // The next data cell's place: min(cell_bytes, room()) bytes, uninitialised. Valid until commit().
  MutableBytes next_cell();
  // `used` bytes (1..cell size) of the cell are final. A short cell ends the extent: only finish() may
  // follow.
  void commit(size_t used);
  // Committed so far.
  uint64_t length() const;

  // Codes and tags what is left, writes the masked headers (kind data; `names[i]` is shard i's blob name; not
  // used for sections). At least one byte must have been committed (CHECK). The builder is empty afterwards.
  CodedExtent finish(const std::vector<std::string>& names);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace archipel::extent
