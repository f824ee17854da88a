// Pattern: a value of a policy with wildcards and variables, compiled. Private to iam.
//
// '*' is any run of characters, '?' one character (of UTF-8). ${key} stands for the one value of a condition key, ${key, 'text'} has a default,
// ${*} ${?} ${$} are those characters. What a variable stands for is never a wildcard. Immutable; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archipel::iam {

class ConditionContext;

enum class Match { no, yes, unresolved };  // unresolved: a variable has no value, or several

class Pattern {
 public:
  struct Syntax {
    bool wildcards = true;
    bool variables = true;  // Version 2012-10-17
    bool fold_case = false;
  };
  // Errors: invalid: "${" without its end, or without a name.
  static Result<Pattern> compile(std::string_view text, Syntax syntax);

  Match match(std::string_view text, const ConditionContext& context) const;
  // Without wildcards and variables: stands for itself alone.
  bool fixed() const;
  size_t variables() const { return variables_.size(); }
  // The literal beginning, up to the first wildcard or variable.
  std::string literal_prefix() const;

 private:
  // A program is a run of units: a byte, or one of these, or kVariable + its number.
  using Unit = uint16_t;
  static constexpr Unit kStar = 256, kOne = 257, kVariable = 258;
  struct Variable {
    std::string key;
    bool has_default = false;
    std::string fallback;
  };
  Result<size_t> compile_variable(std::string_view text, size_t at);
  static bool run(const std::vector<Unit>& program, std::string_view text, bool fold_case);

  std::vector<Unit> program_;
  std::vector<Variable> variables_;
  bool fold_case_ = false;
};

// An ARN with a pattern in each of its six parts; the last may hold ':'. "*" alone matches everything, if allowed.
class ArnPattern {
 public:
  // Errors: invalid: not six parts that begin with "arn".
  static Result<ArnPattern> compile(std::string_view text, bool variables, bool star_alone);
  Match match(std::string_view arn, const ConditionContext& context) const;
  bool everything() const { return everything_; }
  bool fixed() const;
  size_t variables() const;
  const Pattern& part(size_t index) const { return parts_[index]; }
  const std::string& service() const { return service_; }

 private:
  std::array<Pattern, 6> parts_;
  std::string service_;
  bool everything_ = false;
};

}  // namespace archipel::iam
