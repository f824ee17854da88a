// Terms: a question taken apart. READ, CUT and DEGRADE are each an OR of terms; a term is an AND of at most two counts: "this many of these
// positions are reached". For the engine's own files.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "exposure/engine.h"

namespace archipel::exposure {

// Positions of a term's two counts, a bit each.
struct Hits {
  uint64_t first = 0, second = 0;
  Hits operator|(const Hits& o) const { return {first | o.first, second | o.second}; }
  Hits operator&(const Hits& o) const { return {first & o.first, second & o.second}; }
  Hits operator~() const { return {~first, ~second}; }
  auto operator<=>(const Hits&) const = default;
};

struct Term {
  int need_first = 0, need_second = 0;
  std::array<Hits, kUnitsMax> of{};  // by unit: what it reaches alone
  Coalition units = 0;               // that reach anything here

  bool enough(Hits reached) const {
    return std::popcount(reached.first) >= need_first && std::popcount(reached.second) >= need_second;
  }
  Hits reached_by(Coalition coalition) const {
    Hits out;
    for (coalition &= units; coalition != 0; coalition &= coalition - 1)
      out = out | of[static_cast<size_t>(std::countr_zero(coalition))];
    return out;
  }
  bool holds(Coalition coalition) const { return enough(reached_by(coalition)); }
};

// The question holds for a coalition if one of these does.
std::vector<Term> terms_of(const Structure& structure, Question question);

// Everything that answers depend on, and nothing else: equal keys, equal answers. The order of shards is left out.
std::vector<uint64_t> key_of(const Structure& structure);

}  // namespace archipel::exposure
