// Balancers over origins that are slow, die, flap and come back, under virtual time.
#include "edge/balance.h"

#include <list>

#include "edge/origins_test_util.h"

namespace archipel::edge {
namespace {

using namespace std::chrono_literals;
using testing::OriginWorld;

int extra(OriginWorld& w) {
  int64_t n = 0;
  for (const OriginReport& o : w.balancer->report().origins) n += o.retries;
  return static_cast<int>(n);
}

TEST(Balance, ASlowReplicaGetsLittleOfTheLoad) {
  OriginWorld w(3);
  w[1].latency = 200ms;
  w.start();
  auto tally = w.load(200, 5s);
  EXPECT_EQ(tally.failed, 0) << tally.first_error;
  EXPECT_LT(w[1].requests, 1000 / 20);
  EXPECT_GT(w[1].requests, 0);
  EXPECT_GT(w[0].requests, 350);
  EXPECT_GT(w[2].requests, 350);
}

TEST(Balance, WhatWasSlowIsUsedAgainWhenItIsFast) {
  OriginWorld w(2);
  w[1].latency = 500ms;
  w.start();
  w.load(100, 10s);
  w[1].latency = 5ms;
  w.load(50, 30s, false);
  const int before = w[1].requests;
  w.load(50, 5s);
  EXPECT_GT(w[1].requests - before, 60);
}

TEST(Balance, ADyingReplicaCostsNoIdempotentRequestAnError) {
  OriginWorld w(3);
  w.policy.health.path = "/health";
  w.policy.health.interval = 1s;
  w.start();
  w.load(200, 1s, false);
  w[2].kill();
  const int connects = w.connects;
  auto tally = w.load(200, 4s);
  EXPECT_EQ(tally.failed, 0) << tally.first_error;
  EXPECT_EQ(w.balancer->report().origins[2].state, OriginState::unhealthy);
  // Requests stopped going there after a few: what is left are the checks.
  EXPECT_LT(w.connects - connects, 400);
  EXPECT_LT(extra(w), 20);
  EXPECT_LT(tally.slowest, 1s);
}

TEST(Balance, AReplicaThatDropsRequestsCostsNoIdempotentRequestAnError) {
  OriginWorld w(3);
  w.start();
  w.load(200, 2s, false);
  w[0].drops = true;
  w[0].requests = 0;
  auto tally = w.load(200, 5s);
  EXPECT_EQ(tally.failed, 0) << tally.first_error;
  EXPECT_GE(w[0].requests, 1);
  EXPECT_LT(w[0].requests, 20) << "what fails fast is not taken for fast";
}

TEST(Balance, AFlappingReplicaCostsNoErrors) {
  OriginWorld w(3);
  w.policy.health.path = "/health";
  w.policy.health.interval = 1s;
  w.start();
  for (int i = 0; i < 3; ++i) {
    w[1].kill();
    auto down = w.load(100, 3s, false);
    EXPECT_EQ(down.failed, 0) << down.first_error;
    w[1].refuses = false;
    auto up = w.load(100, 3s, false);
    EXPECT_EQ(up.failed, 0) << up.first_error;
  }
}

TEST(Balance, RecoveryIsNotMetByAThunderingHerd) {
  OriginWorld w(2);
  w.policy.health.path = "/health";
  w.policy.health.interval = 1s;
  w.policy.balance.algorithm = Algorithm::round_robin;
  w.start();
  w[1].kill();
  w.load(200, 5s, false);
  w[1].refuses = false;
  while (w.balancer->report().origins[1].state != OriginState::usable) w.load(200, 1s, false);
  w[1].requests = w[0].requests = 0;
  w.load(200, 2s, false);
  const int early = w[1].requests;
  EXPECT_GT(early, 0);
  EXPECT_LT(early, 90) << "of 400, at a ramp of 0.1 to 0.3";
  w.loop.advance(10s);
  w[1].requests = 0;
  w.load(200, 1s);
  EXPECT_NEAR(w[1].requests, 100, 5);
}

TEST(Balance, WhenAllAreDownRequestsFailAtOnceAndRetriesStayInBudget) {
  OriginWorld w(3);
  w.policy.health.path = "/health";
  w.start();
  for (size_t i = 0; i < 3; ++i) w[i].kill();
  w.loop.advance(1s);
  auto tally = w.load(200, 10s);
  EXPECT_EQ(tally.failed, tally.asked);
  EXPECT_LT(tally.slowest, 100ms);
  EXPECT_LE(extra(w), tally.asked / 5 + 30);
  EXPECT_TRUE(w.balancer->report().panic);
  EXPECT_GT(w.balancer->report().retries_denied, 0);
  auto answer = w.ask_now(OriginWorld::get());
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, Code::unavailable);
}

TEST(Balance, APostIsNeverSentTwice) {
  OriginWorld w(2);
  w[0].drops = w[1].drops = true;
  w.start();
  auto answer = w.ask_now(OriginWorld::get("/", "POST"));
  EXPECT_TRUE(answer.error);
  EXPECT_EQ(w[0].requests + w[1].requests, 1);
}

TEST(Balance, APostThatWasNotSentIsSentElsewhere) {
  OriginWorld w(2);
  w.policy.balance.algorithm = Algorithm::round_robin;
  w[0].refuses = true;
  w.start();
  for (int i = 0; i < 3; ++i) {
    auto answer = w.ask_now(OriginWorld::get("/", "POST"));
    EXPECT_FALSE(answer.error);
    EXPECT_EQ(answer.origin, "http://origin1:80");
  }
}

class TextBody final : public BodySource {
 public:
  std::optional<uint64_t> length() const override { return 4; }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    if (done_) co_return size_t{0};
    done_ = true;
    std::ranges::copy(as_bytes("body"), out.begin());
    co_return size_t{4};
  }

