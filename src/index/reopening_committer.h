// The committer that callers hold for the life of the process: when an epoch's committer closes because a commit missed its deadline, it
// recovers and opens the next epoch (protocol §2), again and again until enough islands answer. Meanwhile commits are refused.
#pragma once

#include <functional>
#include <memory>

#include "index/committer_impl.h"

namespace archipel::index {

// Runs recovery over a view in use and opens an epoch; on the home loop. Once `stop` is true it begins no further write and fails with
// unavailable; `stop` outlives the task.
// `rejoin`: islands that join empty.
using Reopen = std::function<io::Task<Result<CommitterParts>>(Kv& kv, const bool& stop,
                                                              std::vector<std::string> rejoin)>;

// What a process holds as long as it may write.
struct Held {
  std::unique_ptr<DirLock> lock;
  std::shared_ptr<LeaseKeeper> lease;  // begun; null: none is kept
};

// The same for a journal that could not be opened at its start: closed, with the reason, and trying.
struct ClosedParts {
  io::Workers& workers;
  io::Loop& home;
  Kv& kv;
  Error reason;
};
std::unique_ptr<Committer> make_closed_committer(ClosedParts parts, Held held, Reopen reopen);

// On parts.home. Renews the lease, and releases it when it is closed. close() must have finished before it is destroyed (CHECK).
std::unique_ptr<Committer> make_reopening_committer(CommitterParts parts, Held held, Reopen reopen);

}  // namespace archipel::index
