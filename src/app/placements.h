// Placements: what the policies of a configuration come to, for the store that places by them; and what the store keeps, as exposure counts it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "exposure/ban.h"
#include "exposure/facts_file.h"
#include "exposure/inventory.h"
#include "exposure/policy.h"
#include "store/inventory.h"
#include "store/placements.h"

namespace archipel::app {

// What the solver may choose: the codes of erasure::check_code().
inline constexpr exposure::Code kCodesKnown[] = {{4, 2}, {5, 3}, {6, 3}, {7, 4}, {9, 6}};

struct SolvedPolicies {
  exposure::FactsFile file;
  std::vector<exposure::Policy> policies;  // those of the config, and "default" if it has none of that name
  std::vector<exposure::Solution> solutions;    // one for each of them
  std::vector<store::PlacementChoice> choices;  // for the store: those of the config
  store::Placements::DataClasses classes;
};

// Solves every policy of `file` (load_config_facts() of the config) among `roster` (ids, in the journal's order; all of them hold metadata). A policy
// takes small bodies in commits if it allows what lies as commits do: on every island, by the realm's code. Computes: on a worker. "default" comes
// first where the config has none. precondition: a policy that nothing can keep, with the rules that contradict each other and what is missing, or one
// that needs an island which is not in the roster; invalid: as exposure::solve(). All name file and line.
Result<SolvedPolicies> solve_policies(exposure::FactsFile file, const Config& config,
                                      const std::vector<std::string>& roster);

// The same as classes of a store. `roster`: its islands; w of each class follows its code.
Result<std::shared_ptr<const store::Placements>> make_placements(
    const SolvedPolicies& solved, const Config& config, std::shared_ptr<const extent::Placement> roster,
    const extent::AckRule& ack);

// What a bucket follows now: by name, even if nothing of that name is configured.
std::string policy_of(const store::BucketPlacement& asked, const store::Placements& placements);
// How extents of a class lie.
store::PlacedAs placed_as(const store::PlacementClass& placed);
std::vector<std::string> ids_of(const extent::Placement& roster);

// Buckets by name, each with its holdings, an empty one with what it will lie as; and the journal, whose records are whole on every island (any one
// of n), with what is stored in commits beside small bodies. The stored bytes of a placing are shared among its buckets by their bytes.
exposure::Inventory inventory_of(const store::StoreInventory& kept, const store::Placements& placements);

// What would have to move so that every bucket lay as its policy says (exposure::plan_moves). Small bodies in commits lie well where their policy
// takes them there.
Result<std::vector<exposure::Move>> moves_of(const SolvedPolicies& solved,
                                             const exposure::Inventory& inventory);

}  // namespace archipel::app
