#include "io/loop.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "io/sync.h"

namespace archipel::io {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(RunBlocking, ReturnsTheTasksValue) {
  auto text = run_blocking([]() -> Task<std::string> {
    co_await sleep_until(Loop::current()->now() + milliseconds(1));
    co_return "done";
  });
  EXPECT_EQ(text, "done");
}

TEST(RunBlocking, WorksForVoidAndMoveOnlyResults) {
  static int runs;
  runs = 0;
  run_blocking([]() -> Task<void> {
    ++runs;
    co_return;
  });
  EXPECT_EQ(runs, 1);
  auto pointer = run_blocking([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); });
  EXPECT_EQ(*pointer, 7);
}

TEST(RunBlocking, DestroysWhatIsStillPostedAndStillTimedUnrun) {
  static int runs;
  runs = 0;
  auto token = std::make_shared<int>(0);
  std::weak_ptr<int> watch = token;
  struct Body {
    static Task<int> leave_work(std::shared_ptr<int> held) {
      Loop* loop = Loop::current();
      loop->run_at(loop->now() + std::chrono::hours(1), [held] { ++runs; });
      loop->post([held, loop] { loop->post([held] { ++runs; }); });
      co_return 1;
    }
  };
  EXPECT_EQ(run_blocking([&] { return Body::leave_work(token); }), 1);
  token.reset();
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(runs, 0);
}

TEST(RunBlocking, NestsAndRestoresTheOuterLoop) {
  run_blocking([]() -> Task<void> {
    Loop* outer = Loop::current();
    int inner = run_blocking([]() -> Task<int> { co_return 3; });
    EXPECT_EQ(inner, 3);
    EXPECT_EQ(Loop::current(), outer);
    co_return;
  });
  EXPECT_EQ(Loop::current(), nullptr);
}

TEST(Loop, RunsPostedCallbacksInOrderAlsoWhenTheyPost) {
  auto loop = make_loop();
  std::vector<int> order;
  loop->post([&] {
    order.push_back(1);
    loop->post([&] {
      order.push_back(3);
      loop->stop();
    });
  });
  loop->post([&] { order.push_back(2); });
  loop->run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Loop, KeepsTheOrderOfEachPostingThread) {
  constexpr int kThreads = 4, kPosts = 5000;
  auto loop = make_loop();
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loop->post([&, t, i] {
          seen[static_cast<size_t>(t)].push_back(i);
          if (++total == kThreads * kPosts) loop->stop();
        });
      }
    });
  }
  loop->run();
  for (auto& thread : threads) thread.join();
  for (auto& one : seen) {
    ASSERT_EQ(one.size(), size_t{kPosts});
    EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));
  }
}

TEST(Loop, FreezesTimeForATurnAndMovesItAfterwards) {
  auto loop = make_loop();
  TimePoint first{}, later{};
  loop->post([&] {
    first = loop->now();
    // Real time passes inside the turn, and the loop does not see it.
    while (std::chrono::steady_clock::now() < first + microseconds(50)) {
    }
    EXPECT_EQ(loop->now(), first);
    loop->post([&] {
      later = loop->now();
      loop->stop();
    });
  });
  loop->run();
  EXPECT_GT(later, first);
}

TEST(Loop, RunsTimersInTimeOrderAndNeverEarly) {
  auto loop = make_loop();
  std::vector<int> order;
  loop->post([&] {
    TimePoint start = loop->now();
    auto expect = [&, start](int number, Duration after) {
      loop->run_at(start + after, [&, start, number, after] {
        EXPECT_GE(loop->now(), start + after);
        order.push_back(number);
        if (order.size() == 4) loop->stop();
      });
    };
    expect(3, milliseconds(6));
    expect(1, milliseconds(1));
    expect(2, milliseconds(3));
    expect(0, milliseconds(-5));
  });
  loop->run();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
}

