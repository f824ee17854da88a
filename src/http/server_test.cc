#include "http/server.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/metrics.h"
#include "http/h1_properties_test_util.h"
#include "http/pipe_stream_test_util.h"

namespace archipel::http {
namespace {

using std::chrono::seconds;
using testing::Client;

// What the handlers of a test share with it.
struct Desk {
  int calls = 0;
  std::string body;            // of the last request
  std::optional<Error> error;  // of read_body or of the response
  bool responded_ok = false;
  io::Event go;  // a handler that waits, waits for this
  bool open = false;
  size_t read_bytes = 64 << 10;
};

io::Task<bool> read_all(Exchange& e, Desk& d) {
  Buffer buffer(d.read_bytes);
  d.body.clear();
  for (;;) {
    auto got = co_await e.read_body(buffer.span());
    if (!got) {
      d.error = got.error();
      co_return false;
    }
    if (*got == 0) co_return true;
    d.body += as_text(buffer.view().first(*got));
  }
}

io::Task<void> answer(Exchange& e, Desk& d, int status, std::string body) {
  Response response;
  response.status = status;
  auto sent = co_await e.respond(std::move(response), std::move(body));
  d.responded_ok = sent.has_value();
  if (!sent) d.error = sent.error();
}

// Says what was asked, and returns the body: "PUT /k 5:hello".
io::Task<void> echo(Exchange& e, Desk& d) {
  ++d.calls;
  bool ok = co_await read_all(e, d);
  if (!ok) co_return;
  std::string text =
      e.request().method + " " + e.request().target + " " + std::to_string(d.body.size()) + ":" + d.body;
  co_await answer(e, d, 200, text);
}

io::Task<void> deny(Exchange& e, Desk& d) {
  ++d.calls;
  co_await answer(e, d, 403, "no");
}

struct Harness {
  using Function = io::Task<void> (*)(Exchange&, Desk&);

  explicit Harness(Function function, Limits limits = {}) {
    server = make_server(loop, [this, function](Exchange& e) { return function(e, desk); }, limits, clock);
    serving.emplace(server->serve(listener));
  }
  ~Harness() {
    desk.open = true;
    desk.go.notify_all();
    server->drain();
    loop.advance(std::chrono::hours(1));
    CHECK(serving->done());
  }
  // Sends and returns what came back.
  std::string talk(Client& client, std::string_view bytes) {
    client.send(bytes);
    loop.settle();
    return client.take();
  }
  Client connect(size_t read_max = SIZE_MAX) {
    Client client = listener.connect(read_max);
    loop.settle();
    return client;
  }

  testing::ManualLoop loop;
  testing::FakeClock clock;
  testing::PipeListener listener;
  Desk desk;
  std::unique_ptr<Server> server;
  std::optional<io::Task<void>> serving;
};

std::string ok(std::string_view body, std::string_view more = "") {
  return "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: " +
         std::to_string(body.size()) + "\r\n" + std::string(more) + "\r\n" + std::string(body);
}

constexpr std::string_view kGet = "GET /k HTTP/1.1\r\nHost: h\r\n\r\n";

std::string put(std::string_view headers, std::string_view body = "") {
  return "PUT /k HTTP/1.1\r\nHost: h\r\n" + std::string(headers) + "\r\n\r\n" + std::string(body);
}

TEST(Server, AnswersAndKeepsTheConnection) {
  Harness h(echo);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, kGet), ok("GET /k 0:"));
  EXPECT_EQ(h.talk(c, put("Content-Length: 5", "hello")), ok("PUT /k 5:hello"));
  EXPECT_EQ(h.talk(c, put("Transfer-Encoding: chunked", "3\r\nabc\r\n1\r\nd\r\n0\r\nx-t: v\r\n\r\n")),
            ok("PUT /k 4:abcd"));
  EXPECT_FALSE(c.ended());
}

TEST(Server, ASmallGetCostsOneReadAndOneWrite) {
  Harness h(echo);
  Client c = h.connect();
  h.talk(c, kGet);
  *c.trace = {};
  h.talk(c, kGet);
  EXPECT_EQ(c.trace->reads, 1);
  EXPECT_EQ(c.trace->writes, 1);
  EXPECT_EQ(c.trace->waits, 1);  // for the request after it, holding no buffer
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  Harness h(echo);
  Client c = h.connect();
  std::string all, expected;
  for (int i = 0; i < 1000; ++i) {
    std::string n = std::to_string(i);
    all +=
        "PUT /" + n + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(n.size()) + "\r\n\r\n" + n;
    expected += ok("PUT /" + n + " " + std::to_string(n.size()) + ":" + n);
  }
  EXPECT_EQ(h.talk(c, all), expected);
}