 private:
  bool done_ = false;
};

TEST(Balance, ABodyThatWasBegunIsNeverSentAgain) {
  OriginWorld w(2);
  w[0].drops = w[1].drops = true;
  w.start();
  TextBody body;
  auto request = OriginWorld::get("/", "PUT");
  request.body = &body;
  auto answer = w.ask_now(std::move(request));
  EXPECT_TRUE(answer.error);
  EXPECT_EQ(w[0].requests + w[1].requests, 1);
}

TEST(Balance, NothingIsAskedAgainOnceABodyHasBegun) {
  OriginWorld w(2);
  w[0].breaks_off = w[1].breaks_off = true;
  w.start();
  auto answer = w.ask_now(OriginWorld::get());
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(w[0].requests + w[1].requests, 1);
}

TEST(Balance, AnAnswerThatSaysUnavailableIsAskedForElsewhere) {
  OriginWorld w(2);
  w.policy.balance.algorithm = Algorithm::round_robin;
  w[0].status = 503;
  w.start();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(w.ask_now(OriginWorld::get()).status, 200);
  w[1].status = 503;
  w[1].body = "sorry";
  auto answer = w.ask_now(OriginWorld::get());
  EXPECT_EQ(answer.status, 503) << "if all say so, it is passed on";
  EXPECT_EQ(w.ask_now(OriginWorld::get("/", "POST")).status, 503);
}

TEST(Balance, AnOriginThatSaysNothingIsLeftAfterTheTryTimeout) {
  OriginWorld w(2);
  w.policy.balance.algorithm = Algorithm::round_robin;
  w.policy.retry.try_timeout = 300ms;
  w[0].silent = true;
  w.start();
  auto answer = w.ask_now(OriginWorld::get());
  EXPECT_FALSE(answer.error);
  EXPECT_EQ(answer.origin, "http://origin1:80");
  EXPECT_LT(answer.took, 400ms);
}

TEST(Balance, TheDeadlineHoldsWhateverIsTried) {
  OriginWorld w(3);
  for (size_t i = 0; i < 3; ++i) w[i].silent = true;
  w.start();
  auto answer = w.ask_now(OriginWorld::get(), 2s);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, Code::timeout);
  EXPECT_LE(answer.took, 2001ms);
}

TEST(Balance, AStuckRequestIsHedgedAndTheLoserGivenUp) {
  OriginWorld w(2);
  w.policy.retry.hedge = true;
  w.policy.balance.algorithm = Algorithm::round_robin;
  w.start();
  w.load(100, 2s, false);
  w[0].silent = w[1].silent = false;
  w[0].silent = true;
  OriginWorld::Answer a, b;
  auto first = w.ask(*w.balancer, OriginWorld::get(), a);
  auto second = w.ask(*w.balancer, OriginWorld::get(), b);
  w.loop.advance(100ms);
  ASSERT_TRUE(first.done());
  ASSERT_TRUE(second.done());
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(b.status, 200);
  EXPECT_EQ(a.origin, "http://origin1:80");
  EXPECT_LE(std::max(a.took, b.took), 60ms);
  EXPECT_EQ(w.balancer->report().origins[1].hedges, 1);
  EXPECT_EQ(w.balancer->report().origins[0].in_flight, 0);
}

