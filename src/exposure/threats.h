// Threats: what coalitions of s units reach at most, in islands: the engine's question turned into limits of a packing.
//
// A placement has rho >= r exactly if no coalition of r-1 units reads it; so the largest sets of islands that r-1 units reach must each hold at
// most k-1 shards. The same for delta with cut and n-k. What a coalition does without any shard (a gateway that sees plaintext, too few keys
// left, a name) bounds both from above, whatever the placement is. Built from the engine's own structure, so both count the same.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "exposure/engine.h"
#include "exposure/ground.h"

namespace archipel::exposure {

inline constexpr size_t kFrontierMax = 20'000;  // largest reaches of one size kept at a time

class Threats {
 public:
  // `structure`: shard i is on island i of `ground`, all of them (see structure_of_all). `units`: those that may take part.
  Threats(const Structure& structure, Question question, Coalition units, Mask usable);

  // The largest sets of islands that `size` units reach, of coalitions that would have it if enough shards lay there. limit: kFrontierMax.
  Result<std::vector<Mask>> masks(size_t size);
  // Coalitions of this size have it with no shard at all.
  Result<bool> without_shards(size_t size);
  // No larger coalition reaches more than those of this size.
  Result<bool> saturated(size_t size);

 private:
  using Reached = std::array<uint64_t, 4>;  // islands, keys, gateways, names
  Result<const std::vector<Reached>*> level(size_t size);
  bool enough(const Reached& reached) const;  // without shards
  bool counts(const Reached& reached) const;  // with enough shards

  Question question_;
  std::vector<Reached> units_;
  size_t threshold_ = 0, keys_ = 0;
  uint64_t gateways_ = 0;        // read: those that see plaintext; cut: all
  std::vector<uint64_t> names_;  // by kind
  std::vector<std::vector<Reached>> levels_;
};

// All islands of the ground as the shards of one structure, in the ground's order.
Result<Structure> structure_of_all(const Ground& ground, const Lens& lens);

}  // namespace archipel::exposure
