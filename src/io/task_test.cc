#include "io/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "io/loop.h"

namespace archipel::io {
namespace {

Task<int> one() {
  co_return 1;
}

Task<int64_t> sum_of_ready(int count) {
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) {
    int value = co_await one();
    sum += value;
  }
  co_return sum;
}

TEST(Task, RunsAtOnceUntilItsFirstSuspension) {
  static bool ran;
  ran = false;
  struct Body {
    static Task<void> go() {
      ran = true;
      co_return;
    }
  };
  Task<void> task = Body::go();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(task.done());
}

TEST(Task, DoesNotGrowTheStackOverAMillionReadyChildren) {
  Task<int64_t> task = sum_of_ready(1'000'000);
  ASSERT_TRUE(task.done());
  EXPECT_EQ(task.take(), 1'000'000);
}

Task<std::unique_ptr<std::string>> make_text() {
  co_await sleep_until(Loop::current()->now());
  co_return std::make_unique<std::string>("moved");
}

TEST(Task, CarriesMoveOnlyValuesAcrossASuspension) {
  struct Body {
    static Task<std::string> go() {
      std::unique_ptr<std::string> text = co_await make_text();
      co_return *text;
    }
  };
  EXPECT_EQ(run_blocking(Body::go), "moved");
}

Task<Result<int>> half(int n) {
  if (n % 2 != 0) co_return fail(Code::invalid, "odd");
  co_return n / 2;
}

Task<Result<void>> twice_halved(int n, int* out) {
  CO_ASSIGN_OR_RETURN(int once, co_await half(n));
  CO_ASSIGN_OR_RETURN(*out, co_await half(once));
  co_return {};
}

TEST(Task, ReturnsResultsAndStopsAtTheFirstError) {
  int out = 0;
  Task<Result<void>> good = twice_halved(12, &out);
  EXPECT_TRUE(good.take().has_value());
  EXPECT_EQ(out, 3);
  Task<Result<void>> bad = twice_halved(6, &out);
  Result<void> error = bad.take();
  ASSERT_FALSE(error.has_value());
  EXPECT_EQ(error.error().code, Code::invalid);
}

TEST(Task, FreesItsFrameAndItsArguments) {
  struct Body {
    static Task<int> use(std::shared_ptr<int> held) { co_return *held; }
  };
  auto held = std::make_shared<int>(4);
  {
    Task<int> task = Body::use(held);
    Task<int> moved = std::move(task);
    EXPECT_EQ(moved.take(), 4);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(TaskDeathTest, DestroyingAnUnfinishedTaskIsABug) {
  struct Body {
    static Task<void> never() { co_await std::suspend_always{}; }
  };
  EXPECT_DEATH({ Task<void> task = Body::never(); }, "handle_.done");
}

}  // namespace
}  // namespace archipel::io
