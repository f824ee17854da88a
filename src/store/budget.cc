#include "store/budget.h"

#include <vector>

#include "base/check.h"

namespace archipel::store {

Budget::~Budget() {
  CHECK(waiters_.empty());
  CHECK(free_ == total_);
}

Budget::Ticket& Budget::Ticket::operator=(Ticket&& o) noexcept {
  if (this != &o) {
    give_back();
    budget_ = std::exchange(o.budget_, nullptr);
    bytes_ = std::exchange(o.bytes_, 0);
  }
  return *this;
}

void Budget::Ticket::give_back() {
  if (budget_) std::exchange(budget_, nullptr)->release(std::exchange(bytes_, 0));
}

uint64_t Budget::grant(uint64_t least, uint64_t want) {
  if (!waiters_.empty()) return 0;
  uint64_t bytes = free_ >= want && free_ - want >= total_ / 4 ? want : free_ >= least ? least : 0;
  free_ -= bytes;
  return bytes;
}

std::optional<Budget::Ticket> Budget::try_acquire(uint64_t least, uint64_t want) {
  least = std::min(least, total_);
  std::lock_guard lock(mutex_);
  uint64_t bytes = grant(least, std::min(std::max(least, want), total_));
  if (bytes == 0 && least > 0) return std::nullopt;
  return Ticket(this, bytes);
}

uint64_t Budget::available() const {
  std::lock_guard lock(mutex_);
  return free_;
}

// Gives to waiters from the head only: a large one is not overtaken for ever by small ones.
void Budget::release(uint64_t bytes) {
  std::vector<Waiter> woken;
  {
    std::lock_guard lock(mutex_);
    free_ += bytes;
    while (!waiters_.empty() && waiters_.front()->bytes <= free_) {
      free_ -= waiters_.front()->bytes;
      woken.push_back(*waiters_.front());
      waiters_.pop_front();
    }
  }
  for (const Waiter& waiter : woken) waiter.loop->post([self = waiter.self] { self.resume(); });
}

bool Budget::Acquire::await_suspend(std::coroutine_handle<> self) {
  std::lock_guard lock(budget.mutex_);
  granted = budget.grant(least, want);
  if (granted > 0 || least == 0) return false;
  if (budget.waiters_.size() >= kBudgetWaitersMax) {
    refused = true;
    return false;
  }
  granted = least;
  waiter = {least, io::Loop::current(), self};
  CHECK(waiter.loop != nullptr);
  budget.waiters_.push_back(&waiter);
  return true;
}

Result<Budget::Ticket> Budget::Acquire::await_resume() {
  if (refused) return fail(Code::throttled, "too many requests wait for memory; try again later", "SlowDown");
  return Ticket(&budget, granted);
}

}  // namespace archipel::store
