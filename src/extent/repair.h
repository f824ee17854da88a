// Repair: shards rebuilt bit for bit from any k good cells of each stripe, and put back (protocol §3, §5). Needs the `cells` sub-key and
// nothing else.
//
// In two steps, so that the caller can look in between whether the extent is still wanted: rebuild() reads and computes, put_back() writes.
// A doomed extent's names are deleted a grace (24 h) after the dooming at the earliest: who has seen between the two steps that it is not doomed, and
// writes within kPutBackDeadline, brings nothing back that was deleted.
//
// Where a rebuilt shard goes:
//   missing           under its own name: the bytes are the ones that were there, or should have been
//   wrong, data       under the next repair number: a name is written once, and what an island holds under it may be kept, cached or served stale.
//                     Other bytes under the next name are a torn write of an earlier repair, which no record speaks of: removed, and put anew
//   wrong, journal    its name has no repair number, since recovery must compute it: the blob is removed, and the right one put. Safe, because it is
//                     done only while at least k other islands hold the whole blob, verified: the commit can be adopted at every moment, and at most
//                     n-k islands can answer "absent", fewer than void a commit (n-w+1 of them, and then only if fewer than k copies turn up) or
//                     prove that there is no later epoch (n-w+1+f). What the blob must be is not taken from any island: headers and the digest of the record
//                     come from the work item, made from a record that the journal has proven. A crash between the two leaves a missing blob.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "extent/scrub.h"

namespace archipel::extent {

inline constexpr uint64_t kRepairMemoryMax =
    128u << 20;  // of rebuilt shards at one time; an extent's largest shard has 33 MiB
inline constexpr Duration kPutBackDeadline = std::chrono::minutes(1);

// Rebuilt blobs, ready to be put.
struct Rebuilt {
  struct Shard {
    int shard = 0;
    bool replaces_wrong = false;  // else it was missing
    Buffer bytes;
  };
  std::vector<Shard> shards;
  uint32_t left = 0;  // broken shards that did not fit into memory: scrub and repair again
};

// Rebuilds the broken shards that `wanted` names. Reads at least k shards in full, verifying again every cell that is used. Errors: unavailable
// or corrupt, naming every island and what is wrong with its shard, if some stripe has fewer than k good cells or no island has the record: nothing
// can be written then. CPU on workers.
io::Task<Result<Rebuilt>> rebuild(CellWork work, std::shared_ptr<const WorkItem> item, const Verdict& verdict,
                                  uint32_t wanted);

struct PutBack {
  uint32_t repaired = 0;  // confirmed by their islands
  uint32_t moved =
      0;  // of these, those that lie under the next name now: to be recorded before the next reading
  std::string failed;  // why the others are not: one sentence per island, empty if all are
};
// Puts what was rebuilt, the islands side by side. "It is there already" counts after all bytes were compared; other bytes under the name of a missing
// shard (they came meanwhile) are treated as wrong ones. Journal blobs that are wrong are replaced only if `verdict` shows k good ones elsewhere.
// Crash-safe: done again after a crash at any moment, it ends in the same names and bytes.
io::Task<PutBack> put_back(CellWork work, std::shared_ptr<const WorkItem> item, const Verdict& verdict,
                           Rebuilt rebuilt);

}  // namespace archipel::extent
