// Picker: which of several origins gets a request. Pure: chance comes in, counts come in, an index comes out. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "edge/balance_policy.h"

namespace archipel::edge {

// One origin that may be asked.
struct Candidate {
  size_t origin = 0;   // its number in the pool
  double weight = 1;   // of the configuration, times what its slow start allows; > 0
  int in_flight = 0;   // requests under way there
  double latency = 0;  // peak-EWMA, ns; 0: not known
};

// The order in which nodes own a key: weighted rendezvous hashing. A node that leaves moves its own keys only,
// a node that joins takes its share evenly from all. Equal on every machine that is given the same names and seed.
class Rendezvous {
 public:
  Rendezvous(std::vector<std::string> names, uint64_t seed = 0);
  // Larger owns. `weight` > 0.
  double score(size_t node, uint64_t key_hash, double weight = 1) const;
  uint64_t hash(std::string_view key) const;
  size_t size() const { return nodes_.size(); }

 private:
  uint64_t seed_;
  std::vector<uint64_t> nodes_;
};

// The owner of a key among the candidates, as long as it holds less than `bound` times its share of all that is under way (and of this request); else
// the next in the key's order. (Mirrokni, Thorup and Zadimoghaddam: consistent hashing with bounded loads.) Index into `candidates`, which is not empty.
size_t pick_bounded(const Rendezvous& nodes, std::span<const Candidate> candidates, uint64_t key_hash,
                    double bound);

class Picker {
 public:
  // `names`: of all origins of the pool, for hashing.
  Picker(Algorithm algorithm, double hash_bound, std::vector<std::string> names);
  // Index into `candidates`, which is not empty. Cost: at most linear in them.
  size_t pick(std::span<const Candidate> candidates, std::string_view hash_key, Random& random);

 private:
  size_t two_choices(std::span<const Candidate> candidates, Random& random) const;
  size_t in_turn(std::span<const Candidate> candidates);
  size_t least(std::span<const Candidate> candidates, Random& random) const;

  const Algorithm algorithm_;
  const double hash_bound_;
  const Rendezvous nodes_;
  std::vector<double> turn_;  // by origin: what it is owed
};

}  // namespace archipel::edge
