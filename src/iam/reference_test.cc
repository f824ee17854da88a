// Random policies and requests: the evaluator agrees with one that is written as the manual reads, slowly.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "iam/policy.h"

namespace archipel::iam {
namespace {

using Texts = std::vector<std::string>;

struct Clause {
  std::string op, key;
  Texts values;
};
struct Part {
  bool allow = true, not_action = false, not_resource = false;
  Texts actions, resources;
  std::vector<Clause> clauses;
};

// Small alphabets, so that things meet.
const Texts kActions = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"};
const Texts kActionPatterns = {"*",         "s3:*", "s3:Get*", "s3:?etObject", "S3:getobject", "s3:PutObject",
                               "s3:*Object"};
const Texts kPaths = {"b", "b/a", "b/aa", "b/ab", "b/x/a", "b/${aws:username}", "b/*"};
const Texts kPathPatterns = {
    "*", "b", "b/*", "b/?", "b/a*", "b/*a", "b/*/a", "b/${aws:username}", "b/${*}", "b/${s3:prefix}*"};
const Texts kValues = {"a", "aa", "ab", "A", "", "1", "2", "10"};
const Texts kValuePatterns = {"a", "a*", "*", "?", "A", "${aws:username}", "1", ""};
const Texts kNumbers = {"1", "2", "10", "-1"};
const Texts kKeys = {"s3:prefix", "s3:max-keys", "s3:delimiter"};
const Texts kOperators = {"StringEquals",  "StringNotEquals",        "StringLike",
                          "StringNotLike", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"};
const Texts kNumeric = {"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThanEquals"};

rc::Gen<Texts> some_of(const Texts& from) {
  return rc::gen::nonEmpty(rc::gen::resize(4, rc::gen::container<Texts>(rc::gen::elementOf(from))));
}

Clause random_clause() {
  Clause out;
  const bool numeric = *rc::gen::arbitrary<bool>();
  out.key = *rc::gen::elementOf(kKeys);
  out.op = *rc::gen::elementOf(Texts{"", "", "ForAllValues:", "ForAnyValue:"});
  out.op += *rc::gen::elementOf(numeric ? kNumeric : kOperators);
  if (*rc::gen::inRange(0, 3) == 0) out.op += "IfExists";
  out.values = *some_of(numeric ? kNumbers : kValuePatterns);
  return out;
}

Part random_part() {
  Part out;
  out.allow = *rc::gen::inRange(0, 4) != 0;
  out.not_action = *rc::gen::inRange(0, 4) == 0;
  out.not_resource = *rc::gen::inRange(0, 4) == 0;
  out.actions = *some_of(kActionPatterns);
  out.resources = *some_of(kPathPatterns);
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) out.clauses.push_back(random_clause());
  return out;
}

// The document -------------------------------------------------------------------------------------------------

std::string list(const Texts& texts, const std::string& before = "") {
  std::string out;
  for (const std::string& text : texts)
    out += fmt::format("{}\"{}{}\"", out.empty() ? "" : ",", text == "*" ? "" : before, text);
  return "[" + out + "]";
}

std::string document(const std::vector<Part>& parts) {
  std::string all;
  for (const Part& part : parts) {
    std::string conditions;
    // One operator may stand there once: clauses that share one become policies' and-ed keys only if the keys differ, so later ones are dropped.
    Texts seen;
    for (const Clause& clause : part.clauses) {
      if (std::ranges::find(seen, clause.op) != seen.end()) continue;
      seen.push_back(clause.op);
      conditions += fmt::format("{}\"{}\":{{\"{}\":{}}}", conditions.empty() ? "" : ",", clause.op,
                                clause.key, list(clause.values));
    }
    all += fmt::format(R"({}{{"Effect":"{}","{}":{},"{}":{},"Condition":{{{}}}}})", all.empty() ? "" : ",",
                       part.allow ? "Allow" : "Deny", part.not_action ? "NotAction" : "Action",
                       list(part.actions), part.not_resource ? "NotResource" : "Resource",
                       list(part.resources, "arn:aws:s3:::"), conditions);
  }
  return R"({"Version":"2012-10-17","Statement":[)" + all + "]}";
}

// The slow evaluator -------------------------------------------------------------------------------------------

using Context = std::map<std::string, Texts>;

// 'L' + a character that stands for itself, "*", "?"; nothing if a variable has no single value.
std::optional<Texts> units(const std::string& pattern, const Context& context, bool wildcards) {
  Texts out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i, 2) == "${") {
      const size_t end = pattern.find('}', i);
      const std::string name = pattern.substr(i + 2, end - i - 2);
      i = end;
      if (name.size() == 1) {
        out.push_back("L" + name);
        continue;
      }
      auto found = context.find(name);
      if (found == context.end() || found->second.size() != 1) return std::nullopt;
      for (char c : found->second[0]) out.push_back(std::string("L") + c);
    } else if (wildcards && (pattern[i] == '*' || pattern[i] == '?')) {
      out.emplace_back(1, pattern[i]);
    } else {
      out.push_back(std::string("L") + pattern[i]);
    }
  }
  return out;
}

