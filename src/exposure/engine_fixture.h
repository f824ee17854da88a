// For tests: structures made at random, and the engine's answers found the slow way, by the definitions alone.
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <bit>

#include "exposure/engine.h"

namespace archipel::exposure::testing {

struct Made {
  int units = 0;
  Structure structure;
};

inline Reach some_reach(int units, bool apart) {
  Coalition all = (Coalition{1} << units) - 1;
  auto mask = [&] {
    // Few units each, as in life: a random mask of many would make everybody able alone.
    Coalition out = 0;
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) out |= Coalition{1} << *rc::gen::inRange(0, units);
    return out & all;
  };
  Reach out;
  out.read = mask();
  out.cut = apart ? mask() : out.read;
  return out;
}

inline Made some_structure(int units_max) {
  Made out;
  out.units = *rc::gen::inRange(1, units_max + 1);
  Structure& s = out.structure;
  int n = *rc::gen::inRange(1, 9);
  s.k = *rc::gen::inRange(1, n + 1);
  bool debts = *rc::gen::inRange(0, 4) == 0;
  for (int i = 0; i < n; ++i)
    s.shards.push_back({some_reach(out.units, true), !debts || *rc::gen::inRange(0, 4) != 0});
  int keys = *rc::gen::inRange(0, 5);
  for (int i = 0; i < keys; ++i) s.keys.push_back(some_reach(out.units, true));
  s.threshold = keys == 0 ? 0 : *rc::gen::inRange(1, keys + 1);
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
    s.gateways.push_back({some_reach(out.units, true), *rc::gen::inRange(0, 4) == 0});
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    std::vector<Reach> kind;
    for (int j = *rc::gen::inRange(1, 3); j > 0; --j) kind.push_back(some_reach(out.units, true));
    s.names.push_back(kind);
  }
  return out;
}

// The structure functions again, word for word as design §6 has them, shard by shard.
inline bool slow_holds(const Structure& s, Question question, Coalition by) {
  int reached = 0, readable = 0, confirmed = 0, keys_read = 0, keys_cut = 0;
  for (const auto& shard : s.shards) {
    readable += (shard.reach.read & by) != 0;
    confirmed += shard.confirmed;
    reached += shard.confirmed && (shard.reach.cut & by) != 0;
  }
  for (const Reach& key : s.keys) {
    keys_read += (key.read & by) != 0;
    keys_cut += (key.cut & by) != 0;
  }
  if (question == Question::read) {
    for (const auto& gate : s.gateways)
      if (gate.plaintext && (gate.reach.read & by) != 0) return true;
    return readable >= s.k && (s.keys.empty() || keys_read >= s.threshold);
  }
  int m = static_cast<int>(s.keys.size());
  if (confirmed - reached < s.k) return true;
  if (m != 0 && m - keys_cut < s.threshold) return true;
  auto cut = [&](const Reach& reach) { return (reach.cut & by) != 0; };
  if (!s.gateways.empty() &&
      std::ranges::all_of(s.gateways, [&](const auto& gate) { return cut(gate.reach); }))
    return true;
  for (const auto& kind : s.names)
    if (!kind.empty() && std::ranges::all_of(kind, cut)) return true;
  return question == Question::degrade && confirmed - reached < static_cast<int>(s.shards.size());
}

// All 2^units of them, in rising size, skipping those above one found.
inline std::vector<Coalition> slow_minimal(const Structure& s, Question question, int units) {
  std::vector<Coalition> all, out;
  for (Coalition c = 0; c < Coalition{1} << units; ++c) all.push_back(c);
  std::ranges::sort(all, [](Coalition a, Coalition b) {
    return std::pair(std::popcount(a), a) < std::pair(std::popcount(b), b);
  });
  for (Coalition c : all) {
    auto below = [&](Coalition found) { return (found & ~c) == 0; };
    if (!std::ranges::any_of(out, below) && slow_holds(s, question, c)) out.push_back(c);
  }
  return out;
}

inline constexpr Question kQuestions[] = {Question::read, Question::cut, Question::degrade};

}  // namespace archipel::exposure::testing
