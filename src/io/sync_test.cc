#include "io/sync.h"

#include <gtest/gtest.h>

#include <vector>

namespace archipel::io {
namespace {

using std::chrono::milliseconds;

Deadline in(Duration d) {
  return Loop::current()->now() + d;
}

// Lets everything that is ready now run.
Task<void> settle() {
  for (int i = 0; i < 3; ++i) co_await sleep_until(Loop::current()->now());
}

Task<void> note_event(Event& event, Deadline deadline, std::vector<int>& out, int number) {
  bool notified = co_await event.wait(deadline);
  out.push_back(notified ? number : -number);
}

TEST(Event, WakesEveryWaiterButNotInsideNotify) {
  struct Body {
    static Task<void> go() {
      Event event;
      TaskScope scope;
      std::vector<int> woken;
      scope.spawn(note_event(event, kNoDeadline, woken, 1));
      scope.spawn(note_event(event, in(std::chrono::hours(1)), woken, 2));
      event.notify_all();
      EXPECT_TRUE(woken.empty());
      co_await scope.join();
      EXPECT_EQ(woken, (std::vector<int>{1, 2}));
    }
  };
  run_blocking(Body::go);
}

TEST(Event, TellsATimeoutFromANotification) {
  struct Body {
    static Task<void> go() {
      Event event;
      TaskScope scope;
      std::vector<int> woken;
      scope.spawn(note_event(event, in(milliseconds(1)), woken, 1));
      scope.spawn(note_event(event, kNoDeadline, woken, 2));
      while (woken.empty()) co_await settle();
      event.notify_all();
      co_await scope.join();
      EXPECT_EQ(woken, (std::vector<int>{-1, 2}));
    }
  };
  run_blocking(Body::go);
}

TEST(Event, MayBeDestroyedOnceItsWaitersAreNotified) {
  struct Body {
    static Task<void> go() {
      auto event = std::make_unique<Event>();
      TaskScope scope;
      std::vector<int> woken;
      scope.spawn(note_event(*event, in(milliseconds(1)), woken, 1));
      event->notify_all();
      event.reset();
      co_await scope.join();
      EXPECT_EQ(woken, (std::vector<int>{1}));
    }
  };
  run_blocking(Body::go);
}

Task<void> take_units(Semaphore& semaphore, int64_t units, Deadline deadline, std::vector<int>& out,
                      int number) {
  Result<void> taken = co_await semaphore.acquire(units, deadline);
  if (!taken) EXPECT_EQ(taken.error().code, Code::timeout);
  out.push_back(taken ? number : -number);
}

TEST(Semaphore, DoesNotLetSmallRequestsOvertakeALargeOne) {
  struct Body {
    static Task<void> go() {
      Semaphore semaphore(10);
      TaskScope scope;
      std::vector<int> order;
      scope.spawn(take_units(semaphore, 4, kNoDeadline, order, 1));
      scope.spawn(take_units(semaphore, 8, kNoDeadline, order, 2));
      scope.spawn(take_units(semaphore, 1, kNoDeadline, order, 3));
      co_await settle();
      EXPECT_EQ(order, (std::vector<int>{1}));
      EXPECT_EQ(semaphore.available(), 6);
      semaphore.release(4);
      co_await scope.join();
      EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
      EXPECT_EQ(semaphore.available(), 1);
      semaphore.release(9);
    }
  };
  run_blocking(Body::go);
}

TEST(Semaphore, GrantsTheNextWhenTheHeadGivesUp) {
  struct Body {
    static Task<void> go() {
      Semaphore semaphore(2);
      TaskScope scope;
      std::vector<int> order;
      scope.spawn(take_units(semaphore, 1, kNoDeadline, order, 1));
      scope.spawn(take_units(semaphore, 2, in(milliseconds(1)), order, 2));
      scope.spawn(take_units(semaphore, 1, kNoDeadline, order, 3));
      co_await scope.join();
      EXPECT_EQ(order[0], 1);
      EXPECT_TRUE(order == (std::vector<int>{1, -2, 3}) || order == (std::vector<int>{1, 3, -2}));
      EXPECT_EQ(semaphore.available(), 0);
      semaphore.release(2);
    }
  };
  run_blocking(Body::go);
}

Task<void> sleep_a_turn(int& finished) {
  co_await sleep_until(Loop::current()->now());
  ++finished;
}

Task<void> spawn_more(TaskScope& scope, int depth, int& finished) {
  co_await sleep_until(Loop::current()->now());
  if (depth > 0) scope.spawn(spawn_more(scope, depth - 1, finished));
  ++finished;
}

TEST(TaskScope, JoinsAlsoWhatItsTasksSpawn) {
  struct Body {
    static Task<void> go() {
      TaskScope scope;
      int finished = 0;
      for (int i = 0; i < 10; ++i) scope.spawn(sleep_a_turn(finished));
      scope.spawn(spawn_more(scope, 5, finished));
      EXPECT_EQ(scope.active(), 11u);
      co_await scope.join();
      EXPECT_EQ(finished, 16);
      EXPECT_EQ(scope.active(), 0u);
      co_await scope.join();  // an empty scope joins at once
    }
  };
  run_blocking(Body::go);
}

Task<void> hold(std::shared_ptr<int>) {
  co_await sleep_until(Loop::current()->now());
}
Task<void> wait_for(Event& event) {
  bool notified = co_await event.wait();
  EXPECT_TRUE(notified);
}

TEST(TaskScope, FreesAFinishedTaskWhileOthersGoOn) {
  struct Body {
    static Task<void> go() {
      TaskScope scope;
      Event never;
      auto held = std::make_shared<int>(0);
      scope.spawn(wait_for(never));
      scope.spawn(hold(held));
      EXPECT_EQ(held.use_count(), 2);
      while (scope.active() == 2) co_await settle();
      EXPECT_EQ(held.use_count(), 1);
      never.notify_all();
      co_await scope.join();
    }
  };
  run_blocking(Body::go);
}

TEST(TaskScopeDeathTest, LeavingTasksBehindIsABug) {
  struct Body {
    static Task<void> go() {
      auto* event = new Event;
      TaskScope scope;
      scope.spawn(wait_for(*event));
      co_return;
    }
  };
  EXPECT_DEATH(run_blocking(Body::go), "active_ == 0");
}

}  // namespace
}  // namespace archipel::io
