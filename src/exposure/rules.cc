#include "exposure/rules.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "exposure/phrases.h"

namespace archipel::exposure {
namespace {

using ErrorCode = archipel::Code;

std::string named(const Policy& policy) {
  return "policy \"" + policy.name + "\"" + phrases::at(policy.where);
}

}  // namespace

bool sound(Code code) {
  return code.k >= 1 && code.k <= code.n && code.n <= static_cast<int>(kShardsMax);
}

Result<RuleBook> RuleBook::of(const Ground& ground, const Policy& policy) {
  RuleBook book;
  book.ground_ = &ground;
  book.policy_ = &policy;
  if (policy.code && !sound(*policy.code)) {
    return fail(ErrorCode::invalid, named(policy) + ": code = " + phrases::code(*policy.code) +
                                        " is not [n, k] with 1 <= k <= n <= " + std::to_string(kShardsMax));
  }
  if (policy.adversaries.size() > kAdversariesMax) {
    return fail(ErrorCode::limit, named(policy) + ": more than " + std::to_string(kAdversariesMax) +
                                      " adversaries; name a bloc or a list instead");
  }
  if (policy.cost_max && !(*policy.cost_max >= 0 && *policy.cost_max < 1e9)) {
    return fail(ErrorCode::invalid, named(policy) + ": cost_max is not an amount of dollars");
  }
  if (policy.of.empty()) {
    return fail(ErrorCode::invalid,
                named(policy) + ": residency_of is empty; say of what: place, operator, parent");
  }
  ASSIGN_OR_RETURN(book.allow_, book.expand(policy.allow, "allow"));
  ASSIGN_OR_RETURN(book.deny_, book.expand(policy.deny, "deny"));
  ASSIGN_OR_RETURN(book.metadata_allow_, book.expand(policy.metadata_allow, "metadata_allow"));
  ASSIGN_OR_RETURN(book.metadata_deny_, book.expand(policy.metadata_deny, "metadata_deny"));
  for (const std::string& name : policy.adversaries) {
    auto opponent = ground.opponent(name);
    if (!opponent)
      return fail(opponent.error().code, named(policy) + ": adversary " + opponent.error().message);
    book.opponents_.push_back(std::move(*opponent));
  }
  for (size_t i = 0; i < ground.count(); ++i) {
    if (book.lies_within(ground.island(i), book.allow_, {}) || policy.allow.empty())
      book.allowed_ |= Mask{1} << i;
    if (book.lies_within(ground.island(i), {}, book.deny_) || policy.deny.empty())
      book.not_denied_ |= Mask{1} << i;
  }
  // In this order a conflict is reduced: what comes first is left out first where either would do.
  const auto add = [&](RuleKind kind, bool wanted, size_t opponent = 0) {
    if (wanted) book.rules_.push_back({kind, opponent});
  };
  for (size_t i = 0; i < book.opponents_.size(); ++i) {
    add(RuleKind::read, policy.read_bound == Bound::enforce && !book.opponents_[i].home, i);
  }
  for (size_t i = 0; i < book.opponents_.size(); ++i)
    add(RuleKind::cut, policy.cut_bound == Bound::enforce, i);
  add(RuleKind::cost, policy.cost_max.has_value());
  add(RuleKind::provider, true);
  add(RuleKind::deny, !policy.deny.empty());
  add(RuleKind::allow, !policy.allow.empty());
  add(RuleKind::metadata_deny, !policy.metadata_deny.empty());
  add(RuleKind::metadata_allow, !policy.metadata_allow.empty());
  add(RuleKind::code, policy.code.has_value());
  return book;
}

Result<std::vector<StateCode>> RuleBook::expand(const std::vector<std::string>& names,
                                                const char* rule) const {
  std::vector<StateCode> states;
  for (const std::string& name : names) {
    const auto some = ground_->states_of(name);
    if (!some) {
      return fail(ErrorCode::invalid, named(*policy_) + ": " + rule + " names \"" + name +
                                          "\", which is no state, bloc or list of states");
    }
    for (const StateCode& state : *some) {
      if (!contains(states, state)) states.push_back(state);
    }
  }
  return states;
}

// What nobody says is not within: an island without an edge of a basis that the policy looks at satisfies no residency rule.
bool RuleBook::lies_within(const Party& island, const std::vector<StateCode>& allow,
                           const std::vector<StateCode>& deny) const {
  for (const Basis basis : policy_->of) {
    bool said = false;
    for (const Edge& edge : island.edges) {
      if (edge.basis != basis) continue;
      said = true;
      if (!allow.empty() && !contains(allow, edge.state)) return false;
      if (contains(deny, edge.state)) return false;
    }
    if (!said) return false;
  }
  return true;
}

bool RuleBook::has(RuleSet rules, RuleKind kind) const {
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].kind == kind && (rules >> i & 1) != 0) return true;
  }
  return false;
}

Mask RuleBook::usable(RuleSet rules) const {
  Mask usable = ground_->all();
  if (has(rules, RuleKind::allow)) usable &= allowed_;
  if (has(rules, RuleKind::deny)) usable &= not_denied_;
  if (has(rules, RuleKind::cost)) {
    for (size_t i = 0; i < ground_->count(); ++i) {
      if (ground_->storage()[i] < 0) usable &= ~(Mask{1} << i);
    }
  }
  return usable;
}

