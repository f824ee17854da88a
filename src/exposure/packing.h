// Packing: n of up to 64 islands so that no set of them holds more than its bound. What every rule of a policy, and every goal of the solver,
// comes down to: an adversary, a provider, a coalition of states is a set of islands, and n-k or k-1 is how many shards it may have.
//
// Islands are bits, in the order that decides between equals (the solver's: by id). Pure, deterministic, bounded by a Budget.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace archipel::exposure {

using Mask = uint64_t;

struct Limit {
  Mask mask = 0;
  int bound = 0;  // at most so many of them; below zero: nothing fits
};

struct Packing {
  int n = 0;
  Mask usable = 0;
  std::vector<Limit> limits;
  std::span<const int64_t> prices;  // by island, zero or more where usable; may be empty without a cap
  std::optional<int64_t> cap;       // on their sum
};

// Steps of search that are left: one for each choice of an island.
struct Budget {
  uint64_t left = 0;
  uint64_t used = 0;
};

// The first in order (that with the lowest island, then the next lowest, …), or nothing: none fits. limit: the budget is spent.
Result<std::optional<Mask>> first_packing(const Packing& packing, Budget& budget);
// The smallest sum of prices. Needs prices.
Result<std::optional<int64_t>> cheapest_packing(const Packing& packing, Budget& budget);

// Only those that no other one contains; sorted, without duplicates.
std::vector<Mask> maximal(std::vector<Mask> masks);

}  // namespace archipel::exposure
