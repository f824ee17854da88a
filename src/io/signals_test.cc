#include "io/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace archipel::io {
namespace {

TEST(Signals, ArriveOnTheLoopAndDoNotEndTheProcess) {
  auto loop = make_loop();
  std::vector<int> seen;
  auto watch = watch_signals(*loop, [&](int signal) {
    EXPECT_EQ(Loop::current(), loop.get());
    seen.push_back(signal);
    if (signal == SIGHUP) kill(getpid(), SIGTERM);
    if (signal == SIGTERM) kill(getpid(), SIGINT);
    if (signal == SIGINT) loop->stop();
  });
  ASSERT_TRUE(watch.has_value());
  kill(getpid(), SIGHUP);
  loop->run();
  EXPECT_EQ(seen, (std::vector<int>{SIGHUP, SIGTERM, SIGINT}));
}

TEST(Signals, TheOneForHandingOverIsForThoseWhoWantIt) {
  auto loop = make_loop();
  std::vector<int> wanting, others;
  auto first = watch_signals(*loop, [&](int signal) { others.push_back(signal); });
  auto second = watch_signals(
      *loop,
      [&](int signal) {
        wanting.push_back(signal);
        if (signal == SIGUSR2) kill(getpid(), SIGTERM);
        if (signal == SIGTERM) loop->stop();
      },
      true);
  ASSERT_TRUE(first && second);
  kill(getpid(), SIGUSR2);
  loop->run();
  EXPECT_EQ(wanting, (std::vector<int>{SIGUSR2, SIGTERM}));
  EXPECT_EQ(std::ranges::count(others, SIGUSR2), 0);
  second->reset();
  struct sigaction now{};
  sigaction(SIGUSR2, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST(Signals, MayBeUnwatchedFromTheirOwnCallback) {
  auto loop = make_loop();
  Result<std::unique_ptr<SignalWatch>> watch;
  int seen = 0;
  watch = watch_signals(*loop, [&](int) {
    ++seen;
    watch->reset();  // as a drain does, so that a second SIGTERM ends the process at once
    loop->stop();
  });
  ASSERT_TRUE(watch.has_value());
  kill(getpid(), SIGTERM);
  loop->run();
  EXPECT_EQ(seen, 1);
  struct sigaction now{};
  sigaction(SIGTERM, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

}  // namespace
}  // namespace archipel::io
