// EpollLoop: the real Loop, over epoll, and what Descriptor and Signals need of it. Internal to src/io.
//
// Descriptors are watched edge-triggered (epoll(7), EPOLLET): registered once, and never armed again. One epoll_wait tells of many; all that it told is
// handled before the next. So a request on a connection that is kept alive costs its recv and its send, and a share of an epoll_wait.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/loop.h"

namespace archipel::io {

// A turn is one callback (and what it resumes): now() is read once in it, and only if somebody asks.
class EpollLoop final : public Loop {
 public:
  // Told about one descriptor, on the loop's thread, each time in a turn of its own. Either call may destroy it.
  class Watched {
   public:
    // What the kernel says has changed: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLPRI, EPOLLHUP, EPOLLERR.
    virtual void on_events(uint32_t events) = 0;
    // The turn that was asked for with call_again().
    virtual void on_again(uint32_t what) = 0;

   protected:
    ~Watched() = default;
  };
  struct Watch;  // of one descriptor

  EpollLoop();
  ~EpollLoop() override;

  TimePoint now() override;
  void post(Callback callback) override;
  TimerId run_at(TimePoint when, Callback callback) override;
  bool cancel(TimerId id) override;
  void run() override;
  void stop() override;

  // Calls `target` for what happens to `fd` from now on, what is true of it already included, until unwatch(), which comes before the descriptor is
  // closed. Null if the kernel cannot watch one more. watch(): any thread, the first event may come before it returns; unwatch(): loop thread, or
  // while the loop does not run.
  Watch* watch(int fd, Watched& target);
  void unwatch(int fd, Watch* watch);
  // Calls on_again(what) when other descriptors had their turn; not if it is unwatched by then. Loop thread.
  void call_again(Watch* watch, uint32_t what) { again_.emplace_back(watch, what); }

  // `loop`, which must be a real one: sockets cannot be watched by a simulated loop (CHECK).
  static EpollLoop& of(Loop& loop);

 private:
  struct Timer {
    TimePoint when;
    TimerId id;
    bool operator>(const Timer& o) const { return when != o.when ? when > o.when : id > o.id; }
  };

  void begin_turn() { now_valid_ = false; }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  void run_posted();
  Duration fire_timers();
  void compact();
  void drop_dead_top();
  int wait(void* events, Duration patience);
  void look(Duration patience);
  void run_again();
  void forget_retired();
  void wake() const;
  bool on_loop_thread() const { return current() == this || !running_.load(std::memory_order_relaxed); }

  const int set_;    // the epoll set
  const int alarm_;  // an eventfd: written to by other threads, never read, which an edge does not need

  // Guards inbox_, retired_, and changes of pending_ and stopped_. stop() holds it to its end, and post() counts itself in wakers_ for what it does
  // after releasing it: so the destructor knows when no other thread is inside any more.
  std::mutex mutex_;
  std::vector<Callback> inbox_;
  std::vector<std::unique_ptr<Watch>> retired_;  // unwatched; events told already may still name them
  std::atomic<bool> pending_ = false;            // something is in inbox_
  std::atomic<bool> retiring_ = false;           // something is in retired_
  std::atomic<bool> stopped_ = false;
  std::atomic<int> wakers_ = 0;

  std::atomic<bool> running_ = false;
  bool precise_ = true;  // the kernel has epoll_pwait2
  std::vector<Callback> batch_;
  std::vector<std::pair<Watch*, uint32_t>> again_, again_batch_;
  std::vector<Timer>
      heap_;  // a min-heap; entries of cancelled timers stay until they surface or compact() drops them
  std::unordered_map<TimerId, Callback> timers_;
  TimerId next_timer_ = 1;
  TimePoint now_{};
  bool now_valid_ = false;
};

}  // namespace archipel::io
