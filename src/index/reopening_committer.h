// The committer that callers hold for the life of the process: when an epoch's committer closes because a commit missed its deadline, it
// recovers and opens the next epoch (protocol §2), again and again until enough islands answer. Meanwhile commits are refused.
#pragma once

#include <functional>
#include <memory>

#include "index/committer_impl.h"

namespace archipel::index {

// Runs recovery over a view in use and opens an epoch; on the home loop. Once `stop` is true it begins no further write and fails with
// unavailable; `stop` outlives the task.
using Reopen = std::function<io::Task<Result<CommitterParts>>(Kv& kv, const bool& stop)>;

// The same for a journal that could not be opened at its start: closed, with the reason, and trying.
struct ClosedParts {
  io::Workers& workers;
  io::Loop& home;
  Kv& kv;
  Error reason;
};
std::unique_ptr<Committer> make_closed_committer(ClosedParts parts, std::unique_ptr<DirLock> lock,
                                                 Reopen reopen);

// On parts.home. Holds DIR's lock. close() must have finished before it is destroyed (CHECK).
std::unique_ptr<Committer> make_reopening_committer(CommitterParts parts, std::unique_ptr<DirLock> lock,
                                                    Reopen reopen);

}  // namespace archipel::index