RC_GTEST_PROP(ServerProperty, AnySplitOfTheInputGivesTheSameResponses, ()) {
  size_t read_max = *rc::gen::inRange<size_t>(1, 40);
  size_t out_max = *rc::gen::inRange<size_t>(1, 9000);
  Harness h(echo);
  h.desk.read_bytes = out_max;
  Client c = h.connect(read_max);
  std::string big(20000, 'x');
  std::string input = std::string(kGet) + put("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n") +
                      put("Content-Length: 20000", big) + std::string(kGet);
  size_t cut = *rc::gen::inRange<size_t>(0, input.size());
  std::string got = h.talk(c, input.substr(0, cut)) + h.talk(c, input.substr(cut));
  RC_ASSERT(got == ok("GET /k 0:") + ok("PUT /k 3:abc") + ok("PUT /k 20000:" + big) + ok("GET /k 0:"));
}

TEST(Server, ReadsBigBodiesStraightIntoTheHandlersBuffer) {
  Harness h(echo);
  h.desk.read_bytes = 1 << 20;
  Client c = h.connect();
  std::string big(3 << 20, 'x');
  c.send(put("Content-Length: " + std::to_string(big.size())));
  h.loop.settle();
  h.talk(c, big);
  EXPECT_EQ(h.desk.body, big);
  EXPECT_EQ(c.trace->largest_read, size_t{1} << 20);
}

TEST(Server, SpeaksHttp10) {
  Harness h(echo);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, "GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            ok("GET /k 0:", "connection: keep-alive\r\n"));
  EXPECT_FALSE(c.ended());
  EXPECT_EQ(h.talk(c, "GET /k HTTP/1.0\r\n\r\n"), ok("GET /k 0:", "connection: close\r\n"));
  EXPECT_TRUE(c.ended());
}

TEST(Server, ClosesWhenTheClientAsks) {
  Harness h(echo);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, "GET /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + std::string(kGet)),
            ok("GET /k 0:", "connection: close\r\n"));
  EXPECT_TRUE(c.ended());
}

TEST(Server, TheDateFollowsTheClock) {
  Harness h(echo);
  Client c = h.connect();
  h.clock.unix += 1999;
  EXPECT_NE(h.talk(c, kGet).find("date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"), std::string::npos);
}

// --- bodies that are not sent --------------------------------------------------------------------------------------------

TEST(Server, HeadHasTheLengthAndNoBody) {
  Harness h(echo);
  Client c = h.connect();
  std::string got = h.talk(c, "HEAD /k HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(got.ends_with("content-length: 10\r\n\r\n")) << got;  // of "HEAD /k 0:"
  EXPECT_EQ(h.talk(c, kGet), ok("GET /k 0:"));
}

io::Task<void> head_of_big(Exchange& e, Desk& d) {
  Response response;
  response.headers.add("content-length", "123456789012");
  auto sent = co_await e.respond(std::move(response), "");
  d.responded_ok = sent.has_value();
}

TEST(Server, HeadMayNameALengthOfItsOwn) {
  Harness h(head_of_big);
  Client c = h.connect();
  std::string got = h.talk(c, "HEAD /k HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(got.ends_with("content-length: 123456789012\r\n\r\n")) << got;
}

io::Task<void> stream_by_path(Exchange& e, Desk& d) {
  // "/STATUS/LENGTH/WRITE" with LENGTH "-" for chunked; writes WRITE bytes by threes.
  ++d.calls;
  Response response;
  int status = 0;
  char length_text[16] = {};
  int write_bytes = 0;
  std::sscanf(e.request().target.c_str(), "/%d/%15[^/]/%d", &status, length_text, &write_bytes);
  response.status = status;
  std::optional<uint64_t> length;
  if (length_text[0] != '-') length = std::strtoull(length_text, nullptr, 10);
  auto started = co_await e.start(std::move(response), length);
  if (!started) d.error = started.error();
  if (!started) co_return;
  std::string data(static_cast<size_t>(write_bytes), 'd');
  std::string_view rest = data;
  while (!rest.empty()) {
    auto written = co_await e.write(as_bytes(rest.substr(0, 3)));
    if (!written) d.error = written.error();
    if (!written) co_return;
    rest.remove_prefix(std::min<size_t>(3, rest.size()));
  }
  auto finished = co_await e.finish();
  d.responded_ok = finished.has_value();
  if (!finished) d.error = finished.error();
}

std::string get(std::string_view target, std::string_view version = "1.1") {
  return "GET " + std::string(target) + " HTTP/" + std::string(version) + "\r\nHost: h\r\n\r\n";
}

TEST(Server, NoBodyFollows204And304) {
  Harness h(stream_by_path);
  Client c = h.connect();
  for (const char* target : {"/204/0/0", "/304/5/0", "/204/-/0", "/304/-/3"}) {
    std::string got = h.talk(c, get(target));
    EXPECT_TRUE(got.ends_with("GMT\r\n\r\n")) << got;
  }
  EXPECT_FALSE(c.ended());
}

TEST(Server, StreamsWithALengthOrInChunks) {
  Harness h(stream_by_path);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, get("/200/4/4")), ok("dddd"));
  EXPECT_EQ(h.talk(c, get("/200/0/0")), ok(""));
  std::string got = h.talk(c, get("/200/-/4"));
  EXPECT_TRUE(got.ends_with("transfer-encoding: chunked\r\n\r\n3\r\nddd\r\n1\r\nd\r\n0\r\n\r\n")) << got;
  got = h.talk(c, get("/200/-/0"));
  EXPECT_TRUE(got.ends_with("\r\n\r\n0\r\n\r\n")) << got;
  EXPECT_FALSE(c.ended());
  got = h.talk(c, get("/200/-/4", "1.0"));
  EXPECT_TRUE(got.ends_with("connection: close\r\n\r\ndddd")) << got;
  EXPECT_TRUE(c.ended());
  EXPECT_FALSE(c.was_reset());
}

