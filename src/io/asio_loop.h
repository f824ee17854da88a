// AsioLoop: the real Loop, and what Descriptor and Signals need of it. Internal to src/io.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "io/loop.h"

namespace boost::asio {
class io_context;
}

namespace archipel::io {

// A turn is one callback (and what it resumes): now() is read once in it, and only if somebody asks.
class AsioLoop final : public Loop {
 public:
  AsioLoop();
  ~AsioLoop() override;

  TimePoint now() override;
  void post(Callback callback) override;
  TimerId run_at(TimePoint when, Callback callback) override;
  bool cancel(TimerId id) override;
  void run() override;
  void stop() override;

  boost::asio::io_context& context();
  // Every handler that Asio calls starts with this.
  void begin_turn() { now_valid_ = false; }

  // `loop`, which must be a real one: sockets cannot be watched by a simulated loop (CHECK).
  static AsioLoop& of(Loop& loop);

 private:
  struct Impl;
  struct Timer {
    TimePoint when;
    TimerId id;
    bool operator>(const Timer& o) const { return when != o.when ? when > o.when : id > o.id; }
  };

  void drain();
  void fire_timers();
  void arm();
  void compact();
  void drop_dead_top();
  bool on_loop_thread() const { return current() == this || !running_.load(std::memory_order_relaxed); }

  // Guards inbox_, drain_pending_ and stopped_. stop() holds it to its end, and post() counts itself in wakers_ for what it does
  // after releasing it: so the destructor knows when no other thread is inside any more.
  std::mutex mutex_;
  std::vector<Callback> inbox_;
  bool drain_pending_ = false;
  bool stopped_ = false;
  std::atomic<int> wakers_ = 0;

  std::atomic<bool> running_ = false;
  std::vector<Callback> batch_;
  std::vector<Timer>
      heap_;  // a min-heap; entries of cancelled timers stay until they surface or compact() drops them
  std::unordered_map<TimerId, Callback> timers_;
  TimerId next_timer_ = 1;
  TimePoint armed_ = TimePoint::max();
  TimePoint now_{};
  bool now_valid_ = false;
  std::unique_ptr<Impl> impl_;
};

}  // namespace archipel::io
