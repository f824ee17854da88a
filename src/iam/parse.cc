#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "iam/document.h"

namespace archipel::iam {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

Error malformed(std::string message) {
  return {Code::invalid, std::move(message), "MalformedPolicy"};
}

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", text.substr(0, 64));
}

// The members of an object; each name once, and only those that `known` lists (any, if it is empty).
Result<std::vector<std::pair<std::string_view, element>>> members(
    element value, std::string_view what, std::span<const std::string_view> known = {}) {
  object members;
  if (value.get(members) != simdjson::SUCCESS)
    return fail(malformed(fmt::format("{} must be an object", what)));
  std::vector<std::pair<std::string_view, element>> out;
  for (auto member : members) {
    if (std::ranges::any_of(out, [&](const auto& seen) { return seen.first == member.key; }))
      return fail(malformed(fmt::format("{} has {} twice", what, in_quotes(member.key))));
    if (!known.empty() && std::ranges::find(known, member.key) == known.end())
      return fail(malformed(fmt::format("{} has an unknown element {}", what, in_quotes(member.key))));
    out.emplace_back(member.key, member.value);
  }
  return out;
}

Result<std::string> text_of(element value, std::string_view what) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return fail(malformed(fmt::format("{} must be a string", what)));
  return std::string(text);
}

// Values of conditions may be written without quotes: true, 10.
Result<std::string> scalar_of(element value, std::string_view what) {
  bool truth = false;
  int64_t whole = 0;
  double number = 0;
  if (value.get(truth) == simdjson::SUCCESS) return std::string(truth ? "true" : "false");
  if (value.get(whole) == simdjson::SUCCESS) return std::to_string(whole);
  if (value.get(number) == simdjson::SUCCESS) return fmt::format("{}", number);
  return text_of(value, what);
}

// A value or a list of them; never none.
Result<std::vector<std::string>> list_of(element value, std::string_view what,
                                         Result<std::string> (*one)(element, std::string_view) = text_of) {
  std::vector<std::string> out;
  array values;
  if (value.get(values) == simdjson::SUCCESS) {
    for (element each : values) {
      ASSIGN_OR_RETURN(std::string text, one(each, what));
      out.push_back(std::move(text));
    }
  } else {
    ASSIGN_OR_RETURN(std::string text, one(value, what));
    out.push_back(std::move(text));
  }
  if (out.empty()) return fail(malformed(fmt::format("{} is empty", what)));
  return out;
}

// arn:aws:iam::ACCOUNT:root|user/NAME|role/NAME, arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION. Who is named need not exist.
std::optional<PrincipalPattern> parse_principal_arn(std::string_view text) {
  using Kind = PrincipalPattern::Kind;
  std::vector<std::string_view> parts;
  for (size_t at = 0; parts.size() < 5 && (at = text.find(':')) != std::string_view::npos;
       text.remove_prefix(at + 1))
    parts.push_back(text.substr(0, at));
  if (parts.size() != 5 || parts[0] != "arn" || !parts[1].starts_with("aws") || !parts[3].empty())
    return std::nullopt;
  if (text.contains('*') || parts[4].contains('*')) return std::nullopt;
  PrincipalPattern out{.kind = Kind::account, .account = std::string(parts[4]), .name = {}, .session = {}};
  const size_t slash = text.find('/');
  const std::string_view type = text.substr(0, slash);
  if (parts[2] == "iam" && text == "root") return parts[4].empty() ? std::nullopt : std::optional(out);
  if (slash == std::string_view::npos || slash + 1 == text.size()) return std::nullopt;
  out.name = text.substr(slash + 1);
  if (parts[2] == "iam" && type == "user") {
    out.kind = Kind::user;
    // Some servers name an account as a user of no account.
    if (parts[4].empty() && is_account_id(out.name))
      return PrincipalPattern{.kind = Kind::account, .account = out.name, .name = {}, .session = {}};
    return out;
  }
  if (parts[2] == "iam" && type == "role") {
    out.kind = Kind::role;
    return out;
  }
  const size_t second = out.name.find('/');
  if (parts[2] != "sts" || type != "assumed-role" || second == std::string::npos) return std::nullopt;
  out.kind = Kind::session;
  out.session = out.name.substr(second + 1);
  out.name.resize(second);
  return out;
}

