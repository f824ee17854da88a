// What a round of collection finds in one state of the view: pages of things to delete. Internal to the collector. Blocks: on a worker.
#pragma once

#include <vector>

#include "index/epochs.h"
#include "store/collector.h"

namespace archipel::store {

// A change of the view that stands only if the key still is as it was read.
struct KeyChange {
  std::string key;
  std::optional<std::string> before, after;
};
using Changes = std::vector<KeyChange>;

// Doomed records whose time has come, from x/ onwards.
struct DoomedPage {
  std::vector<Deleter::Item> items;
  std::vector<DoomedRecord> records;  // of each item
  std::vector<std::string> values;    // as found
  Changes dropped;                // sections that the sweep of commits has not reached yet: it will take them
  bool tick = false;              // by the clock all of these are due, by the journal some are not yet
  std::optional<ExtentKey> next;  // where the next page begins
  uint64_t extents = 0, bytes = 0;  // of all doomed records looked at, due or not; bytes: over all islands
};
// What the extent's shard takes at its island, as far as the reference tells: of a commit its section's part and the record before it.
uint64_t stored_bytes(const extent::ExtentRef& ref, int shard);
struct DueRule {
  UnixMs now_ms = 0, journalled_ms = 0;
  Duration grace{}, again{};
};
Result<DoomedPage> find_doomed(const index::Snapshot& view, const ExtentKey& from, const DueRule& due,
                               size_t batch);

// A closed epoch that is not swept to the end.
struct EpochWork {
  index::EpochOpen open;
  uint64_t range = 0;  // ids 1..range
  std::optional<EpochSweep> state;
  std::string value;  // of the state, as found
};
Result<std::vector<EpochWork>> find_epochs(const index::Snapshot& view, uint64_t current);
// Ids [from, to) of the epoch that nothing refers to. `in_use`: of snapshots.
Result<std::vector<Deleter::Item>> find_orphans(const index::Snapshot& view, const EpochWork& work,
                                                uint64_t from, uint64_t to,
                                                const std::set<extent::ExtentId>& in_use);

// Commits of an epoch that lie below the limit: seqs 1..last. Of a whole epoch also those beyond its tail, which are void.
struct CommitRange {
  index::EpochOpen open;
  uint64_t last = 0;
};
struct CommitWork {
  std::optional<index::CommitPosition> limit;
  std::vector<CommitRange> ranges;  // oldest first
  CommitSweep state;
  std::optional<std::string> value;  // of the state, as found
};
Result<CommitWork> find_commits(const index::Snapshot& view, std::optional<index::CommitPosition> limit);
struct CommitPage {
  std::vector<Deleter::Item> items;
  index::CommitPosition end;  // everything below was looked at
};
// Commits from `from` on and below `until` whose sections hold nothing, not even something doomed.
Result<CommitPage> find_dead_commits(const index::Snapshot& view, const CommitWork& work,
                                     index::CommitPosition from, index::CommitPosition until, size_t batch);

inline index::CommitPosition position_of(const extent::ExtentRef& ref) {
  return {ref.id.epoch, ref.id.counter};
}

}  // namespace archipel::store
