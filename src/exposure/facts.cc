#include "exposure/facts.h"

#include <span>
#include <utility>

namespace archipel::exposure {
namespace {

constexpr std::pair<Basis, std::string_view> kBases[] = {
    {Basis::place, "place"},         {Basis::operator_, "operator"}, {Basis::parent, "parent"},
    {Basis::staff, "staff"},         {Basis::supply, "supply"},      {Basis::network, "network"},
    {Basis::sanctions, "sanctions"},
};
constexpr std::pair<Level, std::string_view> kLevels[] = {
    {Level::proved, "Proved"},
    {Level::measured, "Measured"},
    {Level::declared, "Declared"},
    {Level::assumed, "Assumed"},
};
constexpr std::pair<Cap, std::string_view> kCaps[] = {
    {Cap::read, "read"}, {Cap::cut, "cut"}, {Cap::both, "both"}};

template <class T>
std::string_view name_of(std::span<const std::pair<T, std::string_view>> names, T value) {
  for (const auto& [known, name] : names)
    if (known == value) return name;
  return "?";
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool same_word(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

}  // namespace

std::string_view to_string(Basis basis) {
  return name_of<Basis>(kBases, basis);
}
std::string_view to_string(Level level) {
  return name_of<Level>(kLevels, level);
}
std::string_view to_string(Cap cap) {
  return name_of<Cap>(kCaps, cap);
}

std::optional<Basis> parse_basis(std::string_view text) {
  for (const auto& [basis, name] : kBases)
    if (name == text) return basis;
  return std::nullopt;
}
std::optional<Level> parse_level(std::string_view text) {
  for (const auto& [level, name] : kLevels)
    if (same_word(name, text)) return level;
  return std::nullopt;
}
std::optional<Cap> parse_cap(std::string_view text) {
  for (const auto& [cap, name] : kCaps)
    if (name == text) return cap;
  return std::nullopt;
}

}  // namespace archipel::exposure
