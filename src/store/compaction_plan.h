// What a pass of compaction finds in one state of the view, and what it makes of it. Internal to the compactor. The scans block: on a worker.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "store/compaction.h"
#include "store/keys.h"
#include "store/registry.h"
#include "store/upload_records.h"

namespace archipel::store {

inline constexpr uint64_t kPassBytesMax = 64u << 20;  // of versions that a pass keeps in memory
// Of the versions of one stream, which one commit has to rewrite: one that was copied more often stays where it is.
inline constexpr uint64_t kStreamVersionBytesMax = 1u << 20;

// How long to rest after so much work, so that work is at most `duty_percent` (1..100) of the time.
inline Duration pause_after(Duration worked, int duty_percent) {
  return worked * (100 - duty_percent) / duty_percent;
}

// Extents worth emptying, and what all live ones amount to.
struct Candidates {
  std::set<ExtentKey> extents;
  uint64_t live_bytes = 0,
           garbage_bytes = 0;  // of the candidates; garbage: what deleting them would free, before coding
  Compactor::Counts totals;    // live_extents, live_bytes, held_bytes
};
struct CandidateRule {
  std::optional<index::CommitPosition> limit;  // sections strictly below
  int live_percent_max = 50;
  uint64_t bytes_max = 0;  // live
};
// Looks at a part of e/ from `from` on; returns where to go on, or nothing at the end.
Result<std::optional<ExtentKey>> add_candidates(const index::Snapshot& view, const ExtentKey& from,
                                                const CandidateRule& rule, Candidates& out);

// A small stream to move, with every version and part that names it.
struct Moving {
  struct Version {
    std::string key, value;
  };
  crypto::DataId data_id{};
  Storage from;
  std::vector<Version> versions;
  uint64_t version_bytes = 0;
  bool stays() const { return version_bytes > kStreamVersionBytesMax; }  // `versions` are not kept then
  uint64_t bytes() const;
};
struct MovingStreams {
  std::map<crypto::DataId, Moving> streams;
  uint64_t kept_bytes = 0;
};
// Where records lie that name slices: versions, current or not, and parts.
inline constexpr std::string_view kSlicePrefixes[] = {kObjectPrefix, kPartPrefix, kVersionPrefix};
// Looks at some of the records under one of kSlicePrefixes, from `from` on; returns where to go on, or nothing at the end of that prefix.
Result<std::optional<std::string>> add_moving(const index::Snapshot& view, const std::string& from,
                                              const Candidates& candidates, MovingStreams& out);

// Streams that were copied to `to`, in the order of `streams`.
struct Relocation {
  std::vector<Moving> streams;
  std::vector<std::vector<index::SmallLocation>> to;
  UnixMs now_ms = 0;
};
// The relocate mutation: of every stream all versions at once, or, if any is not as it was read, none. `moved`: how many streams.
// precondition: no stream could be moved.
Result<void> build_relocation(const Relocation& relocation, const index::View& view,
                              std::vector<index::Mutation>& out, size_t& moved);

}  // namespace archipel::store
