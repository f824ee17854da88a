// Recovery: one run of recover() (recovery.h): which epoch is the highest, where reading begins, what happened since. Private to src/index.
//
// recovery.cc: the order of it all. recovery_start.cc: the highest open, its ancestry, snapshots. recovery_replay.cc: the commits, and what of the last is decided.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "index/recovery.h"

namespace archipel::index {

// "commit 3.17"
inline std::string place(uint64_t epoch, uint64_t seq) {
  return "commit " + std::to_string(epoch) + "." + std::to_string(seq);
}

// Without an exact head, a commit is void if it cannot have had w confirmations, and fewer than k shards can still turn up.
inline bool is_void(const Counts& c, erasure::Code code) {
  const int m = c.members;
  return c.absent >= std::max(1, m - code.w() + 1) && c.absent + c.lost >= m - code.k + 1;
}

struct FoundCommit {
  uint64_t seq = 0;
  OpenedBlob blob;
  Record record;
};

class Recovery {
 public:
  explicit Recovery(RecoveryInput input) : in_(input), code_(in_.reader.code()) {}
  io::Task<Result<Recovered>> run();

 private:
  io::Task<Result<void>> decide();
  io::Task<bool> start_from_snapshot();
  io::Task<Result<void>> try_snapshot(const SnapshotManifest& manifest);
  bool snapshot_after(const Applied& position) const;
  bool truncated_after(const Applied& position) const;
  std::unexpected<Error> with_snapshot_trouble(Error error) const;
  io::Task<Result<void>> find_highest_open();
  io::Task<Result<void>> walk_back();
  io::Task<Result<void>> choose_start();
  io::Task<Result<bool>> index_is_on_the_chain(const Applied& applied, size_t* at);
  Result<void> check_head_against_ancestry() const;
  io::Task<Result<void>> replay_closed(const KnownOpen& open, uint64_t tail_seq, const Digest32& tail_hash);
  io::Task<Result<void>> replay_last();
  io::Task<Result<void>> probe_behind(uint64_t gap, uint64_t from);
  void learn(uint64_t seq, const Record& told);
  io::Task<Result<bool>> judge(FoundCommit& found);
  uint32_t holders_or_emptied(const Poll& poll) const;
  io::Task<void> look_for_debt();
  io::Task<Result<void>> judge_gap(uint64_t gap);
  Result<void> check_at_least(uint64_t epoch, uint64_t seq, const Digest32& hash);
  io::Task<Result<void>> refuse_below_at_least();
  bool is_voided(uint64_t epoch, uint64_t seq) const;
  void undecided(uint64_t epoch, uint64_t seq, std::string message);

  Result<void> check_roster(const EpochOpen& last) const;
  Result<KnownOpen> known(const OpenedBlob& blob) const;
  Result<FoundCommit> link(uint64_t epoch, uint64_t seq, OpenedBlob blob);
  io::Task<Result<void>> apply(std::vector<Mutation> mutations);
  io::Task<Result<void>> apply_commit(const OpenBits& open, FoundCommit& found, bool proven);
  io::Task<Result<void>> flush();
  ChainReader::Name commit_name(uint64_t seq) const {
    return {BlobKind::commit, path_.back().open.epoch, seq, path_.back().open.bits};
  }

  RecoveryInput in_;
  erasure::Code code_;
  Recovered out_;

  std::deque<KnownOpen> path_;    // ancestry of the highest open, oldest first, as far back as needed
  std::optional<Applied> index_;  // what the view holds, if it is used
  size_t start_ = 0;              // replay starts in path_[start_] ...
  uint64_t seq_ = 0;              // ... after this commit; moves on as commits are linked
  Digest32 hash_{};
  std::vector<Mutation> batch_;
  size_t batch_bytes_ = 0;
  std::string snapshot_trouble_;  // why the snapshots could not be used
  bool from_the_beginning_ = false;

  // Of the last epoch:
  bool exact_ = false;
  bool at_least_met_ = false;
  std::map<uint64_t, uint32_t> judged_;  // who holds the commits of the last epoch that were judged
  uint64_t proven_ = 0;                  // commits up to here are known to have been acknowledged
};

}  // namespace archipel::index
