#include "http/server.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "http/server_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

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
  EXPECT_FALSE(c.ended());
}

TEST(Server, ClosesAfterTheAnswerToAnEmptyBodyThatWasExpectedToWait) {
  Harness h(echo);
  Client c = h.connect();
  std::string got = h.talk(c, put("Content-Length: 0\r\nExpect: 100-continue"));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 ")) << got;
  EXPECT_NE(got.find("connection: close"), std::string::npos) << got;
  EXPECT_TRUE(c.ended());
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

}  // namespace
}  // namespace archipel::http
