// HTTP/2 as a client sees it: what it asks, what it gets, and that handlers see the same requests as in HTTP/1.1.
#include <gtest/gtest.h>

#include "http/h1_writer.h"
#include "http/h2_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

// Says what was asked, with every header field.
io::Task<void> show(Exchange& e, Desk& d) {
  ++d.calls;
  bool ok = co_await read_all(e, d);
  if (!ok) co_return;
  const Request& r = e.request();
  std::string text = r.method + " " + r.target + " " + std::to_string(r.major_version) + "\n";
  for (const auto& [name, value] : r.headers) text += name + "=" + value + "\n";
  co_await answer(e, d, 200, text + d.body);
}

TEST(Http2, AnswersWhatHttp1Answers) {
  Harness h(show, {}, plain_page, kH2);
  H2Client c(h);
  H2Answer a = c.ask(1, request_fields("GET", "/a?b", {{"x-y", "Z"}, {"cookie", "a=1"}, {"cookie", "b=2"}}));
  EXPECT_EQ(a.get(":status"), "200");
  EXPECT_EQ(a.get("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(a.body, "GET /a?b 2\nhost=h\nx-y=Z\ncookie=a=1; b=2\n");
  EXPECT_EQ(a.get("content-length"), std::to_string(a.body.size()));
  EXPECT_TRUE(a.ended);
  EXPECT_FALSE(a.reset);
}

TEST(Http2, StillSpeaksHttp1OnTheSamePort) {
  Harness h(echo, {}, plain_page, kH2);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, kGet), ok("GET /k 0:"));
  EXPECT_EQ(h.talk(c, "P"), "");
  EXPECT_EQ(h.talk(c, std::string(put("Content-Length: 5", "hello")).substr(1)), ok("PUT /k 5:hello"));
  Client slow = h.connect(1);
  EXPECT_EQ(h.talk(slow, put("Content-Length: 5", "hello")), ok("PUT /k 5:hello"));
}

