// The committer's inside: what recovery hands over to it.
#pragma once

#include <functional>
#include <memory>

#include "index/blob_set.h"
#include "index/committer.h"
#include "index/dir.h"
#include "index/journal.h"
#include "index/lease.h"

namespace archipel::index {

struct CommitterParts {
  JournalOptions options;
  const crypto::Keyring& keys;
  extent::Placement placement;  // all n islands, in shard order
  uint32_t counted = 0;         // shards that may confirm in this epoch
  extent::Fanout& fanout;
  io::Workers& workers;
  io::Loop& home;
  Random& random;
  Clock& clock;
  Kv& kv;  // holds everything up to the epoch's open
  std::unique_ptr<HeadFile> head;
  EpochOpen open;
  Digest32 open_hash{};
  // Acknowledged commits whose masks no record has told: those of the epoch before, and what is left at the end. Null: none, and nobody asks.
  std::shared_ptr<std::vector<Record::Confirmed>> unreported = {};
  const LeaseGate* lease =
      nullptr;  // nothing is applied or acknowledged while it does not allow it; null: there is none
  std::function<void(const Error& reason)>
      on_failed;  // called once, on `home`, when a commit missed its deadline: only close() is left to do
};

// On parts.home. close() must have finished before it is destroyed (CHECK).
class EpochCommitter : public Committer {
 public:
  // As when a commit has missed its deadline: nothing more is acknowledged. On parts.home. Idempotent.
  virtual void stop(Error reason) = 0;
};
std::unique_ptr<EpochCommitter> make_committer(CommitterParts parts);

}  // namespace archipel::index
