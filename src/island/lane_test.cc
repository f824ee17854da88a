#include "island/lane.h"

#include <gtest/gtest.h>

#include <semaphore>

#include "io/sync.h"

namespace archipel::island {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// Calls that do not come back until the test lets them.
struct Dead {
  std::counting_semaphore<> released{0};
  std::atomic<int> entered{0};
  Result<int> call() {
    entered.fetch_add(1);
    released.acquire();
    return 1;
  }
};

io::Task<Result<int>> hang(Lane& lane, std::shared_ptr<Dead> dead, Duration patience) {
  auto job = [dead] { return dead->call(); };
  Result<int> result = co_await lane.run(io::Loop::current()->now() + patience, std::move(job));
  co_return result;
}

io::Task<Result<int>> answer(Lane& lane, int value, Deadline deadline) {
  auto job = [value] { return Result<int>(value); };
  Result<int> result = co_await lane.run(deadline, std::move(job));
  co_return result;
}

Code code(const Result<int>& result) {
  return result ? Code::internal : result.error().code;
}

TEST(Lane, GivesTheAnswerOfTheCall) {
  Lane lane("alpha", {});
  EXPECT_EQ(io::run_blocking([&] { return answer(lane, 7, kNoDeadline); }), 7);
  EXPECT_EQ(code(io::run_blocking([&] { return answer(lane, 7, TimePoint{}); })), Code::timeout);
}

TEST(Lane, LeavesACallThatNeverComesBackAtTheDeadline) {
  auto dead = std::make_shared<Dead>();
  {
    Lane lane("alpha", {2, 100, hours(1), milliseconds(1)});
    // Until one was begun; one that had no thread by its deadline never is.
    Result<int> late = fail(Code::timeout, "");
    while (late.error().message.find("no answer") == std::string::npos) {
      late = io::run_blocking([&] { return hang(lane, dead, milliseconds(20)); });
      ASSERT_EQ(code(late), Code::timeout);
      EXPECT_NE(late.error().message.find("alpha"), std::string::npos);
    }
    // The other thread goes on.
    EXPECT_EQ(io::run_blocking([&] { return answer(lane, 7, kNoDeadline); }), 7);
  }
  // The lane is gone, and did not wait for it. What the call owns is still there.
  EXPECT_GT(dead.use_count(), 1);
  dead->released.release(100);
}

TEST(Lane, NeverBeginsACallWhoseDeadlinePassedInTheQueue) {
  auto dead = std::make_shared<Dead>();
  Lane lane("alpha", {1, 100, hours(1), milliseconds(1)});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(code(io::run_blocking([&] { return hang(lane, dead, milliseconds(5)); })), Code::timeout);
  dead->released.release(100);
  EXPECT_EQ(io::run_blocking([&] { return answer(lane, 7, kNoDeadline); }), 7);
  EXPECT_LE(dead->entered.load(), 1);
}

TEST(Lane, RefusesAtOnceWhileAllItsThreadsHangAndTakesCallsAgainAfterwards) {
  auto dead = std::make_shared<Dead>();
  Lane lane("alpha", {2, 100, milliseconds(1), milliseconds(1)});
  // Until both threads hang; how long it takes until a call begins is the machine's affair.
  while (dead->entered < 2) {
    Result<int> ignored = io::run_blocking([&] { return hang(lane, dead, milliseconds(20)); });
    EXPECT_FALSE(ignored);
  }
  Result<int> refused = fail(Code::timeout, "");
  while (code(refused) == Code::timeout)
    refused = io::run_blocking([&] { return answer(lane, 7, io::Loop::current()->now() + milliseconds(5)); });
  ASSERT_EQ(code(refused), Code::unavailable);
  EXPECT_NE(refused.error().message.find("alpha"), std::string::npos);
  dead->released.release(100);
  Result<int> again = fail(Code::unavailable, "");
  while (!again) again = io::run_blocking([&] { return answer(lane, 7, kNoDeadline); });
  EXPECT_EQ(again, 7);
}

TEST(Lane, BoundsWhatIsUnderWay) {
  auto dead = std::make_shared<Dead>();
  Lane lane("alpha", {1, 1, hours(1), milliseconds(1)});
  while (dead->entered < 1) {
    Result<int> ignored = io::run_blocking([&] { return hang(lane, dead, milliseconds(20)); });
    EXPECT_FALSE(ignored);
  }
  EXPECT_EQ(code(io::run_blocking([&] { return answer(lane, 7, kNoDeadline); })), Code::unavailable);
  dead->released.release(100);
}

}  // namespace
}  // namespace archipel::island
