// What the islands that answer do not settle about the journal, and what an operator can say about it (protocol §2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/hash.h"
#include "index/committer.h"

namespace archipel::index {

// "Undetermined": one commit, or whether an epoch was begun.
struct Undecided {
  CommitPosition what;  // seq 0: the epoch itself
  Error error;          // undetermined: the question, and the islands that would settle it
  // Of a commit that was found, on too few islands:
  int holders = 0;
  UnixMs commit_ms = 0;
  std::vector<Mutation> mutations;
};

// What a recovery found, for a report.
struct Findings {
  CommitPosition tail;  // the last commit that stands; seq 0: of its epoch none does
  crypto::Digest32 tail_hash{};
  std::vector<CommitPosition> completed;  // adopted, and written to the islands that did not have them
  std::optional<CommitPosition> voided;   // found, and void: it and what follows it in its epoch
  std::vector<uint64_t> claims;           // epoch numbers that were claimed and never opened
};

// `--gone OLD=NEW`: an island that never comes back, and the one that the configuration has in its place now.
struct Gone {
  std::string id;
  std::string replacement;  // empty: none yet
};

// What an operator knows and the islands do not tell.
struct Attested {
  // `--at-least`: this commit was acknowledged. A journal without it is a rollback; with it no margin for a lying island is kept where
  // islands are asked whether there is a later epoch.
  struct AtLeast {
    uint64_t epoch = 0;  // 0: the last epoch
    uint64_t seq = 0;
    std::string hash;  // lower-case hex: the first digits, kHashDigitsMin at least
  };
  static constexpr size_t kHashDigitsMin = 8;
  std::optional<AtLeast> at_least;
  std::optional<CommitPosition> adopt;  // it happened, whatever is found of it
  std::optional<CommitPosition>
      void_from;  // it and what follows it in its epoch did not; seq 0: nor did the epoch
};

}  // namespace archipel::index
