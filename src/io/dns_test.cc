#include "io/dns.h"

#include <gtest/gtest.h>

#include <atomic>

#include "io/sync.h"

namespace archipel::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Answer = Result<std::vector<std::string>>;

struct TestClock final : Clock {
  TimePoint now() override { return TimePoint(Duration(nanoseconds.load())); }
  UnixMs unix_ms() override { return 0; }
  void advance(Duration d) { nanoseconds += d.count(); }
  std::atomic<int64_t> nanoseconds = 1'000'000'000'000;
};

// Workers that do nothing until the test says so.
struct HeldWorkers final : Workers {
  void submit(Callback job) override { jobs.push_back(std::move(job)); }
  void work() {
    for (Callback& job : std::exchange(jobs, {})) job();
  }
  std::vector<Callback> jobs;
};

struct Rig {
  std::shared_ptr<Dns> make(DnsOptions options = {}) {
    return make_dns(workers, clock, options, [this](const std::string& host) -> Answer {
      asked.push_back(host);
      return answer;
    });
  }
  TestClock clock;
  HeldWorkers workers;
  Answer answer = std::vector<std::string>{"192.0.2.1", "2001:db8::1"};
  std::vector<std::string> asked;
};

Task<void> ask(Dns& dns, std::string host, std::vector<Answer>& out, Deadline deadline = kNoDeadline) {
  auto got = co_await dns.resolve(std::move(host), deadline);
  out.push_back(std::move(got));
}

// Lets posted callbacks run.
Task<void> turns() {
  for (int i = 0; i < 3; ++i) co_await sleep_until(Loop::current()->now());
}

Task<void> many_ask_once(Rig& rig) {
  auto dns = rig.make();
  std::vector<Answer> got;
  TaskScope scope;
  for (int i = 0; i < 50; ++i) scope.spawn(ask(*dns, "a.example", got));
  EXPECT_EQ(rig.workers.jobs.size(), 1u);
  EXPECT_TRUE(got.empty());
  rig.workers.work();
  co_await scope.join();
  EXPECT_EQ(got.size(), 50u);
  for (const Answer& one : got) EXPECT_EQ(one.value(), *rig.answer);
  // And nobody asks again while it is fresh.
  rig.clock.advance(seconds(29));
  scope.spawn(ask(*dns, "a.example", got));
  EXPECT_EQ(got.size(), 51u);
  EXPECT_TRUE(rig.workers.jobs.empty());
  co_await scope.join();
}

TEST(Dns, ManyWhoAskForOneNameAskOnce) {
  Rig rig;
  run_blocking([&] { return many_ask_once(rig); });
}

Task<void> renew(Rig& rig) {
  auto dns = rig.make();
  std::vector<Answer> got;
  TaskScope scope;
  scope.spawn(ask(*dns, "a.example", got));
  rig.workers.work();
  co_await scope.join();
  rig.clock.advance(seconds(31));
  Answer old = rig.answer;
  rig.answer = std::vector<std::string>{"192.0.2.9"};
  scope.spawn(ask(*dns, "a.example", got));
  EXPECT_EQ(got.size(), 2u) << "the old answer serves while the new one is fetched";
  EXPECT_EQ(got.back().value(), *old);
  rig.workers.work();
  scope.spawn(ask(*dns, "a.example", got));
  EXPECT_EQ(got.back().value(), *rig.answer);
  // A silent name server: the last answer serves on, and not every request asks again.
  Answer last = rig.answer;
  rig.answer = fail(Code::unavailable, "silence");
  rig.clock.advance(seconds(31));
  for (int i = 0; i < 10; ++i) {
    scope.spawn(ask(*dns, "a.example", got));
    rig.workers.work();
    EXPECT_EQ(got.back().value(), *last);
  }
  EXPECT_EQ(rig.asked.size(), 3u);
  // But not for ever.
  rig.clock.advance(std::chrono::minutes(11));
  scope.spawn(ask(*dns, "a.example", got));
  rig.workers.work();
  co_await scope.join();
  EXPECT_EQ(got.back().error().code, Code::unavailable);
  co_await turns();
}

