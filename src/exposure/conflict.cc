#include "exposure/conflict.h"

#include <algorithm>
#include <cmath>

#include "exposure/phrases.h"

namespace archipel::exposure {
namespace {

constexpr size_t kIslandsAdded = kShardsMax;  // hypothetical ones, tried together

bool known(const Problem& problem, Code code) {
  return std::ranges::find(problem.codes, code) != problem.codes.end();
}

// An island that does not exist: all of its law is one state's.
Party hypothetical(size_t number, const StateCode& state, const std::string& provider) {
  Party party{
      .id = "~" + std::to_string(number), .provider = provider, .region = {}, .edges = {}, .where = {}};
  for (const Basis basis : {Basis::place, Basis::operator_, Basis::parent, Basis::staff, Basis::supply,
                            Basis::network, Basis::sanctions}) {
    party.edges.push_back({.state = state, .basis = basis, .source = "", .date = "", .where = ""});
  }
  return party;
}

class Cures {
 public:
  Cures(const RuleBook& book, const Problem& problem, Budget& budget)
      : book_(book), policy_(book.policy()), ground_(book.ground()), problem_(problem), budget_(budget) {}

  Result<std::vector<std::string>> find() {
    if (policy_.code && known(problem_, *policy_.code)) RETURN_IF_ERROR(try_islands());
    if (!policy_.code) RETURN_IF_ERROR(try_islands());
    RETURN_IF_ERROR(try_codes());
    RETURN_IF_ERROR(try_cost());
    return std::move(cures_);
  }

 private:
  RuleSet without(RuleKind kind) const {
    RuleSet rules = book_.all();
    for (size_t i = 0; i < book_.rules().size(); ++i) {
      if (book_.rules()[i].kind == kind) rules &= ~(RuleSet{1} << i);
    }
    return rules;
  }
  RuleSet placing_rules() const {
    return without(RuleKind::metadata_allow) & without(RuleKind::metadata_deny);
  }

  // Whether so many more islands make the policy hold. One provider for all, if it is named; else each has its own, whose storage is free.
  Result<bool> cured_by(size_t number, const StateCode& state, const std::string& provider) {
    Facts facts = ground_.facts();
    PriceOverrides prices;
    for (size_t i = 0; i < number; ++i) {
      const std::string owner = provider.empty() ? "~" + std::to_string(i) : provider;
      if (ground_.world().provider(owner) == nullptr) prices[owner] = 0;
      facts.islands.push_back(hypothetical(i, state, owner));
    }
    if (facts.islands.size() > kIslandsMax) return false;
    ASSIGN_OR_RETURN(const Ground ground, Ground::of(facts, ground_.world(), prices));
    ASSIGN_OR_RETURN(const RuleBook book, RuleBook::of(ground, policy_));
    ASSIGN_OR_RETURN(const auto found, any_placement(book, placing_rules(), problem_, budget_));
    return found.has_value();
  }

  // A state that the policy permits, best one that no adversary is; nothing: it permits none.
  std::optional<StateCode> best_state(bool& opposed) const {
    const auto permitted = book_.permitted_states();
    for (const StateCode& state : permitted) {
      opposed = std::ranges::any_of(book_.opponents(),
                                    [&](const Opponent& one) { return contains(one.states, state); });
      if (!opposed) return state;
    }
    if (permitted.empty()) return std::nullopt;
    opposed = true;
    return permitted.front();
  }

  Result<> try_islands() {
    bool opposed = false;
    const auto state = best_state(opposed);
    if (!state) {
      cures_.push_back("no island would help: allow and deny leave no state");
      return {};
    }
    for (size_t number = 1; number <= kIslandsAdded; ++number) {
      ASSIGN_OR_RETURN(const bool cured, cured_by(number, *state, ""));
      if (!cured) continue;
      ASSIGN_OR_RETURN(std::string sentence, describe(number, *state, opposed));
      cures_.push_back(std::move(sentence));
      return {};
    }
    cures_.push_back("no island would help: the rules contradict each other with any number of islands");
    return {};
  }

