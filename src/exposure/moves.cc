// What must move so that every bucket lies as its policy says now.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "exposure/ban.h"
#include "exposure/ground.h"
#include "exposure/phrases.h"
#include "exposure/rules.h"

namespace archipel::exposure {
namespace {

using ErrorCode = archipel::Code;

bool among(std::span<const std::string> ids, const std::string& id) {
  return std::ranges::find(ids, id) != ids.end();
}

// The same islands by the same code: which of them holds which shard is nobody's concern, unless the policy names their order.
bool lies_so(const Holding& holding, const Placing& to, bool pinned) {
  if (holding.code != to.code) return false;
  if (pinned) return holding.islands == to.islands;
  return std::ranges::is_permutation(holding.islands, to.islands);
}

std::optional<double> egress(const Facts& facts, const World& world, const std::string& id) {
  const auto at = std::ranges::find(facts.islands, id, &Party::id);
  if (at == facts.islands.end() || at->provider.empty()) return std::nullopt;
  const Price* price = world.price(at->provider);
  if (price == nullptr || price->egress_gb < 0) return std::nullopt;
  return price->egress_gb;
}

// With the same code, shards change places: those that leave are read where they are, those that arrive are written. With another one, everything is
// read once, from the k cheapest islands, and written anew.
void weigh(const Facts& facts, const World& world, Move& move) {
  const Holding& from = move.from;
  const double shard = static_cast<double>(from.stored_bytes) / from.code.n;
  std::vector<std::string> sources;
  if (from.code == move.to.code) {
    size_t arriving = 0;
    for (const std::string& id : move.to.islands) arriving += among(from.islands, id) ? 0 : 1;
    for (const std::string& id : from.islands) {
      if (!among(move.to.islands, id)) sources.push_back(id);
    }
    move.bytes = static_cast<uint64_t>(std::llround(shard * static_cast<double>(arriving)));
  } else {
    for (size_t i = 0; i < from.islands.size(); ++i) {
      if (i >= 32 || (from.confirmed >> i & 1) != 0) sources.push_back(from.islands[i]);
    }
    std::ranges::sort(sources, [&](const std::string& a, const std::string& b) {
      return std::pair(egress(facts, world, a).value_or(HUGE_VAL), a) <
             std::pair(egress(facts, world, b).value_or(HUGE_VAL), b);
    });
    sources.resize(std::min(sources.size(), static_cast<size_t>(from.code.k)));
    move.bytes = static_cast<uint64_t>(std::llround(shard * from.code.k * move.to.code.n / move.to.code.k));
  }
  double cost = 0;
  for (const std::string& id : sources) {
    const auto price = egress(facts, world, id);
    if (!price) return;
    cost += *price * shard / 1e9;
  }
  move.cost = cost;
}

Result<std::vector<std::string>> reasons_of(const Facts& facts, const Policy& policy, const Holding& from,
                                            const World& world) {
  std::vector<std::string> gone;
  for (const std::string& id : from.islands) {
    if (std::ranges::find(facts.islands, id, &Party::id) == facts.islands.end()) gone.push_back(id);
  }
  if (!gone.empty()) {
    return std::vector<std::string>{phrases::list(gone) + (gone.size() == 1 ? " is" : " are") +
                                    " no longer among the islands"};
  }
  const Placing placing{.policy = policy.name, .code = from.code, .islands = from.islands, .where = {}};
  return violations(facts, policy, placing, world);
}

}  // namespace

Result<std::vector<Move>> plan_moves(const Facts& facts, const Inventory& inventory,
                                     std::span<const Policy> policies, std::span<const Solution> solutions,
                                     const World& world) {
  std::vector<Move> moves;
  for (const Holding& holding : inventory.holdings) {
    if (holding.bucket.empty()) continue;
    const auto written = std::ranges::find(policies, holding.policy, &Policy::name);
    const auto solution =
        std::ranges::find(solutions, holding.policy, [](const Solution& one) { return one.placing.policy; });
    if (written == policies.end() && solution == solutions.end()) continue;
    Policy unwritten;  // "default", where nobody wrote it: it demands nothing of its own
    unwritten.name = holding.policy;
    const Policy& policy = written == policies.end() ? unwritten : *written;
    if (!sound(holding.code) || holding.islands.size() != static_cast<size_t>(holding.code.n)) {
      return fail(ErrorCode::invalid, "bucket \"" + holding.bucket + "\" lies on " +
                                          phrases::count(holding.islands.size(), "island", "islands") +
                                          " by code " + phrases::code(holding.code));
    }
    if (solution == solutions.end()) {
      return fail(ErrorCode::precondition, "policy \"" + policy.name + "\" of bucket \"" + holding.bucket +
                                               "\" has no solution to move to; solve it first");
    }
    if (lies_so(holding, solution->placing, !policy.islands.empty())) continue;
    Move move{.from = holding, .to = solution->placing, .bytes = 0, .cost = {}, .reasons = {}};
    ASSIGN_OR_RETURN(move.reasons, reasons_of(facts, policy, holding, world));
    weigh(facts, world, move);
    moves.push_back(std::move(move));
  }
  std::ranges::sort(moves, [](const Move& a, const Move& b) {
    return std::tuple(a.reasons.empty(), b.bytes, a.from.bucket, a.from.islands) <
           std::tuple(b.reasons.empty(), a.bytes, b.from.bucket, b.from.islands);
  });
  return moves;
}

}  // namespace archipel::exposure
