// Compactor: moves what is live out of extents and commit sections that are mostly dead, so that those can be deleted (protocol §5).
//
// Segments are copied still sealed: neither data keys nor plaintext are touched. Small bodies of many commits are packed into data extents of
// their own; a commit then changes the location in every version of a stream at once, each only if it still is as it was read, and the
// registry with them. What is emptied so is doomed like anything else. Commits below the truncation limit only: a blob above it stays anyway.
//
// On the home loop. Memory: one packed extent, the reads for it, and what a pass keeps of versions (kPassBytesMax). Cost: one scan of e/ a
// pass; a pass that moves anything scans all versions once. Compaction works at most `duty_percent` of the time, so that it takes at
// most that share of what the islands can write.
#pragma once

#include <functional>
#include <memory>

#include "store/collector.h"
#include "store/env.h"

namespace archipel::store {

struct CompactionOptions {
  Duration interval = std::chrono::minutes(10);  // between two passes
  int live_percent_max = 50;                     // only extents that are live for less than this
  uint64_t garbage_bytes_min = 16u << 20;  // a pass that would free less is not worth reading every version
  uint64_t pass_bytes_max = 64u << 20;     // live bytes that one pass moves
  uint64_t extent_bytes = 8u << 20;        // sealed, of a packed extent
  int duty_percent = 20;
};

struct CompactionParts {
  CompactionOptions options;
  const crypto::Keyring& keys;
  index::Kv& kv;
  index::Committer& committer;
  extent::Fanout& fanout;
  extent::ExtentReader& reader;
  std::shared_ptr<const extent::Placement> placement;
  erasure::Code code;
  extent::AckRule ack;
  std::shared_ptr<Pins> pins;  // the store's
  io::Workers& workers;
  Random& random;
  io::Loop& home;
  Clock& clock;
  // As SnapshotHooks::limit; empty: no section is compacted.
  std::function<Result<std::optional<index::CommitPosition>>(const index::Snapshot&, UnixMs)> limit;
};

class Compactor {
 public:
  // Since it was made.
  struct Counts {
    uint64_t passes = 0;       // that found enough to do
    uint64_t streams = 0;      // moved
    uint64_t bytes = 0;        // sealed, moved
    uint64_t extents = 0;      // packed extents written
    uint64_t left_behind = 0;  // streams that changed while they were being moved
    uint64_t live_extents = 0, live_bytes = 0,
             held_bytes = 0;  // as of the last pass: e/, its live bytes, and what those extents hold
  };
  virtual ~Compactor() = default;
  // Passes in the background from now on. Home loop.
  virtual void start() = 0;
  // One pass. Not beside start(). Errors: of the view, the journal or the islands; the next pass tries again.
  virtual io::Task<Result<void>> run_once() = 0;
  // Ends soon whatever is under way. Home loop; must have finished before it is destroyed (CHECK in TaskScope).
  virtual io::Task<void> close() = 0;
  virtual const Counts& counts() const = 0;
};
std::unique_ptr<Compactor> make_compactor(CompactionParts parts);

}  // namespace archipel::store