TEST(Dns, ServesOldAnswersWhileItRenewsThem) {
  Rig rig;
  run_blocking([&] { return renew(rig); });
}

Task<void> negative(Rig& rig) {
  rig.answer = fail(Code::not_found, "no such name");
  auto dns = rig.make();
  std::vector<Answer> got;
  TaskScope scope;
  for (int i = 0; i < 3; ++i) {
    scope.spawn(ask(*dns, "gone.example", got));
    rig.workers.work();
    co_await scope.join();
    EXPECT_EQ(got.back().error().code, Code::not_found);
  }
  EXPECT_EQ(rig.asked.size(), 1u);
  rig.clock.advance(seconds(6));
  rig.answer = std::vector<std::string>{"192.0.2.1"};
  scope.spawn(ask(*dns, "gone.example", got));
  rig.workers.work();
  co_await scope.join();
  EXPECT_EQ(got.back().value(), *rig.answer);
  // A name that was there and is gone does not live on as a stale answer.
  rig.answer = fail(Code::not_found, "no such name");
  rig.clock.advance(seconds(31));
  scope.spawn(ask(*dns, "gone.example", got));
  rig.workers.work();
  scope.spawn(ask(*dns, "gone.example", got));
  co_await scope.join();
  EXPECT_EQ(got.back().error().code, Code::not_found);
}

TEST(Dns, RemembersThatANameIsNotThereButNotForLong) {
  Rig rig;
  run_blocking([&] { return negative(rig); });
}

Task<void> odd_names(Rig& rig) {
  auto dns = rig.make();
  std::vector<Answer> got;
  TaskScope scope;
  for (const char* address : {"192.0.2.7", "2001:db8::7", "::1"}) {
    scope.spawn(ask(*dns, address, got));
    EXPECT_EQ(got.back().value(), std::vector<std::string>{address});
  }
  for (std::string bad : {std::string(), std::string("a b"), std::string("a/b"), std::string("a\0b", 3),
                          std::string(300, 'a')}) {
    scope.spawn(ask(*dns, bad, got));
    EXPECT_EQ(got.back().error().code, Code::invalid);
  }
  EXPECT_TRUE(rig.asked.empty());
  // Nobody answers in time: the one who asked goes on, and the answer finds nobody.
  scope.spawn(ask(*dns, "slow.example", got, Loop::current()->now()));
  co_await scope.join();
  EXPECT_EQ(got.back().error().code, Code::timeout);
  rig.workers.work();
  co_await turns();
  for (size_t i = 0; i < kDnsNamesMax + 100; ++i) {
    scope.spawn(ask(*dns, "n" + std::to_string(i) + ".example", got));
    rig.workers.work();
  }
  co_await scope.join();
  scope.spawn(ask(*dns, "n" + std::to_string(kDnsNamesMax) + ".example", got));
  EXPECT_TRUE(rig.workers.jobs.empty()) << "the newest are remembered";
  scope.spawn(ask(*dns, "n0.example", got));
  EXPECT_EQ(rig.workers.jobs.size(), 1u) << "the oldest are not";
  rig.workers.work();
  co_await scope.join();
}

TEST(Dns, IsBoundedInNamesTimeAndWhatItTakesForAName) {
  Rig rig;
  run_blocking([&] { return odd_names(rig); });
}

TEST(Dns, TheSystemKnowsItself) {
  auto workers = make_workers(1);
  auto dns = make_dns(*workers, system_clock());
  std::vector<Answer> got;
  run_blocking([&] { return ask(*dns, "localhost", got); });
  ASSERT_TRUE(got.at(0)) << got[0].error().describe();
  for (const std::string& address : *got[0])
    EXPECT_TRUE(address == "127.0.0.1" || address == "::1") << address;
  EXPECT_EQ(with_port("::1", 80), "[::1]:80");
  EXPECT_EQ(with_port("127.0.0.1", 80), "127.0.0.1:80");
}

}  // namespace
}  // namespace archipel::io