TEST(Balance, HedgesStayInTheirBudget) {
  OriginWorld w(3);
  w.policy.retry.hedge = true;
  for (size_t i = 0; i < 3; ++i) w[i].jitter = 400ms;  // many requests are slower than the last p95
  w.start();
  w.load(100, 5s, false);
  for (size_t i = 0; i < 3; ++i) w[i].latency = 600ms;
  auto tally = w.load(100, 12s);
  EXPECT_EQ(tally.failed, 0);
  int64_t hedges = 0;
  for (const OriginReport& o : w.balancer->report().origins) hedges += o.hedges;
  EXPECT_GT(hedges, 30);
  EXPECT_LE(hedges, 1700 / 20);
  EXPECT_GT(w.balancer->report().hedges_denied, 0);
}

TEST(Balance, AFullOriginQueuesAFewAndRefusesTheRest) {
  OriginWorld w(1);
  w.policy.balance.requests_max = 2;
  w.policy.balance.queue_max = 2;
  w[0].latency = 300ms;
  w.start();
  std::vector<OriginWorld::Answer> answers(6);
  std::list<io::Task<void>> tasks;
  for (auto& answer : answers) tasks.push_back(w.ask(*w.balancer, OriginWorld::get(), answer));
  EXPECT_TRUE(answers[4].error) << "at once";
  EXPECT_TRUE(answers[5].error);
  EXPECT_EQ(answers[4].error->code, Code::unavailable);
  EXPECT_EQ(w.balancer->report().waiting, 2);
  w.loop.advance(700ms);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(answers[i].status, 200);
  EXPECT_EQ(w[0].most_under_way, 2);
  EXPECT_EQ(w.balancer->report().refused, 2);
}

TEST(Balance, WhoWaitsForAPlaceIsRefusedInTime) {
  OriginWorld w(1);
  w.policy.balance.requests_max = 1;
  w.policy.balance.queue_timeout = 500ms;
  w[0].silent = true;
  w.start();
  OriginWorld::Answer stuck, waiting;
  auto a = w.ask(*w.balancer, OriginWorld::get(), stuck);
  auto b = w.ask(*w.balancer, OriginWorld::get(), waiting);
  w.loop.advance(501ms);
  ASSERT_TRUE(b.done());
  ASSERT_TRUE(waiting.error);
  EXPECT_EQ(waiting.error->code, Code::unavailable);
  EXPECT_EQ(waiting.took, 500ms);
  w[0].silent = false;
  w[0].released.notify_all();
  w.loop.advance(1s);
  EXPECT_EQ(stuck.status, 200);
  EXPECT_EQ(w.balancer->report().origins[0].in_flight, 0);
}

TEST(Balance, AResponseMayTakeOnlySoLongAltogether) {
  OriginWorld w(1);
  w.policy.balance.whole_timeout = 2s;
  w[0].silent = true;
  w.start();
  auto answer = w.ask_now(OriginWorld::get(), 10s);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, Code::timeout);
  EXPECT_LE(answer.took, 2s);
}

TEST(Balance, AReloadKeepsWhatIsKnownOfAnOriginAndLetsNewOnesJoinSlowly) {
  OriginWorld w(2);
  w.policy.health.path = "/health";
  w.start();
  w[1].kill();
  w.loop.advance(30s);
  ASSERT_EQ(w.balancer->report().origins[1].state, OriginState::unhealthy);
  OriginAddress third;
  third.host = "origin2";
  third.url = "http://origin2:80";
  w.add("origin2");
  OriginPolicy policy = w.policy;
  policy.origins.push_back(third);
  auto next = std::make_unique<Balancer>(policy, w.parts(), w.balancer.get());
  w.balancer = std::move(next);
  EXPECT_EQ(w.balancer->report().origins[1].state, OriginState::unhealthy);
  EXPECT_EQ(w.balancer->report().origins[0].share, 1);
  EXPECT_LT(w.balancer->report().origins[2].share, 0.2);
}

TEST(Balance, AnOriginThatAReloadRemovedFinishesItsRequests) {
  OriginWorld w(1);
  w[0].latency = 1s;
  w.start();
  OriginWorld::Answer answer;
  auto task = w.ask(*w.balancer, OriginWorld::get(), answer);
  w.loop.advance(100ms);
  w.balancer.reset();
  w.loop.advance(2s);
  ASSERT_TRUE(task.done());
  EXPECT_EQ(answer.body, "hello");
  w.loop.advance(1s);
  EXPECT_EQ(w[0].open(), 0) << "its connections are closed";
}

TEST(Balance, ChecksSeeAnOriginThatNoRequestHasMet) {
  OriginWorld w(2);
  w.policy.health.path = "/health";
  w[1].status = 500;
  w.start();
  w.loop.advance(1s);
  EXPECT_EQ(w.balancer->report().origins[1].state, OriginState::unhealthy);
  EXPECT_GT(w[1].checks, 0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(w.ask_now(OriginWorld::get()).status, 200);
  EXPECT_EQ(w[1].requests, 0);
}

}  // namespace
}  // namespace archipel::edge
