// Budget: how many bytes of bodies are in memory, all requests and loops together (P9). First come, first served.
//
// What a client decides how long to keep, others must be able to do without. Readers never hold more than three quarters: a client that
// takes its bytes slowly holds memory as long as it likes, and must not stop everybody's uploads. Bytes that arrive slowly hold no more than half,
// and both together leave an eighth to writers, who are the only ones that end by themselves. So who waits for its share is overtaken by
// the others, and by nobody of its own kind.
//
// Thread-safe. A waiter resumes on the loop it waited on, with its memory or, past its deadline, without. Who holds a ticket must be able to finish without another one, or two
// holders could wait for each other for ever: see upload.cc, which sends what it holds before it waits for more.
#pragma once

#include <algorithm>
#include <array>
#include <coroutine>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "io/loop.h"

namespace archipel::store {

inline constexpr size_t kBudgetWaitersMax = 4096;  // requests queued for memory; more are told to slow down

class Budget {
 public:
  // write: on its way to the islands. read: on its way to a client. arrive: of a body that is coming in and not sealed yet.
  enum class Use : uint8_t { write, read, arrive };
  explicit Budget(uint64_t bytes) : total_(bytes), free_(bytes) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;
  ~Budget();  // CHECK: nobody waits, nothing is held

  // Bytes taken from the budget, given back when destroyed; on any thread.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& o) noexcept
        : budget_(std::exchange(o.budget_, nullptr)), use_(o.use_), bytes_(std::exchange(o.bytes_, 0)) {}
    Ticket& operator=(Ticket&& o) noexcept;
    ~Ticket() { give_back(); }
    uint64_t bytes() const { return bytes_; }
    // Gives back what is above `bytes`.
    void shrink(uint64_t bytes);
    // Takes so much that it holds `bytes`, without waiting and only while memory is plenty: a quarter stays free, nobody waits, and what
    // arrives holds a quarter at most. False: nothing changed.
    bool try_grow(uint64_t bytes);

   private:
    friend class Budget;
    Ticket(Budget* budget, Use use, uint64_t bytes) : budget_(budget), use_(use), bytes_(bytes) {}
    void give_back();
    Budget* budget_ = nullptr;
    Use use_ = Use::write;
    uint64_t bytes_ = 0;
  };

  // `want` bytes while memory is plenty (a quarter stays free and nobody waits), else `least` as soon as it is this caller's turn.
  // Requests above the whole budget (above the share of their use) are cut down to it. Error: throttled (SlowDown) when kBudgetWaitersMax
  // wait already, or when `deadline` passed first.
  struct Acquire;
  Acquire acquire(Use use, uint64_t least, uint64_t want, Deadline deadline);
  // The same without waiting.
  std::optional<Ticket> try_acquire(Use use, uint64_t least, uint64_t want);

  uint64_t available() const;

 private:
  struct Waiter {
    Use use;
    uint64_t bytes;
    uint64_t turn;  // ascending, over both queues
    io::Loop* loop;
    std::coroutine_handle<> self;
  };
  // All locked. How much a request gets now; 0 = it must wait.
  uint64_t grant(Use use, uint64_t least, uint64_t want);
  bool within_share(Use use, uint64_t bytes) const {
    return use == Use::write || (held(use) + bytes <= limit(use) &&
                                 held(Use::read) + held(Use::arrive) + bytes <= total_ - total_ / 8);
  }
  uint64_t held(Use use) const { return held_[static_cast<size_t>(use)]; }
  void take(Use use, uint64_t bytes);
  std::list<Waiter*>& queue(Use use) { return waiters_[static_cast<size_t>(use)]; }
  Waiter* next();  // whose turn it is; nullptr if nobody waits, or all for their share
  size_t waiting() const { return waiters_[0].size() + waiters_[1].size() + waiters_[2].size(); }
  bool grow(Use use, uint64_t bytes);

  void release(Use use, uint64_t bytes);
  void serve_waiters();
  bool give_up(Waiter* waiter);
  uint64_t limit(Use use) const {
    return use == Use::read ? total_ - total_ / 4 : use == Use::arrive ? total_ / 2 : total_;
  }

  const uint64_t total_;
  mutable std::mutex mutex_;
  uint64_t free_, turns_ = 0;
  std::array<uint64_t, 3> held_{};             // by Use
  std::array<std::list<Waiter*>, 3> waiters_;  // by Use
};

struct Budget::Acquire {
  Budget& budget;
  Use use;
  uint64_t least, want;
  Deadline deadline;
  Waiter waiter{};
  io::Loop::TimerId timer = 0;
  bool refused = false;
  uint64_t granted = 0;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> self);
  Result<Ticket> await_resume();
};

inline Budget::Acquire Budget::acquire(Use use, uint64_t least, uint64_t want, Deadline deadline) {
  return Acquire{*this, use, std::min(least, limit(use)), std::min(std::max(least, want), limit(use)),
                 deadline};
}

}  // namespace archipel::store
