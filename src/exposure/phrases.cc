#include "exposure/phrases.h"

#include <array>
#include <bit>
#include <cstdio>

namespace archipel::exposure::phrases {
namespace {

constexpr size_t kWordsShown = 12;

const char* verb(RuleKind kind) {
  return kind == RuleKind::read ? "read" : "cut";
}

std::string format(const char* pattern, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), pattern, value);
  return text.data();
}

// "leaves 4 of 6 islands: a, b, c, d".
std::string leaves(const Ground& ground, Mask mask) {
  const auto ids = ground.ids(mask);
  std::string text =
      "leaves " + std::to_string(ids.size()) + " of " + count(ground.count(), "island", "islands");
  return ids.empty() ? text : text + ": " + list(ids);
}

// "a and b hold metadata and lie outside".
std::string metadata(const RuleBook& book, const Rule& rule, std::span<const std::string> journal) {
  RuleSet only = 0;
  for (size_t i = 0; i < book.rules().size(); ++i) {
    if (book.rules()[i].kind == rule.kind) only |= RuleSet{1} << i;
  }
  return "the journal holds the metadata of every bucket and lies outside on " +
         list(book.metadata_outside(only, journal));
}

std::string crowded(const RuleBook& book, int most) {
  std::string text;
  for (const auto& [provider, mask] : book.ground().providers()) {
    if (std::popcount(mask) <= most) continue;
    text += (text.empty() ? "" : "; ") + provider + " has " + std::to_string(std::popcount(mask)) +
            " islands: " + list(book.ground().ids(mask));
  }
  return text.empty() ? "no provider has more islands than that" : text;
}

}  // namespace

std::string code(Code code) {
  return "[" + std::to_string(code.n) + ", " + std::to_string(code.k) + "]";
}

std::string list(std::span<const std::string> words) {
  std::string text;
  for (size_t i = 0; i < words.size() && i < kWordsShown; ++i) text += (i == 0 ? "" : ", ") + words[i];
  if (words.size() > kWordsShown) text += " and " + std::to_string(words.size() - kWordsShown) + " more";
  return text;
}

std::string sentences(std::span<const std::string> sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += (text.empty() ? "" : "; ") + sentence;
  return text;
}

std::string quoted(std::span<const std::string> words) {
  std::string text = "[";
  for (size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "\"" : ", \"") + words[i] + "\"";
  return text + "]";
}

std::string bases(std::span<const Basis> of) {
  static constexpr std::array<const char*, 7> kNames = {"place",  "operator", "parent",   "staff",
                                                        "supply", "network",  "sanctions"};
  std::string text;
  for (size_t i = 0; i < of.size(); ++i) {
    text += std::string(i == 0               ? ""
                        : i + 1 == of.size() ? " and "
                                             : ", ") +
            kNames[static_cast<size_t>(of[i])];
  }
  return text;
}

std::string count(uint64_t number, const char* one, const char* many) {
  return std::to_string(number) + " " + (number == 1 ? one : many);
}

std::string dollars(double amount) {
  return format("%.2f", amount);
}

std::string bytes(uint64_t bytes) {
  static constexpr std::array<const char*, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return format(unit == 0 ? "%.0f " : "%.1f ", value) + kUnits[unit];
}

std::string at(const Where& where) {
  return where.empty() ? "" : " (" + where + ")";
}

std::string lies(const RuleBook& book, size_t island) {
  std::string text;
  for (const Basis basis : book.policy().of) {
    std::string states;
    for (const Edge& edge : book.ground().island(island).edges) {
      if (edge.basis == basis) states += (states.empty() ? "" : "/") + edge.state;
    }
    text += (text.empty() ? "" : ", ") + bases(std::span(&basis, 1)) + " " +
            (states.empty() ? "not said" : states);
  }
  return "(" + text + ")";
}

std::string rule(const RuleBook& book, const Rule& rule) {
  const Policy& policy = book.policy();
  const std::string of = " of " + bases(policy.of);
  switch (rule.kind) {
    case RuleKind::code:
      return "code = " + (policy.code ? code(*policy.code) : "any");
    case RuleKind::allow:
      return "residency allow = " + quoted(policy.allow) + of;
    case RuleKind::deny:
      return "residency deny = " + quoted(policy.deny) + of;
    case RuleKind::metadata_allow:
      return "metadata_allow = " + quoted(policy.metadata_allow) + of;
    case RuleKind::metadata_deny:
      return "metadata_deny = " + quoted(policy.metadata_deny) + of;
    case RuleKind::cost:
      return "cost_max = " + dollars(policy.cost_max.value_or(0)) + " US dollars a month for 1 TB";
    case RuleKind::provider:
      return "no provider may hold more than n-k shards";
    case RuleKind::cut:
    case RuleKind::read:
      return "adversary \"" + book.opponents()[rule.opponent].id + "\" may " + verb(rule.kind) + " at most " +
             (rule.kind == RuleKind::cut ? "n-k" : "k-1") + " shards";
  }
  return {};
}

std::string constraint(const RuleBook& book, const Rule& rule, Code code, bool fixed,
                       std::span<const std::string> journal) {
  const Ground& ground = book.ground();
  const std::string name = phrases::rule(book, rule);
  const std::string where = at(book.policy().where);
  const int spare = code.n - code.k;
  const std::string of_code = " of " + phrases::code(code);
  switch (rule.kind) {
    case RuleKind::code:
      return name + " needs " + count(static_cast<uint64_t>(code.n), "island", "islands") + where;
    case RuleKind::allow:
      return name + " " + leaves(ground, book.allowed()) + where;
    case RuleKind::deny:
      return name + " " + leaves(ground, book.not_denied()) + where;
    case RuleKind::metadata_allow:
    case RuleKind::metadata_deny:
      return name + ": " + metadata(book, rule, journal) + where;
    case RuleKind::cost:
      return name + where;
    case RuleKind::provider:
      return name + (fixed ? " (" + std::to_string(spare) + of_code + ")" : "") + ": " +
             crowded(book, fixed ? spare : 1);
    case RuleKind::cut:
    case RuleKind::read: {
      const Opponent& opponent = book.opponents()[rule.opponent];
      const Mask reached = rule.kind == RuleKind::cut ? opponent.cut : opponent.read;
      const int most = rule.kind == RuleKind::cut ? spare : code.k - 1;
      return name + (fixed ? " (" + std::to_string(most) + of_code + ")" : "") + " and reaches " +
             std::to_string(std::popcount(reached)) + " of " + count(ground.count(), "island", "islands") +
             (reached == 0 ? "" : ": " + list(ground.ids(reached))) + where;
    }
  }
  return {};
}

}  // namespace archipel::exposure::phrases