std::optional<PrincipalPattern> parse_aws_principal(const std::string& text) {
  using Kind = PrincipalPattern::Kind;
  if (text == "*") return PrincipalPattern{};
  if (is_account_id(text) || is_account_number(text))
    return PrincipalPattern{.kind = Kind::account, .account = text, .name = {}, .session = {}};
  return parse_principal_arn(text);
}

Result<std::vector<PrincipalPattern>> parse_principals(element value, const std::string& what) {
  std::vector<PrincipalPattern> out;
  std::string_view everyone;
  if (value.get(everyone) == simdjson::SUCCESS) {
    if (everyone != "*") return fail(malformed(fmt::format("{} must be \"*\" or an object", what)));
    out.emplace_back();
    return out;
  }
  ASSIGN_OR_RETURN(auto types, members(value, what));
  for (auto [type, listed] : types) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, list_of(listed, what));
    for (std::string& name : names) {
      std::optional<PrincipalPattern> principal;
      if (type == "AWS") {
        principal = parse_aws_principal(name);
      } else if (type == "CanonicalUser") {
        if (is_account_id(name))
          principal = {.kind = PrincipalPattern::Kind::account, .account = name, .name = {}, .session = {}};
      } else if (type == "Service") {
        principal = {.kind = PrincipalPattern::Kind::service, .account = {}, .name = name, .session = {}};
      } else {
        return fail(malformed(fmt::format(
            "{} has the unknown type {}; expecting AWS, CanonicalUser or Service", what, in_quotes(type))));
      }
      if (!principal)
        return fail(malformed(fmt::format("Invalid principal in policy: {} names {} under {}", what,
                                          in_quotes(name), in_quotes(type))));
      out.push_back(std::move(*principal));
    }
  }
  if (out.empty()) return fail(malformed(fmt::format("{} is empty", what)));
  return out;
}

// One statement being read.
class StatementParser {
 public:
  StatementParser(PolicyKind kind, bool variables, size_t number)
      : kind_(kind), variables_(variables), where_(fmt::format("statement {}", number)) {}

  Result<Statement> parse(element value) {
    static constexpr std::string_view kKnown[] = {"Sid",          "Effect",      "Principal",
                                                  "NotPrincipal", "Action",      "NotAction",
                                                  "Resource",     "NotResource", "Condition"};
    ASSIGN_OR_RETURN(auto elements, members(value, where_, kKnown));
    // The Sid first: messages name it.
    for (auto [name, element] : elements)
      if (name == "Sid") {
        ASSIGN_OR_RETURN(out_.sid, text_of(element, where_ + ": Sid"));
        where_ += fmt::format(" (Sid {})", in_quotes(out_.sid));
      }
    for (auto [name, element] : elements) RETURN_IF_ERROR(parse_element(name, element));
    RETURN_IF_ERROR(check());
    return std::move(out_);
  }

  size_t variables_used() const { return used_; }

 private:
  std::unexpected<Error> no(std::string_view why) const {
    return fail(malformed(fmt::format("{}: {}", where_, why)));
  }

  Result<void> parse_element(std::string_view name, element value) {
    const std::string what = fmt::format("{}: {}", where_, name);
    if (name == "Effect") {
      ASSIGN_OR_RETURN(std::string text, text_of(value, what));
      if (text != "Allow" && text != "Deny") return no("Effect must be \"Allow\" or \"Deny\"");
      out_.effect = text == "Allow" ? Effect::allow : Effect::deny;
      has_effect_ = true;
    } else if (name == "Principal" || name == "NotPrincipal") {
      if (out_.has_principals) return no("Principal and NotPrincipal exclude each other");
      ASSIGN_OR_RETURN(out_.principals, parse_principals(value, what));
      out_.has_principals = true;
      out_.not_principals = name == "NotPrincipal";
    } else if (name == "Action" || name == "NotAction") {
      if (!out_.actions.empty()) return no("Action and NotAction exclude each other");
      out_.not_actions = name == "NotAction";
      return parse_actions(value, what);
    } else if (name == "Resource" || name == "NotResource") {
      if (!out_.resources.empty()) return no("Resource and NotResource exclude each other");
      out_.not_resources = name == "NotResource";
      return parse_resources(value, what);
    } else if (name == "Condition") {
      return parse_conditions(value, what);
    }
    return {};
  }

