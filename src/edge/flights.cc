#include "edge/flights.h"

#include <algorithm>

namespace archipel::edge {
namespace {

// With no reader left, so much is still fetched to have it whole.
constexpr uint64_t kFinishBytesMax = 8u << 20;
// … or so much, if all there was were readers of ranges: what is fetched for a byte is bounded (RangeAmp).
constexpr uint64_t kFinishRangeBytesMax = kSliceBytes;

}  // namespace

void Flight::wake(std::unique_lock<std::mutex>& lock) {
  std::vector<Waiter> waiters;
  waiters.swap(waiters_);
  lock.unlock();
  for (const Waiter& w : waiters) w.loop->post([handle = w.handle] { handle.resume(); });
}

Flight::~Flight() {
  if (memory_ != nullptr) memory_->give(counted_);
}

// Under pressure what can be had again is not kept for those who are behind.
void Flight::trim() {
  const bool pressed = memory_ != nullptr && refetchable_ && memory_->pressed();
  while (sealed_.size() > (pressed ? 1 : kWindowSlices)) sealed_.pop_front();
  if (memory_ == nullptr) return;
  uint64_t held = filling_ == nullptr ? 0 : filling_->bytes.size();
  for (const SliceRef& slice : sealed_) held += slice->bytes.size();
  if (held >= counted_) return;
  memory_->give(counted_ - held);
  counted_ = held;
}

void Flight::stream(EntryRef entry, uint32_t first_index) {
  std::unique_lock lock(mutex_);
  moved_ = io::Loop::current()->now();
  phase_ = Phase::streaming;
  entry_ = std::move(entry);
  first_index_ = first_index;
  wake(lock);
}

void Flight::land(EntryRef entry) {
  std::unique_lock lock(mutex_);
  phase_ = Phase::done;
  entry_ = std::move(entry);
  wake(lock);
}

void Flight::release() {
  std::unique_lock lock(mutex_);
  phase_ = Phase::released;
  wake(lock);
}

void Flight::fail(Error error, int status) {
  std::unique_lock lock(mutex_);
  if (phase_ == Phase::failed) return;  // shed
  phase_ = Phase::failed;
  error_ = std::move(error);
  failed_status_ = status;
  wake(lock);
}

MutableBytes Flight::room(std::optional<uint64_t> left) {
  std::unique_lock lock(mutex_);
  if (filling_ == nullptr || filled_ == filling_->bytes.size()) {
    // A new slice as large as it will be if that is known; else one that grows. Readers may hold the old one.
    size_t size = filling_ == nullptr ? kFirstRoomBytes : std::min<size_t>(filled_ * 4, kSliceBytes);
    if (left)
      size = static_cast<size_t>(std::min<uint64_t>(kSliceBytes, filled_ + std::max<uint64_t>(*left, 1)));
    if (memory_ != nullptr) {
      const size_t before = filling_ == nullptr ? 0 : filling_->bytes.size();
      bool taken = memory_->take(size - before);
      if (!taken) {
        size = std::min(size, std::max(filled_ * 2, kSmallBytes));
        taken = memory_->take(size - before);
      }
      if (!taken && size > kSmallBytes) return {};
      if (!taken) memory_->force(size - before);
      counted_ += size - before;
    }
    auto next = std::make_shared<Slice>();
    next->index = first_index_ + sealed_count_;
    next->bytes = Buffer(size);
    if (filled_ > 0) std::memcpy(next->bytes.data(), filling_->bytes.data(), filled_);
    filling_ = std::move(next);
  }
  return filling_->bytes.span().subspan(filled_);
}

SliceRef Flight::commit(size_t size, uint64_t entry_id) {
  std::unique_lock lock(mutex_);
  filled_ += size;
  SliceRef out;
  if (filled_ == kSliceBytes) {
    filling_->entry = entry_id;
    out = std::exchange(filling_, nullptr);
    filled_ = 0;
    sealed_count_++;
    sealed_.push_back(out);
    trim();
  }
  wake(lock);
  return out;
}

SliceRef Flight::seal(uint64_t entry_id) {
  std::unique_lock lock(mutex_);
  if (filled_ == 0) return nullptr;
  std::shared_ptr<Slice> last;
  if (filled_ == filling_->bytes.size()) {
    last = filling_;
  } else {
    // Its buffer would cost what it could hold.
    last = std::make_shared<Slice>();
    last->index = filling_->index;
    last->bytes = Buffer::copy_of(filling_->bytes.view().first(filled_));
  }
  last->entry = entry_id;
  filling_ = nullptr;
  filled_ = 0;
  sealed_count_++;
  sealed_.push_back(last);
  trim();
  return last;
}

void Flight::finish(EntryRef entry) {
  std::unique_lock lock(mutex_);
  phase_ = Phase::done;
  entry_ = std::move(entry);
  wake(lock);
}

uint64_t Flight::available() const {
  return (static_cast<uint64_t>(first_index_) + sealed_count_) * kSliceBytes + filled_ -
         (sealed_.empty() || filled_ > 0 ? 0 : kSliceBytes - sealed_.back()->bytes.size());
}

Flight::Pace Flight::pace_locked(const Going& going) const {
  if (phase_ == Phase::failed) return Pace::abandon;
  const uint64_t have = available();
  if (readers_ == 0) {
    const uint64_t most = wanted_ == kWholeBody ? kFinishBytesMax : kFinishRangeBytesMax;
    return going.stored && going.left.value_or(have) <= most ? Pace::go : Pace::abandon;
  }
  if (wanted_ != kWholeBody && have >= wanted_ + kSliceBytes) return Pace::wait;
  const uint64_t begin = static_cast<uint64_t>(first_index_) * kSliceBytes;
  if (memory_ != nullptr && have > std::max(fastest_, begin) && memory_->pressed()) return Pace::wait;
  if (!(going.stored && going.again) && have >= fastest_ + (kWindowSlices - 2) * kSliceBytes)
    return Pace::wait;
  return Pace::go;
}

Flight::Pace Flight::pace(const Going& going) {
  std::unique_lock lock(mutex_);
  Pace out = pace_locked(going);
  if (out == Pace::abandon) abandoned_ = true;
  paused_ = out == Pace::wait;
  refetchable_ = going.stored && entry_ != nullptr && entry_->ranges;
  return out;
}

void Flight::starve(bool waits) {
  std::unique_lock lock(mutex_);
  starved_ = waits;
}

uint64_t Flight::shed(TimePoint now) {
  std::unique_lock lock(mutex_);
  if (!(paused_ || starved_) || phase_ != Phase::streaming || moved_ + kStalledMin > now) return 0;
  for (const Waiter& waiter : waiters_)
    if (waiter.what == Wait::For::bytes) return 0;
  phase_ = Phase::failed;
  error_ = {Code::limit, "its readers were too slow for the memory that there is", {}};
  sealed_.clear();
  filling_ = nullptr;
  filled_ = 0;
  const uint64_t freed = counted_;
  trim();
  memory_->ended.fetch_add(1, std::memory_order_relaxed);
  wake(lock);
  return freed;
}

TimePoint Flight::moved() const {
  std::unique_lock lock(mutex_);
  return moved_;
}

Flight::Phase Flight::phase() const {
  std::unique_lock lock(mutex_);
  return phase_;
}
EntryRef Flight::entry() const {
  std::unique_lock lock(mutex_);
  return entry_;
}
Error Flight::error() const {
  std::unique_lock lock(mutex_);
  return error_;
}
int Flight::failed_status() const {
  std::unique_lock lock(mutex_);
  return failed_status_;
}

bool Flight::enter(uint64_t end) {
  std::unique_lock lock(mutex_);
  if (abandoned_ || phase_ == Phase::failed) return false;
  readers_++;
  if (end > wanted_) {
    wanted_ = end;
    wake(lock);
  }
  return true;
}

void Flight::leave() {
  std::unique_lock lock(mutex_);
  readers_--;
  if (readers_ == 0) wake(lock);
}

Flight::Piece Flight::read(uint64_t offset) {
  std::unique_lock lock(mutex_);
  Piece out;
  const uint64_t have = available();
  const bool wakes = offset > fastest_ && phase_ == Phase::streaming;
  fastest_ = std::max(fastest_, offset);
  moved_ = io::Loop::current()->now();
  if (offset >= have) {
    out.kind = phase_ == Phase::done     ? Piece::Kind::end
               : phase_ == Phase::failed ? Piece::Kind::failed
                                         : Piece::Kind::later;
  } else {
    const uint64_t index = offset / kSliceBytes;
    const size_t within = static_cast<size_t>(offset % kSliceBytes);
    const uint64_t next = static_cast<uint64_t>(first_index_) + sealed_count_;
    out.kind = Piece::Kind::gone;
    if (index == next && filling_ != nullptr) {
      out.kind = Piece::Kind::bytes;
      out.hold = filling_;
      out.bytes = ByteView(filling_->bytes.data(), filled_).subspan(within);
    } else if (index < next && index + sealed_.size() >= next) {
      out.kind = Piece::Kind::bytes;
      out.hold = sealed_[static_cast<size_t>(index + sealed_.size() - next)];
      out.bytes = out.hold->bytes.view().subspan(within);
    }
  }
  if (wakes) wake(lock);
  return out;
}

bool Flight::settled(const Wait& wait) const {
  switch (wait.what) {
    case Wait::For::head:
      return phase_ != Phase::asking;
    case Wait::For::bytes:
      return phase_ != Phase::streaming || available() > wait.offset;
    case Wait::For::pace:
      return pace_locked(wait.going) != Pace::wait;
  }
  return true;
}

bool Flight::Wait::await_suspend(std::coroutine_handle<> self) {
  std::unique_lock lock(flight.mutex_);
  if (flight.settled(*this)) return false;
  // Woken at every change; whoever waits looks again.
  flight.waiters_.push_back({io::Loop::current(), self, what});
  return true;
}

Flights::Joined Flights::join(const Key& key, uint64_t stamp) {
  Shard& s = shard(key);
  std::lock_guard lock(s.mutex);
  auto [at, fresh] = s.flights.try_emplace(key);
  if (!fresh && at->second->stamp() >= stamp) return {at->second, false};
  if (fresh) count_.fetch_add(1, std::memory_order_relaxed);
  at->second = std::make_shared<Flight>(stamp, 0, memory_);
  return {at->second, true};
}

FlightRef Flights::find(const Key& key) {
  Shard& s = shard(key);
  std::lock_guard lock(s.mutex);
  auto at = s.flights.find(key);
  return at == s.flights.end() ? nullptr : at->second;
}

void Flights::forget(const Key& key, const FlightRef& flight) {
  Shard& s = shard(key);
  std::lock_guard lock(s.mutex);
  auto at = s.flights.find(key);
  if (at == s.flights.end() || at->second != flight) return;
  s.flights.erase(at);
  count_.fetch_sub(1, std::memory_order_relaxed);
}

void Flights::enlist(uint64_t entry_id, FlightRef flight) {
  Shard& s = shard(entry_id);
  std::lock_guard lock(s.mutex);
  s.bodies[entry_id] = std::move(flight);
}

void Flights::delist(uint64_t entry_id, const FlightRef& flight) {
  Shard& s = shard(entry_id);
  std::lock_guard lock(s.mutex);
  auto at = s.bodies.find(entry_id);
  if (at != s.bodies.end() && at->second == flight) s.bodies.erase(at);
}

FlightRef Flights::by_entry(uint64_t entry_id) {
  Shard& s = shard(entry_id);
  std::lock_guard lock(s.mutex);
  auto at = s.bodies.find(entry_id);
  return at == s.bodies.end() ? nullptr : at->second;
}

void Flights::shed(uint64_t bytes, TimePoint now) {
  std::vector<std::pair<TimePoint, FlightRef>> all;
  for (Shard& s : shards_) {
    std::lock_guard lock(s.mutex);
    for (const auto& [key, flight] : s.flights) all.emplace_back(TimePoint{}, flight);
    for (const auto& [id, flight] : s.bodies) all.emplace_back(TimePoint{}, flight);
  }
  for (auto& [moved, flight] : all) moved = flight->moved();
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  uint64_t freed = 0;
  for (const auto& [moved, flight] : all) {
    if (freed >= bytes || moved + kStalledMin > now) break;
    freed += flight->shed(now);
  }
}

void Flights::mark_hit_for_miss(const Key& key, TimePoint until) {
  Shard& s = shard(key);
  std::lock_guard lock(s.mutex);
  auto [at, fresh] = s.marks.insert_or_assign(key, until);
  if (!fresh) return;
  s.mark_order.push_back(key);
  if (s.mark_order.size() > kHitForMissMax) {
    s.marks.erase(s.mark_order.front());
    s.mark_order.pop_front();
  }
}

bool Flights::is_hit_for_miss(const Key& key, TimePoint now) {
  Shard& s = shard(key);
  std::lock_guard lock(s.mutex);
  auto at = s.marks.find(key);
  return at != s.marks.end() && at->second > now;
}

void Flights::clear_hit_for_miss(const Key& key) {
  Shard& s = shard(key);
  std::lock_guard lock(s.mutex);
  // Its place in the order stays until its turn comes: at most kHitForMissMax of them.
  auto at = s.marks.find(key);
  if (at != s.marks.end()) at->second = TimePoint::min();
}

uint64_t Flights::marks() const {
  uint64_t out = 0;
  for (const Shard& s : shards_) {
    std::lock_guard lock(s.mutex);
    out += s.marks.size();
  }
  return out;
}

}  // namespace archipel::edge
