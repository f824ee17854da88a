// Keeps the realm's snapshots and head slots up to date in the background (protocol §2): never in the way of a commit.
//
// A head slot is written after a start, after each snapshot and every `slot_commits` commits; a snapshot when the journal since the last
// has grown past max(journal_bytes_min, its size). Both follow Progress. What a crash leaves undone is done again after the next start.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "index/head_slots.h"
#include "index/progress.h"
#include "index/snapshot_writer.h"

namespace archipel::index {

struct SnapshotOptions {
  uint64_t journal_bytes_min = 256u << 20;      // of journal, before a snapshot is worth writing
  uint64_t commits_max = 0;                     // not 0: also after so many commits, however small
  uint64_t slot_commits = 256;                  // between two head slots
  uint32_t chunk_segments = kChunkSegmentsMax;  // 64 KiB each
  Duration truncation_delay = std::chrono::hours(24);
  Duration retry_pause =
      std::chrono::seconds(30);  // after one failure; twice as long after each more of a snapshot
  Duration retry_pause_max = std::chrono::minutes(30);
  Duration slot_deadline = std::chrono::seconds(10);
  Duration last_slot_deadline = std::chrono::seconds(2);  // of the one that close() writes
};

struct SnapshotKeeperParts {
  SnapshotWriteParts write;
  io::Loop& home;
  std::shared_ptr<Progress> progress;  // of the journal
  std::optional<HeadSlot> slot;        // the best that its start found
  int w = 0;
  // Whether this gateway may still write for the realm: its lease holds. Asked before each slot; none: always.
  std::function<bool()> may_write = {};
  // A snapshot was adopted: its chunks may be on fewer than all islands. On the home loop.
  std::function<void(const SnapshotManifest&)> adopted = {};
  // Chunks that no snapshot names, nor will: of one that failed. Not called where it may have been adopted all the same. On the home loop.
  std::function<io::Task<void>(std::vector<extent::ExtentRef>)> abandoned = {};
};

// On the home loop. close() must have finished before it is destroyed (CHECK).
class SnapshotKeeper {
 public:
  virtual ~SnapshotKeeper() = default;
  virtual void start() = 0;
  // Writes a snapshot and its head slot now, whatever the journal's size; for operators and tests. Errors: as write_snapshot();
  // unavailable if its head slot is on fewer than w islands, which is then tried again in the background.
  virtual io::Task<Result<void>> snapshot_now() = 0;
  // Ends what is under way, and writes a last head slot. Before the committer's close().
  virtual io::Task<void> close() = 0;
};
std::unique_ptr<SnapshotKeeper> make_snapshot_keeper(SnapshotKeeperParts parts, SnapshotOptions options);

}  // namespace archipel::index
