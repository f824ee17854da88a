// What one stream, or one odd event, must not take from its neighbours: their turn, their connection, the machine's memory and time.
#include <gtest/gtest.h>

#include "http/h2_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

io::Task<void> wait_then_answer(Exchange& e, Desk& d) {
  ++d.calls;
  while (!d.open) co_await d.go.wait();
  co_await answer(e, d, 200, std::string(100'000, 'x'));
}

TEST(Http2Turns, ASmallAnswerGetsItsTurnBesideLargeOnes) {
  // Four large bodies fill a buffer in one round, so whose turn it is at its end may always be the same.
  for (int nudges = 0; nudges < 5; ++nudges) {
    Harness h(letters, {}, plain_page, kH2);
    H2Client c(h);
    // A wire that takes what the client reads, and no more: both output buffers are full.
    c.wire().from_server->capacity = 1;
    std::string large = frame(kSettings, 0, 0, number(4, 2) + number(kH2WindowMax, 4)) +
                        frame(kWindow, 0, 0, number(1u << 30, 4));
    for (uint32_t id = 1; id <= 7; id += 2) large += headers_frame(id, request_fields("GET", "/a/1000000"));
    c.say(large);
    c.say(headers_frame(9, request_fields("GET", "/b/10")));
    for (int i = 0; i < nudges; ++i) c.say(frame(kWindow, 0, 0, number(1, 4)));
    c.wire().from_server->capacity = 16u << 10;
    const auto others = [&c] {
      size_t bytes = 0;
      for (uint32_t id = 1; id <= 7; id += 2) bytes += c.answers[id].body.size();
      return bytes;
    };
    while (!c.answers[9].ended && others() < 4'000'000) {
      h.loop.settle();
      c.hear();
    }
    EXPECT_EQ(c.answers[9].body, "bbbbbbbbbb");
    EXPECT_LE(others(), 2 * kH2OutBytes + 4 * kH2FrameBytesMax) << "what was framed already, and one round";
  }
}

// A connection of its own: what it holds can be asked.
struct Alone {
  explicit Alone(Harness::Function function, std::unique_ptr<io::Stream> stream)
      : state(
            loop, [this, function](Exchange& e) { return function(e, desk); }, Limits{}, clock),
        connection(state, std::move(stream)),
        running(connection.run()) {}

  ManualLoop& loop = *static_cast<ManualLoop*>(io::Loop::current());
  FakeClock clock;
  Desk desk;
  ServerState state;
  H2Connection connection;
  io::Task<void> running;
};

std::string hello() {
  return std::string(kH2Preface) + frame(kSettings, 0, 0, "");
}

TEST(Http2Memory, AnIdleConnectionHoldsNoBufferHoweverItsAnswerCame) {
  ManualLoop loop;
  Client client;
  Alone alone(wait_then_answer,
              std::make_unique<PipeStream>(client.to_server, client.from_server, client.trace, SIZE_MAX));
  client.send(hello() + frame(kSettings, 0, 0, number(4, 2) + number(1u << 20, 4)) +
              frame(kWindow, 0, 0, number(1u << 20, 4)) + headers_frame(1, request_fields()));
  loop.settle();
  EXPECT_EQ(alone.desk.calls, 1);
  // The answer is written outside of any batch of requests, and its stream goes only when its handler has returned.
  alone.desk.open = true;
  alone.desk.go.notify_all();
  loop.settle();
  EXPECT_TRUE(alone.desk.responded_ok);
  EXPECT_EQ(alone.connection.held_bytes(), 0u);
  client.end();
  loop.settle();
  EXPECT_TRUE(alone.running.done());
}

// A stream that is readable now and then although nothing is there to be read: as TLS is when a record comes that is no data.
class Nervous final : public io::Stream {
 public:
  Nervous(std::unique_ptr<io::Stream> inner, int& alarms) : inner_(std::move(inner)), alarms_(alarms) {}
  io::Task<Result<void>> wait_readable(Deadline deadline) override {
    if (alarms_ > 0) {
      --alarms_;
      co_return Result<void>();
    }
    auto ready = co_await inner_->wait_readable(deadline);
    co_return ready;
  }
  io::Task<Result<size_t>> read(MutableBytes out, Deadline deadline) override {
    return inner_->read(out, deadline);
  }
  io::Task<Result<void>> write(std::span<const ByteView> parts, Deadline deadline) override {
    return inner_->write(parts, deadline);
  }
  void shutdown_write() override { inner_->shutdown_write(); }
  void close(bool reset) override { inner_->close(reset); }
  std::string peer() const override { return inner_->peer(); }

 private:
  std::unique_ptr<io::Stream> inner_;
  int& alarms_;
};

TEST(Http2Ends, WhatIsReadableWithoutBytesEndsNoRequest) {
  ManualLoop loop;
  Client client;
  int alarms = 0;
  auto pipe = std::make_unique<PipeStream>(client.to_server, client.from_server, client.trace, SIZE_MAX);
  Alone alone(wait_then_answer, std::make_unique<Nervous>(std::move(pipe), alarms));
  alarms = 1;
  client.send(hello() + headers_frame(1, request_fields()));
  loop.settle();
  loop.advance(std::chrono::seconds(50));  // the handler takes its time, longer than any head may
  EXPECT_FALSE(alone.running.done());
  alone.desk.open = true;
  alone.desk.go.notify_all();
  loop.settle();
  EXPECT_NE(client.take().find("xxxx"), std::string::npos);
  client.end();
  loop.settle();
  EXPECT_TRUE(alone.running.done());
}

TEST(Http2Ends, WhatWasOnItsWayBeforeOurGoawayDoesNotDestroyIt) {
  Harness h(wait_then_answer, {}, plain_page, kH2);
  H2Client c(h);
  c.acknowledges = false;
  h.server->drain();
  h.loop.advance(kH2RoundTripMax);
  c.hear();
  EXPECT_EQ(c.goaway, kNoError);
  EXPECT_TRUE(c.wire().ended());
  // A socket that is closed on unread bytes sends RST.
  c.say(headers_frame(1, request_fields()) + frame(kPing, 0, 0, "12345678"));
  EXPECT_EQ(c.wire().unread_by_server(), 0u);
  EXPECT_FALSE(c.wire().was_reset());
  EXPECT_EQ(h.desk.calls, 0);
  // Nobody waits for ever for a client that stays.
  h.loop.advance(kH2FarewellMax);
  c.wire().send("x");
  h.loop.settle();
  EXPECT_EQ(c.wire().unread_by_server(), 1u) << "the server is gone";
}

// A byte on the wire names a field of 4 KB in the table: looking at each would take a second for 64 KB of trailers.
TEST(Http2Attack, HpackBombInTrailers) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  const std::string large =
      std::string(1, '\x40') + hpack_int(3, 7, 0) + "x-b" + hpack_int(3900, 7, 0) + std::string(3900, 'b');
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders) +
        frame(kHeaders, kEndHeaders | kEndStream, 1, large + std::string(10'000, '\xbe')));
  EXPECT_EQ(c.answers[1].reset, kEnhanceYourCalm);
  EXPECT_FALSE(c.goaway);
  EXPECT_EQ(c.ask(3, request_fields()).get(":status"), "200");
  // As many as HTTP/1.1 takes.
  c.say(headers_frame(5, request_fields("POST"), kEndHeaders) +
        frame(kHeaders, kEndHeaders | kEndStream, 5, std::string(1, '\xbe')));
  EXPECT_TRUE(c.answers[5].ended);
}

}  // namespace
}  // namespace archipel::http
