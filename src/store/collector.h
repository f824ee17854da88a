// Collector: deletes at the islands what nobody needs any more (protocol §5). Garbage is computed from the journal, never listed.
//
//   doomed extents       whose last live byte a commit dropped, once a grace has passed by the highest journalled time and no reader of
//                        this process holds them
//   garbage of epochs    ids that a closed epoch had reserved and nothing refers to, once no open upload can have one of them
//   commit blobs         below the truncation limit, whose section holds no live bytes; and beyond the end of a closed epoch below it
//   retired snapshots    whose extents become doomed like others
//   part sets            of versions and uploads that are gone (z/): their parts are dropped, whose extents may be doomed then
//
// Everything is deleted twice, the second time after `again`, since a PUT that was given up may land late. What makes something garbage is
// decided by commits, in the order of the chain; clocks only delay. Progress is journalled: a restart goes on where it was. An island that
// does not answer stays behind, as debt, and holds up nobody else.
//
// On the home loop. Memory: a batch of items. Cost: one commit a batch, one scan of x/ a round.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "index/committer.h"
#include "index/record.h"
#include "store/collector_deleter.h"
#include "store/collector_state.h"
#include "store/pins.h"

namespace archipel::store {

struct CollectorOptions {
  Duration interval = std::chrono::seconds(60);  // between two rounds
  Duration grace = std::chrono::hours(24);       // from dooming to the first DELETE
  Duration again = std::chrono::hours(7 * 24);   // from the first DELETE to the second
  size_t batch = 1000;                           // items between two commits of progress
  DeleteRule deletes;
};

// What the journal's snapshots mean to collection; all on a worker. Each may be empty: no snapshots.
struct SnapshotHooks {
  // Commit blobs strictly below may go, as far as snapshots matter, at that highest journalled time. nullopt: none.
  std::function<Result<std::optional<index::CommitPosition>>(const index::Snapshot&, UnixMs)> limit;
  // Extents of all snapshots that the view names, retired ones too.
  std::function<Result<std::vector<extent::ExtentRef>>(const index::Snapshot&)> extents;
  struct Retired {
    uint64_t number = 0;
    UnixMs retired_ms = 0;
    std::vector<extent::ExtentRef> extents;
  };
  std::function<Result<std::vector<Retired>>(const index::Snapshot&)> retired;
  // Takes the name of a retired snapshot, whose extents are doomed now, out of the view. On the home loop.
  std::function<io::Task<Result<void>>(uint64_t number)> forget;
};

struct CollectorParts {
  CollectorOptions options;
  const crypto::Keyring& keys;
  index::Kv& kv;
  index::Committer& committer;
  std::shared_ptr<const extent::Placement> placement;
  std::shared_ptr<const extent::RepairTable> repairs;  // may be null
  std::shared_ptr<Pins> pins;                          // the store's
  io::Workers& workers;
  io::Loop& home;
  Clock& clock;
  SnapshotHooks snapshots;
};

class Collector {
 public:
  // Since it was made.
  struct Counts {
    uint64_t doomed_deleted = 0;   // doomed extents and sections, deleted everywhere for the first time
    uint64_t deleted_bytes = 0;    // of those, over all islands
    uint64_t orphans = 0;          // ids of closed epochs that nothing referred to
    uint64_t commits = 0;          // commit blobs that were below the limit and not needed
    uint64_t deleted_twice = 0;    // of the first two
    uint64_t parts_dropped = 0;    // of part sets that nothing refers to
    uint64_t islands_deletes = 0;  // DELETEs that islands confirmed
    uint64_t debt = 0;             // DELETEs that were due in the last round and not confirmed
  };
  virtual ~Collector() = default;
  // Rounds in the background from now on. Home loop.
  virtual void start() = 0;
  // One round: all that is due and can be had. Not beside start(). Errors: of the view or the journal; the next round tries again.
  virtual io::Task<Result<void>> run_once() = 0;
  // Ends soon whatever is under way. Home loop; must have finished before it is destroyed (CHECK in TaskScope).
  virtual io::Task<void> close() = 0;
  virtual const Counts& counts() const = 0;
};
std::unique_ptr<Collector> make_collector(CollectorParts parts);

}  // namespace archipel::store
