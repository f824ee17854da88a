#include "edge/policy.h"

namespace archipel::edge {

bool glob_captures(std::string_view pattern, std::string_view text, std::vector<std::string_view>& stars) {
  stars.clear();
  // The last star is the only one that ever has to give way: what stood before it has matched as early as it can.
  size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
      stars.push_back(text.substr(t, 0));
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      stars.back() = text.substr(taken, stars.back().size() + 1);
      t = taken + stars.back().size();
      p = star + 1;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') {
    stars.push_back(text.substr(text.size()));
    ++p;
  }
  return p == pattern.size();
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  if (pattern == "*") return true;
  size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace archipel::edge
