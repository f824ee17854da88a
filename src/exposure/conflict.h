// Conflict: which rules of a policy cannot hold together in this cloud, and which islands would cure it.
//
// A core is found by leaving rules out one at a time and solving again: what cannot be left out stays. A cure is never guessed: the island is
// added to the facts, and the policy is solved again with it.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "exposure/rules.h"

namespace archipel::exposure {

// What a policy is solved with.
struct Problem {
  std::span<const Code> codes;  // those the cloud knows
  std::span<const std::string> journal;
};

struct Candidate {
  Code code;
  Mask islands = 0;
};

// Some placement that keeps these rules of the policy, the first code that has one; nothing: there is none. limit: the budget.
Result<std::optional<Candidate>> any_placement(const RuleBook& book, RuleSet rules, const Problem& problem,
                                               Budget& budget);

// Of a policy that nothing keeps: rules that nothing keeps together, though without any one of them something would. limit: the budget.
Result<RuleSet> minimal_core(const RuleBook& book, const Problem& problem, Budget& budget);

// That core in words, and what would help. limit: the budget.
Result<Conflict> explain(const RuleBook& book, const Problem& problem, Budget& budget);

}  // namespace archipel::exposure
