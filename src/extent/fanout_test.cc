#include <bit>
#include <thread>

#include "extent/extent_fixture.h"
#include "island/health.h"

namespace archipel::extent {
namespace {

using island::MemIsland;
using std::chrono::milliseconds;
using std::chrono::seconds;

const AckRule kPatient{4, seconds(60), seconds(60), seconds(60)};  // waits for all who may still answer
const AckRule kHasty{4, milliseconds(1), milliseconds(1),
                     seconds(60)};  // acknowledges at w after a millisecond
const AckRule kGivesUp{4, milliseconds(1), milliseconds(1), milliseconds(5)};
const Error kDown{Code::unavailable, "island says no", {}};

class FanoutTest : public ExtentFixture {
 protected:
  static constexpr int kIslands = 6;

  std::vector<Fanout::Blob> blobs() {
    std::vector<Fanout::Blob> out;
    out.reserve(kIslands);
    for (size_t i = 0; i < kIslands; ++i) {
      names_.push_back(claim_name(*keys_, islands_[i]->id(), ++counter_));
      texts_.push_back("bytes for island " + std::to_string(i));
    }
    for (size_t i = 0; i < kIslands; ++i) {
      out.push_back({names_[i], {as_bytes(texts_[i]).first(5), as_bytes(texts_[i]).subspan(5)}});
    }
    return out;
  }
  io::Task<Result<uint32_t>> start(AckRule rule) {
    return fanout_->put(placement_, std::move(blobs_), nullptr, rule);
  }
  // Puts, releases every hold, and drains.
  static io::Task<Result<uint32_t>> put_and_drain(FanoutTest& test, AckRule rule) {
    Result<uint32_t> result = co_await test.start(rule);
    for (auto& island : test.islands_) island->release(MemIsland::Op::put);
    co_await test.fanout_->drain();
    co_return result;
  }
  Result<uint32_t> put(AckRule rule) {
    return io::run_blocking([&] { return put_and_drain(*this, rule); });
  }
  // Island 5 is held: the bytes must live until it is released, and no longer.
  static io::Task<void> check_latecomer(FanoutTest& test, std::shared_ptr<std::string> bytes,
                                        std::weak_ptr<std::string> watched) {
    auto result =
        co_await test.fanout_->put(test.placement_, std::move(test.blobs_), std::move(bytes), kHasty);
    EXPECT_EQ(result, 0b011111u);
    EXPECT_FALSE(watched.expired());
    test.islands_[5]->release(MemIsland::Op::put);
    co_await test.fanout_->drain();
    EXPECT_TRUE(watched.expired());
  }
  // A put whose first island answers only after the acknowledgement.
  static io::Task<Result<uint32_t>> put_one_late(Fanout& fanout, std::shared_ptr<const Placement> placement,
                                                 MemIsland& late, int round) {
    late.hold(MemIsland::Op::put);
    std::vector<Fanout::Blob> blobs(kIslands, {std::to_string(round), {as_bytes("same for all")}});
    Result<uint32_t> result = co_await fanout.put(std::move(placement), std::move(blobs), nullptr, kHasty);
    late.release(MemIsland::Op::put);
    co_await io::sleep_until(io::Loop::current()->now());  // the released put goes on
    while (!late.blobs().contains(std::to_string(round)))
      co_await io::sleep_until(io::Loop::current()->now());
    co_return result;
  }
  // Many writes while island 5 says nothing at all.
  static io::Task<void> write_beside_silence(FanoutTest& test, int writes) {
    test.islands_[5]->hold(MemIsland::Op::put);
    for (int i = 0; i < writes; ++i) {
      test.blobs_ = test.blobs();
      std::vector<Fanout::Blob> next = std::exchange(test.blobs_, {});
      for (Fanout::Blob& blob : next) blob.parts = {as_bytes("same for all")};
      Result<uint32_t> result = co_await test.fanout_->put(test.placement_, std::move(next), nullptr, kHasty);
      EXPECT_EQ(result, 0b011111u);
    }
    EXPECT_TRUE(test.islands_[5]->health().breaker_open());
    EXPECT_LE(test.islands_[5]->waiting(), static_cast<size_t>(island::kBreakerFailures));
    test.islands_[5]->release(MemIsland::Op::put);
    co_await test.fanout_->drain();
    EXPECT_FALSE(test.islands_[5]->health().breaker_open());
  }
  bool stored(size_t i) {
    auto it = islands_[i]->blobs().find(names_[i]);
    return it != islands_[i]->blobs().end() && it->second == texts_[i];
  }

