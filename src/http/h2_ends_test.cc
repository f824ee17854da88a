// How connections of HTTP/2 end: no request that was on its way is lost, and nobody is waited for in vain.
#include <gtest/gtest.h>

#include "http/h2_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

io::Task<void> wait_then_answer(Exchange& e, Desk& d) {
  ++d.calls;
  while (!d.open) co_await d.go.wait();
  co_await answer(e, d, 200, "late");
}

void open_desk(Harness& h) {
  h.desk.open = true;
  h.desk.go.notify_all();
}

constexpr uint32_t kAnyStream = 0x7fffffff;

// --- drains -------------------------------------------------------------------------------------------------------------------------

TEST(Http2Drain, ARequestThatWasOnItsWayIsAnswered) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.ask(1, request_fields());
  h.server->drain();
  h.loop.settle();
  // The client has not read the GOAWAY yet.
  c.wire().send(headers_frame(3, request_fields("GET", "/crossing")));
  c.converse();
  EXPECT_EQ(c.answers[3].body, "GET /crossing 0:");
  EXPECT_EQ(c.goaways, (std::vector<uint32_t>{kAnyStream, 3}));
  EXPECT_TRUE(c.wire().ended());
  EXPECT_TRUE(h.serving->done());
}

TEST(Http2Drain, WhoAcknowledgesNothingHearsOfTheLastStreamInTime) {
  Harness h(wait_then_answer, {}, plain_page, kH2);
  H2Client c(h);
  c.acknowledges = false;
  c.say(headers_frame(1, request_fields()));
  h.server->drain();
  h.loop.settle();
  c.hear();
  EXPECT_EQ(c.goaways, std::vector<uint32_t>{kAnyStream});
  c.say(headers_frame(3, request_fields()));
  h.loop.advance(kH2RoundTripMax);
  c.hear();
  EXPECT_EQ(c.goaways, (std::vector<uint32_t>{kAnyStream, 3}));
  c.say(headers_frame(5, request_fields()));
  EXPECT_EQ(h.desk.calls, 2);
  open_desk(h);
  c.converse();
  EXPECT_EQ(c.answers[1].body, "late");
  EXPECT_EQ(c.answers[3].body, "late");
  EXPECT_TRUE(c.answers[5].fields.empty());
  EXPECT_FALSE(h.serving->done());
  h.loop.advance(kH2FarewellMax);
  EXPECT_TRUE(h.serving->done()) << "its side is open, and nobody waits for it";
  EXPECT_FALSE(c.wire().was_reset());
}

TEST(Http2Drain, WhoStillReadsALongAnswerIsWaitedFor) {
  Harness h(letters, {}, plain_page, kH2);
  H2Client c(h);
  c.acknowledges = false;
  c.say(headers_frame(1, request_fields("GET", "/a/60000")));
  h.server->drain();
  h.loop.advance(kH2RoundTripMax);
  c.hear();
  ASSERT_TRUE(c.wire().ended());
  for (int i = 0; i < 5; ++i) {
    h.loop.advance(kH2FarewellMax / 2);
    c.say(frame(kWindow, 0, 0, number(10, 4)));
  }
  EXPECT_FALSE(h.serving->done());
  h.loop.advance(kH2FarewellMax);
  EXPECT_TRUE(h.serving->done());
}

TEST(Http2Drain, WhoNeverEndsIsNotWaitedForWithoutEnd) {
  Limits limits;
  limits.body_timeout = std::chrono::seconds(20);
  limits.drain_timeout = std::chrono::hours(1);
  Harness h(echo, limits, plain_page, kH2);
  H2Client c(h);
  c.acknowledges = false;
  h.server->drain();
  for (int i = 0; i < 30 && !h.serving->done(); ++i) {
    h.loop.advance(std::chrono::seconds(1));
    c.say(frame(kWindow, 0, 0, number(10, 4)));
  }
  EXPECT_TRUE(h.serving->done());
}

TEST(Http2Drain, AProxysClientsHearOfItAtOnce) {
  ServerOptions options = kH2;
  options.forward_date = true;
  Harness h(wait_then_answer, {}, plain_page, options);
  H2Client c(h);
  c.say(headers_frame(1, request_fields()));
  h.server->drain();
  c.converse();
  EXPECT_EQ(c.goaways, (std::vector<uint32_t>{kAnyStream, 1}));
  open_desk(h);
  c.converse();
  EXPECT_EQ(c.answers[1].body, "late");
  EXPECT_TRUE(c.wire().ended());
}

