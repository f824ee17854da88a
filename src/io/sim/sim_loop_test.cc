#include "io/sim/sim_loop.h"

#include <gtest/gtest.h>

#include "io/sync.h"

namespace archipel::io {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(SimLoop, TimePassesOnlyFromTimerToTimer) {
  SimLoop loop(1);
  struct Body {
    static Task<Duration> go(SimLoop& l) {
      TimePoint started = l.now();
      co_await sleep_until(started + hours(24 * 365));
      co_return l.now() - started;
    }
  };
  auto took = run_sim(loop, [&] { return Body::go(loop); });
  ASSERT_TRUE(took);
  EXPECT_EQ(*took, hours(24 * 365));
}

TEST(SimLoop, ACancelledTimerDoesNotRunAndIsNotWaitedFor) {
  SimLoop loop(1);
  bool ran = false;
  Loop::TimerId far = loop.run_at(loop.now() + hours(5), [&] { ran = true; });
  TimePoint started = loop.now();
  loop.run_at(started + milliseconds(3), [&] {
    EXPECT_TRUE(loop.cancel(far));
    EXPECT_FALSE(loop.cancel(far));
    loop.run_at(loop.now() + milliseconds(4), [&] { loop.stop(); });
  });
  loop.run();
  EXPECT_FALSE(ran);
  EXPECT_EQ(loop.now() - started, milliseconds(7));
}

TEST(SimLoop, SaysWhenEverybodyWaitsForNothing) {
  SimLoop loop(1);
  Event never;
  std::optional<Task<bool>> waiting;
  loop.post([&] { waiting.emplace(never.wait()); });
  loop.run();
  EXPECT_EQ(loop.end(), SimLoop::End::stalled);
  loop.post([&] { never.notify_all(); });
  loop.run();
  EXPECT_TRUE(waiting->done());
}

TEST(SimLoop, SaysWhenItGoesInCircles) {
  SimLoop loop(1);
  loop.set_turns_max(1000);
  struct Again {
    static void go(SimLoop& l) {
      l.post([&l] { go(l); });
    }
  };
  Again::go(loop);
  loop.run();
  EXPECT_EQ(loop.end(), SimLoop::End::turns);
  EXPECT_EQ(loop.turns(), 1000u);
}

// The order in which ten jobs of a simulated pool are done.
std::vector<int> order_of_jobs(uint64_t seed) {
  struct Body {
    static Task<void> one(SimWorkers& workers, std::vector<int>& order, int number) {
      int done = co_await workers.run([number] { return number; });
      order.push_back(done);
    }
    static Task<std::vector<int>> go(SimWorkers& workers) {
      std::vector<int> order;
      TaskScope scope;
      for (int i = 0; i < 10; ++i) scope.spawn(one(workers, order, i));
      co_await scope.join();
      co_return order;
    }
  };
  SimLoop loop(seed);
  SimWorkers workers(loop, seed);
  auto out = run_sim(loop, [&] { return Body::go(workers); });
  return out.value_or(std::vector<int>());
}

TEST(SimWorkers, FinishInAnOrderThatOnlyTheSeedDecides) {
  std::vector<int> first = order_of_jobs(7);
  EXPECT_EQ(first.size(), 10u);
  EXPECT_EQ(order_of_jobs(7), first);
  EXPECT_NE(order_of_jobs(8), first);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
}

TEST(SimLoop, LetsAHookStopAtAnyTurn) {
  SimLoop loop(1);
  int ran = 0;
  for (int i = 0; i < 10; ++i) loop.post([&] { ++ran; });
  int seen = -1;
  loop.at_turn(4, [&] {
    seen = ran;
    loop.stop();
    return false;
  });
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(seen, 4);
}

}  // namespace
}  // namespace archipel::io
