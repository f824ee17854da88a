#include "store/budget.h"

#include <vector>

#include "base/check.h"

namespace archipel::store {

Budget::~Budget() {
  CHECK(waiting() == 0);
  CHECK(free_ == total_ && held(Use::read) == 0 && held(Use::arrive) == 0);
}

Budget::Ticket& Budget::Ticket::operator=(Ticket&& o) noexcept {
  if (this != &o) {
    give_back();
    budget_ = std::exchange(o.budget_, nullptr);
    use_ = o.use_;
    bytes_ = std::exchange(o.bytes_, 0);
  }
  return *this;
}

void Budget::Ticket::give_back() {
  if (budget_) std::exchange(budget_, nullptr)->release(use_, std::exchange(bytes_, 0));
}

void Budget::Ticket::shrink(uint64_t bytes) {
  if (budget_ && bytes < bytes_) budget_->release(use_, std::exchange(bytes_, bytes) - bytes);
}

bool Budget::Ticket::try_grow(uint64_t bytes) {
  CHECK(budget_ != nullptr);
  if (bytes <= bytes_) return true;
  if (!budget_->grow(use_, bytes - bytes_)) return false;
  bytes_ = bytes;
  return true;
}

bool Budget::grow(Use use, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (waiting() > 0 || free_ < bytes || free_ - bytes < total_ / 4 || !within_share(use, bytes)) return false;
  if (use == Use::arrive && held(use) + bytes > total_ / 4) return false;
  take(use, bytes);
  return true;
}

void Budget::take(Use use, uint64_t bytes) {
  free_ -= bytes;
  held_[static_cast<size_t>(use)] += bytes;
}

Budget::Waiter* Budget::next() {
  Waiter* first = nullptr;
  for (const std::list<Waiter*>& waiters : waiters_) {
    if (waiters.empty() || !within_share(waiters.front()->use, waiters.front()->bytes)) continue;
    if (first == nullptr || waiters.front()->turn < first->turn) first = waiters.front();
  }
  return first;
}

uint64_t Budget::grant(Use use, uint64_t least, uint64_t want) {
  if (next() != nullptr || !queue(use).empty()) return 0;
  bool plenty = free_ >= want && free_ - want >= total_ / 4 && within_share(use, want);
  bool enough = free_ >= least && within_share(use, least);
  uint64_t bytes = plenty ? want : enough ? least : 0;
  take(use, bytes);
  return bytes;
}

std::optional<Budget::Ticket> Budget::try_acquire(Use use, uint64_t least, uint64_t want) {
  least = std::min(least, limit(use));
  std::lock_guard lock(mutex_);
  uint64_t bytes = grant(use, least, std::min(std::max(least, want), limit(use)));
  if (bytes == 0 && least > 0) return std::nullopt;
  return Ticket(this, use, bytes);
}

uint64_t Budget::available() const {
  std::lock_guard lock(mutex_);
  return free_;
}

void Budget::release(Use use, uint64_t bytes) {
  {
    std::lock_guard lock(mutex_);
    free_ += bytes;
    held_[static_cast<size_t>(use)] -= bytes;
  }
  serve_waiters();
}

// Gives to whose turn it is only: a large request is not overtaken for ever by small ones.
void Budget::serve_waiters() {
  std::vector<Waiter> woken;
  {
    std::lock_guard lock(mutex_);
    for (Waiter* waiter = next(); waiter && waiter->bytes <= free_; waiter = next()) {
      take(waiter->use, waiter->bytes);
      queue(waiter->use).pop_front();
      woken.push_back(*waiter);
    }
  }
  for (const Waiter& waiter : woken) waiter.loop->post([self = waiter.self] { self.resume(); });
}

// Its deadline has passed. False if it was served before; then its resumption is under way.
bool Budget::give_up(Waiter* waiter) {
  {
    std::lock_guard lock(mutex_);
    if (queue(waiter->use).remove(waiter) == 0) return false;
  }
  serve_waiters();  // those behind it may need less
  return true;
}

bool Budget::Acquire::await_suspend(std::coroutine_handle<> self) {
  std::lock_guard lock(budget.mutex_);
  granted = budget.grant(use, least, want);
  if (granted > 0 || least == 0) return false;
  if (budget.waiting() >= kBudgetWaitersMax) {
    refused = true;
    return false;
  }
  granted = least;
  waiter = {use, least, budget.turns_++, io::Loop::current(), self};
  CHECK(waiter.loop != nullptr);
  // The timer and the resumption both run on this loop: whichever comes second finds the waiter gone, or its timer.
  if (deadline != kNoDeadline)
    timer = waiter.loop->run_at(deadline, [this] {
      timer = 0;
      if (!budget.give_up(&waiter)) return;
      refused = true;
      waiter.self.resume();
    });
  budget.queue(use).push_back(&waiter);
  return true;
}

Result<Budget::Ticket> Budget::Acquire::await_resume() {
  if (timer != 0) waiter.loop->cancel(timer);
  if (refused) return fail(Code::throttled, "too many requests wait for memory; try again later", "SlowDown");
  return Ticket(&budget, use, granted);
}

}  // namespace archipel::store
