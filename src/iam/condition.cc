#include "iam/condition.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

#include "base/bytes.h"

namespace archipel::iam {
namespace {

using Family = Condition::Family;
using Relation = Condition::Relation;

struct Operator {
  std::string_view name;
  Family family;
  Relation relation;
  bool negated = false, fold_case = false;
};
constexpr Operator kOperators[] = {
    {"StringEquals", Family::string, Relation::equal},
    {"StringNotEquals", Family::string, Relation::equal, true},
    {"StringEqualsIgnoreCase", Family::string, Relation::equal, false, true},
    {"StringNotEqualsIgnoreCase", Family::string, Relation::equal, true, true},
    {"StringLike", Family::string, Relation::like},
    {"StringNotLike", Family::string, Relation::like, true},
    {"NumericEquals", Family::numeric, Relation::equal},
    {"NumericNotEquals", Family::numeric, Relation::equal, true},
    {"NumericLessThan", Family::numeric, Relation::less},
    {"NumericLessThanEquals", Family::numeric, Relation::less_equal},
    {"NumericGreaterThan", Family::numeric, Relation::greater},
    {"NumericGreaterThanEquals", Family::numeric, Relation::greater_equal},
    {"DateEquals", Family::date, Relation::equal},
    {"DateNotEquals", Family::date, Relation::equal, true},
    {"DateLessThan", Family::date, Relation::less},
    {"DateLessThanEquals", Family::date, Relation::less_equal},
    {"DateGreaterThan", Family::date, Relation::greater},
    {"DateGreaterThanEquals", Family::date, Relation::greater_equal},
    {"Bool", Family::boolean, Relation::equal},
    {"BinaryEquals", Family::binary, Relation::equal},
    {"IpAddress", Family::address, Relation::equal},
    {"NotIpAddress", Family::address, Relation::equal, true},
    {"ArnEquals", Family::arn, Relation::like},  // ArnEquals and ArnLike are one
    {"ArnLike", Family::arn, Relation::like},
    {"ArnNotEquals", Family::arn, Relation::like, true},
    {"ArnNotLike", Family::arn, Relation::like, true},
    {"Null", Family::null, Relation::equal},
};

template <class T>
bool compare(Relation relation, T left, T right) {
  switch (relation) {
    case Relation::less:
      return left < right;
    case Relation::less_equal:
      return left <= right;
    case Relation::greater:
      return left > right;
    case Relation::greater_equal:
      return left >= right;
    case Relation::equal:
    case Relation::like:
      break;
  }
  return left == right;
}

std::optional<bool> parse_bool(std::string_view text) {
  std::string lower;
  for (char c : text.substr(0, 6)) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (lower == "true") return true;
  if (lower == "false") return false;
  return std::nullopt;
}

// Digits of a fixed count at the front of `text`.
std::optional<int> take(std::string_view& text, size_t digits) {
  int value = 0;
  if (text.size() < digits) return std::nullopt;
  for (size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool skip(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// "Z", "+01:00", "-0530": minutes east.
std::optional<int> take_zone(std::string_view& text) {
  if (skip(text, 'Z')) return 0;
  const int sign = text.starts_with('-') ? -1 : 1;
  if (!skip(text, '+') && !skip(text, '-')) return std::nullopt;
  auto hours = take(text, 2);
  skip(text, ':');
  auto minutes = take(text, 2);
  if (!hours || !minutes || *hours > 14 || *minutes > 59) return std::nullopt;
  return sign * (*hours * 60 + *minutes);
}

// The time of day behind a 'T', with its zone, in milliseconds of UTC from the day's beginning.
std::optional<int64_t> take_time(std::string_view& text) {
  auto hours = take(text, 2);
  if (!hours || !skip(text, ':')) return std::nullopt;
  auto minutes = take(text, 2);
  if (!minutes || *hours > 24 || *minutes > 59) return std::nullopt;
  int64_t millis = (*hours * 60 + *minutes) * 60'000LL;
  if (skip(text, ':')) {
    auto seconds = take(text, 2);
    if (!seconds || *seconds > 60) return std::nullopt;
    millis += *seconds * 1000LL;
    if (skip(text, '.')) {
      int64_t scale = 100;
      if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
      for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), scale /= 10)
        millis += (text.front() - '0') * scale;
    }
  }
  auto zone = take_zone(text);
  if (!zone) return std::nullopt;
  return millis - *zone * 60'000LL;
}

}  // namespace

bool Cidr::contains(const std::array<uint8_t, 16>& other) const {
  for (int bit = 0; bit < bits; bit += 8) {
    const size_t i = static_cast<size_t>(bit / 8);
    const int kept = std::min(8, bits - bit);
    const auto mask = static_cast<uint8_t>(0xff00u >> kept);
    if ((address[i] & mask) != (other[i] & mask)) return false;
  }
  return true;
}

std::optional<Cidr> parse_cidr(std::string_view text) {
  Cidr out;
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  std::array<uint8_t, 4> four{};
  if (inet_pton(AF_INET, address.c_str(), four.data()) == 1) {
    out.v4 = true;
    out.address[10] = out.address[11] = 0xff;
    std::ranges::copy(four, out.address.begin() + 12);
  } else if (address.size() != std::string_view(address.c_str()).size() ||
             inet_pton(AF_INET6, address.c_str(), out.address.data()) != 1) {
    return std::nullopt;
  }
  if (slash == std::string_view::npos) return out;
  std::string_view digits = text.substr(slash + 1);
  int bits = -1;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc() || end != digits.data() + digits.size() || bits < 0 || bits > (out.v4 ? 32 : 128))
    return std::nullopt;
  out.bits = out.v4 ? bits + 96 : bits;
  return out;
}

std::optional<int64_t> parse_date(std::string_view text) {
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size() && text.size() != 4) {
    constexpr int64_t kSecondsMax = 253'402'300'799;  // the year 9999
    if (seconds < -kSecondsMax || seconds > kSecondsMax) return std::nullopt;
    return seconds * 1000;
  }
  auto year = take(text, 4);
  int month = 1, day = 1;
  if (!year) return std::nullopt;
  if (skip(text, '-')) {
    auto taken = take(text, 2);
    if (!taken) return std::nullopt;
    month = *taken;
    if (skip(text, '-')) {
      taken = take(text, 2);
      if (!taken) return std::nullopt;
      day = *taken;
    }
  }
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  int64_t millis = 0;
  if (skip(text, 'T')) {
    auto time = take_time(text);
    if (!time) return std::nullopt;
    millis = *time;
  }
  if (!text.empty()) return std::nullopt;
  return days * 86'400'000 + millis;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

Result<void> Condition::parse_operator(std::string_view op) {
  std::string_view name = op;
  for (auto [prefix, set] : {std::pair("ForAllValues:", Set::all), std::pair("ForAnyValue:", Set::any)})
    if (set_ == Set::one && name.starts_with(prefix)) {
      set_ = set;
      name.remove_prefix(std::string_view(prefix).size());
    }
  if (name.ends_with("IfExists")) {
    if_exists_ = true;
    name.remove_suffix(8);
  }
  for (const Operator& known : kOperators) {
    if (known.name != name) continue;
    if (known.family == Family::null && (if_exists_ || set_ != Set::one)) break;
    family_ = known.family;
    relation_ = known.relation;
    negated_ = known.negated;
    fold_case_ = known.fold_case;
    return {};
  }
  return fail(Code::invalid, "there is no condition operator \"" + std::string(op.substr(0, 64)) + "\"");
}

Result<Condition::Value> Condition::parse_value(std::string_view text, bool variables) const {
  auto no = [&](std::string_view kind) {
    return fail(Code::invalid, "\"" + std::string(text.substr(0, 64)) + "\" is not " + std::string(kind));
  };
  switch (family_) {
    case Family::string: {
      ASSIGN_OR_RETURN(Pattern pattern, Pattern::compile(text, {.wildcards = relation_ == Relation::like,
                                                                .variables = variables,
                                                                .fold_case = fold_case_}));
      return Value(std::move(pattern));
    }
    case Family::arn: {
      ASSIGN_OR_RETURN(ArnPattern arn, ArnPattern::compile(text, variables, true));
      return Value(std::move(arn));
    }
    case Family::numeric: {
      auto number = parse_number(text);
      if (!number) return no("a number");
      return Value(*number);
    }
    case Family::date: {
      auto date = parse_date(text);
      if (!date) return no("a date, as 2026-11-22T00:00:00Z");
      return Value(*date);
    }
    case Family::boolean:
    case Family::null: {
      auto value = parse_bool(text);
      if (!value) return no("true or false");
      return Value(*value);
    }
    case Family::binary: {
      auto bytes = unbase64(text);
      if (!bytes) return no("base64");
      return Value(std::move(*bytes));
    }
    case Family::address:
      break;
  }
  auto block = parse_cidr(text);
  if (!block) return no("an address or a block of addresses, as 203.0.113.0/24");
  return Value(*block);
}

Result<Condition> Condition::compile(std::string_view op, std::string_view key,
                                     const std::vector<std::string>& values, bool variables) {
  Condition out;
  RETURN_IF_ERROR(out.parse_operator(op));
  out.key_ = ConditionContext::normal_key(key);
  if (values.empty()) return fail(Code::invalid, "a condition key without a value");
  for (const std::string& text : values) {
    ASSIGN_OR_RETURN(Value value, out.parse_value(text, variables));
    out.values_.push_back(std::move(value));
  }
  return out;
}

Match Condition::value_matches(const Value& value, std::string_view text,
                               const ConditionContext& context) const {
  auto yes = [](bool matches) { return matches ? Match::yes : Match::no; };
  switch (family_) {
    case Family::string:
      return std::get<Pattern>(value).match(text, context);
    case Family::arn:
      return std::get<ArnPattern>(value).match(text, context);
    case Family::numeric: {
      auto number = parse_number(text);
      return yes(number && compare(relation_, *number, std::get<double>(value)));
    }
    case Family::date: {
      auto date = parse_date(text);
      return yes(date && compare(relation_, *date, std::get<int64_t>(value)));
    }
    case Family::boolean: {
      auto said = parse_bool(text);
      return yes(said && *said == std::get<bool>(value));
    }
    case Family::binary: {
      auto bytes = unbase64(text);
      return yes(bytes && *bytes == std::get<std::string>(value));
    }
    case Family::address: {
      auto address = parse_cidr(text);
      return yes(address && address->bits == 128 && std::get<Cidr>(value).contains(address->address));
    }
    case Family::null:
      break;
  }
  return Match::no;
}

Match Condition::any_matches(std::string_view text, const ConditionContext& context) const {
  Match outcome = Match::no;
  for (const Value& value : values_) {
    Match match = value_matches(value, text, context);
    if (match == Match::yes) return match;
    if (match == Match::unresolved) outcome = match;
  }
  return outcome;
}

bool Condition::holds(const ConditionContext& context, bool unresolved) const {
  std::span<const std::string> present = context.find(key_);
  if (family_ == Family::null)
    return std::ranges::any_of(values_, [&](const Value& v) { return std::get<bool>(v) == present.empty(); });
  if (present.empty()) return if_exists_ || set_ == Set::all || (set_ == Set::one && negated_);
  if (set_ == Set::all && context.overflowed(key_)) return false;
  auto satisfied = [&](const std::string& text) {
    Match match = any_matches(text, context);
    if (!negated_) return match == Match::yes;
    return match == Match::unresolved ? unresolved : match == Match::no;
  };
  // A key with several values under an operator for one: what is asked for must be there, what is excluded must not.
  const bool every = set_ == Set::all || (set_ == Set::one && negated_);
  return every ? std::ranges::all_of(present, satisfied) : std::ranges::any_of(present, satisfied);
}

size_t Condition::variables() const {
  size_t sum = 0;
  for (const Value& value : values_) {
    if (const Pattern* pattern = std::get_if<Pattern>(&value)) sum += pattern->variables();
    if (const ArnPattern* arn = std::get_if<ArnPattern>(&value)) sum += arn->variables();
  }
  return sum;
}

bool Condition::restricts_to_fixed_values() const {
  if (negated_ || if_exists_ || set_ == Set::all || family_ == Family::null) return false;
  return std::ranges::all_of(values_, [](const Value& value) {
    if (const Pattern* pattern = std::get_if<Pattern>(&value)) return pattern->fixed();
    if (const ArnPattern* arn = std::get_if<ArnPattern>(&value)) return arn->fixed();
    if (const Cidr* block = std::get_if<Cidr>(&value)) return block->own_bits() >= (block->v4 ? 8 : 32);
    return true;
  });
}

}  // namespace archipel::iam