TEST(Http2, CarriesBodiesOfAnySizeBothWays) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{16'384}, size_t{16'385}, size_t{200'000}}) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h);
    // Room for the answer.
    c.say(frame(kSettings, 0, 0, number(4, 2) + number(1u << 30, 4)) +
          frame(kWindow, 0, 0, number(1u << 30, 4)));
    std::string body(size, 'b');
    c.say(headers_frame(1, request_fields("PUT"), kEndHeaders));
    for (size_t at = 0; at < size; at += 16'384)
      c.say(frame(kData, 0, 1, std::string_view(body).substr(at, 16'384)));
    EXPECT_FALSE(c.answers[1].ended);
    c.say(frame(kData, kEndStream, 1, ""));
    EXPECT_EQ(c.answers[1].body, "PUT /k " + std::to_string(size) + ":" + body);
    EXPECT_TRUE(c.answers[1].ended);
    // What was read is granted again.
    if (size > 100'000) EXPECT_GE(c.window[1], size / 2);
  }
}

TEST(Http2, ManyRequestsThatComeTogetherAreAnsweredInOneWrite) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  std::string all;
  for (uint32_t id = 1; id < 200; id += 2)
    all += headers_frame(id, request_fields("GET", "/" + std::to_string(id)));
  c.wire().trace->writes = 0;
  c.say(all);
  EXPECT_EQ(c.wire().trace->writes, 1);
  for (uint32_t id = 1; id < 200; id += 2)
    EXPECT_EQ(c.answers[id].body, "GET /" + std::to_string(id) + " 0:") << id;
  EXPECT_EQ(h.desk.calls, 100);
}

TEST(Http2, AnySplitOfTheInputGivesTheSameAnswers) {
  const std::string input =
      std::string(kH2Preface) + frame(kSettings, 0, 0, "") + headers_frame(1, request_fields("GET", "/1")) +
      headers_frame(3, request_fields("PUT", "/3"), kEndHeaders) + frame(kData, 0, 3, "he") +
      frame(kPing, 0, 0, "12345678") + frame(kData, kEndStream, 3, "llo");
  for (size_t step : {size_t{1}, size_t{2}, size_t{7}, size_t{50}}) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h, false);
    c.acknowledges = false;
    for (size_t at = 0; at < input.size(); at += step) c.say(std::string_view(input).substr(at, step));
    EXPECT_EQ(c.answers[1].body, "GET /1 0:");
    EXPECT_EQ(c.answers[3].body, "PUT /3 5:hello");
    EXPECT_EQ(c.acks, 2);  // of SETTINGS and PING
  }
}

TEST(Http2, StreamsWithAndWithoutALength) {
  Harness h(stream_by_path, {}, plain_page, kH2);
  H2Client c(h);
  H2Answer known = c.ask(1, request_fields("GET", "/200/9/9"));
  EXPECT_EQ(known.get("content-length"), "9");
  EXPECT_EQ(known.body, "ddddddddd");
  EXPECT_TRUE(known.ended);
  H2Answer unknown = c.ask(3, request_fields("GET", "/200/-/9"));
  EXPECT_EQ(unknown.get("content-length"), "");
  EXPECT_EQ(unknown.get("transfer-encoding"), "");
  EXPECT_EQ(unknown.body, "ddddddddd");
  EXPECT_TRUE(unknown.ended);
  H2Answer head = c.ask(5, request_fields("HEAD", "/200/9/9"));
  EXPECT_EQ(head.get("content-length"), "9");
  EXPECT_EQ(head.body, "");
  EXPECT_TRUE(head.ended);
  H2Answer empty = c.ask(7, request_fields("GET", "/204/-/0"));
  EXPECT_EQ(empty.get(":status"), "204");
  EXPECT_TRUE(empty.ended);
  // Too little, too much: never a body that looks whole.
  H2Answer little = c.ask(9, request_fields("GET", "/200/9/5"));
  EXPECT_FALSE(little.ended);
  EXPECT_EQ(little.reset, kInternalError);
  H2Answer much = c.ask(11, request_fields("GET", "/200/5/9"));
  EXPECT_FALSE(much.ended);
  EXPECT_EQ(much.reset, kInternalError);
  EXPECT_EQ(c.ask(13, request_fields("GET", "/200/3/3")).body, "ddd") << "the connection goes on";
}

io::Task<void> from_store(Exchange& e, Desk& d) {
  Headers headers;
  headers.add("etag", "\"1\"");
  std::string text;
  EXPECT_TRUE(write_stored_head(text, 200, headers));
  std::array<FieldView, 1> extra = {FieldView{"age", "7"}};
  StoredResponse stored{200, &headers, text, extra, "Sat, 05 Nov 1994 00:00:00 GMT", std::nullopt};
  std::array<ByteView, 3> parts = {as_bytes("one "), as_bytes(""), as_bytes("two")};
  if (e.request().method == "HEAD") stored.length = 7;
  std::span<const ByteView> body = parts;
  if (e.request().method == "HEAD") body = {};
  if (e.request().target == "/long") {
    stored.length = 7;
    auto started = co_await e.start_stored(stored);
    EXPECT_TRUE(started);
    headers = {};
    auto written = co_await e.write(as_bytes("one two"));
    EXPECT_TRUE(written);
    co_return;
  }
  auto sent = co_await e.respond_stored(stored, body);
  d.responded_ok = sent.has_value();
}

TEST(Http2, SendsStoredResponses) {
  Harness h(from_store, {}, plain_page, kH2);
  H2Client c(h);
  const Fields expected = {{":status", "200"},
                           {"etag", "\"1\""},
                           {"age", "7"},
                           {"date", "Sat, 05 Nov 1994 00:00:00 GMT"},
                           {"content-length", "7"}};
  H2Answer a = c.ask(1, request_fields());
  EXPECT_EQ(a.fields, expected);
  EXPECT_EQ(a.body, "one two");
  H2Answer head = c.ask(3, request_fields("HEAD"));
  EXPECT_EQ(head.fields, expected);
  EXPECT_EQ(head.body, "");
  EXPECT_TRUE(head.ended);
  H2Answer streamed = c.ask(5, request_fields("GET", "/long"));
  EXPECT_EQ(streamed.fields, expected);
  EXPECT_EQ(streamed.body, "one two");
}

io::Task<void> hint(Exchange& e, Desk& d) {
  Headers link;
  link.add("link", "</a>");
  auto hinted = co_await e.interim(103, std::move(link));
  EXPECT_TRUE(hinted);
  auto wrong = co_await e.interim(101, {});
  EXPECT_FALSE(wrong);
  auto upgraded = co_await e.upgrade({});
  EXPECT_FALSE(upgraded);
  co_await echo(e, d);
}

TEST(Http2, SendsInterimResponsesAndContinue) {
  Harness h(hint, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("PUT", "/k", {{"expect", "100-continue"}}), kEndHeaders));
  ASSERT_EQ(c.answers[1].interim.size(), 2u);
  EXPECT_EQ(c.answers[1].interim[0], (Fields{{":status", "103"}, {"link", "</a>"}}));
  EXPECT_EQ(c.answers[1].interim[1], (Fields{{":status", "100"}}));
  c.say(frame(kData, kEndStream, 1, "hello"));
  EXPECT_EQ(c.answers[1].body, "PUT /k 5:hello");
}

