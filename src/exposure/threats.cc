#include "exposure/threats.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace archipel::exposure {
namespace {

using ErrorCode = archipel::Code;
using Reached = std::array<uint64_t, 4>;

bool within(const Reached& a, const Reached& b) {
  return (a[0] & ~b[0]) == 0 && (a[1] & ~b[1]) == 0 && (a[2] & ~b[2]) == 0 && (a[3] & ~b[3]) == 0;
}

int weight(const Reached& a) {
  return std::popcount(a[0]) + std::popcount(a[1]) + std::popcount(a[2]) + std::popcount(a[3]);
}

// Those that no other contains.
bool keep_largest(std::vector<Reached>& reached) {
  std::ranges::sort(reached);
  reached.erase(std::ranges::unique(reached).begin(), reached.end());
  std::ranges::sort(reached, {}, [](const Reached& one) { return std::pair(-weight(one), one); });
  std::vector<Reached> kept;
  for (const Reached& one : reached) {
    if (std::ranges::any_of(kept, [&](const Reached& larger) { return within(one, larger); })) continue;
    kept.push_back(one);
    if (kept.size() > kFrontierMax) return false;
  }
  reached = std::move(kept);
  return true;
}

}  // namespace

Threats::Threats(const Structure& structure, Question question, Coalition units, Mask usable)
    : question_(question),
      threshold_(static_cast<size_t>(structure.threshold)),
      keys_(structure.keys.size()) {
  const bool read = question == Question::read;
  const auto reaches = [&](const Reach& reach, size_t unit) {
    return ((read ? reach.read : reach.cut) >> unit & 1) != 0;
  };
  for (size_t i = 0; i < structure.gateways.size(); ++i) {
    if (!read || structure.gateways[i].plaintext) gateways_ |= uint64_t{1} << i;
  }
  size_t first_name = 0;
  for (const auto& kind : structure.names) {
    uint64_t mask = 0;
    for (size_t i = 0; i < kind.size(); ++i) mask |= uint64_t{1} << (first_name + i);
    names_.push_back(mask);
    first_name += kind.size();
  }
  for (size_t unit = 0; unit < kUnitsMax; ++unit) {
    if ((units >> unit & 1) == 0) continue;
    Reached reached{};
    for (size_t i = 0; i < structure.shards.size(); ++i) {
      if ((usable >> i & 1) != 0 && reaches(structure.shards[i].reach, unit)) reached[0] |= uint64_t{1} << i;
    }
    for (size_t i = 0; i < structure.keys.size(); ++i) {
      if (reaches(structure.keys[i], unit)) reached[1] |= uint64_t{1} << i;
    }
    for (size_t i = 0; i < structure.gateways.size(); ++i) {
      if ((gateways_ >> i & 1) != 0 && reaches(structure.gateways[i].reach, unit))
        reached[2] |= uint64_t{1} << i;
    }
    size_t name = 0;
    for (const auto& kind : structure.names) {
      for (const Reach& reach : kind) {
        if (!read && reaches(reach, unit)) reached[3] |= uint64_t{1} << name;
        ++name;
      }
    }
    units_.push_back(reached);
  }
  (void)keep_largest(units_);  // at most kUnitsMax; a unit that reaches less than another one is never needed
  levels_.push_back({Reached{}});
}

bool Threats::enough(const Reached& reached) const {
  if (question_ == Question::read) return reached[2] != 0;
  if (keys_ != 0 && static_cast<size_t>(std::popcount(reached[1])) + threshold_ > keys_) return true;
  if (gateways_ != 0 && (reached[2] & gateways_) == gateways_) return true;
  return std::ranges::any_of(names_, [&](uint64_t kind) { return kind != 0 && (reached[3] & kind) == kind; });
}

bool Threats::counts(const Reached& reached) const {
  return question_ != Question::read || keys_ == 0 ||
         static_cast<size_t>(std::popcount(reached[1])) >= threshold_;
}

Result<const std::vector<Reached>*> Threats::level(size_t size) {
  while (levels_.size() <= size) {
    std::vector<Reached> next;
    for (const Reached& one : levels_.back()) {
      next.push_back(one);
      for (const Reached& unit : units_) {
        next.push_back({one[0] | unit[0], one[1] | unit[1], one[2] | unit[2], one[3] | unit[3]});
      }
    }
    if (!keep_largest(next)) {
      return fail(ErrorCode::limit,
                  "coalitions of " + std::to_string(size) + " reach islands in more than " +
                      std::to_string(kFrontierMax) +
                      " ways; enable blocs, or declare fewer edges, so that there are fewer units");
    }
    levels_.push_back(std::move(next));
  }
  return &levels_[size];
}

Result<std::vector<Mask>> Threats::masks(size_t size) {
  ASSIGN_OR_RETURN(const auto* reached, level(size));
  std::vector<Mask> masks;
  for (const Reached& one : *reached) {
    if (counts(one)) masks.push_back(one[0]);
  }
  return maximal(std::move(masks));
}

Result<bool> Threats::without_shards(size_t size) {
  ASSIGN_OR_RETURN(const auto* reached, level(size));
  return std::ranges::any_of(*reached, [this](const Reached& one) { return enough(one); });
}

Result<bool> Threats::saturated(size_t size) {
  ASSIGN_OR_RETURN(const auto* reached, level(size));
  Reached all{};
  for (const Reached& unit : units_) {
    for (size_t i = 0; i < all.size(); ++i) all[i] |= unit[i];
  }
  return reached->size() == 1 && reached->front() == all;
}

Result<Structure> structure_of_all(const Ground& ground, const Lens& lens) {
  Structure all;
  for (size_t i = 0; i < ground.count(); ++i) {
    const Placing one{.policy = "", .code = {1, 1}, .islands = {ground.island(i).id}, .where = {}};
    ASSIGN_OR_RETURN(Structure structure, structure_of(ground.facts(), one, lens));
    if (i == 0) {
      all = std::move(structure);
    } else {
      all.shards.push_back(structure.shards.front());
    }
  }
  return all;
}

}  // namespace archipel::exposure