TEST(Loop, CancelledTimersDoNotRunAndSaySo) {
  auto loop = make_loop();
  bool ran = false;
  loop->post([&] {
    auto id = loop->run_at(loop->now() + milliseconds(1), [&] { ran = true; });
    EXPECT_NE(id, 0u);
    EXPECT_TRUE(loop->cancel(id));
    EXPECT_FALSE(loop->cancel(id));
    Loop::TimerId* last = new Loop::TimerId(0);
    *last = loop->run_at(loop->now() + milliseconds(3), [&, last] {
      EXPECT_FALSE(loop->cancel(*last));  // it runs already
      delete last;
      loop->stop();
    });
  });
  loop->run();
  EXPECT_FALSE(ran);
}

TEST(Loop, SurvivesManyCancelledTimers) {
  auto loop = make_loop();
  loop->post([&] {
    for (int i = 0; i < 200'000; ++i) {
      auto id = loop->run_at(loop->now() + std::chrono::seconds(3600 - i % 1000), [] { FAIL(); });
      EXPECT_TRUE(loop->cancel(id));
    }
    loop->run_at(loop->now() + milliseconds(1), [&] { loop->stop(); });
  });
  loop->run();
}

// Timers against a sorted list: any mix of times and of cancellations, before and while they run.
TEST(Loop, TimersMatchASortedListForAnyProgram) {
  EXPECT_TRUE(rc::check([] {
    // Of each timer: when it is due, and which other one it cancels when it runs (negative: is itself cancelled before the start).
    auto numbers = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(0, 20), rc::gen::inRange(-30, 200)));
    std::vector<int> ran, expected;
    auto loop = make_loop();
    std::vector<Loop::TimerId> ids(numbers.size());
    loop->post([&] {
      TimePoint base = loop->now() - std::chrono::seconds(1);  // all are due: nothing waits
      for (size_t i = 0; i < numbers.size(); ++i) {
        ids[i] = loop->run_at(base + microseconds(numbers[i].first), [&, i] {
          ran.push_back(static_cast<int>(i));
          if (auto other = static_cast<size_t>(numbers[i].second); other < ids.size())
            loop->cancel(ids[other]);
        });
      }
      for (size_t i = 0; i < numbers.size(); ++i) {
        if (numbers[i].second < 0) RC_ASSERT(loop->cancel(ids[i]));
      }
      loop->run_at(loop->now(), [&] { loop->stop(); });
    });
    loop->run();

    std::vector<size_t> order;
    std::vector<bool> gone(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      order.push_back(i);
      gone[i] = numbers[i].second < 0;
    }
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::pair(numbers[a].first, a) < std::pair(numbers[b].first, b);
    });
    for (size_t i : order) {
      if (gone[i]) continue;
      expected.push_back(static_cast<int>(i));
      if (auto other = static_cast<size_t>(numbers[i].second); other < gone.size()) gone[other] = true;
    }
    RC_ASSERT(ran == expected);
  }));
}

TEST(Loop, DropsCallbacksPostedAfterStop) {
  auto loop = make_loop();
  loop->post([&] { loop->stop(); });
  loop->run();
  auto token = std::make_shared<int>(0);
  loop->post([token] { FAIL(); });
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Loop, MayBeDestroyedRightAfterAnotherThreadStoppedIt) {
  for (int i = 0; i < 200; ++i) {
    auto loop = make_loop();
    std::thread other([&loop] {
      Loop& l = *loop;
      l.post([&l] { l.stop(); });
    });
    loop->run();
    loop.reset();  // the other thread may still be leaving post()
    other.join();
  }
}

struct Hop {
  static Task<int> visit(Loop& there, Loop& home, std::thread::id* seen) {
    co_await resume_on(there);
    *seen = std::this_thread::get_id();
    co_await resume_on(home);
    co_await resume_on(home);  // free: it is there already
    co_return 5;
  }
};

TEST(Loop, ResumeOnMovesACoroutineThereAndBack) {
  auto there = make_loop();
  std::thread thread([&] { there->run(); });
  std::thread::id visited;
  int value = run_blocking([&] { return Hop::visit(*there, *Loop::current(), &visited); });
  EXPECT_EQ(value, 5);
  EXPECT_EQ(visited, thread.get_id());
  there->stop();
  thread.join();
}

}  // namespace
}  // namespace archipel::io
