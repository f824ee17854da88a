#include "exposure/packing.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace archipel::exposure {
namespace {

using ErrorCode = archipel::Code;

constexpr int64_t kNoPrice = std::numeric_limits<int64_t>::max();

Mask bit(int island) {
  return Mask{1} << island;
}

// Depth first, island by island: take it or leave it. A set that is full takes its islands out of what can still be chosen; a branch ends as
// soon as what is left cannot make n. Islands that no limit tells apart are tried in one order only.
class Search {
 public:
  Search(const Packing& packing, Budget& budget) : packing_(packing), budget_(budget) {
    prepare_limits();
    prepare_kin();
    if (!packing_.prices.empty()) {
      for (Mask rest = packing_.usable; rest != 0; rest &= rest - 1)
        by_price_.push_back(std::countr_zero(rest));
      std::ranges::sort(by_price_, {}, [this](int island) { return std::pair(price(island), island); });
    }
    if (packing_.cap) cap_ = *packing_.cap;
  }

  // Finds the first one whose price is at most the cap; with `improve`, goes on for cheaper ones.
  Result<std::optional<Mask>> run(bool improve) {
    improve_ = improve;
    if (possible_ && !step(0, packing_.usable, packing_.n, 0)) {
      return fail(ErrorCode::limit,
                  "the search for a placement was given up after " + std::to_string(budget_.used) +
                      " steps; pin the islands or the code of the policy, or name fewer islands");
    }
    return found_;
  }
  int64_t sum() const { return found_sum_; }

 private:
  void prepare_limits() {
    std::vector<Limit> limits;
    for (Limit limit : packing_.limits) {
      limit.mask &= packing_.usable;
      if (limit.bound < 0) possible_ = false;
      if (std::popcount(limit.mask) > limit.bound) limits.push_back(limit);
    }
    std::ranges::sort(limits, [](const Limit& a, const Limit& b) {
      return std::pair(a.bound, a.mask) < std::pair(b.bound, b.mask);
    });
    for (const Limit& limit : limits) {
      bool implied = false;
      for (const Limit& kept : limits_) implied = implied || (limit.mask & ~kept.mask) == 0;  // bounds rise
      if (!implied) limits_.push_back(limit);
    }
  }

  // kin_[i]: islands after i that no limit and no price tells from it.
  void prepare_kin() {
    std::vector<Mask> kinds;
    for (Mask rest = packing_.usable; rest != 0; rest &= rest - 1) {
      const int island = std::countr_zero(rest);
      const auto same = std::ranges::find_if(kinds, [&](Mask kind) {
        return packing_.prices.empty() || price(std::countr_zero(kind)) == price(island);
      });
      if (same == kinds.end()) {
        kinds.push_back(bit(island));
      } else {
        *same |= bit(island);
      }
    }
    for (const Limit& limit : limits_) {
      std::vector<Mask> split;
      for (const Mask kind : kinds) {
        if ((kind & limit.mask) != 0) split.push_back(kind & limit.mask);
        if ((kind & ~limit.mask) != 0) split.push_back(kind & ~limit.mask);
      }
      kinds = std::move(split);
    }
    for (const Mask kind : kinds) {
      for (Mask rest = kind; rest != 0; rest &= rest - 1) kin_[std::countr_zero(rest)] = rest;
    }
  }

  int64_t price(int island) const { return packing_.prices[static_cast<size_t>(island)]; }

  // The least that `need` of these cost.
  int64_t least(Mask candidates, int need) const {
    int64_t sum = 0;
    for (const int island : by_price_) {
      if (need == 0) break;
      if ((candidates & bit(island)) == 0) continue;
      sum += price(island);
      --need;
    }
    return sum;
  }

  // Whether `need` more of the candidates may fit; takes out those that cannot be chosen any more.
  bool plausible(Mask chosen, Mask& candidates, int need) const {
    for (const Limit& limit : limits_) {
      if (std::popcount(chosen & limit.mask) >= limit.bound) candidates &= ~limit.mask;
    }
    const int left = std::popcount(candidates);
    if (left < need) return false;
    for (const Limit& limit : limits_) {
      const int inside = std::popcount(candidates & limit.mask);
      const int slack = limit.bound - std::popcount(chosen & limit.mask);
      if (inside > slack && left - inside + slack < need) return false;
    }
    return true;
  }

  // False: the budget is spent. Recursion: one level an island, at most 64.
  bool step(Mask chosen, Mask candidates, int need, int64_t sum) {
    if (need == 0) {
      if (sum > cap_) return true;
      found_ = chosen;
      found_sum_ = sum;
      if (improve_) cap_ = sum - 1;
      return true;
    }
    while (candidates != 0 && !(found_ && !improve_)) {
      if (budget_.left == 0) return false;
      --budget_.left;
      ++budget_.used;
      if (!plausible(chosen, candidates, need)) return true;
      if (cap_ != kNoPrice && sum + least(candidates, need) > cap_) return true;
      const int island = improve_ ? cheapest(candidates) : std::countr_zero(candidates);
      const int64_t with = packing_.prices.empty() ? sum : sum + price(island);
      if (!step(chosen | bit(island), candidates & ~bit(island), need - 1, with)) return false;
      candidates &= ~kin_[island];
    }
    return true;
  }

  int cheapest(Mask candidates) const {
    for (const int island : by_price_) {
      if ((candidates & bit(island)) != 0) return island;
    }
    return std::countr_zero(candidates);
  }

  const Packing& packing_;
  Budget& budget_;
  std::vector<Limit> limits_;
  Mask kin_[64] = {};
  std::vector<int> by_price_;
  int64_t cap_ = kNoPrice;
  bool possible_ = true, improve_ = false;
  std::optional<Mask> found_;
  int64_t found_sum_ = 0;
};

}  // namespace

Result<std::optional<Mask>> first_packing(const Packing& packing, Budget& budget) {
  CHECK(!packing.cap || !packing.prices.empty() || packing.usable == 0);
  return Search(packing, budget).run(false);
}

Result<std::optional<int64_t>> cheapest_packing(const Packing& packing, Budget& budget) {
  CHECK(!packing.prices.empty() || packing.usable == 0);
  Search search(packing, budget);
  ASSIGN_OR_RETURN(const auto found, search.run(true));
  if (!found) return std::optional<int64_t>();
  return std::optional(search.sum());
}

std::vector<Mask> maximal(std::vector<Mask> masks) {
  std::ranges::sort(masks, [](Mask a, Mask b) {
    return std::pair(-std::popcount(a), a) < std::pair(-std::popcount(b), b);
  });
  std::vector<Mask> kept;
  for (const Mask mask : masks) {
    if (std::ranges::none_of(kept, [&](Mask larger) { return (mask & ~larger) == 0; })) kept.push_back(mask);
  }
  std::ranges::sort(kept);
  return kept;
}

}  // namespace archipel::exposure
