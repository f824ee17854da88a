#include "store/budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "io/sync.h"

namespace archipel::store {
namespace {

io::Task<void> take(Budget& budget, uint64_t least, uint64_t want, std::vector<uint64_t>& granted,
                    io::Event& changed, io::Event& let_go, bool& free) {
  Result<Budget::Ticket> ticket = co_await budget.acquire(Budget::Use::write, least, want, kNoDeadline);
  EXPECT_TRUE(ticket.has_value());
  granted.push_back(ticket->bytes());
  changed.notify_all();
  while (!free) co_await let_go.wait();
}

TEST(Budget, ServesInOrderAndShrinksUnderPressure) {
  struct Body {
    static io::Task<void> go() {
      Budget budget(100);
      std::vector<uint64_t> granted;
      io::Event changed, let_go;
      bool free = false;
      {
        io::TaskScope scope;
        scope.spawn(take(budget, 10, 60, granted, changed, let_go, free));  // plenty
        scope.spawn(take(budget, 10, 60, granted, changed, let_go, free));  // short: the least
        EXPECT_EQ(granted, (std::vector<uint64_t>{60, 10}));
        scope.spawn(take(budget, 50, 50, granted, changed, let_go, free));  // must wait
        scope.spawn(take(budget, 5, 5, granted, changed, let_go, free));  // would fit, but does not overtake
        EXPECT_FALSE(budget.try_acquire(Budget::Use::write, 5, 5).has_value());
        EXPECT_EQ(granted.size(), 2u);
        free = true;
        let_go.notify_all();
        co_await scope.join();
      }
      EXPECT_EQ(granted, (std::vector<uint64_t>{60, 10, 50, 5}));
      EXPECT_EQ(budget.available(), 100u);
      Result<Budget::Ticket> larger = co_await budget.acquire(Budget::Use::write, 1000, 1000, kNoDeadline);
      EXPECT_EQ(larger->bytes(), 100u);  // never more than there is
    }
  };
  io::run_blocking([] { return Body::go(); });
}

TEST(Budget, KeepsAQuarterFromReaders) {
  struct Body {
    static io::Task<void> read(Budget& budget, uint64_t bytes, std::vector<uint64_t>& granted) {
      Result<Budget::Ticket> ticket = co_await budget.acquire(Budget::Use::read, bytes, bytes, kNoDeadline);
      EXPECT_TRUE(ticket.has_value());
      granted.push_back(ticket->bytes());
    }
    static io::Task<void> go() {
      Budget budget(100);
      std::vector<uint64_t> granted;
      io::TaskScope scope;
      {
        std::optional<Budget::Ticket> most = budget.try_acquire(Budget::Use::read, 200, 200);
        EXPECT_TRUE(most.has_value());
        if (!most) co_return;
        EXPECT_EQ(most->bytes(), 75u);
        scope.spawn(read(budget, 10, granted));  // waits for its share
        scope.spawn(read(budget, 30, granted));
        EXPECT_FALSE(budget.try_acquire(Budget::Use::read, 1, 1).has_value());
        EXPECT_TRUE(budget.try_acquire(Budget::Use::write, 25, 25).has_value());
        EXPECT_TRUE(granted.empty());
        most->shrink(65);
        co_await io::sleep_until(io::Loop::current()->now());
        EXPECT_EQ(granted, (std::vector<uint64_t>{10}));
      }
      co_await scope.join();
      EXPECT_EQ(granted, (std::vector<uint64_t>{10, 30}));
      EXPECT_EQ(budget.available(), 100u);
    }
  };
  io::run_blocking([] { return Body::go(); });
}

TEST(Budget, TellsToSlowDownWhenTheDeadlinePasses) {
  struct Body {
    static io::Task<void> go() {
      Budget budget(100);
      {
        std::optional<Budget::Ticket> all = budget.try_acquire(Budget::Use::write, 100, 100);
        EXPECT_TRUE(all.has_value());
        for (Budget::Use use : {Budget::Use::write, Budget::Use::read}) {
          Result<Budget::Ticket> late = co_await budget.acquire(use, 10, 10, io::Loop::current()->now());
          EXPECT_FALSE(late.has_value());
          if (late) co_return;
          EXPECT_EQ(late.error().code, Code::throttled);
          EXPECT_EQ(late.error().detail, "SlowDown");
        }
      }
      // Who gave up is forgotten, and a deadline does no harm to who is served.
      Result<Budget::Ticket> again =
          co_await budget.acquire(Budget::Use::write, 100, 100, io::Loop::current()->now());
      EXPECT_TRUE(again.has_value());
    }
  };
  io::run_blocking([] { return Body::go(); });
}

// Waiters resume at home, however many loops compete.
TEST(Budget, IsSharedBetweenLoops) {
  struct Body {
    static io::Task<void> go(Budget& budget) {
      for (int i = 0; i < 500; ++i) {
        io::Loop* home = io::Loop::current();
        Result<Budget::Ticket> ticket = co_await budget.acquire(Budget::Use::write, 60, 60, kNoDeadline);
        EXPECT_EQ(io::Loop::current(), home);
        EXPECT_EQ(ticket->bytes(), 60u);
        if (i % 16 == 0) co_await io::sleep_until(home->now());
      }
    }
  };
  Budget budget(100);
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] { io::run_blocking([&] { return Body::go(budget); }); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.available(), 100u);
}

}  // namespace
}  // namespace archipel::store