TEST(Http2Drain, PingsOfTheClientsOwnAreNoAnswers) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.acknowledges = false;
  c.say(frame(kPing, kAck, 0, "leaving.") + frame(kPing, kAck, 0, "farewell"));
  h.server->drain();
  h.loop.settle();
  c.hear();
  ASSERT_EQ(c.pings.size(), 1u);
  c.say(frame(kPing, kAck, 0, "12345678"));
  EXPECT_EQ(c.goaways.size(), 1u);
  c.say(frame(kPing, kAck, 0, c.pings[0]));
  EXPECT_EQ(c.goaways.size(), 2u);
}

// --- clients that end their side ----------------------------------------------------------------------------------------------------

TEST(Http2HalfClosed, AClientThatEndsItsSideGetsItsAnswers) {
  Harness h(wait_then_answer, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields()) + headers_frame(3, request_fields()));
  c.wire().end();
  c.converse();
  EXPECT_FALSE(c.wire().ended());
  h.loop.advance(std::chrono::seconds(20));
  open_desk(h);
  c.converse();
  EXPECT_EQ(c.answers[1].body, "late");
  EXPECT_TRUE(c.answers[3].ended);
  EXPECT_TRUE(c.wire().ended());
  EXPECT_FALSE(c.wire().was_reset());
}

TEST(Http2HalfClosed, WhatIsWrittenSlowlyArrivesWhole) {
  Harness h(letters, {}, plain_page, kH2);
  H2Client c(h);
  c.wire().from_server->capacity = 1000;
  c.say(headers_frame(1, request_fields("GET", "/a/60000")));
  c.wire().end();
  c.converse();
  EXPECT_EQ(c.answers[1].body.size(), 60'000u);
  EXPECT_TRUE(c.answers[1].ended);
  EXPECT_TRUE(c.wire().ended());
}

TEST(Http2HalfClosed, IsServedNoLongerThanADrainWouldTake) {
  Limits limits;
  Harness h(wait_then_answer, limits, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields()));
  c.wire().end();
  h.loop.advance(limits.drain_timeout - std::chrono::seconds(1));
  EXPECT_FALSE(c.wire().ended());
  h.loop.advance(std::chrono::seconds(1));
  EXPECT_TRUE(c.wire().ended());
}

TEST(Http2HalfClosed, NobodyWaitsForAWindowThatCannotOpen) {
  Harness h(letters, {}, plain_page, kH2);
  for (bool before : {false, true}) {
    h.desk.responded_ok = true;
    H2Client c(h);
    if (before) c.say(headers_frame(1, request_fields("GET", "/a/70000")));
    if (!before) c.wire().send(headers_frame(1, request_fields("GET", "/a/70000")));
    c.wire().end();
    c.converse();
    EXPECT_FALSE(h.desk.responded_ok) << before;
    EXPECT_FALSE(c.answers[1].ended) << before;
    EXPECT_TRUE(c.wire().ended()) << before;
  }
}

TEST(Http2HalfClosed, ARequestThatIsCutIsNoRequest) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("PUT"), kEndHeaders) + frame(kData, 0, 1, "half") +
        headers_frame(3, request_fields()));
  c.wire().end();
  c.converse();
  EXPECT_TRUE(c.answers[1].fields.empty());
  EXPECT_EQ(c.answers[3].body, "GET /k 0:");
  EXPECT_TRUE(c.wire().ended());
}

TEST(Http2HalfClosed, ADrainEndsItInTime) {
  Limits limits;
  limits.drain_timeout = std::chrono::seconds(3);
  Harness h(wait_then_answer, limits, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields()));
  c.wire().end();
  h.server->drain();
  h.loop.settle();
  EXPECT_FALSE(c.wire().ended());
  h.loop.advance(std::chrono::seconds(3));
  EXPECT_TRUE(c.wire().was_reset() || c.wire().ended());
  open_desk(h);
  h.loop.settle();
  EXPECT_TRUE(h.serving->done());
}

}  // namespace
}  // namespace archipel::http
