// Writing a snapshot: the view as of one commit, sealed chunk by chunk into data extents on the islands (protocol §2,
// docs/formats/snapshot.md). Reads a fixed state of the view: commits go on meanwhile.
#pragma once

#include <memory>

#include "extent/extent.h"
#include "index/snapshot_manifest.h"
#include "io/workers.h"

namespace archipel::index {

struct SnapshotWriteParts {
  const crypto::Keyring& keys;
  std::shared_ptr<const extent::Placement> placement;
  erasure::Code code;
  extent::AckRule ack;
  extent::Fanout& fanout;
  Committer& committer;
  Kv& kv;
  io::Workers& workers;
  Random& random;
  Clock& clock;
};

// Every chunk is on at least ack.w islands when it returns; nothing names them yet: that is for adopt_snapshot(). Memory: at most two
// chunks, n/k times coded, and one plain. On one loop; `stop` outlives the task, and ends it soon once true.
// Errors: unavailable when islands or the journal fail, or the epoch changes meanwhile; cancelled; limit for an entry longer than a chunk;
// io or corrupt of the view. On an error `begun`, if not null, gets the chunks that may be on some islands.
io::Task<Result<SnapshotManifest>> write_snapshot(SnapshotWriteParts parts, uint64_t number,
                                                  uint32_t chunk_segments, const bool& stop,
                                                  std::vector<extent::ExtentRef>* begun = nullptr);

}  // namespace archipel::index
