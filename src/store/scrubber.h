// Scrubber: the background task that looks at every byte on every island in time, and mends what is wrong or missing (protocol §1, §5).
//
// Two tasks on the home loop. *Mending*, at a brisk pace: what reads found wrong; repair debt, as soon as its island answers; islands that came back empty,
// with the journal first. *Patrol*, at a modest pace: a pass over everything every two weeks, where it was left after a restart. Both let clients go
// first: while requests are under way every MiB waits its turn, `yield` after the one before. `archipel scrub` makes a pass of its own, meanwhile the patrol waits.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "index/dir.h"
#include "index/snapshot_manifest.h"
#include "store/repairer.h"

namespace archipel::store {

struct ScrubberOptions {
  // Read by the patrol, over all islands together. 8 MiB/s are some 10 TB of stored bytes in two weeks; 0: no patrol.
  uint64_t patrol_bytes_per_second = 8u << 20;
  // Read and written by mending, over all islands together.
  uint64_t mend_bytes_per_second = 128u << 20;
  Duration pass_every = std::chrono::days(14);  // from the start of one patrol's pass to that of the next
  Duration tick = std::chrono::seconds(1);      // how often mending looks for work
  Duration retry_after =
      std::chrono::seconds(30);  // an island that refused a shard is left alone for so long
  // While clients are at work: a MiB in so much time, some 33 MiB/s; small blobs count for their bytes and 16 KiB.
  Duration yield = std::chrono::milliseconds(30);
  Duration save_every = std::chrono::minutes(1);  // how often the places of patrol and rebuilding are kept
  Duration drop_every = std::chrono::hours(1);    // how often exceptions of deleted extents are dropped
  std::function<bool()> busy = {};  // whether clients' requests are under way; home loop. Empty: never
};

inline constexpr size_t kFailuresNamed = 100;

// What a pass found, so far.
struct ScrubReport {
  uint64_t items = 0, items_total = 0;  // items_total: as of the beginning
  uint64_t bytes_read = 0;
  struct Island {
    std::string id;
    uint64_t good = 0, missing = 0, wrong = 0, unreachable = 0, repaired = 0;  // shards
  };
  std::vector<Island> islands;
  uint64_t unrepaired = 0;            // items that are not as they should be still
  std::vector<std::string> failures;  // of these the first kFailuresNamed: what, why, which islands
  // Ids of the islands that did not answer for some of their shards.
  std::vector<std::string> unchecked() const;
  bool whole() const { return unrepaired == 0 && unchecked().empty(); }
  uint64_t repaired() const;
};

class Scrubber {
 public:
  virtual ~Scrubber() = default;
  // Home loop. Begins both tasks.
  virtual void start() = 0;
  // Stops them and every pass, waits for what is under way. Before the committer is closed.
  virtual io::Task<void> close() = 0;

  // One pass over everything, now; several at a time are served one after the other. `on_progress` is called about four times a second of the loop's
  // time and once at the end; false ends the pass. Home loop. Errors: cancelled; unavailable while the view cannot be read.
  using OnProgress = std::function<io::Task<bool>(const ScrubReport&)>;
  virtual io::Task<Result<ScrubReport>> pass(bool repair, OnProgress on_progress) = 0;
};

struct ScrubberParts {
  ScrubberOptions options;
  RepairParts repair;
  std::shared_ptr<index::DirFiles> files;  // where the patrol's place is kept
};
std::unique_ptr<Scrubber> make_scrubber(ScrubberParts parts);

// Owes every chunk's shards that are not known to be on their islands: of a snapshot that is kept from now on. Any thread.
void owe_snapshot(const index::SnapshotManifest& snapshot, const extent::RepairTable& table,
                  RepairLedger& ledger);

// Fills the table and the ledger from the view: before the first read. Blocks: on a worker.
Result<void> load_repairs(const index::Snapshot& snapshot, extent::RepairTable& table, RepairLedger& ledger);

}  // namespace archipel::store
