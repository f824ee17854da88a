#include "io/sync.h"

#include <algorithm>

namespace archipel::io {
namespace {

// A coroutine frame that destroys itself at its end. Only TaskScope may use it: the scope counts it until
// then.
struct Detached {
  struct Promise {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  using promise_type = Promise;
};

void resume_later(std::coroutine_handle<> self) {
  Loop::current()->post([self] { self.resume(); });
}

}  // namespace

// Lives in the frame of the waiting coroutine. A waker takes it out of the list first, then posts the
// resumption: nobody runs inside notify_all() or release(), so their callers may destroy what they like
// afterwards.
struct Event::Waiter {
  Event& event;
  Deadline deadline;
  std::coroutine_handle<> self = nullptr;
  Loop::TimerId timer = 0;
  bool notified = false;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    self = handle;
    event.waiters_.push_back(this);
    if (deadline == kNoDeadline) return;
    timer = Loop::current()->run_at(deadline, [this] {
      event.waiters_.remove(this);
      self.resume();
    });
  }
  bool await_resume() const noexcept { return notified; }
};

Event::~Event() {
  CHECK(waiters_.empty());
}

void Event::notify_all() {
  if (waiters_.empty()) return;
  for (Waiter* waiter : std::exchange(waiters_, {})) {
    if (waiter->timer != 0) Loop::current()->cancel(waiter->timer);
    waiter->notified = true;
    resume_later(waiter->self);
  }
}

Task<bool> Event::wait(Deadline deadline) {
  Waiter waiter{*this, deadline};
  bool notified = co_await waiter;
  co_return notified;
}

struct Semaphore::Waiter {
  Semaphore& semaphore;
  int64_t units;
  Deadline deadline;
  std::coroutine_handle<> self = nullptr;
  Loop::TimerId timer = 0;
  bool granted = false;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    self = handle;
    semaphore.waiters_.push_back(this);
    if (deadline == kNoDeadline) return;
    timer = Loop::current()->run_at(deadline, [this] {
      semaphore.waiters_.remove(this);
      // The head may have been what held the others up.
      semaphore.grant();
      self.resume();
    });
  }
  bool await_resume() const noexcept { return granted; }
};

Semaphore::~Semaphore() {
  CHECK(waiters_.empty());
}

Task<Result<void>> Semaphore::acquire(int64_t units, Deadline deadline) {
  CHECK(units >= 0 && units <= budget_);
  if (waiters_.empty() && free_ >= units) {
    free_ -= units;
    co_return {};
  }
  Waiter waiter{*this, units, deadline};
  bool granted = co_await waiter;
  if (!granted) co_return fail(Code::timeout, "waited too long for a free place in a queue; try again later");
  co_return {};
}

void Semaphore::release(int64_t units) {
  free_ += units;
  CHECK(units >= 0 && free_ <= budget_);
  grant();
}

void Semaphore::grant() {
  while (!waiters_.empty() && waiters_.front()->units <= free_) {
    Waiter* waiter = waiters_.front();
    waiters_.pop_front();
    free_ -= waiter->units;
    if (waiter->timer != 0) Loop::current()->cancel(waiter->timer);
    waiter->granted = true;
    resume_later(waiter->self);
  }
}

struct TaskScope::Runner {
  static Detached run(TaskScope& scope, Task<void> task) {
    {
      // Inside a block, so that the task's frame and arguments are gone before the scope counts it as
      // finished.
      Task<void> inner = std::move(task);
      co_await std::move(inner);
    }
    --scope.active_;
    if (scope.active_ == 0) scope.idle_.notify_all();
  }
};

TaskScope::~TaskScope() {
  CHECK(active_ == 0);
}

void TaskScope::spawn(Task<void> task) {
  ++active_;
  Runner::run(*this, std::move(task));
}

Task<void> TaskScope::join() {
  while (active_ > 0) co_await idle_.wait();
}

}  // namespace archipel::io