TEST(Http2, DropsTrailers) {
  Harness h(show, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("PUT"), kEndHeaders) + frame(kData, 0, 1, "body") +
        headers_frame(1, {{"x-trailer", "1"}}));
  EXPECT_EQ(c.answers[1].body, "PUT /k 2\nhost=h\nbody");
}

TEST(Http2, AnswersBeforeTheEndOfABodyNobodyReads) {
  Harness h(deny, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("PUT"), kEndHeaders) + frame(kData, 0, 1, std::string(10'000, 'x')));
  EXPECT_EQ(c.answers[1].get(":status"), "403");
  EXPECT_TRUE(c.answers[1].ended);
  EXPECT_EQ(c.answers[1].reset, kNoError);
  // What is still on its way does no harm, and costs the connection's window nothing.
  for (uint32_t id = 3; id < 203; id += 2) {
    c.say(headers_frame(id, request_fields("PUT"), kEndHeaders) +
          frame(kData, 0, id, std::string(16'384, 'x')));
    ASSERT_EQ(c.answers[id].get(":status"), "403") << id;
  }
  EXPECT_GE(c.window[0], 1'000'000u);
  EXPECT_FALSE(c.goaway);
}

// --- requests that mean something else in HTTP/1.1 --------------------------------------------------------------------------------

struct Malformed {
  const char* what;
  Fields fields;
};

TEST(Http2, NothingIsSmuggledIntoHttp1) {
  auto with = [](const Fields& more) { return request_fields("POST", "/k", more); };
  const std::vector<Malformed> cases = {
      {"transfer-encoding", with({{"transfer-encoding", "chunked"}})},
      {"connection", with({{"connection", "close"}})},
      {"keep-alive", with({{"keep-alive", "1"}})},
      {"proxy-connection", with({{"proxy-connection", "x"}})},
      {"upgrade", with({{"upgrade", "websocket"}})},
      {"te", with({{"te", "chunked"}})},
      {"two lengths", with({{"content-length", "0"}, {"content-length", "0"}})},
      {"length with a sign", with({{"content-length", "+0"}})},
      {"length that is a list", with({{"content-length", "0,0"}})},
      {"length too long", with({{"content-length", "99999999999999999999"}})},
      {"upper-case name", with({{"X-Y", "z"}})},
      {"name with a space", with({{"x y", "z"}})},
      {"name with a colon", with({{"x:y", "z"}})},
      {"empty name", with({{"", "z"}})},
      {"value with CR LF", with({{"x", "a\r\nhost: evil"}})},
      {"value with LF", with({{"x", "a\nb"}})},
      {"value with NUL", with({{"x", std::string("a\0b", 3)}})},
      {"value padded in front", with({{"x", " a"}})},
      {"value padded behind", with({{"x", "a\t"}})},
      {"another host", with({{"host", "evil"}})},
      {"pseudo-field behind a field", with({{"x", "y"}, {":path", "/2"}})},
      {"unknown pseudo-field",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":authority", "h"}, {":x", "y"}}},
      {"a response's pseudo-field",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":authority", "h"}, {":status", "200"}}},
      {"two methods",
       {{":method", "GET"}, {":method", "PUT"}, {":scheme", "https"}, {":path", "/"}, {":authority", "h"}}},
      {"two paths",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":path", "/2"}, {":authority", "h"}}},
      {"no method", {{":scheme", "https"}, {":path", "/"}, {":authority", "h"}}},
      {"no scheme", {{":method", "GET"}, {":path", "/"}, {":authority", "h"}}},
      {"no path", {{":method", "GET"}, {":scheme", "https"}, {":authority", "h"}}},
      {"empty path", {{":method", "GET"}, {":scheme", "https"}, {":path", ""}, {":authority", "h"}}},
      {"no authority", {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}}},
      {"path of another form",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "http://h/"}, {":authority", "h"}}},
      {"path with a space",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/ HTTP/1.1"}, {":authority", "h"}}},
      {"path with CR LF",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/\r\nx: y"}, {":authority", "h"}}},
      {"path with a fragment",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/#x"}, {":authority", "h"}}},
      {"method with a space",
       {{":method", "GET /x HTTP/1.1"}, {":scheme", "https"}, {":path", "/"}, {":authority", "h"}}},
      {"method with CR LF",
       {{":method", "GET\r\n"}, {":scheme", "https"}, {":path", "/"}, {":authority", "h"}}},
      {"authority with user info",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a@h"}}},
      {"authority with a path",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":authority", "h/x"}}},
      {"another scheme", {{":method", "GET"}, {":scheme", "file"}, {":path", "/"}, {":authority", "h"}}},
      {"connect", {{":method", "CONNECT"}, {":authority", "h:443"}}},
  };
  for (const Malformed& c : cases) {
    Harness h(show, {}, plain_page, kH2);
    H2Client client(h);
    H2Answer a = client.ask(1, c.fields);
    const bool refused = a.reset == kProtocolError || a.get(":status").starts_with("4");
    EXPECT_TRUE(refused) << c.what << ": " << a.get(":status") << " " << a.body;
    EXPECT_EQ(h.desk.calls, 0) << c.what;
    if (client.goaway) continue;
    EXPECT_EQ(client.ask(3, request_fields()).get(":status"), "200") << c.what << ": others are served";
  }
}

