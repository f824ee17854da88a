#include "http/connection.h"

#include <gtest/gtest.h>

#include "http/pipe_stream_test_util.h"

namespace archipel::http {
namespace {

io::Task<void> answer(Exchange& e) {
  Response response;
  auto sent = co_await e.respond(std::move(response), "ok");
  EXPECT_TRUE(sent);
}

// As the server does it.
io::Task<void> serve(ServerState& state, std::unique_ptr<io::Stream> stream) {
  Connection connection(state, std::move(stream));
  co_await connection.run();
}

TEST(Connection, HoldsNoBufferWhileIdle) {
  testing::ManualLoop loop;
  testing::FakeClock clock;
  ServerState state(loop, answer, Limits{}, clock);
  std::vector<testing::Client> clients(100);
  for (auto& c : clients) {
    auto stream = std::make_unique<testing::PipeStream>(c.to_server, c.from_server, c.trace, SIZE_MAX);
    state.scope.spawn(serve(state, std::move(stream)));
    c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    loop.settle();
    EXPECT_TRUE(c.take().ends_with("\r\n\r\nok"));
  }
  // All of them got by with one buffer, and none has it now.
  EXPECT_EQ(state.connections.size(), clients.size());
  EXPECT_EQ(state.pool.spares(), 1u);
  for (auto& c : clients) c.end();
  loop.settle();
  EXPECT_TRUE(state.connections.empty());
}

TEST(BufferPool, KeepsABoundedNumberOfItsOwnSize) {
  BufferPool pool;
  std::vector<Buffer> taken;
  for (size_t i = 0; i < BufferPool::kSparesMax + 10; ++i) taken.push_back(pool.take());
  for (Buffer& b : taken) pool.give(std::move(b));
  EXPECT_EQ(pool.spares(), BufferPool::kSparesMax);
  pool.take();
  pool.give(Buffer(1 << 20));
  EXPECT_EQ(pool.spares(), BufferPool::kSparesMax - 1);
}

TEST(Input, GrowsAndCompactsWithoutLosingBytes) {
  BufferPool pool;
  Input in(pool);
  std::string expected;
  auto fill = [&](size_t size_max) {
    MutableBytes room = in.room(size_max);
    for (auto& byte : room) {
      byte = static_cast<uint8_t>('a' + expected.size() % 26);
      expected.push_back(static_cast<char>(byte));
    }
    in.commit(room.size());
  };
  fill(BufferPool::kBufferBytes);
  EXPECT_TRUE(in.room(BufferPool::kBufferBytes).empty());
  in.consume(1000);
  expected.erase(0, 1000);
  fill(BufferPool::kBufferBytes);  // moved to the front
  fill(3 * BufferPool::kBufferBytes);
  EXPECT_EQ(in.view().size(), 3 * BufferPool::kBufferBytes);
  EXPECT_EQ(as_text(in.view().first(20000)), expected.substr(0, 20000));
}

}  // namespace
}  // namespace archipel::http
