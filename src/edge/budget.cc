#include "edge/budget.h"

namespace archipel::edge {

Budget::Second& Budget::second(TimePoint now) {
  const int64_t number = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  Second& out = seconds_[static_cast<size_t>(number % kSeconds)];
  if (out.number != number) out = {number, 0, 0};
  return out;
}

void Budget::request(TimePoint now) {
  ++second(now).requests;
}

bool Budget::take(TimePoint now) {
  Second& current = second(now);
  uint64_t requests = 0, taken = 0;
  for (const Second& one : seconds_) {
    if (one.number <= current.number - kSeconds) continue;
    requests += one.requests;
    taken += one.taken;
  }
  // The minimum counts for the second, not for the window: what was not used is not saved up for a storm.
  const double share = part_ * static_cast<double>(requests);
  if (static_cast<double>(taken + 1) > share && static_cast<double>(current.taken + 1) > least_) return false;
  ++current.taken;
  return true;
}

}  // namespace archipel::edge
