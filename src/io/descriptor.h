// Descriptor: a non-blocking file descriptor whose readiness coroutines of one real loop can wait for. Internal to src/io.
#pragma once

#include <array>
#include <coroutine>
#include <memory>

#include "base/clock.h"
#include "io/loop.h"

namespace archipel::io {

enum class Direction { read, write };

// ready may be spurious: try the system call again and come back. timeout: the deadline passed. cancelled: close() was called.
enum class Wake { ready, timeout, cancelled };

// Loop thread only. At most one waiter per direction. Callers try their system call first and wait only after EAGAIN.
class Descriptor {
 public:
  // Takes ownership of `fd`. `loop` must be a real one and outlive this object. If the kernel cannot watch one more (memory, or
  // fs.epoll.max_user_watches), the descriptor is closed from the start.
  Descriptor(Loop& loop, int fd);
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();  // closes

  int fd() const { return fd_; }  // -1 once closed
  bool closed() const { return fd_ < 0; }
  Loop& loop() { return loop_; }

  // Closes the descriptor; waiters resume with `cancelled` in a later turn, when this object may be gone already. Idempotent.
  void close();

  // Wake wake = co_await descriptor.ready(Direction::read, deadline);
  class Ready {
   public:
    Ready(Descriptor& owner, Direction direction, Deadline deadline)
        : owner_(&owner), direction_(direction), deadline_(deadline) {}
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> self);
    Wake await_resume() const noexcept { return wake_; }

   private:
    friend class Descriptor;
    Descriptor* owner_;  // null once the descriptor closed
    const Direction direction_;
    const Deadline deadline_;
    std::coroutine_handle<> self_ = nullptr;
    Wake wake_ = Wake::ready;
  };
  Ready ready(Direction direction, Deadline deadline) { return {*this, direction, deadline}; }

 private:
  struct Impl;
  // One timer per direction, set lazily: a later deadline keeps the earlier timer, which looks again when it fires. So a
  // connection that is read a thousand times within its timeout sets one timer, not a thousand.
  struct Side {
    Ready* waiter = nullptr;
    Loop::TimerId timer = 0;
    TimePoint timer_at{};
  };
  Side& side(Direction direction) { return sides_[static_cast<size_t>(direction)]; }
  void start_wait(Ready& waiter);
  void set_timer(Direction direction, Deadline deadline);
  void on_timer(Direction direction);

  Loop& loop_;
  int fd_;
  std::array<Side, 2> sides_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace archipel::io
