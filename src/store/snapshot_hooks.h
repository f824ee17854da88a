// What the collector asks about the journal's snapshots, answered by the journal (index/snapshot_manifest.h).
#pragma once

#include "store/collector.h"

namespace archipel::store {

// `delay`: how long a newer snapshot's head slot must have been on w islands; as the snapshot keeper's. `committer` outlives the hooks.
SnapshotHooks journal_snapshots(index::Committer& committer, Duration delay);

}  // namespace archipel::store
