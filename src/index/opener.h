// Opener: one start of the journal (journal.h), or one opening of a further epoch in the same process. Private to src/index.
//
// opener_islands.cc: what the islands were seen to hold, and whether that is enough. journal.cc: creating, reading and continuing the chain.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "index/committer_impl.h"
#include "index/epochs.h"
#include "index/journal.h"
#include "index/recovery.h"
#include "index/reopening_committer.h"

namespace archipel::index {

// One start of the journal, or one opening of a further epoch in the same process.
class Opener {
 public:
  Opener(JournalOptions options, const crypto::Keyring& keys, const extent::Placement& placement,
         extent::Fanout& fanout, io::Workers& workers, io::Loop& home, Random& random, Clock& clock)
      : options_(std::move(options)),
        keys_(keys),
        placement_(placement),
        fanout_(fanout),
        workers_(workers),
        home_(home),
        random_(random),
        clock_(clock) {
    if (!options_.files) options_.files = open_dir_files(options_.dir);
  }

  // At the start of the process: locks DIR and opens the view in it.
  io::Task<Result<Journal>> run();
  // In a running process that holds the lock, after the epoch's committer has closed, or while it could not be opened yet (`was_open`
  // false). `kv` stays in use meanwhile. `stop`: the process is ending.
  io::Task<Result<CommitterParts>> run_again(Kv& kv, const bool& stop, bool was_open,
                                             std::shared_ptr<LeaseKeeper> lease);

 private:
  using Seen = IslandSeen::State;

  Result<bool> open_dir();  // on a worker; true if the view holds anything
  Result<void> refuse_if_too_few(int present_needed, int able_needed) const;
  io::Task<Result<void>> read_chain(Recovered& out);
  io::Task<Result<bool>> must_create(bool view_holds);
  io::Task<Result<void>> create();
  io::Task<Result<void>> continue_chain();
  static io::Task<Result<void>> load(Opener* self, const SnapshotManifest& manifest, Kv& kv);
  Result<void> refuse_if_unreadable(const EpochOpen& current, uint64_t tail_seq) const;  // on a worker
  Result<uint32_t> rebuilt_shards() const;
  io::Task<Result<void>> write_markers(IslandReport::State joined_as);
  std::vector<RosterEntry> next_roster(const EpochOpen* current) const;
  io::Task<Result<void>> put(Sealed sealed, const OpenBits& open, Buffer section);
  io::Task<Result<void>> open_epoch(EpochOpen open, std::vector<Mutation> before);
  io::Task<Result<void>> decide(bool view_holds);
  CommitterParts hand_over();
  std::string list(Seen state) const;
  std::string reasons(Seen state) const;
  int count(Seen state) const;
  bool joins(size_t i) const;
  Result<void> hear_operator();
  uint32_t present_shards() const;
  ChainReader make_reader() const { return ChainReader(keys_, *coder_, placement_, workers_, home_, seen_); }

  JournalOptions options_;
  const crypto::Keyring& keys_;
  extent::Placement placement_;
  extent::Fanout& fanout_;
  io::Workers& workers_;
  io::Loop& home_;
  Random& random_;
  Clock& clock_;

  std::unique_ptr<DirLock> lock_;
  std::shared_ptr<LeaseKeeper> lease_;
  std::unique_ptr<HeadFile> head_;
  std::unique_ptr<ViewDir> view_;
  std::unique_ptr<erasure::Coder> coder_;
  std::vector<IslandSeen> seen_;
  std::vector<IslandReport> reports_;
  uint32_t reached_ = 0;  // shards that take the new epoch's blobs now
  EpochOpen open_;
  Digest32 open_hash_{};
  std::vector<Record::Confirmed> in_debt_;
  uint64_t replayed_ = 0, snapshot_ = 0;
  std::optional<HeadSlot> slot_;  // of a start
  const bool* stop_ = nullptr;    // set and true: nothing more is begun
  bool in_use_ = false;           // a further epoch of a running process: nothing is rejoined
  // The view holds what is proven, and can be served whatever else fails.
  bool presentable_ = false;
  std::optional<Undecided> undecided_;
  Findings findings_;
};

}  // namespace archipel::index
