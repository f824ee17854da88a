// ScrubPace: so many bytes a second, and clients first. Internal to the scrubber. Home loop only.
#pragma once

#include <algorithm>
#include <functional>

#include "extent/scrub.h"
#include "io/sync.h"

namespace archipel::store {

class ScrubPace final : public extent::Pace {
 public:
  // bytes_per_second 0: no limit.
  ScrubPace(io::Loop& loop, uint64_t bytes_per_second, std::function<bool()> busy, Duration yield)
      : loop_(loop), rate_(bytes_per_second), busy_(std::move(busy)), yield_(yield) {}

  io::Task<void> spend(uint64_t bytes) override {
    moved_ += bytes + kBytesPerCall;
    if (moved_ >= kYieldEvery) {
      moved_ = 0;
      co_await yield();
    }
    if (rate_ == 0) co_return;
    const TimePoint at = std::max(next_, loop_.now());
    next_ =
        at + Duration(static_cast<int64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(rate_)));
    while (!stopping_ && loop_.now() < at) {
      [[maybe_unused]] bool woken = co_await stopped_.wait(at);
    }
  }
  bool stopping() const override { return stopping_; }
  void stop() {
    stopping_ = true;
    stopped_.notify_all();
  }

 private:
  // Waits its turn, one after the other, for as long as clients are at work.
  io::Task<void> yield() {
    const TimePoint turn = std::max(turn_, loop_.now()) + yield_;
    turn_ = turn;
    while (!stopping_ && busy_ && busy_() && loop_.now() < turn) {
      [[maybe_unused]] bool woken = co_await stopped_.wait(std::min(turn, loop_.now() + kLookEvery));
    }
    if (loop_.now() < turn)
      turn_ = loop_.now();  // no client is at work any more: nobody has a turn to wait for
  }

  static constexpr Duration kLookEvery = std::chrono::milliseconds(5);
  static constexpr uint64_t kYieldEvery = 1u << 20;     // bytes between two turns of clients
  static constexpr uint64_t kBytesPerCall = 16u << 10;  // what a call costs beside its bytes
  io::Loop& loop_;
  const uint64_t rate_;
  const std::function<bool()> busy_;
  const Duration yield_;
  TimePoint next_{}, turn_{};
  uint64_t moved_ = 0;
  bool stopping_ = false;
  io::Event stopped_;
};

}  // namespace archipel::store