TEST(Server, TheHeadLeavesWithTheFirstBytesOfTheBody) {
  Harness h(stream_by_path);
  Client c = h.connect();
  h.talk(c, get("/200/3/3"));
  EXPECT_EQ(c.trace->writes, 1);
}

TEST(Server, AShortBodyIsReset) {
  Harness h(stream_by_path);
  Client c = h.connect();
  h.talk(c, get("/200/5/4"));
  EXPECT_TRUE(c.was_reset());
  EXPECT_FALSE(h.desk.responded_ok);
}

TEST(Server, ABodyLongerThanAnnouncedIsReset) {
  Harness h(stream_by_path);
  Client c = h.connect();
  std::string got = h.talk(c, get("/200/4/6"));
  EXPECT_TRUE(c.was_reset());
  EXPECT_EQ(h.desk.error->code, Code::internal);
  EXPECT_TRUE(got.ends_with("\r\n\r\nddd")) << got;
}

io::Task<void> leave_unfinished(Exchange& e, Desk& d) {
  Response response;
  auto started = co_await e.start(std::move(response), std::nullopt);
  d.responded_ok = started.has_value();
  auto written = co_await e.write(as_bytes("data"));
  d.responded_ok = written.has_value();
}

TEST(Server, AChunkedBodyThatIsNotFinishedIsReset) {
  Harness h(leave_unfinished);
  Client c = h.connect();
  std::string got = h.talk(c, kGet);
  EXPECT_TRUE(c.was_reset());
  EXPECT_EQ(got.find("0\r\n\r\n"), std::string::npos);
}

io::Task<void> say_nothing(Exchange&, Desk& d) {
  ++d.calls;
  co_return;
}

TEST(Server, AHandlerWithoutAnAnswerMakes500) {
  Harness h(say_nothing);
  Client c = h.connect();
  EXPECT_TRUE(h.talk(c, kGet).starts_with("HTTP/1.1 500 "));
}

io::Task<void> split_response(Exchange& e, Desk& d) {
  Response response;
  response.headers.add("x-from-query", "a\r\nset-cookie: b");
  auto sent = co_await e.respond(std::move(response), "body");
  if (!sent) d.error = sent.error();
}

TEST(Server, AValueThatWouldSplitTheResponseMakes500) {
  Harness h(split_response);
  Client c = h.connect();
  std::string got = h.talk(c, kGet);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 500 ")) << got;
  EXPECT_EQ(got.find("set-cookie"), std::string::npos);
  EXPECT_EQ(h.desk.error->code, Code::invalid);
}

io::Task<void> answer_and_close(Exchange& e, Desk& d) {
  Response response;
  response.headers.add("connection", "close");
  auto sent = co_await e.respond(std::move(response), "bye");
  d.responded_ok = sent.has_value();
}

TEST(Server, AHandlerMayEndTheConnection) {
  Harness h(answer_and_close);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, kGet), ok("bye", "connection: close\r\n"));
  EXPECT_TRUE(c.ended());
}

// --- request bodies --------------------------------------------------------------------------------------------------------

