// The journal at start-up: verify the islands' markers, recover the chain, open an epoch (protocol §2), hand out a Committer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crypto/keyring.h"
#include "index/decision.h"
#include "index/dir.h"
#include "index/head_slots.h"
#include "index/lease.h"
#include "index/progress.h"
#include "io/workers.h"

namespace archipel::index {

struct JournalOptions {
  std::string dir;  // DIR: `index/` (the Kv), `head`, `lock` live here. 0700.
  // How the files of `dir` are reached; null: as they are. A simulator brings its own.
  std::shared_ptr<DirFiles> files = {};
  erasure::Code code;
  extent::AckRule ack;
  int in_flight_max = 2;  // commits in flight, at most 8 (format constant)
  size_t batch_bytes_max = 4u << 20;
  size_t queue_max = 4096;  // intents waiting
  // How the view in `dir`/index is opened: it is deleted and opened anew when it cannot be trusted. A simulator brings its own.
  std::function<Result<std::unique_ptr<Kv>>(const std::string& path)> open_view = open_rocks_kv;
  bool create =
      false;  // true: a new realm is made if no island has a marker of this realm and DIR has no head
  LeaseOptions lease = {};
  // Called on the home loop for every commit that is acknowledged before all n islands confirmed it. May be empty.
  std::function<void(uint64_t epoch, uint64_t seq, uint32_t mask)> on_debt = {};
  // Called on a worker for every commit when its mutations are in the view, before anybody is told of its success. May be empty.
  std::function<void(const std::vector<Mutation>& mutations)> on_applied = {};
  Attested attested = {};       // until the first epoch is open
  std::vector<Gone> gone = {};  // the same
  std::vector<std::string> rejoin =
      {};  // islands without marker that join empty, under a new incarnation; invalid if one has its marker
  bool rejoin_wiped =
      false;  // demo: an island without marker is rejoined empty under a new incarnation, and reported
  std::shared_ptr<Progress> progress = {};  // made by open_journal
  // Which shards' islands hold everything again that was written before they joined empty, in the incarnations `now` (zeros: not known): a
  // mask. Repair's knowledge, out of the view. Null: none does. Any worker.
  std::function<Result<uint32_t>(const Snapshot& view, const std::vector<island::Incarnation>& now)> rebuilt =
      {};
};

struct IslandReport {
  std::string id;
  enum class State { ok, joined, rejoined, lost, unreachable } state = State::ok;
  std::string reason;
  bool refused =
      false;  // unreachable because of its marker: the place is another's, and must confirm nothing
};

struct Journal {
  std::unique_ptr<Kv> kv;
  std::unique_ptr<Committer> committer;
  std::shared_ptr<const LeaseKeeper> lease;  // the committer's; its gate says whether this process may write
  std::vector<IslandReport> islands;
  uint64_t epoch = 0;
  uint64_t replayed = 0;  // records applied at this start
  Findings findings;
  // Set: what this start could not tell. The committer is then closed.
  std::optional<Undecided> undecided;
  uint64_t snapshot = 0;  // the number of the snapshot that was loaded at this start, 0 = none
  std::shared_ptr<Progress> progress;
  std::optional<HeadSlot> slot;  // the best head slot of this start
};

// Runs the recovery of protocol §2 and returns a journal. Nothing is written to an island before recovery has decided.
//
// Where it cannot decide, or fewer than w islands can take part, and at least k have their data, the journal is **read-only**: the view shows
// what is proven to have been acknowledged, the committer is closed, says why, and tries again in the background until it can open.
//
// Errors: unavailable with the islands that would help, when fewer than k have their data or an acknowledged commit is on none of those that
// answer; undetermined if not even an old state can be shown; corrupt for a rollback or a fork; exists if another process holds DIR/lock, or
// renews the lease on another directory: a start watches for a minute where a lease was not released.
// The references must outlive the journal.
io::Task<Result<Journal>> open_journal(JournalOptions options, const crypto::Keyring& keys,
                                       const extent::Placement& placement, extent::Fanout& fanout,
                                       io::Workers& workers, io::Loop& home, Random& random, Clock& clock);

}  // namespace archipel::index