TEST(Http2, ALengthThatLiesIsNoRequest) {
  for (auto [announced, sent] :
       std::vector<std::pair<std::string, std::string>>{{"5", "1234"}, {"3", "1234"}, {"0", "x"}}) {
    Harness h(show, {}, plain_page, kH2);
    H2Client c(h);
    c.say(headers_frame(1, request_fields("POST", "/k", {{"content-length", announced}}), kEndHeaders) +
          frame(kData, kEndStream, 1, sent));
    EXPECT_EQ(c.answers[1].reset, kProtocolError) << announced;
    EXPECT_FALSE(c.answers[1].ended);
    EXPECT_EQ(c.ask(3, request_fields()).get(":status"), "200");
  }
}

TEST(Http2, HostMayStandForAuthority) {
  Harness h(show, {}, plain_page, kH2);
  H2Client c(h);
  H2Answer a = c.ask(1, {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", "named"}});
  EXPECT_EQ(a.body, "GET / 2\nhost=named\n");
  H2Answer both = c.ask(3, request_fields("GET", "/", {{"host", "h"}}));
  EXPECT_EQ(both.body, "GET / 2\nhost=h\n");
  H2Answer star = c.ask(5, request_fields("OPTIONS", "*"));
  EXPECT_EQ(star.get(":status"), "200");
}

TEST(Http2, TooManyOrTooLongFieldsAre431) {
  Harness h(show, {}, plain_page, kH2);
  H2Client c(h);
  Fields many = request_fields();
  for (int i = 0; i < 200; ++i) many.emplace_back("x" + std::to_string(i), "v");
  EXPECT_EQ(c.ask(1, many).get(":status"), "431");
  EXPECT_EQ(h.desk.calls, 0);
  EXPECT_EQ(c.ask(3, request_fields()).get(":status"), "200");
}

// --- ends ----------------------------------------------------------------------------------------------------------------------------

io::Task<void> wait_and_echo(Exchange& e, Desk& d) {
  ++d.calls;
  while (!d.open) co_await d.go.wait();
  co_await answer(e, d, 200, "late");
}

TEST(Http2, DrainsWithGoaway) {
  Harness h(wait_and_echo, {}, plain_page, kH2);
  H2Client idle(h);
  H2Client busy(h);
  busy.say(headers_frame(1, request_fields()));
  h.server->drain();
  idle.converse();
  busy.converse();
  EXPECT_EQ(idle.goaway, kNoError);
  EXPECT_TRUE(idle.wire().ended());
  EXPECT_EQ(busy.goaway, kNoError);
  EXPECT_EQ(busy.goaway_last, 1u);
  EXPECT_FALSE(busy.wire().ended());
  busy.say(headers_frame(3, request_fields()));
  EXPECT_EQ(h.desk.calls, 1) << "what comes after GOAWAY is for another server";
  h.desk.open = true;
  h.desk.go.notify_all();
  busy.converse();
  EXPECT_EQ(busy.answers[1].body, "late");
  EXPECT_TRUE(busy.wire().ended());
  EXPECT_TRUE(h.serving->done()) << "both clients have heard everything";
}

TEST(Http2, IdleConnectionsEndWithGoaway) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.ask(1, request_fields());
  h.loop.advance(std::chrono::seconds(70));
  c.hear();
  EXPECT_FALSE(c.goaway);
  h.loop.advance(std::chrono::seconds(60));
  c.converse();
  EXPECT_EQ(c.goaway, kNoError);
  EXPECT_TRUE(c.wire().ended());
}

TEST(Http2, AClientThatGoesAwayEndsItsHandlers) {
  for (bool reset : {false, true}) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h);
    c.say(headers_frame(1, request_fields("PUT"), kEndHeaders));
    if (reset)
      c.say(frame(kRst, 0, 1, number(kCancel, 4)));
    else
      c.wire().end();
    h.loop.settle();
    ASSERT_TRUE(h.desk.error);
    EXPECT_EQ(h.desk.error->code, Code::io);
    if (reset) EXPECT_EQ(c.ask(3, request_fields()).body, "GET /k 0:");
  }
}

}  // namespace
}  // namespace archipel::http
