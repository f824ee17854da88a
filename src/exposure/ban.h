// Ban: what happens if an island, a provider, a state or a bloc is gone tomorrow, and what leaving costs (inquiry §4 "Ban of A").
//
// Copy-out reads the shards from the banned islands while they still answer: bytes = what lies there. Rebuild-around reads k shards of each
// stripe from the survivors if they do not: bytes = k times that. time = the slowest link; cost = bytes x the source's egress price, with the
// cheapest k survivors. Both are always planned: a provider may go dark half-way. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "exposure/inventory.h"
#include "exposure/policy.h"

namespace archipel::exposure {

struct Transfer {
  uint64_t bytes = 0;
  std::vector<double> seconds;  // by bandwidth asked for
  std::optional<double> cost;   // US dollars; nothing: a price is not known (named in unpriced)
  std::vector<std::string> unpriced;
};

struct BanOfHolding {
  Holding holding;
  int lost = 0, left = 0;    // confirmed shards
  bool unavailable = false;  // left < k
  bool degraded = false;     // lost > 0
  bool writable = true;      // w of n still answer
  int tolerance = 0;         // further losses until unavailable: left - k
};

struct BanReport {
  std::string target;  // as asked
  std::vector<std::string>
      islands;  // banned with it: those it reaches by place, operator or parent, or of that provider
  std::vector<std::string> gateways, keyholders, names;  // reached too
  bool keys_lost = false, gateways_lost = false;
  std::vector<BanOfHolding> holdings;  // that lose something, worst first
  uint64_t unavailable_objects = 0, unavailable_bytes = 0, degraded_objects = 0, degraded_bytes = 0;
  Transfer copy_out, rebuild_around;
  std::vector<std::string>
      advice;  // what to change so that it is survived, or can be left with full redundancy: from the solver
};

struct BanQuestion {
  std::string target;                                 // island id, provider (id or name), state, bloc
  std::vector<double> bits_per_second = {1e9, 1e10};  // of the link each island's traffic takes
};

// not_found: nothing is called that; invalid: it names two kinds of thing (say which).
Result<BanReport> ban(const Facts& facts, const Inventory& inventory, std::span<const Policy> policies,
                      std::span<const Code> codes, const World& world, const BanQuestion& question);

// What must move so that every bucket lies as its policy says now.
struct Move {
  Holding from;
  Placing to;
  uint64_t bytes = 0;  // to be written
  std::optional<double> cost;
  std::vector<std::string>
      reasons;  // rules that the present placing breaks; empty: only the solver's better choice
};
Result<std::vector<Move>> plan_moves(const Facts& facts, const Inventory& inventory,
                                     std::span<const Policy> policies, std::span<const Solution> solutions,
                                     const World& world);

}  // namespace archipel::exposure
