#include "app/placements.h"

#include <fmt/format.h>

#include <algorithm>

namespace archipel::app {
namespace {

constexpr std::string_view kStandardPolicy = "default";

// Commits lie on all islands by the realm's code, whatever a policy pins or may cost.
Result<bool> allows_commits(const SolvedPolicies& solved, const Config& config,
                            const std::vector<std::string>& roster, const exposure::Policy& policy) {
  if (!policy.islands.empty()) {
    const bool all = std::ranges::all_of(roster, [&](const std::string& id) {
      return std::ranges::find(policy.islands, id) != policy.islands.end();
    });
    if (!all) return false;
  }
  exposure::Policy rules = policy;
  rules.code.reset();
  rules.islands.clear();
  rules.cost_max.reset();
  const exposure::Placing commits{policy.name, {config.code.n, config.code.k}, roster, policy.where};
  ASSIGN_OR_RETURN(std::vector<std::string> broken,
                   exposure::violations(solved.file.facts, rules, commits, *solved.file.world));
  return broken.empty();
}

Result<store::PlacementChoice> choice_of(const exposure::Solution& solution,
                                         const std::vector<std::string>& roster) {
  const exposure::Placing& placing = solution.placing;
  store::PlacementChoice out{placing.policy, {placing.code.n, placing.code.k}, {}, false};
  for (const std::string& id : placing.islands) {
    auto place = std::ranges::find(roster, id);
    if (place == roster.end())
      return fail(Code::precondition,
                  fmt::format("{}: policy {} places on island {}, which this gateway was started without; "
                              "restart it to use another set of islands",
                              placing.where, placing.policy, id));
    out.homes.push_back(static_cast<uint8_t>(place - roster.begin()));
  }
  return out;
}

exposure::Holding holding_of(const store::PlacedAs& as, const extent::Placement& roster) {
  exposure::Holding out;
  out.code = {as.n, as.k};
  for (int shard = 0; shard < as.n; ++shard) {
    const size_t place = as.islands[static_cast<size_t>(shard)];
    out.islands.push_back(place < roster.islands.size() ? roster.islands[place]->id()
                                                        : fmt::format("island {}", place));
  }
  return out;
}

uint64_t share(uint64_t whole, uint64_t part, uint64_t of) {
  if (of == 0) return 0;
  return static_cast<uint64_t>(static_cast<double>(whole) *
                               (static_cast<double>(part) / static_cast<double>(of)));
}

// What commits take is theirs, but for the small bodies in them.
exposure::Holding journal_holding(const store::StoreInventory& kept, const extent::Placement& roster,
                                  uint64_t small_stored) {
  exposure::Holding out;
  for (const auto& island : roster.islands) out.islands.push_back(island->id());
  out.code = {static_cast<int>(roster.islands.size()), 1};
  out.confirmed &= ~kept.empty;
  for (const auto& [as, total] : kept.placings) {
    if (as.in != store::PlacedAs::In::commits) continue;
    out.objects += total.extents.extents;
    out.stored_bytes += total.extents.stored_bytes;
    out.confirmed &= total.confirmed;
  }
  out.stored_bytes -= std::min(out.stored_bytes, small_stored);
  return out;
}

}  // namespace

std::string policy_of(const store::BucketPlacement& asked, const store::Placements& placements) {
  if (!asked.policy.empty()) return asked.policy;
  auto named = placements.data_classes().find(asked.data_class);
  return named == placements.data_classes().end() ? std::string(kStandardPolicy) : named->second;
}

store::PlacedAs placed_as(const store::PlacementClass& placed) {
  store::PlacedAs as{store::PlacedAs::In::extents,
                     static_cast<uint8_t>(placed.coder.code().n),
                     static_cast<uint8_t>(placed.coder.code().k),
                     {}};
  for (int shard = 0; shard < as.n; ++shard)
    as.islands[static_cast<size_t>(shard)] = static_cast<uint8_t>(placed.homes[shard]);
  return as;
}

std::vector<std::string> ids_of(const extent::Placement& roster) {
  std::vector<std::string> out;
  for (const auto& island : roster.islands) out.push_back(island->id());
  return out;
}

Result<SolvedPolicies> solve_policies(exposure::FactsFile file, const Config& config,
                                      const std::vector<std::string>& roster) {
  SolvedPolicies out;
  out.file = std::move(file);
  const std::vector<exposure::Policy>& written = out.file.policies;
  if (std::ranges::find(written, kStandardPolicy, &exposure::Policy::name) == written.end()) {
    exposure::Policy& standard = out.policies.emplace_back();
    standard.name = kStandardPolicy;
    standard.where = config.file;
    exposure::Solution& solution = out.solutions.emplace_back();
    solution.placing = {standard.name, {config.code.n, config.code.k}, roster, config.file};
  }
  for (const exposure::Policy& policy : written) {
    out.policies.push_back(policy);
    ASSIGN_OR_RETURN(exposure::Solved solved,
                     exposure::solve(out.file.facts, policy, kCodesKnown, roster, *out.file.world));
    if (!solved.solution) return fail(Code::precondition, solved.conflict.message());
    ASSIGN_OR_RETURN(store::PlacementChoice choice, choice_of(*solved.solution, roster));
    ASSIGN_OR_RETURN(choice.in_commits, allows_commits(out, config, roster, policy));
    out.choices.push_back(std::move(choice));
    out.solutions.push_back(std::move(*solved.solution));
  }
  for (const exposure::DataClass& one : out.file.classes) out.classes[one.name] = one.policy;
  return out;
}

Result<std::shared_ptr<const store::Placements>> make_placements(
    const SolvedPolicies& solved, const Config& config, std::shared_ptr<const extent::Placement> roster,
    const extent::AckRule& ack) {
  return store::Placements::make(std::move(roster), config.code, ack, solved.choices, solved.classes);
}

exposure::Inventory inventory_of(const store::StoreInventory& kept, const store::Placements& placements) {
  exposure::Inventory out;
  const extent::Placement& roster = placements.roster();
  out.journal = ids_of(roster);
  std::map<store::PlacedAs, uint64_t> bytes;
  for (const store::StoreInventory::Bucket& bucket : kept.buckets)
    for (const auto& [as, tally] : bucket.tallies) bytes[as] += tally.bytes;
  uint64_t small_stored = 0;
  for (const store::StoreInventory::Bucket& bucket : kept.buckets) {
    auto add = [&](const store::PlacedAs& as) -> exposure::Holding& {
      exposure::Holding& holding = out.holdings.emplace_back(holding_of(as, roster));
      holding.bucket = bucket.name;
      holding.data_class = bucket.placement.data_class;
      holding.policy = policy_of(bucket.placement, placements);
      holding.in_commits = as.in == store::PlacedAs::In::commits;
      return holding;
    };
    for (const auto& [as, tally] : bucket.tallies) {
      exposure::Holding& holding = add(as);
      holding.objects = tally.streams;
      holding.bytes = tally.bytes;
      auto total = kept.placings.find(as);
      if (total != kept.placings.end()) holding.confirmed = total->second.confirmed;
      if (as.in == store::PlacedAs::In::commits) {
        holding.stored_bytes = share(tally.bytes, as.n, as.k);
        small_stored += holding.stored_bytes;
      } else if (total != kept.placings.end()) {
        holding.stored_bytes = share(total->second.extents.stored_bytes, tally.bytes, bytes[as]);
      }
    }
    if (!bucket.tallies.empty()) continue;
    if (auto placed = placements.resolve(bucket.placement)) add(placed_as(**placed));
  }
  out.holdings.push_back(journal_holding(kept, roster, small_stored));
  return out;
}

Result<std::vector<exposure::Move>> moves_of(const SolvedPolicies& solved,
                                             const exposure::Inventory& inventory) {
  auto well = [&](const exposure::Holding& holding) {
    if (holding.objects == 0) return true;
    if (!holding.in_commits || holding.islands != inventory.journal) return false;
    auto choice = std::ranges::find(solved.choices, holding.policy, &store::PlacementChoice::policy);
    return choice == solved.choices.end() ? holding.policy == kStandardPolicy : choice->in_commits;
  };
  exposure::Inventory elsewhere;
  elsewhere.journal = inventory.journal;
  for (const exposure::Holding& holding : inventory.holdings) {
    if (well(holding)) continue;
    // In commits or not: the same islands by the same code move alike.
    auto same = std::ranges::find_if(elsewhere.holdings, [&](const exposure::Holding& one) {
      return one.bucket == holding.bucket && one.code == holding.code && one.islands == holding.islands;
    });
    if (same == elsewhere.holdings.end()) {
      elsewhere.holdings.push_back(holding);
      continue;
    }
    same->confirmed &= holding.confirmed;
    same->objects += holding.objects;
    same->bytes += holding.bytes;
    same->stored_bytes += holding.stored_bytes;
  }
  auto moves = exposure::plan_moves(solved.file.facts, elsewhere, solved.policies, solved.solutions,
                                    *solved.file.world);
  return moves;
}

}  // namespace archipel::app
