#include "edge/rates.h"

#include <algorithm>
#include <cmath>

#include "crypto/short_hash.h"

namespace archipel::edge {
namespace {

double seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

Rates::Rates(size_t clients_max, Random& random)
    : secret_(random.bytes<16>()), count_(std::max<size_t>(1, clients_max / kWays)) {
  sets_ = std::make_unique<Set[]>(count_);
}

bool Rates::take(std::string_view what, double rate, double burst, TimePoint now, int& wait_s) {
  // Keyed: nobody can choose names that meet in one set.
  const crypto::ShortHash hash = crypto::short_hash(secret_, as_bytes(what));
  const uint64_t high = hash.high | 1, low = hash.low;
  Set& set = sets_[low % count_];
  std::lock_guard lock(set.mutex);
  Bucket* mine = nullptr;
  Bucket* fullest = &set.ways[0];
  double most = -1;
  for (Bucket& bucket : set.ways) {
    if (bucket.high == high && bucket.low == low) {
      mine = &bucket;
      break;
    }
    double fill = bucket.high == 0 ? 2 : bucket.tokens / std::max(bucket.burst, 1.0);
    if (fill > most) std::tie(most, fullest) = std::tuple(fill, &bucket);
  }
  if (mine == nullptr) {
    mine = fullest;
    *mine = {high, low, burst, burst, now};
  }
  mine->tokens = std::min(burst, mine->tokens + rate * std::max(0.0, seconds(now - mine->at)));
  mine->at = now;
  mine->burst = burst;
  if (mine->tokens >= 1) {
    mine->tokens -= 1;
    return true;
  }
  wait_s = static_cast<int>(std::min(3600.0, std::ceil((1 - mine->tokens) / rate)));
  return false;
}

}  // namespace archipel::edge
