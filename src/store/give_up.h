// Giving up extents that were written, or begun, and that no version came to name.
#pragma once

#include "index/committer.h"
#include "store/registry.h"

namespace archipel::store {

// Dooms those of `extents` that are not live by a commit; without it they would wait for the end of their epoch. If the outcome of the commit
// that was to name them was unknown and it did happen, they are live by then, and stay. Errors are swallowed: the collector finds what is
// left when the epoch is over. `committer` must outlive the task.
io::Task<void> give_up(index::Committer& committer, Clock& clock, std::vector<extent::ExtentRef> extents);

}  // namespace archipel::store