TEST(Server, Sends100ContinueWhenTheHandlerReads) {
  Harness h(echo);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, put("Content-Length: 5\r\nExpect: 100-continue")), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(h.talk(c, "hello"), ok("PUT /k 5:hello"));
  EXPECT_EQ(h.talk(c, put("Content-Length: 5\r\nExpect: 100-continue", "hello")), ok("PUT /k 5:hello"))
      << "the body was there already";
  EXPECT_EQ(h.talk(c, put("Content-Length: 0\r\nExpect: 100-continue")), ok("PUT /k 0:"))
      << "there is no body";
  EXPECT_FALSE(c.ended());
}

TEST(Server, SendsNo100ContinueWhenTheHandlerDoesNotRead) {
  Harness h(deny);
  Client c = h.connect();
  std::string got = h.talk(c, put("Content-Length: 5\r\nExpect: 100-continue"));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 403 ")) << got;
  EXPECT_NE(got.find("connection: close"), std::string::npos);
  EXPECT_TRUE(c.ended());
}

TEST(Server, DropsASmallUnreadBodyAndGoesOn) {
  Harness h(deny);
  Client c = h.connect();
  for (std::string request : {put("Content-Length: 262144", std::string(262144, 'x')),
                              put("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")}) {
    EXPECT_TRUE(h.talk(c, request).starts_with("HTTP/1.1 403 "));
    EXPECT_FALSE(c.ended());
    EXPECT_EQ(c.unread_by_server(), 0u);
  }
}

TEST(Server, ClosesAfterABigUnreadBodyOnlyWhenTheClientHasSeenTheAnswer) {
  Harness h(deny);
  Client c = h.connect();
  std::string got = h.talk(c, put("Content-Length: 999999999", std::string(1 << 20, 'x')));
  EXPECT_NE(got.find("connection: close"), std::string::npos);
  EXPECT_TRUE(got.ends_with("\r\n\r\nno"));
  EXPECT_TRUE(c.ended());
  // What the client still sends is read, so that no RST overtakes the answer.
  c.send(std::string(1 << 20, 'x'));
  h.loop.settle();
  EXPECT_EQ(c.unread_by_server(), 0u);
  EXPECT_FALSE(c.was_reset());
  EXPECT_EQ(h.desk.calls, 1);
}

TEST(Server, ClosesAfterAnEndlessUnreadChunkedBody) {
  Harness h(deny);
  Client c = h.connect();
  std::string chunk = "10000\r\n" + std::string(65536, 'x') + "\r\n";
  std::string got =
      h.talk(c, put("Transfer-Encoding: chunked", chunk + chunk + chunk + chunk + chunk + chunk));
  EXPECT_TRUE(got.ends_with("\r\n\r\nno"));
  EXPECT_TRUE(c.ended());
}

TEST(Server, ABodyIsReadOnlyWhenTheHandlerAsks) {
  struct Local {
    static io::Task<void> wait_then_echo(Exchange& e, Desk& d) {
      while (!d.open) co_await d.go.wait();
      co_await echo(e, d);
    }
  };
  Harness h(Local::wait_then_echo);
  Client c = h.connect();
  std::string big(1 << 20, 'x');
  h.talk(c, put("Content-Length: 1048576", big));
  EXPECT_GT(c.unread_by_server(), big.size() - (64u << 10));
  h.desk.open = true;
  h.desk.go.notify_all();
  h.loop.settle();
  EXPECT_EQ(c.take(), ok("PUT /k 1048576:" + big));
}

TEST(Server, AMalformedChunkIsTheHandlersErrorAndThenA400) {
  Harness h(echo);
  Client c = h.connect();
  std::string got = h.talk(c, put("Transfer-Encoding: chunked", "5\r\nhelloGET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(h.desk.error->code, Code::invalid);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 400 ")) << got;
  EXPECT_TRUE(c.ended());
  EXPECT_EQ(h.desk.calls, 1);
}

TEST(Server, AClientThatLeavesInItsBodyIsNoWholeBody) {
  for (bool reset : {false, true}) {
    Harness h(echo);
    Client c = h.connect();
    h.talk(c, put("Content-Length: 10", "hello"));
    reset ? c.reset() : c.end();
    h.loop.settle();
    EXPECT_EQ(h.desk.error->code, Code::io);
    EXPECT_TRUE(c.ended());
  }
}

// --- refusals, limits, time ------------------------------------------------------------------------------------------------

TEST(Server, RefusesWithTheStatusAndClosesWithoutAskingTheHandler) {
  const std::pair<std::string, int> table[] = {
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: h\n\n", 400},
      {"GET / HTTP/3.0\r\n\r\n", 505},
      {put("Transfer-Encoding: gzip"), 501},
      {put("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400},
      {put("Content-Length: 99999999999999999999"), 413},
      {put("Expect: tea"), 417},
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

TEST(Server, ABodyMayBeSlowButMustMove) {
  Harness h(echo);
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
