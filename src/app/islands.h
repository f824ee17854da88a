// Islands from config: makes them, and reports what state each is in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "crypto/keyring.h"
#include "index/journal.h"
#include "io/task.h"
#include "island/island.h"

namespace archipel::app {

// In shard order. With `make_missing` (the demo) an absent island directory is made, empty: recovery then sees an island without marker. A path that
// cannot be made is logged and left as it is: the journal reports that island as unreachable.
std::vector<std::shared_ptr<island::Island>> make_islands(const Config& config, bool make_missing);

// `islands` for data: one that showed a marker which is not its own (swapped, copied, damaged) is replaced by one that answers nothing, so
// that no shard is ever confirmed by a place that holds another island's. An island that does not answer stays: it may come back.
// `reports`: what the journal's start saw, in the same order.
std::vector<std::shared_ptr<island::Island>> without_impostors(
    std::vector<std::shared_ptr<island::Island>> islands, const std::vector<index::IslandReport>& reports);

struct IslandState {
  IslandConfig facts;
  std::string state;   // "ok", "lost", "unreachable", "foreign"
  std::string reason;  // empty when ok
  std::string incarnation;
};

// Reads and verifies every island's marker. Offline or beside a running gateway.
io::Task<std::vector<IslandState>> inspect_islands(const Config& config, const crypto::Keyring& keys);

}  // namespace archipel::app