  Result<void> parse_actions(element value, const std::string& what) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, list_of(value, what));
    for (const std::string& name : names) {
      const size_t colon = name.find(':');
      const std::string service = name.substr(0, colon);
      if (name != "*" && (colon == std::string::npos || colon == 0 || colon + 1 == name.size()))
        return no(fmt::format("Policy has invalid action: {} is not like s3:GetObject", in_quotes(name)));
      ASSIGN_OR_RETURN(Pattern pattern,
                       Pattern::compile(name, {.wildcards = true, .variables = false, .fold_case = true}));
      const bool s3 = std::ranges::equal(service, std::string_view("s3"), {}, [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      });
      if (kind_ == PolicyKind::resource && name != "*" && (!s3 || !is_s3_action(pattern)))
        return no(fmt::format("Policy has invalid action: {} names no action of S3", in_quotes(name)));
      out_.actions.push_back(std::move(pattern));
    }
    return {};
  }

  Result<void> parse_resources(element value, const std::string& what) {
    if (kind_ == PolicyKind::trust) return no("the policy of who may assume a role has no Resource");
    ASSIGN_OR_RETURN(std::vector<std::string> names, list_of(value, what));
    for (const std::string& name : names) {
      Result<ArnPattern> pattern = ArnPattern::compile(name, variables_, true);
      if (!pattern) return no(fmt::format("Policy has invalid resource: {}", pattern.error().message));
      if (kind_ == PolicyKind::resource && !pattern->everything() && pattern->service() != "s3")
        return no(fmt::format("Policy has invalid resource: {} is none of S3", in_quotes(name)));
      used_ += pattern->variables();
      out_.resources.push_back(std::move(*pattern));
    }
    return {};
  }

  Result<void> parse_conditions(element value, const std::string& what) {
    ASSIGN_OR_RETURN(auto operators, members(value, what));
    for (auto [op, keys] : operators) {
      const std::string block = fmt::format("{}: {}", what, op.substr(0, 64));
      ASSIGN_OR_RETURN(auto lines, members(keys, block));
      if (lines.empty()) return no(fmt::format("Condition: {} names no key", in_quotes(op)));
      for (auto [key, values] : lines) {
        ASSIGN_OR_RETURN(std::vector<std::string> texts,
                         list_of(values, fmt::format("{}: {}", block, key.substr(0, 64)), scalar_of));
        Result<Condition> condition = Condition::compile(op, key, texts, variables_);
        if (!condition)
          return no(fmt::format("Condition: {}: {}: {}", op.substr(0, 64), key.substr(0, 64),
                                condition.error().message));
        if (!known_key(condition->key()))
          return no(fmt::format("Policy has an invalid condition key: {}", in_quotes(key)));
        used_ += condition->variables();
        out_.conditions.push_back(std::move(*condition));
      }
    }
    return {};
  }

  // Other services have keys of their own, which only policies of users can meet.
  bool known_key(std::string_view key) const {
    if (key.starts_with("aws:") || key.starts_with("s3:") || kind_ == PolicyKind::resource)
      return is_condition_key(key);
    return key.contains(':');
  }

  Result<void> check() {
    const bool named = kind_ == PolicyKind::resource || kind_ == PolicyKind::trust;
    if (!has_effect_) return no("Effect is missing");
    if (out_.actions.empty()) return no("Action is missing");
    if (named && !out_.has_principals) return no("Principal is missing");
    if (!named && out_.has_principals)
      return no("Principal has no place in the policy of a user, role or session");
    if (out_.not_principals && out_.effect == Effect::allow)
      return no("Allow with NotPrincipal is not supported: it would allow everyone else in the world");
    if (kind_ != PolicyKind::trust && out_.resources.empty()) return no("Resource is missing");
    return {};
  }

  const PolicyKind kind_;
  const bool variables_;
  std::string where_;
  Statement out_;
  bool has_effect_ = false;
  size_t used_ = 0;
};

