#include "iam/pattern.h"

#include <algorithm>
#include <optional>

#include "iam/policy.h"

namespace archipel::iam {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool continuation(char c) {
  return (static_cast<uint8_t>(c) & 0xc0u) == 0x80u;
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// The five first ':' that are not inside ${…}.
std::optional<std::array<std::string_view, 6>> split_arn(std::string_view text) {
  std::array<std::string_view, 6> parts;
  size_t begin = 0, part = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size() && part < 5; ++i) {
    if (text.substr(i).starts_with("${")) inside = true;
    if (text[i] == '}') inside = false;
    if (text[i] != ':' || inside) continue;
    parts[part++] = text.substr(begin, i - begin);
    begin = i + 1;
  }
  if (part != 5) return std::nullopt;
  parts[5] = text.substr(begin);
  return parts;
}

}  // namespace

Result<size_t> Pattern::compile_variable(std::string_view text, size_t at) {
  const size_t end = text.find('}', at);
  if (end == std::string_view::npos) return fail(Code::invalid, "a variable \"${\" without its \"}\"");
  std::string_view inside = text.substr(at + 2, end - at - 2);
  if (inside == "*" || inside == "?" || inside == "$") {
    program_.push_back(static_cast<uint8_t>(inside.front()));
    return end + 1;
  }
  Variable variable;
  if (size_t comma = inside.find(','); comma != std::string_view::npos) {
    std::string_view fallback = trim(inside.substr(comma + 1));
    if (fallback.size() < 2 || !fallback.starts_with('\'') || !fallback.ends_with('\''))
      return fail(Code::invalid, "the default of a variable is written in single quotes");
    variable.has_default = true;
    variable.fallback = fallback.substr(1, fallback.size() - 2);
    inside = inside.substr(0, comma);
  }
  variable.key = ConditionContext::normal_key(trim(inside));
  if (!variable.key.contains(':'))
    return fail(Code::invalid, "a variable names a condition key, as ${aws:username}");
  if (variables_.size() == kVariablesMax) return fail(Code::invalid, "too many variables");
  program_.push_back(static_cast<Unit>(kVariable + variables_.size()));
  variables_.push_back(std::move(variable));
  return end + 1;
}

Result<Pattern> Pattern::compile(std::string_view text, Syntax syntax) {
  Pattern out;
  out.fold_case_ = syntax.fold_case;
  for (size_t i = 0; i < text.size();) {
    if (syntax.variables && text.substr(i).starts_with("${")) {
      ASSIGN_OR_RETURN(i, out.compile_variable(text, i));
      continue;
    }
    const char c = text[i++];
    if (syntax.wildcards && c == '*') {
      if (out.program_.empty() || out.program_.back() != kStar) out.program_.push_back(kStar);
    } else if (syntax.wildcards && c == '?') {
      out.program_.push_back(kOne);
    } else {
      out.program_.push_back(static_cast<uint8_t>(syntax.fold_case ? lower(c) : c));
    }
  }
  return out;
}

// Greedy with one place to go back to: the last star. At most |program| * |text| steps.
bool Pattern::run(const std::vector<Unit>& program, std::string_view text, bool fold_case) {
  constexpr size_t kNone = SIZE_MAX;
  size_t p = 0, t = 0, star = kNone, mark = 0;
  while (t < text.size()) {
    const char c = fold_case ? lower(text[t]) : text[t];
    if (p < program.size() && program[p] == kStar) {
      star = p++;
      mark = t;
    } else if (p < program.size() && program[p] == kOne && !continuation(c)) {
      ++p;
      for (++t; t < text.size() && continuation(text[t]);) ++t;
    } else if (p < program.size() && program[p] == static_cast<uint8_t>(c)) {
      ++p;
      ++t;
    } else if (star != kNone) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < program.size() && program[p] == kStar) ++p;
  return p == program.size();
}

Match Pattern::match(std::string_view text, const ConditionContext& context) const {
  if (variables_.empty()) return run(program_, text, fold_case_) ? Match::yes : Match::no;
  std::vector<Unit> program;
  size_t literals = 0;  // each takes at least a byte of the text
  for (Unit unit : program_) {
    if (unit < kVariable) {
      program.push_back(unit);
      literals += unit != kStar;
      continue;
    }
    const Variable& variable = variables_[unit - kVariable];
    std::span<const std::string> values = context.find(variable.key);
    if (values.size() != 1 && !(values.empty() && variable.has_default)) return Match::unresolved;
    std::string_view value = values.empty() ? std::string_view(variable.fallback) : values.front();
    literals += value.size();
    if (literals > text.size()) continue;  // cannot match; but the other variables must have values too
    for (char c : value) program.push_back(static_cast<uint8_t>(fold_case_ ? lower(c) : c));
  }
  return literals <= text.size() && run(program, text, fold_case_) ? Match::yes : Match::no;
}

bool Pattern::fixed() const {
  return std::ranges::all_of(program_, [](Unit unit) { return unit < kStar; });
}

std::string Pattern::literal_prefix() const {
  std::string out;
  for (Unit unit : program_) {
    if (unit >= kStar) break;
    out.push_back(static_cast<char>(unit));
  }
  return out;
}

Result<ArnPattern> ArnPattern::compile(std::string_view text, bool variables, bool star_alone) {
  ArnPattern out;
  if (text == "*" && star_alone) {
    out.everything_ = true;
    return out;
  }
  auto parts = split_arn(text);
  if (!parts || (*parts)[0] != "arn")
    return fail(Code::invalid, "\"" + std::string(text.substr(0, 128)) +
                                   "\" is not an ARN; expecting six parts, as arn:aws:s3:::bucket/key");
  out.service_ = (*parts)[2];
  // Clouds of other partitions have other names for the same thing, and one account may be named by its id.
  if ((*parts)[1].starts_with("aws-")) (*parts)[1] = "aws";
  const std::string number = is_account_id((*parts)[4]) ? account_number((*parts)[4]) : std::string();
  if (!number.empty()) (*parts)[4] = number;
  for (size_t i = 0; i < parts->size(); ++i) {
    ASSIGN_OR_RETURN(out.parts_[i],
                     Pattern::compile((*parts)[i], {.wildcards = true, .variables = variables}));
  }
  return out;
}

Match ArnPattern::match(std::string_view arn, const ConditionContext& context) const {
  if (everything_) return Match::yes;
  auto parts = split_arn(arn);
  if (!parts) return Match::no;
  Match outcome = Match::yes;
  for (size_t i = 0; i < parts_.size(); ++i) {
    Match match = parts_[i].match((*parts)[i], context);
    if (match == Match::unresolved) return match;
    if (match == Match::no) outcome = Match::no;
  }
  return outcome;
}

bool ArnPattern::fixed() const {
  return !everything_ && std::ranges::all_of(parts_, [](const Pattern& part) { return part.fixed(); });
}

size_t ArnPattern::variables() const {
  size_t sum = 0;
  for (const Pattern& part : parts_) sum += part.variables();
  return sum;
}

}  // namespace archipel::iam