std::vector<Limit> RuleBook::limits(RuleSet rules, Code code) const {
  std::vector<Limit> limits;
  for (size_t i = 0; i < rules_.size(); ++i) {
    if ((rules >> i & 1) == 0) continue;
    const Opponent* opponent = opponents_.empty() ? nullptr : &opponents_[rules_[i].opponent];
    if (rules_[i].kind == RuleKind::read) limits.push_back({opponent->read, code.k - 1});
    if (rules_[i].kind == RuleKind::cut) limits.push_back({opponent->cut, code.n - code.k});
    if (rules_[i].kind == RuleKind::provider) {
      for (const auto& [provider, mask] : ground_->providers()) limits.push_back({mask, code.n - code.k});
    }
  }
  return limits;
}

std::optional<MicroDollars> RuleBook::cap(RuleSet rules, Code code) const {
  if (!has(rules, RuleKind::cost)) return std::nullopt;
  // A TB of clients' data is 1000/k GB on each of n islands.
  return static_cast<MicroDollars>(std::floor(*policy_->cost_max * 1e3 * code.k + 1e-6));
}

std::vector<std::string> RuleBook::metadata_outside(RuleSet rules,
                                                    std::span<const std::string> journal) const {
  std::vector<std::string> outside;
  const bool allow = has(rules, RuleKind::metadata_allow), deny = has(rules, RuleKind::metadata_deny);
  if (!allow && !deny) return outside;
  for (const std::string& id : journal) {
    const auto bit = ground_->find(id);
    const bool within =
        bit && lies_within(ground_->island(*bit), allow ? metadata_allow_ : std::vector<StateCode>{},
                           deny ? metadata_deny_ : std::vector<StateCode>{});
    if (!within) outside.push_back(id);
  }
  return outside;
}

std::vector<StateCode> RuleBook::permitted_states() const {
  std::vector<StateCode> states;
  const auto consider = [&](const StateCode& state) {
    if (!contains(deny_, state) && !contains(states, state)) states.push_back(state);
  };
  if (allow_.empty()) {
    for (const State& state : ground_->world().states()) consider(state.code);
  } else {
    for (const StateCode& state : allow_) consider(state);
  }
  return states;
}

std::vector<std::string> RuleBook::broken(Code code, Mask chosen, std::vector<std::string>& warnings) const {
  std::vector<std::string> broken;
  const auto outside = [&](Mask within, RuleKind kind) {
    if ((chosen & ~within) == 0) return;
    std::string text = phrases::rule(*this, {kind}) + ":";
    const char* separator = " ";
    for (const std::string& id : ground_->ids(chosen & ~within)) {
      text += separator + id + " " + phrases::lies(*this, *ground_->find(id));
      separator = ", ";
    }
    broken.push_back(text + phrases::at(policy_->where));
  };
  outside(allowed_, RuleKind::allow);
  outside(not_denied_, RuleKind::deny);
  const auto bound = [&](Mask mask, int most, Bound how, const std::string& who, const char* verb) {
    const int has = std::popcount(chosen & mask);
    if (how == Bound::off || has <= most) return;
    (how == Bound::warn ? warnings : broken)
        .push_back(who + " " + verb + "s " + std::to_string(has) + " of " + std::to_string(code.n) +
                   " shards (" + phrases::list(ground_->ids(chosen & mask)) + "), and may " + verb +
                   " at most " + std::to_string(most) + " of code " + phrases::code(code) +
                   phrases::at(policy_->where));
  };
  for (const auto& [provider, mask] : ground_->providers()) {
    bound(mask, code.n - code.k, Bound::enforce, "provider " + provider, "hold");
  }
  for (const Opponent& opponent : opponents_) {
    bound(opponent.cut, code.n - code.k, policy_->cut_bound, "adversary " + opponent.id, "cut");
    if (!opponent.home)
      bound(opponent.read, code.k - 1, policy_->read_bound, "adversary " + opponent.id, "read");
  }
  if (policy_->cost_max) {
    MicroDollars sum = 0;
    Mask unknown = 0;
    for (Mask rest = chosen; rest != 0; rest &= rest - 1) {
      const auto bit = static_cast<size_t>(std::countr_zero(rest));
      if (ground_->storage()[bit] < 0) unknown |= Mask{1} << bit;
      sum += ground_->storage()[bit];
    }
    if (unknown != 0) {
      broken.push_back("cost_max: no storage price is known for " + phrases::list(ground_->ids(unknown)) +
                       phrases::at(policy_->where));
    } else if (sum > *cap(all(), code)) {
      broken.push_back(
          "cost_max = " + phrases::dollars(*policy_->cost_max) + " US dollars a month for 1 TB: this costs " +
          phrases::dollars(static_cast<double>(sum) / (1e3 * code.k)) + phrases::at(policy_->where));
    }
  }
  return broken;
}

}  // namespace archipel::exposure
