// Repairer: one scrub target looked at, and repaired if need be: from the view to the islands and back into the view.
//
// What it writes to islands is wanted (looked up again just before), what it changes about names is journalled before any reader is told and
// before the old name is removed. A crash at any moment leaves at worst a blob too many, which the next repair of the target takes for its own.
#pragma once

#include <memory>
#include <optional>
#include <set>

#include "extent/repair.h"
#include "index/journal_work.h"
#include "store/repair_ledger.h"
#include "store/scrub_targets.h"

namespace archipel::store {

struct RepairParts {
  const crypto::Keyring& keys;
  index::Kv& kv;
  index::Committer& committer;
  std::shared_ptr<const extent::Placement> placement;
  const erasure::Coder& coder;
  io::Workers& workers;
  io::Loop& home;
  Clock& clock;
  std::shared_ptr<extent::RepairTable> table;
  std::shared_ptr<RepairLedger> ledger;
  SnapshotHooks snapshots = {};  // as the collector's: what their extents are, and which commits may be gone

  TargetView view() const { return {kv.snapshot(), snapshots, clock.unix_ms()}; }
};

// On the home loop. Several process() may run side by side; of one target one after the other.
class Repairer {
 public:
  explicit Repairer(RepairParts parts);

  struct Work {
    ScrubTarget target;
    // Islands whose shards are known to be missing: nothing is read but what rebuilds them. 0: every byte of every island is looked at. Bits of
    // islands that should hold none are not looked at.
    uint32_t presumed_missing = 0;
    bool repair = true;
  };
  // Islands, by their place in the roster.
  struct Outcome {
    bool gone = false;  // not wanted any more: nothing was done
    // As found; nothing where no shard of it belongs. Empty if the work could not even begin.
    std::vector<std::optional<extent::ShardState>> states;
    uint32_t repaired = 0;
    uint32_t refused = 0;  // rebuilt, and not taken
    uint64_t bytes_read = 0;
    std::string
        failed;  // why something is still not as it should be, with the islands' names; empty if all is
    bool whole() const { return failed.empty(); }
  };
  io::Task<Outcome> process(Work work, extent::Pace& pace);

  size_t under_way() const { return busy_.size(); }

  // A commit that is not wanted any more: no debt is kept for it.
  void forget(const index::CommitPosition& commit);
  // Drops exceptions of extents that have been deleted at all islands. Now and then; cost: a scan of f/.
  io::Task<void> drop_exceptions();
  // Deletes what the journal still says to be missing of commits that were repaired. Call now and then, and last.
  io::Task<void> tidy();

 private:
  struct Job;
  io::Task<Outcome> process_alone(Work work, extent::Pace& pace);
  io::Task<Result<void>> make_item(Job* job);
  island::Island& home_of(const Job& job, int shard) const;
  io::Task<Result<bool>> wanted(const ScrubTarget& target);
  io::Task<void> repair(Job* job);
  io::Task<Result<void>> record(const Job* job, uint32_t repaired, uint32_t moved);
  io::Task<void> take_back(const Job* job, uint32_t moved);
  void settle(const Job& job);

  RepairParts p_;
  index::JournalWork journal_;
  extent::CellKeys cell_keys_;
  std::set<ScrubPosition> busy_;
  io::Event idle_;                              // something left busy_
  std::vector<index::CommitPosition> settled_;  // commits whose m/debt record is to go
};

}  // namespace archipel::store
