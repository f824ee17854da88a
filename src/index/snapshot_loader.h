// Loading a snapshot from the islands into an empty view, verified chunk by chunk and as a whole (protocol §2).
#pragma once

#include <string>
#include <vector>

#include "extent/extent.h"
#include "index/snapshot_manifest.h"
#include "io/workers.h"

namespace archipel::index {

struct SnapshotLoaded {
  std::vector<std::string>
      wrong;  // islands that returned wrong cells: they did no harm, and are said in the log
};

// After success the view holds exactly what the snapshot holds, its position included; after an error it may hold anything but a position,
// and is to be thrown away. Several chunks at once: memory is at most kChunksAtOnce chunks, sealed and plain. On `home`.
// Errors: unavailable, naming the islands that failed; corrupt if bytes that verified are not what the manifest says; denied if its key is of
// another keyring; io of the view.
inline constexpr int64_t kChunksAtOnce = 4;
io::Task<Result<SnapshotLoaded>> load_snapshot(const crypto::Keyring& keys,
                                               const extent::Placement& placement, io::Workers& workers,
                                               io::Loop& home, const SnapshotManifest& manifest, Kv& kv);

}  // namespace archipel::index
