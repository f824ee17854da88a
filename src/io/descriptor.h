// Descriptor: a non-blocking file descriptor whose readiness coroutines of one real loop can wait for. Internal to src/io.
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>

#include "base/clock.h"
#include "io/epoll_loop.h"

namespace archipel::io {

enum class Direction { read, write };

// ready may be spurious: try the system call again and come back. timeout: the deadline passed. cancelled: close() was called.
enum class Wake { ready, timeout, cancelled };

// The loop hears of changes only (EpollLoop), so a descriptor remembers for each direction whether it is worth a try: yes after an event, no after
// blocked(). Callers try while may(direction), say blocked() when nothing is left to be done, and wait then.
//
// Loop thread only, but the constructor. At most one waiter per direction.
class Descriptor final : private EpollLoop::Watched {
 public:
  // Takes ownership of `fd`. `loop` must be a real one and outlive this object. If the kernel cannot watch one more (memory, or
  // fs.epoll.max_user_watches), the descriptor is closed from the start. It may be written to until blocked(), and read from after the first event,
  // which comes at once if there is something to read.
  Descriptor(Loop& loop, int fd);
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();  // closes

  int fd() const { return fd_; }  // -1 once closed
  bool closed() const { return fd_ < 0; }
  Loop& loop() { return loop_; }

  // Closes the descriptor; waiters resume with `cancelled` in a later turn, when this object may be gone already. Idempotent.
  void close();

  // False: a system call would only say EAGAIN.
  bool may(Direction direction) const { return sides_[static_cast<size_t>(direction)].may; }
  // A system call of this turn said EAGAIN.
  void blocked(Direction direction) { side(direction).may = false; }
  // It did less than it was asked for, which on a stream means that nothing is left (epoll(7), question 9); but an end, an error or urgent data
  // may lie behind what was read, so once one of those was announced only EAGAIN counts.
  void did_part(Direction direction) { side(direction).may = side(direction).may && special_; }

  // Resumes at the next event; or, if the direction may be tried already, when the loop's other descriptors had their turn.
  //   Wake wake = co_await descriptor.ready(Direction::read, deadline);
  class Ready {
   public:
    Ready(Descriptor& owner, Direction direction, Deadline deadline)
        : owner_(&owner), direction_(direction), deadline_(deadline) {}
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> self);
    Wake await_resume() const noexcept { return wake_; }

   private:
    friend class Descriptor;
    Descriptor* owner_;
    const Direction direction_;
    const Deadline deadline_;
    std::coroutine_handle<> self_ = nullptr;
    Wake wake_ = Wake::ready;
  };
  Ready ready(Direction direction, Deadline deadline) { return {*this, direction, deadline}; }

 private:
  // One timer per direction, set lazily: a later deadline keeps the earlier timer, which looks again when it fires. So a
  // connection that is read a thousand times within its timeout sets one timer, not a thousand.
  struct Side {
    Ready* waiter = nullptr;
    Loop::TimerId timer = 0;
    TimePoint timer_at{};
    bool may = false;
  };
  Side& side(Direction direction) { return sides_[static_cast<size_t>(direction)]; }
  void on_events(uint32_t events) override;
  void on_again(uint32_t direction) override;
  void wake(Direction direction, Wake wake);
  void start_wait(Ready& waiter);
  void set_timer(Direction direction, Deadline deadline);
  void on_timer(Direction direction);

  EpollLoop& loop_;
  int fd_;
  bool special_ = false;  // an end, an error or urgent data was announced
  std::array<Side, 2> sides_;
  EpollLoop::Watch* watch_ = nullptr;
};

}  // namespace archipel::io
