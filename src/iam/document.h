// The parts of a parsed policy. Private to iam.
#pragma once

#include <string>
#include <vector>

#include "iam/condition.h"
#include "iam/pattern.h"
#include "iam/policy.h"

namespace archipel::iam {

// One entry of Principal or NotPrincipal.
struct PrincipalPattern {
  enum class Kind { everyone, account, user, role, session, service } kind = Kind::everyone;
  std::string account;  // an id or a number as written; whatever else names no account of ours
  std::string name, session;
};

struct Statement {
  Effect effect = Effect::deny;
  std::string sid;
  bool has_principals = false, not_principals = false;
  std::vector<PrincipalPattern> principals;
  bool not_actions = false;
  std::vector<Pattern> actions;
  bool not_resources = false;
  std::vector<ArnPattern> resources;  // empty in a trust policy: any
  std::vector<Condition> conditions;  // all must hold
};

class Policy {
 public:
  PolicyKind kind = PolicyKind::identity;
  std::vector<Statement> statements;
};

// Operations of S3 as policies name them, without "s3:", and condition keys of policies in normal form (names.cc).
bool is_s3_action(const Pattern& pattern);
bool is_condition_key(std::string_view normal_key);

}  // namespace archipel::iam
