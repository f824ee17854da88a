#include "app/ports.h"

#include <gtest/gtest.h>

#include <thread>

namespace archipel::app {
namespace {

io::Task<void> answer(http::Exchange& exchange) {
  [[maybe_unused]] auto sent = co_await exchange.respond({}, "here\n");
}

io::Task<void> drained(io::Loop* other) {
  Ports ports({io::Loop::current(), other});
  Ports::Service service = ports.add(answer, {});
  auto first = ports.listen(service, "127.0.0.1:0");
  auto second = ports.listen(service, "127.0.0.1:0");
  EXPECT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_FALSE(first->ends_with(":0"));
  ports.serve();
  ports.drain();
  co_await ports.join();
}

TEST(Ports, TellTheRealPortAndEndWhenDrained) {
  std::unique_ptr<io::Loop> other = io::make_loop();
  std::thread thread([&] { other->run(); });
  io::run_blocking([&] { return drained(other.get()); });
  other->stop();
  thread.join();
}

TEST(Ports, RefuseAnAddressThatSomebodyHas) {
  auto scenario = []() -> io::Task<void> {
    Ports one({io::Loop::current()});
    Ports another({io::Loop::current()});
    auto taken = one.listen(one.add(answer, {}), "127.0.0.1:0");
    EXPECT_TRUE(taken);
    auto refused = another.listen(another.add(answer, {}), *taken);
    EXPECT_FALSE(refused);
    co_return;
  };
  io::run_blocking(scenario);
}

}  // namespace
}  // namespace archipel::app
