// Inventory: what a cloud keeps, by placement and bucket: counts, never objects. What bans and moves are reckoned from.
#pragma once

#include <string>
#include <vector>

#include "exposure/facts.h"

namespace archipel::exposure {

// Everything of one bucket that lies in one way.
struct Holding {
  std::string bucket;      // empty: the journal (metadata and small bodies of all buckets)
  std::string data_class;  // of the bucket
  std::string
      policy;  // that the bucket follows now; its placing may be another one for what was stored before
  Code code;
  std::vector<std::string> islands;  // by shard
  uint32_t confirmed = ~0u;          // bit per shard: confirmed everywhere in this holding
  uint64_t objects = 0;              // streams
  uint64_t bytes = 0;                // as clients count
  uint64_t stored_bytes = 0;         // on all islands together
  bool in_commits = false;           // small bodies that ride in the journal's commits, and lie as these do
};

struct Inventory {
  std::vector<Holding> holdings;
  std::vector<std::string> journal;  // its islands, by shard
  int journal_quorum = 0;            // of them that must confirm a commit, w of protocol §1; 0: not known
};

}  // namespace archipel::exposure
