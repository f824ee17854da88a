// Condition: one line of a Condition block: an operator, a key, values. Private to iam.
//
// A key that is absent makes a positive operator false and a negated one true; …IfExists makes it true; ForAllValues: is true without values.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "iam/pattern.h"
#include "iam/policy.h"

namespace archipel::iam {

// An address block. IPv4 is kept as the IPv6 addresses ::ffff:0:0/96.
struct Cidr {
  std::array<uint8_t, 16> address{};
  int bits = 128;
  bool v4 = false;
  bool contains(const std::array<uint8_t, 16>& other) const;
  int own_bits() const { return v4 ? bits - 96 : bits; }
};
// "10.0.0.0/8", "2001:db8::/32", or one address.
std::optional<Cidr> parse_cidr(std::string_view text);
// ISO 8601 as W3C restricts it ("2026-11-22", "2026-11-22T03:27:00Z", "…+01:00", fractions), or seconds since 1970. Milliseconds.
std::optional<int64_t> parse_date(std::string_view text);
std::optional<double> parse_number(std::string_view text);

class Condition {
 public:
  enum class Family { string, numeric, date, boolean, binary, address, arn, null };
  enum class Relation { equal, like, less, less_equal, greater, greater_equal };
  enum class Set { one, all, any };

  // `op` as written: "ForAnyValue:StringLikeIfExists". Errors: invalid: unknown operator; a value that is none of its kind.
  static Result<Condition> compile(std::string_view op, std::string_view key,
                                   const std::vector<std::string>& values, bool variables);

  // `unresolved`: what a negated operator says when a variable of the policy has no value.
  bool holds(const ConditionContext& context, bool unresolved) const;

  const std::string& key() const { return key_; }
  size_t variables() const;
  // It holds only for values that the policy names (is_public): a positive operator on fixed values, of a key that must be there.
  bool restricts_to_fixed_values() const;

 private:
  using Value = std::variant<Pattern, double, int64_t, bool, std::string, Cidr, ArnPattern>;
  Result<void> parse_operator(std::string_view op);
  Result<Value> parse_value(std::string_view text, bool variables) const;
  Match value_matches(const Value& value, std::string_view text, const ConditionContext& context) const;
  Match any_matches(std::string_view text, const ConditionContext& context) const;

  Family family_ = Family::string;
  Relation relation_ = Relation::equal;
  Set set_ = Set::one;
  bool negated_ = false, fold_case_ = false, if_exists_ = false;
  std::string key_;
  std::vector<Value> values_;
};

}  // namespace archipel::iam
