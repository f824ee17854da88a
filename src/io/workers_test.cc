#include "io/workers.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "base/result.h"
#include "io/sync.h"

namespace archipel::io {
namespace {

Task<Result<int>> add_on(Workers& workers, int a, int b, std::thread::id* ran_on) {
  auto job = [=] {
    *ran_on = std::this_thread::get_id();
    return Result<int>(a + b);
  };
  Result<int> sum = co_await workers.run(job);
  co_return sum;
}

TEST(Workers, RunTheJobElsewhereAndResumeAtHome) {
  auto workers = make_workers(2);
  static std::thread::id worker;
  struct Body {
    static Task<int> go(Workers& pool) {
      Loop* home = Loop::current();
      Result<int> sum = co_await add_on(pool, 2, 3, &worker);
      EXPECT_EQ(Loop::current(), home);
      co_return sum.value_or(0);
    }
  };
  EXPECT_EQ(run_blocking([&] { return Body::go(*workers); }), 5);
  EXPECT_NE(worker, std::this_thread::get_id());
}

Task<void> count_on(Workers& workers, std::atomic<int>& count) {
  auto job = [&count] { return ++count; };
  for (int i = 0; i < 20; ++i) {
    int value = co_await workers.run(job);
    EXPECT_GT(value, 0);
  }
}

TEST(Workers, ServeManyLoopsAtOnce) {
  auto workers = make_workers(4);
  std::atomic<int> count = 0;
  struct Body {
    static Task<void> go(Workers& pool, std::atomic<int>& n) {
      TaskScope scope;
      for (int i = 0; i < 50; ++i) scope.spawn(count_on(pool, n));
      co_await scope.join();
    }
  };
  std::vector<std::thread> loops;
  loops.reserve(3);
  for (int i = 0; i < 3; ++i) {
    loops.emplace_back([&] { run_blocking([&] { return Body::go(*workers, count); }); });
  }
  for (auto& loop : loops) loop.join();
  EXPECT_EQ(count, 3 * 50 * 20);
}

TEST(Workers, RunAsManyJobsAtOnceAsThereAreThreads) {
  auto workers = make_workers(3);
  std::latch together(3);  // would wait for ever if one thread served all
  std::atomic<int> done = 0;
  for (int i = 0; i < 3; ++i) {
    workers->submit([&] {
      together.arrive_and_wait();
      ++done;
    });
  }
  workers.reset();
  EXPECT_EQ(done, 3);
}

TEST(Workers, FinishWhatWasSubmittedBeforeTheyGo) {
  std::atomic<int> done = 0;
  {
    auto workers = make_workers(1);
    for (int i = 0; i < 1000; ++i) workers->submit([&] { ++done; });
  }
  EXPECT_EQ(done, 1000);
}

TEST(Workers, LeaveTheMainThreadsSignalsAlone) {
  sigset_t worker_mask, own_mask;
  sigemptyset(&worker_mask);
  {
    auto workers = make_workers(1);
    workers->submit([&] { pthread_sigmask(SIG_BLOCK, nullptr, &worker_mask); });
  }
  pthread_sigmask(SIG_BLOCK, nullptr, &own_mask);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) {
    EXPECT_EQ(sigismember(&worker_mask, signal), 1);
    EXPECT_EQ(sigismember(&own_mask, signal), 0);
  }
}

TEST(Workers, AreFollowedByAnImmediateEndOfTheLoop) {
  auto workers = make_workers(2);
  struct Body {
    static Task<int> go(Workers& pool) {
      auto job = [] { return 1; };
      int one = co_await pool.run(job);
      co_return one;
    }
  };
  // The loop is destroyed while the worker may still be leaving post().
  for (int i = 0; i < 300; ++i) EXPECT_EQ(run_blocking([&] { return Body::go(*workers); }), 1);
}

}  // namespace
}  // namespace archipel::io
