#include "edge/ghost.h"

#include <algorithm>
#include <bit>

namespace archipel::edge {
namespace {
// Buckets are twice as many as needed when all are equally full, so that hardly a key is pushed out before its time.
constexpr size_t kSpare = 2;
constexpr size_t kBucketsMin = 16;
}  // namespace

Ghost::Ghost(size_t keys_max) : keys_max_(std::max<size_t>(keys_max, 1)) {
  buckets_.resize(kBucketsMin);
}

void Ghost::set_capacity(size_t keys) {
  capacity_ = std::min(keys, keys_max_);
}

void Ghost::grow(size_t keys) {
  size_t wanted = std::bit_ceil(std::max(kBucketsMin, keys * kSpare / kPlaces));
  if (wanted <= buckets_.size()) return;
  std::vector<Bucket> old(wanted);
  old.swap(buckets_);
  for (const Bucket& bucket : old)
    for (const Place& place : bucket.places)
      if (young(place)) put(place);
}

void Ghost::put(Place place) {
  Bucket& bucket = buckets_[place.print & (buckets_.size() - 1)];
  Place* oldest = &bucket.places[0];
  for (Place& p : bucket.places) {
    if (p.print == place.print || !young(p)) {
      p = place;
      return;
    }
    if (now_ - p.when > now_ - oldest->when) oldest = &p;
  }
  *oldest = place;
}

void Ghost::remember(uint64_t hash) {
  if (capacity_ == 0) return;
  grow(capacity_);
  if (++now_ == 0) ++now_;
  put({static_cast<uint32_t>(hash), now_});
}

bool Ghost::knows(uint64_t hash) const {
  const auto print = static_cast<uint32_t>(hash);
  for (const Place& p : buckets_[print & (buckets_.size() - 1)].places)
    if (p.print == print && young(p)) return true;
  return false;
}

void Ghost::forget(uint64_t hash) {
  const auto print = static_cast<uint32_t>(hash);
  for (Place& p : buckets_[print & (buckets_.size() - 1)].places)
    if (p.print == print) p = {};
}

}  // namespace archipel::edge
