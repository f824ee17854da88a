// Ban: what happens if an island, a provider, a state or a bloc is gone tomorrow, and what leaving costs (inquiry §4 "Ban of A").
//
// Copy-out reads the shards from the banned islands while they still answer: bytes = what lies there, each island over its own link. Rebuild-around
// reads k shards from the cheapest survivors for each shard that is lost, all of it over the one link of who rebuilds; what has fewer than k shards
// left cannot be, and is not counted. time = the slowest link; cost = bytes x the source's egress price. Both are always planned: a provider may
// go dark half-way. Pure.
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
  std::vector<double> seconds;        // by bandwidth asked for
  std::optional<double> cost;         // US dollars; nothing: a price is not known (named in unpriced)
  std::vector<std::string> unpriced;  // islands whose egress price nobody knows, the owner's own among them
};

struct BanOfHolding {
  Holding holding;
  int lost = 0, left = 0;    // confirmed shards
  bool unavailable = false;  // left < k
  bool degraded = false;     // lost > 0
  bool writable =
      true;  // max(k, n-k) + 1 of its islands still answer (protocol §1), and enough of the journal's
  int tolerance = 0;  // further losses until unavailable: left - k
};

struct BanReport {
  std::string target;  // id of what was asked about
  std::string kind;    // what that is: "island", "provider", "state", "bloc" (of a list, too)
  std::vector<std::string>
      islands;  // banned with it: those it reaches by place, operator or parent, or of that provider
  std::vector<std::string> gateways, keyholders, names;  // reached too
  bool keys_lost = false, gateways_lost = false;
  bool read_only =
      false;  // fewer islands of the journal are left than must confirm a commit: nothing at all can be written
  std::vector<BanOfHolding> holdings;  // that lose something, worst first
  // Each holding counts once: what is unavailable is not degraded, too.
  uint64_t unavailable_objects = 0, unavailable_bytes = 0, degraded_objects = 0, degraded_bytes = 0;
  Transfer copy_out, rebuild_around;
  std::vector<std::string>
      advice;  // what to change so that it is survived, or can be left with full redundancy: from the solver
};

inline constexpr size_t kAdvisedMax =
    100;  // policies that advice is sought for: those that lose everything first

struct BanQuestion {
  // Island id, provider (id or name), state, bloc or list; "island:", "provider:", "state:", "bloc:" before it say which is meant.
  std::string target;
  std::vector<double> bits_per_second = {1e9, 1e10};  // of a link
};

// Gone are the island itself, everything of the provider, or every party that a state reaches by place, operator or parent, whatever the capability.
// Without holdings, advice says what the facts' placings would lose.
// not_found: nothing is called that; invalid: it names two kinds of thing (say which), or a holding is no placing. limit: the solver's, for advice.
Result<BanReport> ban(const Facts& facts, const Inventory& inventory, std::span<const Policy> policies,
                      std::span<const Code> codes, const World& world, const BanQuestion& question);

// What must move so that every bucket lies as its policy says now. The order of shards is no reason to move, unless the policy pins it.
struct Move {
  Holding from;
  Placing to;
  uint64_t bytes = 0;          // to be written: shards that arrive, or, by another code, everything
  std::optional<double> cost;  // US dollars of egress where it is read; nothing: a price is not known
  std::vector<std::string>
      reasons;  // rules that the present placing breaks; empty: only the solver's better choice
};
// Those that break a rule first, then the largest. The journal stays out, and what follows a policy of which neither rules nor solution are given. precondition: a policy
// without solution; invalid: as violations().
Result<std::vector<Move>> plan_moves(const Facts& facts, const Inventory& inventory,
                                     std::span<const Policy> policies, std::span<const Solution> solutions,
                                     const World& world);

}  // namespace archipel::exposure