  // Says of the islands only what they need to be: each demand is dropped once, to see whether it matters.
  Result<std::string> describe(size_t number, const StateCode& state, bool opposed) {
    std::string text = phrases::count(number, "more island", "more islands");
    const std::string whose =
        " whose " + phrases::bases(policy_.of) + (policy_.of.size() == 1 ? " is in " : " are in ");
    if (!policy_.allow.empty()) text += whose + one_of(policy_.allow);
    if (!policy_.deny.empty())
      text += (policy_.allow.empty() ? whose : " and ") + "none of " + phrases::quoted(policy_.deny);
    std::vector<std::string> out_of_reach;
    const auto permitted = book_.permitted_states();
    for (const Opponent& one : book_.opponents()) {
      if (opposed || one.states.empty()) continue;
      const auto inside = std::ranges::find_if(
          permitted, [&](const StateCode& other) { return contains(one.states, other); });
      if (inside == permitted.end()) continue;
      ASSIGN_OR_RETURN(const bool cured, cured_by(number, *inside, ""));
      if (!cured) out_of_reach.push_back(one.id);
    }
    if (!out_of_reach.empty()) text += ", out of reach of " + phrases::list(out_of_reach);
    std::vector<std::string> full;
    for (const auto& [provider, mask] : ground_.providers()) {
      ASSIGN_OR_RETURN(const bool cured, cured_by(number, state, provider));
      if (!cured && number == 1) full.push_back(provider);
    }
    if (!full.empty()) text += ", at a provider other than " + phrases::list(full);
    if (number > 1) {
      ASSIGN_OR_RETURN(const bool together, cured_by(number, state, "~"));
      if (!together) text += ", each at a provider of its own";
    }
    if (policy_.cost_max) text += ", cheap enough for cost_max";
    return text;
  }

  static std::string one_of(const std::vector<std::string>& names) {
    return names.size() == 1 ? names.front() : "one of " + phrases::quoted(names);
  }

  Result<> try_codes() {
    if (!policy_.code) return {};
    std::vector<std::string> others;
    for (const Code code : problem_.codes) {
      if (code == *policy_.code) continue;
      Policy other = policy_;
      other.code = code;
      ASSIGN_OR_RETURN(const RuleBook book, RuleBook::of(ground_, other));
      ASSIGN_OR_RETURN(const auto found, any_placement(book, placing_rules(), problem_, budget_));
      if (found) others.push_back(phrases::code(code));
    }
    if (!others.empty())
      cures_.push_back("another code, which holds with the islands there are: " + phrases::list(others));
    return {};
  }

  Result<> try_cost() {
    if (!policy_.cost_max) return {};
    const RuleSet rules = placing_rules() & without(RuleKind::cost);
    Mask priced = 0;
    for (size_t i = 0; i < ground_.count(); ++i) {
      if (ground_.storage()[i] >= 0) priced |= Mask{1} << i;
    }
    std::optional<double> least;
    for (const Code code : problem_.codes) {
      if (policy_.code && *policy_.code != code) continue;
      const Packing packing{.n = code.n,
                            .usable = book_.usable(rules) & priced,
                            .limits = book_.limits(rules, code),
                            .prices = ground_.storage(),
                            .cap = {}};
      ASSIGN_OR_RETURN(const auto sum, cheapest_packing(packing, budget_));
      if (!sum) continue;
      const double cost = static_cast<double>(*sum) / (1e3 * code.k);
      if (!least || cost < *least) least = cost;
    }
    if (least) {
      // Rounded up to a cent, so that it holds as it is printed.
      cures_.push_back("a cost_max of at least " + phrases::dollars(std::ceil(*least * 100 - 1e-9) / 100));
    }
    return {};
  }

