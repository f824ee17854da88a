#include "io/sim/sim_loop.h"

#include <algorithm>

namespace archipel::io {
namespace {

constexpr unsigned kSlotBits = 20;  // timers at one time
constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;

// What a trip to a worker and back takes: mostly little, now and then a busy pool or a slow disk.
constexpr Duration kJobMin = std::chrono::microseconds(5);
constexpr Duration kJobUsual = std::chrono::microseconds(200);
constexpr Duration kJobSlow = std::chrono::milliseconds(20);
constexpr uint64_t kSlowJobOneOf = 50;

}  // namespace

SimLoop::SimLoop(uint64_t seed, Duration timer_jitter_max) : dice_(seed), jitter_(timer_jitter_max) {}

SimLoop::~SimLoop() {
  // What callbacks hold may post or cancel while it goes away, so the loop is whole until here.
  auto ready = std::exchange(ready_, {});
  ready.clear();
  auto slots = std::exchange(slots_, {});
  slots.clear();
}

void SimLoop::post(Callback callback) {
  ready_.push_back(std::move(callback));
}

Loop::TimerId SimLoop::run_at(TimePoint when, Callback callback) {
  uint32_t slot;
  if (free_slots_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    CHECK(slot < kSlotMask);
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  const TimerId id = next_serial_++ << kSlotBits | slot;
  slots_[slot].id = id;
  slots_[slot].callback = std::move(callback);
  if (jitter_.count() > 0 && when > now_ && when < TimePoint::max() - jitter_)
    when += dice_.between(Duration(0), jitter_);
  heap_.push_back({when, id});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  return id;
}

bool SimLoop::cancel(TimerId id) {
  const auto slot = static_cast<uint32_t>(id & kSlotMask);
  if (slot >= slots_.size() || slots_[slot].id != id) return false;
  slots_[slot].id = 0;
  free_slots_.push_back(slot);
  // Destroyed last: that may come back here.
  Callback dead = std::move(slots_[slot].callback);
  return true;
}

bool SimLoop::drop_dead_top() {
  while (!heap_.empty() && slots_[heap_.front().id & kSlotMask].id != heap_.front().id) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }
  return !heap_.empty();
}

void SimLoop::fire_top() {
  const Timer top = heap_.front();
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  heap_.pop_back();
  const auto slot = static_cast<uint32_t>(top.id & kSlotMask);
  Callback callback = std::move(slots_[slot].callback);
  slots_[slot].id = 0;
  free_slots_.push_back(slot);
  now_ = std::max(now_, top.when);
  callback();
}

void SimLoop::at_turn(uint64_t turn, std::move_only_function<bool()> hook) {
  hook_turn_ = turn;
  hook_ = std::move(hook);
}

void SimLoop::run() {
  Loop* outer = current();
  set_current(this);
  stopped_ = false;
  for (end_ = End::stopped; !stopped_;) {
    if (turns_ >= turns_max_) {
      end_ = End::turns;
      break;
    }
    if (turns_ >= hook_turn_ && !hook_()) hook_turn_ = UINT64_MAX;
    ++turns_;
    const bool timer = drop_dead_top();
    if (ready_.empty()) {
      if (!timer) {
        end_ = End::stalled;
        break;
      }
      fire_top();
      continue;
    }
    if (timer && heap_.front().when <= now_ && dice_.chance(1, 2)) {
      fire_top();
      continue;
    }
    Callback callback = std::move(ready_.front());
    ready_.pop_front();
    callback();
  }
  set_current(outer);
}

void SimWorkers::submit(Callback job) {
  Duration delay = dice_.between(kJobMin, dice_.chance(1, kSlowJobOneOf) ? kJobSlow : kJobUsual);
  ++waiting_;
  loop_.run_at(loop_.now() + delay, [this, work = std::move(job)]() mutable {
    --waiting_;
    work();
  });
}

}  // namespace archipel::io
