// Recovery: which commits happened, decided from whatever islands answer (protocol §2; the model is the authority where words leave room).
//
// Reads islands and writes only the view in DIR, and there only what is proven to have been acknowledged; what has to be written to islands is returned. Deciding the same twice, or after a crash in
// between, gives the same answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "index/chain_reader.h"
#include "index/decision.h"
#include "index/dir.h"
#include "index/head_slots.h"
#include "index/view_dir.h"

namespace archipel::index {

struct KnownOpen {
  EpochOpen open;
  Sealed sealed;
  const Digest32& hash() const { return sealed.hash; }
};

struct Recovered {
  KnownOpen current;             // the highest epoch-open found: the new one builds on it
  std::vector<uint64_t> claims;  // numbers claimed above it, to be completed
  uint64_t next_epoch = 0;       // to claim and open
  bool complete_open = false;    // `current` was found on fewer than w islands
  uint64_t tail_seq = 0;         // the last commit of `current`'s epoch, 0 if it has none
  Digest32 tail_hash{};
  struct Commit {
    Sealed sealed;
    Buffer section;
  };
  std::vector<Commit> complete;  // adopted commits that were found on fewer than w islands
  // Of the last commits of `current`'s epoch, those that not every island was found to hold: who had confirmed them died with the process.
  std::vector<Record::Confirmed> in_debt;
  // Changes of the view by what was adopted and is not proven to have been acknowledged: to be shown only when the new open is on w islands.
  std::vector<Mutation> unproven;
  uint64_t replayed = 0;
  std::optional<uint64_t> voided;  // of `current`'s epoch: found, and void
  // Set: the view holds what is proven, and nothing may be written to islands. The tail is then the last that is proven.
  std::optional<Undecided> undecided;
  uint64_t snapshot = 0;  // number of the one that was loaded, 0 = none
};

struct RecoveryInput {
  ChainReader& reader;
  ViewDir& view;
  const extent::Placement& placement;
  io::Workers& workers;
  std::optional<HeadFile::Contents> head;  // of an epoch > 0
  int w = 0;                               // confirmations that this gateway demands
  Attested attested = {};
  std::vector<Gone> gone = {};  // seats of the roster that the configuration has given to others
  // The best head slot, if one was found: where to look first, a position that was acknowledged, and snapshots to begin a view with.
  const HeadSlot* slot = nullptr;
  // Loads a snapshot into an empty view. Needed with a slot.
  std::function<io::Task<Result<void>>(const SnapshotManifest& manifest, Kv& kv)> load_snapshot = {};
};

// Errors: undetermined if not even an epoch to begin with is found, naming the islands that would settle it; corrupt for a rollback or a fork;
// unavailable if an acknowledged commit lies only on islands that do not answer; invalid if config and roster disagree; io of the view.
io::Task<Result<Recovered>> recover(RecoveryInput input);

}  // namespace archipel::index