  const RuleBook& book_;
  const Policy& policy_;
  const Ground& ground_;
  const Problem& problem_;
  Budget& budget_;
  std::vector<std::string> cures_;
};

}  // namespace

Result<std::optional<Candidate>> any_placement(const RuleBook& book, RuleSet rules, const Problem& problem,
                                               Budget& budget) {
  if (!book.metadata_outside(rules, problem.journal).empty()) return std::optional<Candidate>();
  for (const Code code : problem.codes) {
    if (book.has(rules, RuleKind::code) && *book.policy().code != code) continue;
    Packing packing{.n = code.n,
                    .usable = book.usable(rules),
                    .limits = book.limits(rules, code),
                    .prices = {},
                    .cap = book.cap(rules, code)};
    if (packing.cap) packing.prices = book.ground().storage();
    ASSIGN_OR_RETURN(const auto found, first_packing(packing, budget));
    if (found) return std::optional(Candidate{.code = code, .islands = *found});
  }
  return std::optional<Candidate>();
}

Result<RuleSet> minimal_core(const RuleBook& book, const Problem& problem, Budget& budget) {
  RuleSet core = book.all();
  for (size_t i = 0; i < book.rules().size(); ++i) {
    const RuleSet fewer = core & ~(RuleSet{1} << i);
    ASSIGN_OR_RETURN(const auto found, any_placement(book, fewer, problem, budget));
    if (!found) core = fewer;
  }
  return core;
}

Result<Conflict> explain(const RuleBook& book, const Problem& problem, Budget& budget) {
  const Policy& policy = book.policy();
  Conflict conflict{.policy = policy.name, .rules = {}, .missing = {}};
  ASSIGN_OR_RETURN(const RuleSet core, minimal_core(book, problem, budget));
  const Code smallest = *std::ranges::min_element(problem.codes, {}, &Code::n);
  const bool fixed = book.has(core, RuleKind::code);
  const Code code = policy.code && known(problem, *policy.code) ? *policy.code : smallest;
  bool metadata = false, placing = false;
  for (size_t i = book.rules().size(); i-- > 0;) {
    if ((core >> i & 1) == 0) continue;
    const Rule& rule = book.rules()[i];
    const bool of_journal = rule.kind == RuleKind::metadata_allow || rule.kind == RuleKind::metadata_deny;
    (of_journal ? metadata : placing) = true;
    if (rule.kind == RuleKind::code && !known(problem, *policy.code)) {
      std::vector<std::string> codes;
      for (const Code one : problem.codes) codes.push_back(phrases::code(one));
      conflict.rules.push_back(phrases::rule(book, rule) + " is none of the codes that this cloud knows: " +
                               phrases::list(codes) + phrases::at(policy.where));
    } else {
      conflict.rules.push_back(
          phrases::constraint(book, rule, code, policy.code.has_value(), problem.journal));
    }
  }
  if (!metadata && !fixed) {
    conflict.rules.push_back("the smallest code that this cloud knows, " + phrases::code(smallest) +
                             ", needs " +
                             phrases::count(static_cast<uint64_t>(smallest.n), "island", "islands") +
                             " of the " + std::to_string(book.ground().count()) + " there are");
  }
  const auto outside = book.metadata_outside(book.all(), problem.journal);
  if (!outside.empty()) {
    conflict.missing.push_back("a journal without " + phrases::list(outside) +
                               ": evacuate there, or let metadata lie there too");
  }
  if (placing || !metadata) {
    ASSIGN_OR_RETURN(const auto cures, Cures(book, problem, budget).find());
    conflict.missing.insert(conflict.missing.end(), cures.begin(), cures.end());
  }
  return conflict;
}

std::string Conflict::message() const {
  std::string text = "policy \"" + policy + "\" cannot hold: ";
  for (size_t i = 0; i < rules.size(); ++i) text += (i == 0 ? "" : "; ") + rules[i];
  for (size_t i = 0; i < missing.size(); ++i) text += (i == 0 ? ". What would help: " : "; or ") + missing[i];
  return text;
}

}  // namespace archipel::exposure
