#include "edge/reader_memory.h"

namespace archipel::edge {

bool ReaderMemory::add(std::atomic<uint64_t>& held, uint64_t bytes) const {
  const uint64_t most = share();
  uint64_t now = held.load(std::memory_order_relaxed);
  do {
    if (now + bytes > most) return false;
  } while (!held.compare_exchange_weak(now, now + bytes, std::memory_order_relaxed));
  return true;
}

// Whoever takes the number of writers from zero has paid, and whoever takes it back to zero is paid: in whatever order threads come, a slice with writers is
// paid for once.
bool ReaderMemory::pin(const Slice& slice) {
  uint32_t writers = slice.writers.load(std::memory_order_relaxed);
  while (writers > 0)
    if (slice.writers.compare_exchange_weak(writers, writers + 1, std::memory_order_relaxed)) return true;
  if (!add(pins_, slice.bytes.size())) return false;
  if (slice.writers.fetch_add(1, std::memory_order_relaxed) > 0)
    pins_.fetch_sub(slice.bytes.size(), std::memory_order_relaxed);
  return true;
}

void ReaderMemory::unpin(const Slice& slice) {
  if (slice.writers.fetch_sub(1, std::memory_order_relaxed) == 1)
    pins_.fetch_sub(slice.bytes.size(), std::memory_order_relaxed);
}

bool ReaderMemory::may_look(TimePoint now) {
  const int64_t at = now.time_since_epoch().count();
  int64_t next = next_look_.load(std::memory_order_relaxed);
  const int64_t pause = std::chrono::duration_cast<TimePoint::duration>(kRoomPause).count();
  return at >= next && next_look_.compare_exchange_strong(next, at + pause, std::memory_order_relaxed);
}

void Pins::Pin::release() {
  if (owner_ == nullptr) return;
  owner_->memory_.unpin(*slice_);
  owner_->pins_.erase(at_);
  owner_ = nullptr;
  slice_ = nullptr;
}

bool Pins::hold(Pin& pin, const SliceRef& slice, http::Exchange& exchange, TimePoint now) {
  if (pin.owner_ != nullptr && pin.slice_ == slice) {
    pin.since_ = now;
    pins_.splice(pins_.end(), pins_, pin.at_);
    return true;
  }
  pin.release();
  if (slice->bytes.size() <= kSmallBytes) return true;
  if (!memory_.pin(*slice)) return false;
  pin.owner_ = this;
  pin.slice_ = slice;
  pin.exchange_ = &exchange;
  pin.since_ = now;
  pin.at_ = pins_.insert(pins_.end(), &pin);
  return true;
}

void Pins::end_slow(TimePoint now) {
  // Ending one may resume it, and take its pin out of the list.
  while (!pins_.empty() && pins_.front()->since_ + kSlowWrite <= now) {
    Pin* pin = pins_.front();
    pin->since_ = now;  // not again before its write has noticed
    pins_.splice(pins_.end(), pins_, pin->at_);
    memory_.ended.fetch_add(1, std::memory_order_relaxed);
    pin->exchange_->end_now();
  }
}

}  // namespace archipel::edge
