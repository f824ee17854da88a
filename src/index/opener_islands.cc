#include <algorithm>

#include "base/log.h"
#include "index/opener.h"

namespace archipel::index {

int Opener::count(Seen state) const {
  return static_cast<int>(
      std::ranges::count_if(seen_, [&](const IslandSeen& s) { return s.state == state; }));
}

// Does an island without marker join, empty?
bool Opener::joins(size_t i) const {
  const std::string& id = placement_.islands[i]->id();
  return options_.rejoin_wiped || std::ranges::find(options_.rejoin, id) != options_.rejoin.end() ||
         std::ranges::any_of(options_.gone, [&](const Gone& g) { return g.replacement == id; });
}

// What was said about islands, against what they show.
Result<void> Opener::hear_operator() {
  auto find = [&](const std::string& id) {
    return static_cast<size_t>(
        std::ranges::find_if(placement_.islands, [&](const auto& i) { return i->id() == id; }) -
        placement_.islands.begin());
  };
  for (const Gone& gone : options_.gone) {
    const std::string& configured = gone.replacement.empty() ? gone.id : gone.replacement;
    const size_t i = find(configured);
    if (i == seen_.size())
      return fail(Code::invalid,
                  "island " + configured + " is not in the configuration; put it where " + gone.id + " was");
    if (!gone.replacement.empty()) continue;
    if (seen_[i].state == Seen::present)
      return fail(Code::invalid,
                  "island " + gone.id + " answers and has its data: it is not gone. Nothing was written");
    seen_[i].state = Seen::lost;
    seen_[i].refused = true;
    reports_[i].state = IslandReport::State::lost;
    reports_[i].refused = true;
  }
  for (const std::string& id : options_.rejoin) {
    const size_t i = find(id);
    if (i == seen_.size()) return fail(Code::invalid, "island " + id + " is not in the configuration");
    if (seen_[i].state == Seen::present)
      return fail(Code::invalid,
                  "island " + id + " has its marker and takes part: there is nothing to rejoin");
    if (seen_[i].state == Seen::silent)
      return fail(Code::unavailable, "island " + id + " cannot be rejoined: " + seen_[i].reason);
  }
  return {};
}

uint32_t Opener::present_shards() const {
  uint32_t mask = 0;
  for (size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i].state == Seen::present) mask |= 1u << i;
  }
  return mask;
}

std::string Opener::list(Seen state) const {
  std::string out;
  for (size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i].state != state) continue;
    out += (out.empty() ? "" : ", ") + placement_.islands[i]->id();
  }
  return out;
}

std::string Opener::reasons(Seen state) const {
  std::string out;
  for (const IslandSeen& seen : seen_) {
    if (seen.state == state) out += (out.empty() ? "" : "; ") + seen.reason;
  }
  return out;
}

// With fewer than k the chain could not be known; with fewer than w the new epoch not be opened.
Result<void> Opener::refuse_if_too_few(int present_needed, int able_needed) const {
  const int present = count(Seen::present), lost = count(Seen::lost);
  int able = present;
  for (size_t i = 0; i < seen_.size(); ++i) able += seen_[i].state == Seen::lost && joins(i) ? 1 : 0;
  const std::string of_all = " of " + std::to_string(options_.code.n) + " islands ";
  std::string facts;
  if (lost > 0) facts += "; lost (no marker): " + list(Seen::lost);
  if (count(Seen::silent) > 0)
    facts += "; unreachable: " + list(Seen::silent) + " (" + reasons(Seen::silent) + ")";
  if (present < present_needed) {
    return fail(Code::unavailable, "only " + std::to_string(present) + of_all + "have their data, and " +
                                       std::to_string(present_needed) + " are needed: bring back " +
                                       std::to_string(present_needed - present) + " more" + facts +
                                       ". Nothing was written");
  }
  if (able < able_needed) {
    return fail(Code::unavailable, "only " + std::to_string(able) + of_all + "can take part, and " +
                                       std::to_string(able_needed) + " are needed to write: bring back " +
                                       std::to_string(able_needed - able) + " more, or rejoin lost ones" +
                                       facts + ". Nothing was written");
  }
  return {};
}

// A realm is made only where there is no trace of one, or where making one had begun here and was interrupted.
}  // namespace archipel::index
