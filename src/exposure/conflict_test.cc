#include "exposure/conflict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "exposure/solver_fixture.h"

namespace archipel::exposure {
namespace {

using namespace testing;

RC_GTEST_PROP(Conflict, HasNoRuleThatCouldBeLeftOut, ()) {
  const Posed posed = some_problem();
  const Ground ground = *Ground::of(posed.facts, world());
  const RuleBook book = *RuleBook::of(ground, posed.policy);
  const Problem problem{.codes = posed.codes, .journal = {}};
  Budget budget{.left = kSolverTriesMax};
  const auto holds = [&](RuleSet rules) { return any_placement(book, rules, problem, budget)->has_value(); };
  if (holds(book.all())) return;
  const RuleSet core = *minimal_core(book, problem, budget);
  RC_ASSERT(!holds(core));
  int named = 0;
  for (size_t i = 0; i < book.rules().size(); ++i) {
    if ((core >> i & 1) == 0) continue;
    ++named;
    RC_ASSERT(holds(core & ~(RuleSet{1} << i)));
  }
  const auto conflict = explain(book, problem, budget);
  RC_ASSERT(conflict.has_value());
  const bool fixed = book.has(core, RuleKind::code);
  RC_ASSERT(static_cast<int>(conflict->rules.size()) == named + (fixed ? 0 : 1));
}

// Islands of a state that nobody opposes, each at a provider of its own, and as many as the conflict asks for: no fewer do, and so many do.
RC_GTEST_PROP(Conflict, AsksForAsManyIslandsAsItTakes, ()) {
  Posed posed = some_problem();
  posed.policy.cost_max.reset();
  posed.policy.deny.clear();
  posed.policy.allow = *rc::gen::element(std::vector<std::string>{}, std::vector<std::string>{"FR", "BR"});
  const auto answer = solve(posed.facts, posed.policy, posed.codes, {}, world());
  RC_ASSERT(answer.has_value());
  if (answer->solution) return;
  RC_LOG() << to_text(posed) << answer->conflict.message();
  const int number = std::atoi(answer->conflict.missing.at(0).c_str());
  RC_ASSERT(number >= 1);
  for (int i = 1; i <= number; ++i) {
    posed.facts.islands.push_back(
        party("new" + std::to_string(i), "new" + std::to_string(i), {"BR", "BR", "BR"}));
    RC_ASSERT(solve(posed.facts, posed.policy, posed.codes, {}, world())->solution.has_value() ==
              (i == number));
  }
}

}  // namespace
}  // namespace archipel::exposure
