#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "iam/document.h"

namespace archipel::iam {
namespace {

bool same_account(const PrincipalPattern& pattern, const Principal& principal) {
  if (principal.account.empty()) return false;
  return pattern.account == principal.account || pattern.account == account_number(principal.account);
}

// How a principal is named: not at all, by itself (or as everyone), or by its account only.
enum class Named { no, account, itself };

Named named_by(const PrincipalPattern& pattern, const Principal& who) {
  using Kind = PrincipalPattern::Kind;
  auto itself = [](bool named) { return named ? Named::itself : Named::no; };
  switch (pattern.kind) {
    case Kind::everyone:
      return Named::itself;
    case Kind::account:
      if (!same_account(pattern, who)) return Named::no;
      return who.kind == Principal::Kind::root ? Named::itself : Named::account;
    case Kind::user:
      return itself(who.kind == Principal::Kind::user && same_account(pattern, who) &&
                    pattern.name == who.name);
    case Kind::role:
      return itself(who.kind == Principal::Kind::role_session && same_account(pattern, who) &&
                    pattern.name == who.name);
    case Kind::session:
      return itself(who.kind == Principal::Kind::role_session && same_account(pattern, who) &&
                    pattern.name == who.name && pattern.session == who.session);
    case Kind::service:
      break;
  }
  return itself(who.kind == Principal::Kind::service && pattern.name == who.name);
}

Named principal_applies(const Statement& statement, const Principal& who) {
  if (!statement.has_principals) return Named::itself;
  Named best = Named::no;
  for (const PrincipalPattern& pattern : statement.principals) best = std::max(best, named_by(pattern, who));
  if (!statement.not_principals) return best;
  // An account under NotPrincipal spares its root alone: its users are spared by name.
  return best == Named::itself ? Named::no : Named::itself;
}

bool action_applies(const Statement& statement, const Request& request) {
  const bool listed = std::ranges::any_of(statement.actions, [&](const Pattern& pattern) {
    return pattern.match(request.action, request.context) == Match::yes;
  });
  return listed != statement.not_actions;
}

bool resource_applies(const Statement& statement, const Request& request) {
  if (statement.resources.empty()) return true;
  bool unresolved = false;
  for (const ArnPattern& pattern : statement.resources) {
    Match match = pattern.match(request.resource, request.context);
    if (match == Match::yes) return !statement.not_resources;
    unresolved = unresolved || match == Match::unresolved;
  }
  if (!statement.not_resources) return false;
  return !unresolved || statement.effect == Effect::deny;
}

bool conditions_hold(const Statement& statement, const Request& request) {
  return std::ranges::all_of(statement.conditions, [&](const Condition& condition) {
    return condition.holds(request.context, statement.effect == Effect::deny);
  });
}

struct Said {
  Effect effect = Effect::none;
  Named named = Named::no;  // with allow: the strongest way in which it was allowed
};

Said said_by(const Policy& policy, const Request& request) {
  Said said;
  for (const Statement& statement : policy.statements) {
    const Named named = principal_applies(statement, request.principal);
    if (named == Named::no || !action_applies(statement, request) || !resource_applies(statement, request) ||
        !conditions_hold(statement, request))
      continue;
    if (statement.effect == Effect::deny) return {Effect::deny, named};
    said.effect = Effect::allow;
    said.named = std::max(said.named, named);
  }
  return said;
}

}  // namespace

Effect evaluate(const Policy& policy, const Request& request) {
  return said_by(policy, request).effect;
}

Effect evaluate_all(std::span<const std::shared_ptr<const Policy>> policies, const Request& request) {
  Effect outcome = Effect::none;
  for (const auto& policy : policies) {
    const Effect effect = evaluate(*policy, request);
    if (effect == Effect::deny) return effect;
    if (effect == Effect::allow) outcome = effect;
  }
  return outcome;
}

Effect authorize(const Request& request, const Grounds& grounds) {
  using Kind = Principal::Kind;
  const Kind kind = request.principal.kind;
  Said resource;
  if (grounds.resource != nullptr) resource = said_by(*grounds.resource, request);
  if (resource.effect == Effect::deny) return Effect::deny;

  Effect identity = kind == Kind::root ? Effect::allow : Effect::none;
  if (kind == Kind::user || kind == Kind::role_session) identity = evaluate_all(grounds.identity, request);
  if (identity == Effect::deny) return Effect::deny;
  Effect session = Effect::allow;
  if (grounds.session != nullptr) session = evaluate(*grounds.session, request);
  if (session != Effect::allow) return session;

  const bool granted = resource.effect == Effect::allow || grounds.acl_allows;
  if (kind == Kind::anonymous || kind == Kind::service) return granted ? Effect::allow : Effect::none;
  if (request.principal.account != grounds.owner)
    return granted && identity == Effect::allow ? Effect::allow : Effect::none;
  const bool direct = resource.effect == Effect::allow && resource.named == Named::itself;
  return identity == Effect::allow || direct ? Effect::allow : Effect::none;
}

bool is_public(const Policy& policy) {
  static constexpr std::string_view kFixing[] = {"aws:sourceip",
                                                 "aws:sourcearn",
                                                 "aws:sourcevpc",
                                                 "aws:sourcevpce",
                                                 "aws:sourceowner",
                                                 "aws:sourceaccount",
                                                 "aws:userid",
                                                 "aws:principalarn",
                                                 "aws:principalaccount",
                                                 "aws:principalorgid",
                                                 "aws:username",
                                                 "s3:dataaccesspointarn",
                                                 "s3:dataaccesspointaccount"};
  return std::ranges::any_of(policy.statements, [](const Statement& statement) {
    if (statement.effect != Effect::allow) return false;
    const bool everyone = std::ranges::any_of(statement.principals, [](const PrincipalPattern& principal) {
      return principal.kind == PrincipalPattern::Kind::everyone;
    });
    if (!everyone && !statement.not_principals) return false;
    return std::ranges::none_of(statement.conditions, [](const Condition& condition) {
      return condition.restricts_to_fixed_values() &&
             std::ranges::find(kFixing, condition.key()) != std::end(kFixing);
    });
  });
}

// Whether some "bucket" or "bucket/…" can match: decided on the literal beginning, and on what stands before the first '/'.
static bool may_name(const ArnPattern& arn, std::string_view bucket) {
  if (arn.everything()) return true;
  const std::string prefix = arn.part(5).literal_prefix();
  if (arn.part(5).fixed()) return prefix == bucket || prefix.starts_with(std::string(bucket) + '/');
  const std::string whole = std::string(bucket) + '/';
  return std::string_view(prefix).starts_with(whole) || std::string_view(whole).starts_with(prefix);
}

bool names_only_bucket(const Policy& policy, std::string_view bucket) {
  return std::ranges::all_of(policy.statements, [&](const Statement& statement) {
    return std::ranges::all_of(statement.resources,
                               [&](const ArnPattern& arn) { return may_name(arn, bucket); });
  });
}

std::string ConditionContext::normal_key(std::string_view key) {
  std::string out(key);
  const size_t end = std::min(out.find('/'), out.size());
  for (size_t i = 0; i < end; ++i)
    if (out[i] >= 'A' && out[i] <= 'Z') out[i] = static_cast<char>(out[i] + 32);
  return out;
}

void ConditionContext::add(std::string_view key, std::string value) {
  std::string normal = normal_key(key);
  auto found = values_.find(normal);
  if (found == values_.end()) found = values_.try_emplace(std::move(normal)).first;
  if (found->second.size() < kContextValuesMax)
    found->second.push_back(std::move(value));
  else if (!overflowed(found->first))
    overflowed_.push_back(found->first);
}

bool ConditionContext::overflowed(std::string_view key) const {
  return std::ranges::find(overflowed_, key) != overflowed_.end();
}

std::span<const std::string> ConditionContext::find(std::string_view key) const {
  auto found = values_.find(key);
  if (found == values_.end()) return {};
  return found->second;
}

void ConditionContext::add_principal(const Principal& principal) {
  using Kind = Principal::Kind;
  add("aws:userid", principal.user_id());
  if (principal.kind == Kind::anonymous) {
    add("aws:principaltype", "Anonymous");
    return;
  }
  if (principal.kind == Kind::service) {
    add("aws:principalservicename", principal.name);
    return;
  }
  add("aws:principalaccount", account_number(principal.account));
  if (principal.kind == Kind::user) add("aws:username", principal.name);
  add("aws:principaltype", principal.kind == Kind::root   ? "Account"
                           : principal.kind == Kind::user ? "User"
                                                          : "AssumedRole");
  // Of a session, the role's.
  add("aws:principalarn",
      principal.kind == Kind::role_session
          ? fmt::format("arn:aws:iam::{}:role/{}", account_number(principal.account), principal.name)
          : principal.arn());
}

void ConditionContext::add_time(int64_t unix_ms) {
  add("aws:epochtime", std::to_string(unix_ms / 1000));
  const std::chrono::sys_seconds time{std::chrono::seconds(unix_ms / 1000)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  add("aws:currenttime",
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  clock.hours().count(), clock.minutes().count(), clock.seconds().count()));
}

}  // namespace archipel::iam
