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

// A connection whose layer below has things of its own to say: bytes "k" come to nobody, and "p" is a part of something.
class LayeredStream final : public io::Stream {
 public:
  explicit LayeredStream(std::unique_ptr<io::Stream> inner) : inner_(std::move(inner)) {}
  io::Task<Result<void>> wait_readable(Deadline deadline) override { return inner_->wait_readable(deadline); }
  io::Task<Result<size_t>> read(MutableBytes out, Deadline deadline) override {
    return inner_->read(out, deadline);
  }
  io::Task<Result<void>> write(std::span<const ByteView> parts, Deadline deadline) override {
    return inner_->write(parts, deadline);
  }
  std::optional<Result<size_t>> try_read(MutableBytes out) override {
    part_ = false;
    auto got = inner_->try_read(out);
    if (!got || !*got || **got != 1 || (out[0] != 'k' && out[0] != 'p')) return got;
    part_ = out[0] == 'p';
    return std::nullopt;
  }
  bool holds_part() const override { return part_; }
  void shutdown_write() override { inner_->shutdown_write(); }
  void close(bool reset) override { inner_->close(reset); }
  std::string peer() const override { return inner_->peer(); }

 private:
  const std::unique_ptr<io::Stream> inner_;
  bool part_ = false;
};

TEST(Connection, RestsOnWhenTheLayerBelowSpokeForItself) {
  testing::ManualLoop loop;
  testing::FakeClock clock;
  const Limits limits;
  ServerState state(loop, answer, limits, clock);
  testing::Client c;
  state.scope.spawn(serve(state, std::make_unique<LayeredStream>(std::make_unique<testing::PipeStream>(
                                     c.to_server, c.from_server, c.trace, SIZE_MAX))));
  auto get = [&] {
    c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    loop.settle();
    return c.take().ends_with("\r\n\r\nok");
  };
  EXPECT_TRUE(get());
  for (int i = 0; i < 3; ++i) {
    loop.advance(limits.header_timeout + std::chrono::seconds(1));
    c.send("k");
    loop.settle();
    EXPECT_EQ(state.pool.spares(), 1u) << "it holds a buffer";
  }
  EXPECT_FALSE(c.ended());
  EXPECT_TRUE(get());
  // What it says does not lengthen the rest, either.
  for (int i = 0; i < 4; ++i) {
    loop.advance(limits.idle_timeout / 4 - std::chrono::seconds(1));
    c.send("k");
    loop.settle();
    EXPECT_FALSE(c.ended());
  }
  loop.advance(std::chrono::seconds(5));
  EXPECT_TRUE(c.ended());
}

TEST(Connection, WaitsNoLongerForTheRestOfARecordThanForThatOfAHead) {
  testing::ManualLoop loop;
  testing::FakeClock clock;
  const Limits limits;
  ServerState state(loop, answer, limits, clock);
  testing::Client c;
  state.scope.spawn(serve(state, std::make_unique<LayeredStream>(std::make_unique<testing::PipeStream>(
                                     c.to_server, c.from_server, c.trace, SIZE_MAX))));
  c.send("p");
  loop.advance(limits.header_timeout - std::chrono::seconds(1));
  EXPECT_FALSE(c.ended());
  loop.advance(std::chrono::seconds(2));
  EXPECT_TRUE(c.ended());
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
