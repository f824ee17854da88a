// Rules: a policy, resolved against facts: what each rule leaves, and how many shards it lets a set of islands have.
//
// The solver, the check of one placing and the search for a conflict all use these same limits: what is found keeps what is checked.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "exposure/ground.h"
#include "exposure/policy.h"

namespace archipel::exposure {

inline constexpr size_t kAdversariesMax = 24;  // of one policy

enum class RuleKind : uint8_t { code, allow, deny, cost, provider, cut, read, metadata_allow, metadata_deny };

struct Rule {
  RuleKind kind = RuleKind::provider;
  size_t opponent = 0;  // of cut and read
};

// Rules by their place in RuleBook::rules(), as bits.
using RuleSet = uint64_t;

class RuleBook {
 public:
  // invalid: the policy is not one (unknown states or adversaries, a code or numbers out of range), with its file and line.
  static Result<RuleBook> of(const Ground& ground, const Policy& policy);

  // What must hold: bounds that only warn are not among them.
  const std::vector<Rule>& rules() const { return rules_; }
  RuleSet all() const { return rules_.size() == 64 ? ~RuleSet{0} : (RuleSet{1} << rules_.size()) - 1; }
  const std::vector<Opponent>& opponents() const { return opponents_; }
  const Policy& policy() const { return *policy_; }
  const Ground& ground() const { return *ground_; }

  bool has(RuleSet rules, RuleKind kind) const;
  // Islands that these rules leave, each for itself.
  Mask usable(RuleSet rules) const;
  std::vector<Limit> limits(RuleSet rules, Code code) const;
  // On the sum of prices of n islands; nothing: no cost rule among these.
  std::optional<MicroDollars> cap(RuleSet rules, Code code) const;
  // Islands of the journal that a metadata rule among these does not let hold metadata.
  std::vector<std::string> metadata_outside(RuleSet rules, std::span<const std::string> journal) const;

  // Islands that residency rules leave.
  Mask allowed() const { return allowed_; }
  Mask not_denied() const { return not_denied_; }
  // Of every basis that the policy looks at: states that it allows and does not deny; for an island that does not exist yet.
  std::vector<StateCode> permitted_states() const;

  // What a placing of these islands breaks, one sentence each; bounds that only warn go to `warnings`.
  std::vector<std::string> broken(Code code, Mask chosen, std::vector<std::string>& warnings) const;

 private:
  Result<std::vector<StateCode>> expand(const std::vector<std::string>& names, const char* rule) const;
  bool lies_within(const Party& island, const std::vector<StateCode>& allow,
                   const std::vector<StateCode>& deny) const;

  const Ground* ground_ = nullptr;
  const Policy* policy_ = nullptr;
  std::vector<Rule> rules_;
  std::vector<Opponent> opponents_;
  std::vector<StateCode> allow_, deny_, metadata_allow_, metadata_deny_;
  Mask allowed_ = 0, not_denied_ = 0;
};

// [n, k] within what shards can be.
bool sound(Code code);

}  // namespace archipel::exposure
