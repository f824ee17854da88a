// Budget: how many bytes of bodies are in memory, all requests and loops together (P9). First come, first served.
//
// Thread-safe. A waiter resumes on the loop it waited on. Who holds a ticket must be able to finish without another one, or two
// holders could wait for each other for ever: see upload.cc, which sends what it holds before it waits for more.
#pragma once

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

#include "base/result.h"
#include "io/loop.h"

namespace archipel::store {

inline constexpr size_t kBudgetWaitersMax = 4096;  // requests queued for memory; more are told to slow down

class Budget {
 public:
  explicit Budget(uint64_t bytes) : total_(bytes), free_(bytes) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;
  ~Budget();  // CHECK: nobody waits, nothing is held

  // Bytes taken from the budget, given back when destroyed; on any thread.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& o) noexcept
        : budget_(std::exchange(o.budget_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
    Ticket& operator=(Ticket&& o) noexcept;
    ~Ticket() { give_back(); }
    uint64_t bytes() const { return bytes_; }

   private:
    friend class Budget;
    Ticket(Budget* budget, uint64_t bytes) : budget_(budget), bytes_(bytes) {}
    void give_back();
    Budget* budget_ = nullptr;
    uint64_t bytes_ = 0;
  };

  // `want` bytes while memory is plenty (a quarter stays free and nobody waits), else `least` as soon as it is this caller's turn.
  // Requests above the whole budget are cut down to it. Error: throttled (SlowDown) when kBudgetWaitersMax wait already.
  struct Acquire;
  Acquire acquire(uint64_t least, uint64_t want);
  // The same without waiting.
  std::optional<Ticket> try_acquire(uint64_t least, uint64_t want);

  uint64_t available() const;

 private:
  struct Waiter {
    uint64_t bytes;
    io::Loop* loop;
    std::coroutine_handle<> self;
  };
  // How much a request gets now; 0 = it must wait. Locked.
  uint64_t grant(uint64_t least, uint64_t want);
  void release(uint64_t bytes);

  const uint64_t total_;
  mutable std::mutex mutex_;
  uint64_t free_;
  std::list<Waiter*> waiters_;
};

struct Budget::Acquire {
  Budget& budget;
  uint64_t least, want;
  Waiter waiter{};
  bool refused = false;
  uint64_t granted = 0;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> self);
  Result<Ticket> await_resume();
};

inline Budget::Acquire Budget::acquire(uint64_t least, uint64_t want) {
  return Acquire{*this, std::min(least, total_), std::min(std::max(least, want), total_)};
}

}  // namespace archipel::store
