// Waiting on one loop: Event, Semaphore, TaskScope. None is thread-safe; use each from one loop only.
#pragma once

#include <list>

#include "base/result.h"
#include "io/loop.h"

namespace archipel::io {

// A condition that coroutines of one loop wait for. notify_all() wakes every waiter; a waiter re-checks what it waits for:
//   while (!ready) { bool in_time = co_await event.wait(deadline); if (!in_time) …; }
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();  // CHECK: nobody waits

  void notify_all();
  // True when notified, false when `deadline` passed first. The waiter resumes in a later turn, never inside notify_all().
  Task<bool> wait(Deadline deadline = kNoDeadline);

 private:
  struct Waiter;
  std::list<Waiter*> waiters_;
};

// A budget of `units` handed out first come, first served: a large request at the head is not overtaken by small ones.
class Semaphore {
 public:
  explicit Semaphore(int64_t units) : budget_(units), free_(units) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore();  // CHECK: nobody waits

  // Waits until `units` are free and takes them; timeout error past the deadline. CHECK: units <= the initial budget, so a caller
  // clamps or refuses what a client asks for first.
  Task<Result<void>> acquire(int64_t units, Deadline deadline = kNoDeadline);
  void release(int64_t units);
  int64_t available() const { return free_; }

 private:
  struct Waiter;
  void grant();
  const int64_t budget_;
  int64_t free_;
  std::list<Waiter*> waiters_;
};

// Owns tasks that run beside their creator. join() before destruction (CHECK): no task is ever detached.
class TaskScope {
 public:
  TaskScope() = default;
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;
  ~TaskScope();  // CHECK: empty

  void spawn(Task<void> task);
  // Waits until every spawned task, also those spawned meanwhile, has finished.
  Task<void> join();
  size_t active() const { return active_; }

 private:
  struct Runner;
  size_t active_ = 0;
  Event idle_;
};

}  // namespace archipel::io