  std::vector<std::string> names_, texts_;
  std::vector<Fanout::Blob> blobs_ = blobs();
  std::unique_ptr<io::Workers> workers_ = io::make_workers(1);
  std::unique_ptr<Fanout> fanout_ = make_fanout(*workers_);
};

TEST_F(FanoutTest, ConfirmsAllWhenAllAnswer) {
  EXPECT_EQ(put(kPatient), 0b111111u);
  for (size_t i = 0; i < kIslands; ++i) EXPECT_TRUE(stored(i));
}

TEST_F(FanoutTest, AcknowledgesAtOnceWhenTheRestHaveFailed) {
  islands_[1]->fail_next(MemIsland::Op::put, kDown);
  islands_[4]->down();
  EXPECT_EQ(put(kPatient), 0b101101u);
}

TEST_F(FanoutTest, RefusesBelowWAndNamesEveryIslandThatFailed) {
  for (size_t i : {0u, 2u, 5u})
    islands_[i]->fail_next(MemIsland::Op::put, {Code::unavailable, islands_[i]->id() + " is full", {}});
  auto result = put(kPatient);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::unavailable);
  for (std::string part : {"island-0 is full", "island-2 is full", "island-5 is full", "3 of 6"}) {
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }
}

TEST_F(FanoutTest, StopsWaitingForSlowIslandsAfterTheirSoftDeadlineAndLetsThemFinish) {
  for (size_t i : {0u, 3u}) islands_[i]->hold(MemIsland::Op::put);
  EXPECT_EQ(put(kHasty), 0b110110u);
  for (size_t i = 0; i < kIslands; ++i) EXPECT_TRUE(stored(i)) << "after drain, island " << i;
}

TEST_F(FanoutTest, KeepsTheBytesAliveForLatecomers) {
  auto memory = std::make_shared<std::string>("one body for all");
  std::weak_ptr<std::string> watch = memory;
  for (auto& blob : blobs_) blob.parts = {as_bytes(*memory)};
  islands_[5]->hold(MemIsland::Op::put);
  io::run_blocking([&] { return check_latecomer(*this, std::move(memory), watch); });
  EXPECT_EQ(islands_[5]->blobs().at(names_[5]), "one body for all");
}

TEST_F(FanoutTest, FailsAtTheHardDeadlineWhenTooFewAnswer) {
  for (size_t i : {0u, 1u, 2u}) islands_[i]->hold(MemIsland::Op::put);
  auto result = put(kGivesUp);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::unavailable);
  EXPECT_NE(result.error().message.find("island-1"), std::string::npos) << result.error().message;
}

TEST_F(FanoutTest, DoesNotWaitForAnOpenBreakerButStillTries) {
  TimePoint now = system_clock().now();
  for (int i = 0; i < island::kBreakerFailures; ++i) {
    islands_[2]->health().record(island::Health::Op::put, now, milliseconds(1), 0, &kDown);
  }
  islands_[2]->hold(MemIsland::Op::put);
  EXPECT_EQ(put(kPatient), 0b111011u);
  EXPECT_TRUE(stored(2));
}

TEST_F(FanoutTest, WritesGoOnBesideAnIslandThatNeverAnswersAndItIsLeftAlone) {
  io::run_blocking([&] { return write_beside_silence(*this, 50); });
}

TEST_F(FanoutTest, CountsALostReplyAsConfirmedAfterReadingTheBytesBack) {
  islands_[3]->lose_put_replies(1);
  EXPECT_EQ(put(kPatient), 0b111111u);
  EXPECT_GE(islands_[3]->counts().gets, 1u);
}

TEST_F(FanoutTest, CountsTheSameBytesAlreadyThereAsConfirmed) {
  islands_[0]->blobs()[names_[0]] = texts_[0];
  EXPECT_EQ(put(kPatient), 0b111111u);
}

TEST_F(FanoutTest, NeverCountsOtherBytesUnderTheName) {
  islands_[0]->blobs()[names_[0]] = texts_[0] + "x";
  islands_[1]->blobs()[names_[1]] = texts_[1].substr(1);
  islands_[2]->blobs()[names_[2]] = texts_[2];
  islands_[2]->blobs()[names_[2]].back() ^= 1;
  auto result = put(kPatient);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("other bytes"), std::string::npos) << result.error().message;
}

TEST_F(FanoutTest, ServesSeveralLoopsAtOnce) {
  // Each thread has its own loop and its own islands; the fan-out is shared.
  auto program = [](Fanout& fanout, int thread) {
    auto placement = std::make_shared<Placement>();
    std::vector<std::shared_ptr<MemIsland>> islands;
    for (int i = 0; i < kIslands; ++i) {
      islands.push_back(
          std::make_shared<MemIsland>("t" + std::to_string(thread) + "-" + std::to_string(i), true));
      placement->islands.push_back(islands.back());
    }
    for (int round = 0; round < 50; ++round) {
      auto result = io::run_blocking([&] { return put_one_late(fanout, placement, *islands[0], round); });
      EXPECT_EQ(result, 0b111110u);
    }
    EXPECT_EQ(islands[0]->blobs().size(), 50u);
  };
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (int i = 0; i < 3; ++i) threads.emplace_back([&, i] { program(*fanout_, i); });
  for (auto& thread : threads) thread.join();
}

TEST_F(FanoutTest, DoesNotTrustExistsFromAnIslandThatCannotShowTheBytes) {
  islands_[0]->fail_next(MemIsland::Op::put, {Code::exists, "exists", {}});
  EXPECT_EQ(put(kPatient), 0b111110u);
}

}  // namespace
}  // namespace archipel::extent