bool matches(const Texts& pattern, size_t p, const std::string& text, size_t t) {
  if (p == pattern.size()) return t == text.size();
  if (pattern[p] == "*")
    return matches(pattern, p + 1, text, t) || (t < text.size() && matches(pattern, p, text, t + 1));
  if (t == text.size()) return false;
  return (pattern[p] == "?" || pattern[p][1] == text[t]) && matches(pattern, p + 1, text, t + 1);
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(tolower(static_cast<unsigned char>(c)));
  return text;
}

enum class Said { no, yes, unknown };

Said one_matches(const std::string& op, const std::string& value, const std::string& text,
                 const Context& context) {
  if (op.starts_with("Numeric")) {
    char* end = nullptr;
    const double left = std::strtod(text.c_str(), &end), right = std::stod(value);
    if (text.empty() || *end != '\0') return Said::no;
    const bool holds = op == "NumericLessThan"            ? left < right
                       : op == "NumericGreaterThanEquals" ? left >= right
                                                          : left == right;
    return holds ? Said::yes : Said::no;
  }
  const bool fold = op.ends_with("IgnoreCase");
  auto pattern = units(value, context, op.ends_with("Like"));
  if (!pattern) return Said::unknown;
  if (fold)
    for (std::string& unit : *pattern) unit = unit.size() == 2 ? "L" + lower(unit.substr(1)) : unit;
  return matches(*pattern, 0, fold ? lower(text) : text, 0) ? Said::yes : Said::no;
}

bool clause_holds(const Clause& clause, const Context& context, bool allow) {
  std::string op = clause.op;
  const bool all = op.starts_with("ForAllValues:"), any = op.starts_with("ForAnyValue:");
  if (all || any) op = op.substr(op.find(':') + 1);
  const bool if_exists = op.ends_with("IfExists");
  if (if_exists) op = op.substr(0, op.size() - 8);
  const bool negated = op.contains("Not");
  if (size_t at = op.find("Not"); at != std::string::npos) op.erase(at, 3);
  auto present = context.find(clause.key);
  if (present == context.end()) return if_exists || all || (negated && !any);
  int holding = 0;
  for (const std::string& text : present->second) {
    bool matched = false, unknown = false;
    for (const std::string& value : clause.values) {
      const Said said = one_matches(op, value, text, context);
      matched = matched || said == Said::yes;
      unknown = unknown || said == Said::unknown;
    }
    holding += negated ? (!matched && (!unknown || !allow)) : matched;
  }
  const bool every = all || (negated && !any);
  return every ? holding == static_cast<int>(present->second.size()) : holding > 0;
}

bool part_applies(const Part& part, const std::string& action, const std::string& path,
                  const Context& context) {
  bool listed = false, located = false, unknown = false;
  for (const std::string& pattern : part.actions) {
    Texts folded;
    for (char c : lower(pattern))
      folded.push_back(c == '*' || c == '?' ? std::string(1, c) : std::string("L") + c);
    listed = listed || matches(folded, 0, lower(action), 0);
  }
  for (const std::string& pattern : part.resources) {
    auto compiled = units(pattern, context, true);
    unknown = unknown || !compiled;
    located = located || (compiled && matches(*compiled, 0, path, 0));
  }
  if (listed == part.not_action) return false;
  if (part.not_resource ? located || (unknown && part.allow) : !located) return false;
  Texts seen;
  for (const Clause& clause : part.clauses) {
    if (std::ranges::find(seen, clause.op) != seen.end()) continue;
    seen.push_back(clause.op);
    if (!clause_holds(clause, context, part.allow)) return false;
  }
  return true;
}

Effect slow_evaluate(const std::vector<Part>& parts, const std::string& action, const std::string& path,
                     const Context& context) {
  Effect outcome = Effect::none;
  for (const Part& part : parts) {
    if (!part_applies(part, action, path, context)) continue;
    if (!part.allow) return Effect::deny;
    outcome = Effect::allow;
  }
  return outcome;
}

TEST(Evaluate, AgreesWithTheManualReadSlowly) {
  std::map<Effect, int> seen;
  EXPECT_TRUE(rc::check("fast and slow", [&] {
    std::vector<Part> parts;
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i) parts.push_back(random_part());
    const std::string json = document(parts);
    auto policy = parse_policy(json, PolicyKind::identity);
    if (!policy) RC_FAIL(policy.error().message + "\n" + json);
    Context context;
    if (*rc::gen::arbitrary<bool>()) context["aws:username"] = {*rc::gen::elementOf(kValues)};
    for (const std::string& key : kKeys)
      if (*rc::gen::arbitrary<bool>()) context[key] = *some_of(kValues);
    for (int i = 0; i < 8; ++i) {
      const std::string action = *rc::gen::elementOf(kActions), path = *rc::gen::elementOf(kPaths);
      Request request{Principal::user(std::string(64, 'a'), "ann"), action, "arn:aws:s3:::" + path, {}};
      for (const auto& [key, values] : context)
        for (const std::string& value : values) request.context.add(key, value);
      const Effect effect = evaluate(**policy, request);
      ++seen[effect];
      RC_LOG() << json << "\n" << action << " " << path << "\n";
      RC_ASSERT(effect == slow_evaluate(parts, action, path, context));
    }
  }));
  EXPECT_EQ(seen.size(), 3u) << "every answer came up";
}

}  // namespace
}  // namespace archipel::iam
