#include "http/server.h"

#include <gtest/gtest.h>

#include "base/metrics.h"
#include "http/server_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers
using std::chrono::seconds;

// --- refusals, limits, time ------------------------------------------------------------------------------------------------

TEST(Server, RefusesWithTheStatusAndClosesWithoutAskingTheHandler) {
  const std::pair<std::string, int> table[] = {
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: h\n\n", 400},
      {"GET / HTTP/3.0\r\n\r\n", 505},
      {put("Transfer-Encoding: gzip"), 501},
      {put("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400},
      {put("Content-Length: 99999999999999999999"), 413},
      {"GET /" + std::string(17000, 'a'), 414},
      {"GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(40000, 'a'), 431},
  };
  for (const auto& [input, status] : table) {
    Harness h(echo);
    Client c = h.connect();
    std::string got = h.talk(c, std::string(kGet) + input + std::string(kGet));
    ASSERT_TRUE(got.starts_with(ok("GET /k 0:"))) << got;
    got.erase(0, ok("GET /k 0:").size());
    EXPECT_TRUE(got.starts_with("HTTP/1.1 " + std::to_string(status) + " ")) << input << got;
    EXPECT_NE(got.find("connection: close\r\n"), std::string::npos);
    EXPECT_TRUE(c.ended());
    EXPECT_EQ(h.desk.calls, 1);
  }
  EXPECT_NE(metrics::expose().find("archipel_http_refused_total{reason=\"length_conflict\"}"),
            std::string::npos);
}

TEST(Server, RefusalsLookAsTheOwnerOfTheServerWishes) {
  auto page = [](int status, std::string_view why) {
    Page out;
    out.response.status = status;
    out.body = "<why>" + std::string(why) + "</why>";
    out.response.headers.add("x-id", "7");
    return out;
  };
  Harness h(echo, {}, page);
  Client c = h.connect();
  std::string got = h.talk(c, "GET / HTTP/3.0\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 505 ")) << got;
  EXPECT_NE(got.find("x-id: 7\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with("<why>only HTTP/1.1 and HTTP/1.0 are spoken here</why>")) << got;
  EXPECT_TRUE(c.ended());
  Client d = h.connect();
  got = h.talk(d, put("Transfer-Encoding: chunked", "nonsense\r\n"));  // refused behind the handler's back
  EXPECT_TRUE(got.starts_with("HTTP/1.1 400 ")) << got;
  EXPECT_TRUE(got.ends_with("<why>the chunked body is malformed</why>")) << got;
}

TEST(Server, HoldsTheLargestHeadItsLimitsAllow) {
  Harness h(echo);
  Client c = h.connect(1000);
  std::string target = "/" + std::string((16 << 10) - 16, 'a');
  std::string head = "GET " + target + " HTTP/1.1\r\nHost: h\r\nA: ";
  head += std::string((32 << 10) - 16, 'v') + "\r\n\r\n";
  std::string got = h.talk(c, "\r\n" + head);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 ")) << got.substr(0, 100);
  EXPECT_EQ(h.talk(c, kGet), ok("GET /k 0:"));
}

TEST(Server, ASlowHeadIsAnsweredWith408) {
  Harness h(echo);
  Client c = h.connect();
  for (int i = 0; i < 20 && !c.ended(); ++i) {  // a byte per second does not help
    c.send("G");
    h.loop.advance(seconds(1));
  }
  EXPECT_TRUE(c.take().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(c.ended());
}

TEST(Server, AnIdleConnectionIsClosedInSilence) {
  Harness h(echo);
  Client fresh = h.connect(), used = h.connect();
  h.talk(used, kGet);
  h.loop.advance(seconds(74));
  EXPECT_FALSE(fresh.ended() || used.ended());
  h.loop.advance(seconds(2));
  EXPECT_TRUE(fresh.ended() && used.ended());
  EXPECT_EQ(fresh.take() + used.take(), "");
}

// Sends `piece` bytes every `pause` until the server has had enough; returns after how long that was, at most an hour.
Duration patience_with(Harness& h, size_t piece, Duration pause) {
  Client c = h.connect();
  c.send(put("Content-Length: 100000000"));
  Duration passed{0};
  while (!c.ended() && passed < std::chrono::hours(1)) {
    h.talk(c, std::string(piece, 'x'));
    h.loop.advance(pause);
    passed += pause;
  }
  return passed;
}

TEST(Server, ABodyMustKeepUpARateAfterAMinute) {
  Limits limits;
  limits.body_rate_min = 1000;
  Harness h(echo, limits);
  EXPECT_EQ(patience_with(h, 1, seconds(1)), seconds(61));  // one byte a second is no progress
  EXPECT_EQ(h.desk.error->code, Code::timeout);
  EXPECT_EQ(patience_with(h, 10'000, seconds(20)), seconds(120));  // half of the rate lasts twice the grace
  EXPECT_EQ(patience_with(h, 1010, seconds(1)), std::chrono::hours(1));
}

io::Task<void> read_when_told(Exchange& e, Desk& d) {
  while (!d.open) co_await d.go.wait();
  bool good = co_await read_all(e, d);
  if (good) co_await answer(e, d, 200, d.body);
}

TEST(Server, ABodyThatTheHandlerIsSlowToReadIsNotSlow) {
  Harness h(read_when_told);
  Client c = h.connect();
  c.send(put("Content-Length: 6", "abc"));
  h.loop.advance(std::chrono::minutes(30));  // the handler waits for something else
  h.desk.open = true;
  h.desk.go.notify_all();
  h.loop.settle();
  h.loop.advance(seconds(30));
  c.send("def");
  h.loop.settle();
  EXPECT_EQ(c.take(), ok("abcdef"));
}

TEST(Server, ABodyMayBeSlowButMustMove) {
  Limits limits;
  limits.body_rate_min = 0;
  Harness h(echo, limits);
  Client c = h.connect();
  h.talk(c, put("Content-Length: 5", "he"));
  h.loop.advance(seconds(59));
  h.talk(c, "l");
  h.loop.advance(seconds(59));
  h.talk(c, "l");
  EXPECT_FALSE(h.desk.error);
  h.loop.advance(seconds(61));
  EXPECT_EQ(h.desk.error->code, Code::timeout);
  EXPECT_TRUE(c.take().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(c.ended());
}

TEST(Server, AClientThatDoesNotReadHoldsTheHandlerUpAndIsReset) {
  Harness h(stream_by_path);
  Client c = h.connect();
  c.from_server->capacity = 1000;
  c.send(get("/200/2000000/2000000"));
  h.loop.settle();
  EXPECT_LE(c.from_server->bytes.size(), 1000u);
  size_t received = 0;
  for (int i = 0; i < 5; ++i) {  // slow is fine
    h.loop.advance(seconds(50));
    received += c.take().size();
    h.loop.settle();
  }
  EXPECT_GE(received, 5000u);
  EXPECT_FALSE(c.was_reset());
  h.loop.advance(seconds(61));
  EXPECT_TRUE(c.was_reset());
  EXPECT_EQ(h.desk.error->code, Code::timeout);
}

TEST(Server, TooManyConnectionsAreClosedAtOnce) {
  Limits limits;
  limits.connections_max = 2;
  Harness h(echo, limits);
  Client a = h.connect(), b = h.connect(), over = h.connect();
  EXPECT_TRUE(over.ended());
  EXPECT_EQ(h.talk(a, kGet), ok("GET /k 0:"));
  b.end();
  h.loop.settle();
  Client next = h.connect();
  EXPECT_EQ(h.talk(next, kGet), ok("GET /k 0:"));
}

TEST(Server, ServersThatSharePlacesCloseWhatIsTooManyOfAllOfThem) {
  testing::ManualLoop loop;
  testing::FakeClock clock;
  Desk desk;
  ServerOptions options;
  options.places = std::make_shared<Places>(3);
  const Handler handler = [&desk](Exchange& e) { return echo(e, desk); };
  testing::PipeListener listeners[2];
  std::vector<std::unique_ptr<Server>> servers;
  std::vector<io::Task<void>> serving;
  for (auto& listener : listeners) {
    servers.push_back(make_server(loop, handler, {}, clock, plain_page, options));
    serving.push_back(servers.back()->serve(listener));
  }
  auto connect = [&](size_t to) {
    Client client = listeners[to].connect(SIZE_MAX);
    loop.settle();
    return client;
  };
  auto is_served = [&](Client& client) {
    client.send(kGet);
    loop.settle();
    return client.take() == ok("GET /k 0:");
  };
  Client a = connect(0), b = connect(0), c = connect(0);
  EXPECT_TRUE(is_served(c)) << "all of them may be on one loop";
  EXPECT_TRUE(connect(1).ended());
  a.end();
  loop.settle();
  Client d = connect(1);
  EXPECT_TRUE(is_served(d));
  EXPECT_TRUE(connect(0).ended());
  EXPECT_EQ(options.places->taken(), 3) << "who is sent away has no place";
  for (auto& server : servers) server->drain();
  loop.advance(seconds(1));
  EXPECT_EQ(options.places->taken(), 0);
}

// --- drain -----------------------------------------------------------------------------------------------------------------

io::Task<void> wait_then_answer(Exchange& e, Desk& d) {
  ++d.calls;
  while (!d.open) co_await d.go.wait();
  co_await answer(e, d, 200, "late");
}

TEST(Server, DrainClosesTheIdleAndLetsRequestsFinish) {
  Harness h(wait_then_answer);
  Client idle = h.connect(), busy = h.connect();
  h.talk(busy, kGet);
  h.server->drain();
  h.loop.settle();
  EXPECT_TRUE(h.listener.closed());
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(busy.ended());
  EXPECT_FALSE(h.serving->done());
  h.desk.open = true;
  h.desk.go.notify_all();
  h.loop.settle();
  EXPECT_EQ(busy.take(), ok("late", "connection: close\r\n"));
  busy.end();
  h.loop.settle();
  EXPECT_TRUE(h.serving->done());
}

TEST(Server, DrainEndsWhatDoesNotFinish) {
  Harness h(echo);
  Client c = h.connect();
  h.talk(c, put("Content-Length: 5", "he"));
  h.server->drain();
  h.loop.advance(seconds(29));
  EXPECT_FALSE(c.ended());
  h.loop.advance(seconds(2));
  EXPECT_TRUE(c.was_reset());
  EXPECT_TRUE(h.serving->done());
  EXPECT_EQ(h.desk.error->code, Code::cancelled);
}

TEST(Server, DrainBeforeServeReturnsAtOnce) {
  testing::ManualLoop loop;
  testing::PipeListener listener;
  Desk desk;
  auto server = make_server(loop, [&desk](Exchange& e) { return echo(e, desk); });
  server->drain();
  loop.settle();
  auto serving = server->serve(listener);
  loop.settle();
  EXPECT_TRUE(serving.done());
}

}  // namespace
}  // namespace archipel::http