size_t bytes_max(PolicyKind kind) {
  if (kind == PolicyKind::resource) return kResourcePolicyBytesMax;
  return kind == PolicyKind::session ? kSessionPolicyBytesMax : kIdentityPolicyBytesMax;
}

Result<void> check_sids(const Policy& policy) {
  if (policy.kind == PolicyKind::resource) return {};
  for (size_t i = 0; i < policy.statements.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (!policy.statements[i].sid.empty() && policy.statements[i].sid == policy.statements[j].sid)
        return fail(malformed(fmt::format("the Sid {} is given twice", in_quotes(policy.statements[i].sid))));
  return {};
}

Result<std::shared_ptr<Policy>> parse_document(element document, PolicyKind kind) {
  static constexpr std::string_view kKnown[] = {"Version", "Id", "Statement"};
  ASSIGN_OR_RETURN(auto elements, members(document, "the policy", kKnown));
  auto policy = std::make_shared<Policy>();
  policy->kind = kind;
  bool variables = false, found = false;
  std::vector<element> statements;
  for (auto [name, value] : elements) {
    if (name == "Statement") {
      found = true;
      array listed;
      if (value.get(listed) == simdjson::SUCCESS)
        for (element each : listed) statements.push_back(each);
      else
        statements.push_back(value);
      continue;
    }
    ASSIGN_OR_RETURN(std::string text, text_of(value, name));
    if (name == "Version" && text != "2012-10-17" && text != "2008-10-17")
      return fail(malformed("The policy must contain a valid version string: 2012-10-17 or 2008-10-17"));
    if (name == "Version") variables = text == "2012-10-17";
  }
  if (!found) return fail(malformed("Missing required field Statement"));
  if (statements.empty()) return fail(malformed("Statement is empty"));
  if (statements.size() > kStatementsMax)
    return fail(malformed(fmt::format("a policy has at most {} statements", kStatementsMax)));
  size_t used = 0;
  for (size_t i = 0; i < statements.size(); ++i) {
    StatementParser parser(kind, variables, i + 1);
    ASSIGN_OR_RETURN(Statement statement, parser.parse(statements[i]));
    policy->statements.push_back(std::move(statement));
    used += parser.variables_used();
  }
  if (used > kVariablesMax)
    return fail(malformed(fmt::format("a policy has at most {} variables", kVariablesMax)));
  RETURN_IF_ERROR(check_sids(*policy));
  return policy;
}

}  // namespace

Result<std::shared_ptr<const Policy>> parse_policy(std::string_view json, PolicyKind kind) {
  if (json.size() > bytes_max(kind))
    return fail(malformed(fmt::format("a policy of this kind has at most {} bytes", bytes_max(kind))));
  simdjson::dom::parser parser;
  if (parser.allocate(std::max<size_t>(json.size(), 64), kJsonDepthMax) != simdjson::SUCCESS)
    return fail(Code::limit, "no memory to read a policy", "SlowDown");
  element document;
  if (auto error = parser.parse(json.data(), json.size()).get(document); error != simdjson::SUCCESS)
    return fail(
        malformed(fmt::format("This policy contains invalid Json: {}", simdjson::error_message(error))));
  auto policy = parse_document(document, kind);
  if (!policy) {
    // Whatever the rooms below said, to the caller the document is malformed.
    if (policy.error().code == Code::invalid) policy.error().detail = "MalformedPolicy";
    return fail(std::move(policy).error());
  }
  return std::shared_ptr<const Policy>(std::move(*policy));
}

}  // namespace archipel::iam
