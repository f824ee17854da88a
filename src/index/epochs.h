// What past epochs hold, and on which incarnations of the islands: what wipes have taken (docs/formats/journal.md, `m/open/`).
#pragma once

#include <vector>

#include "index/record.h"

namespace archipel::index {

// The opens that the view keeps: of every epoch of the chain, oldest first.
Result<std::vector<EpochOpen>> read_opens(const Snapshot& snapshot);
// An epoch's roster and how many commits it holds.
struct EpochHeld {
  EpochOpen open;
  uint64_t commits = 0;
};
// Of the ancestry of `last`, itself included, which holds `tail_seq` commits. Oldest first; epochs without commits are left out.
std::vector<EpochHeld> epochs_held(std::vector<EpochOpen> opens, const EpochOpen& last, uint64_t tail_seq);

}  // namespace archipel::index
