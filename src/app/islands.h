// Islands from config: makes them, and reports what state each is in.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/random.h"
#include "crypto/keyring.h"
#include "index/journal.h"
#include "io/task.h"
#include "island/island.h"

namespace archipel::app {

// In shard order. With `make_missing` (the demo) an absent island directory is made, empty: recovery then sees an island without marker. A path that
// cannot be made is logged and left as it is: the journal reports that island as unreachable.
std::vector<std::shared_ptr<island::Island>> make_islands(const Config& config, bool make_missing);

struct IslandState {
  IslandConfig facts;
  std::string state;   // "ok", "lost", "unreachable", "foreign"
  std::string reason;  // empty when ok
  std::string incarnation;
  std::optional<uint64_t> free_bytes;  // where the island lies on a file system of this machine
};

// What one island shows when it is asked: marker, lease, the last epoch's claim and open, and how fast a sample of its blobs comes.
struct IslandCheck {
  IslandState state;
  std::string lease;  // "epoch 7", "epoch 7, released", "none", or what is wrong with it
  bool lease_good = false;
  std::string
      epoch_open;  // of the lease's epoch: "ok", "absent" (it was away when the epoch was opened), or what is wrong
  uint64_t blobs = 0;  // as the island lists them, which proves nothing
  uint64_t sampled = 0, sampled_bytes = 0, sample_failed = 0;
  int64_t median_us = 0, slowest_us = 0;  // of the sampled reads
  bool good() const;
};
// One of config.islands (CHECK). Reads only. Offline or beside a running gateway; needs no lock.
io::Task<IslandCheck> check_island(const Config& config, const std::string& id, const crypto::Keyring& keys,
                                   Random& random);

// Reads and verifies every island's marker. Offline or beside a running gateway.
io::Task<std::vector<IslandState>> inspect_islands(const Config& config, const crypto::Keyring& keys);

}  // namespace archipel::app
