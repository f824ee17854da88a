// Inventory: what the cloud keeps, by bucket and placing, and what is owed. Counts, never objects.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "store/placements.h"
#include "store/tallies.h"

namespace archipel::store {

struct StoreInventory {
  struct Bucket {
    std::string name;
    BucketPlacement placement;  // that it asks for now; its tallies say how what was stored before lies
    Tallies tallies;
  };
  struct Total {
    ExtentTally extents;
    uint32_t confirmed = 0;  // bit per shard: no extent of this placing lacks it
  };
  std::vector<Bucket> buckets;         // by name, empty ones too
  std::map<PlacedAs, Total> placings;  // of all buckets together
};

// Reads the counters; where there are none (buckets of older releases) it counts by a scan. Blocks; on a worker.
Result<StoreInventory> read_inventory(const index::Snapshot& snapshot);

}  // namespace archipel::store
