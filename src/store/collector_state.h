// How far collection is, as the view holds it under g/ (docs/formats/view.md): written by commits, so that a restart goes on where it was.
//
// Places in the journal and in an epoch's range of ids are swept in rising order, each island by itself: one that does not answer stays
// behind and holds up nobody. Bytes only; pure functions; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/committer.h"

namespace archipel::store {

inline constexpr size_t kSweepIslandsMax = 16;

// By island of the roster: everything strictly below was deleted there, or was to be kept.
struct Sweep {
  std::vector<index::CommitPosition> below;

  explicit Sweep(size_t islands = 0) : below(islands) {}
  index::CommitPosition lowest() const;
  index::CommitPosition highest() const;
};

// g/epoch/<epoch>: the ids of a closed epoch that nothing refers to. Positions are {epoch, counter}.
struct EpochSweep {
  enum class Stage : uint8_t {
    first = 1,    // deleting
    waiting = 2,  // deleted everywhere since `since_ms`; again later, since a late PUT may have landed
    second = 3,   // deleting again
    done = 4,
  } stage = Stage::first;
  UnixMs since_ms = 0;
  Sweep sweep;  // of first and second
};

// g/commits: commit blobs below the truncation limit.
struct CommitSweep {
  Sweep first;
  // Everything below `mark` was deleted everywhere by `marked_ms`; again later. {0, 0}: nothing is marked.
  index::CommitPosition mark;
  UnixMs marked_ms = 0;
  Sweep second;
};

std::string commit_sweep_key();
std::string collector_time_key();  // g/time: the highest time that collection has journalled

std::string encode(const EpochSweep& state);
Result<EpochSweep> decode_epoch_sweep(std::string_view bytes);
std::string encode(const CommitSweep& state);
Result<CommitSweep> decode_commit_sweep(std::string_view bytes);
std::string encode_time(UnixMs ms);
Result<UnixMs> decode_time(std::string_view bytes);

}  // namespace archipel::store
