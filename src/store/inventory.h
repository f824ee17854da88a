// Inventory: what the cloud keeps, by bucket and placing, and what is owed. Counts, never objects.
//
// A shard counts as confirmed where it is known to lie for every extent of the placing: not on an island that was lost when the epoch opened, nor on
// one that came back empty and is not whole again (what was written there since counts as missing too), nor where an extent's shard is owed.
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
  uint32_t empty = 0;                  // islands, by place in the roster, that are lost or not whole again
};

// Reads the counters; where there are none (buckets of older releases) it counts by a scan. Blocks; on a worker.
Result<StoreInventory> read_inventory(const index::Snapshot& snapshot);

}  // namespace archipel::store
