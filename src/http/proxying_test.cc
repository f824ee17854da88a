// What a server offers to a proxy and a cache: stored responses, interim ones, foreign dates, upgrades.
#include <gtest/gtest.h>

#include <array>

#include "http/h1_writer.h"
#include "http/now.h"
#include "http/server_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

Headers stored_headers() {
  Headers h;
  h.add("etag", "\"1\"");
  h.add("content-length", "77");
  return h;
}

io::Task<void> from_store(Exchange& e, Desk& d) {
  ++d.calls;
  Headers headers = stored_headers();
  std::string text;
  EXPECT_TRUE(write_stored_head(text, e.request().target == "/304" ? 304 : 200, headers));
  std::array<FieldView, 2> extra = {FieldView{"age", "7"}, FieldView{"cache-status", "archipel; hit"}};
  StoredResponse stored;
  stored.status = e.request().target == "/304" ? 304 : 200;
  stored.headers = &headers;
  if (e.request().target != "/unserialised") stored.h1_head = text;
  stored.extra = extra;
  stored.date = "Sat, 05 Nov 1994 00:00:00 GMT";
  std::array<ByteView, 3> parts = {as_bytes("one "), as_bytes(""), as_bytes("two")};
  if (e.request().target == "/lie") stored.length = 3;
  if (e.request().target == "/long") stored.length = 9;
  if (e.request().method == "HEAD") stored.length = 123;
  if (e.request().target == "/long") {
    auto started = co_await e.start_stored(stored);
    EXPECT_TRUE(started);
    headers = {};
    text = "gone before the first byte of the body";
    auto first = co_await e.write(as_bytes("first"));
    EXPECT_TRUE(first);
    auto second = co_await e.write(as_bytes("last"));
    EXPECT_TRUE(second);
    auto finished = co_await e.finish();
    EXPECT_TRUE(finished);
    co_return;
  }
  std::span<const ByteView> body = parts;
  if (stored.status == 304 || e.request().method == "HEAD") body = {};
  auto sent = co_await e.respond_stored(stored, body);
  d.responded_ok = sent.has_value();
}

std::string stored_answer(std::string_view status, std::string_view length, std::string_view body) {
  std::string out = "HTTP/1.1 " + std::string(status) +
                    "\r\netag: \"1\"\r\nage: 7\r\ncache-status: archipel; hit\r\n"
                    "date: Sat, 05 Nov 1994 00:00:00 GMT\r\n";
  if (!length.empty()) out += "content-length: " + std::string(length) + "\r\n";
  return out + "\r\n" + std::string(body);
}

TEST(StoredResponse, LeavesInOneWriteWithItsOwnDate) {
  Harness h(from_store);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, get("/a")), stored_answer("200 OK", "7", "one two"));
  *c.trace = {};
  EXPECT_EQ(h.talk(c, get("/a")), stored_answer("200 OK", "7", "one two"));
  EXPECT_EQ(c.trace->writes, 1);
  EXPECT_EQ(h.talk(c, get("/unserialised")), stored_answer("200 OK", "7", "one two"));
  EXPECT_EQ(h.talk(c, get("/long")), stored_answer("200 OK", "9", "firstlast"));
  EXPECT_FALSE(c.ended());
}

TEST(StoredResponse, HasNoBodyForHeadAnd304) {
  Harness h(from_store);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"), stored_answer("200 OK", "123", ""));
  EXPECT_EQ(h.talk(c, get("/304")), stored_answer("304 Not Modified", "", ""));
  EXPECT_EQ(h.talk(c, get("/a")), stored_answer("200 OK", "7", "one two"));
}

TEST(StoredResponse, OfAnotherLengthThanAnnouncedIsNotSent) {
  Harness h(from_store);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, get("/lie")), "");
  EXPECT_TRUE(c.was_reset());
  EXPECT_FALSE(h.desk.responded_ok);
}

std::string body_for(std::string_view target) {
  return target == "/large" ? std::string(300'000, 'x') : target == "/none" ? "" : "one two";
}

// Answers as a cache does: at once, and the rest as the client takes it, if need be. What it points to lives until then, and no longer.
struct NowDesk {
  int calls = 0, handled = 0, failed = 0;
  std::unique_ptr<std::string> head, body;

  io::Task<void> finish(NowExchange& e) {
    auto sent = co_await e.finish_stored();
    if (!sent) ++failed;
    head.reset();
    body.reset();
  }
  bool answer(NowExchange& e, std::optional<io::Task<void>>& rest) {
    ++calls;
    const std::string& target = e.request().target;
    body = std::make_unique<std::string>(body_for(target));
    head = std::make_unique<std::string>();
    EXPECT_TRUE(write_stored_head(*head, 200, stored_headers()));
    const std::string age = "7", date = "Sat, 05 Nov 1994 00:00:00 GMT";
    const std::array<FieldView, 2> extra = {{{"age", age}, {"cache-status", "archipel; hit"}}};
    StoredResponse stored;
    if (target != "/made-anew") stored.h1_head = *head;
    stored.extra = extra;
    stored.date = date;
    stored.length = target == "/lie" ? 3 : body->size();
    const NowExchange::Now now = e.respond_stored_now(stored, as_bytes(*body));
    EXPECT_EQ(e.responded(), now != NowExchange::Now::no);
    if (now == NowExchange::Now::begun && target != "/forget") rest.emplace(finish(e));
    return now != NowExchange::Now::no;
  }
};

io::Task<void> plain_answer(Exchange& e, Desk& d) {
  ++d.calls;
  auto sent = co_await e.respond({}, "plain");
  EXPECT_TRUE(sent.has_value());
}

struct NowHarness {
  NowHarness() {
    answer_now_with(*h.server, [this](NowExchange& e, std::optional<io::Task<void>>& rest) {
      return now.answer(e, rest);
    });
  }
  Client connect(size_t at_once) {
    Client c = h.connect();
    c.from_server->at_once = at_once;
    return c;
  }
  NowDesk now;
  Harness h{plain_answer};
};

TEST(StoredResponse, IsAnsweredNowHoweverMuchTheConnectionTakesAtOnce) {
  for (size_t at_once : {0u, 1u, 20u, 130u, 160u, 5000u, 400'000u}) {
    NowHarness n;
    Client c = n.connect(at_once);
    for (std::string_view target : {"/a", "/large", "/none", "/a"}) {
      const std::string body = body_for(target), length = std::to_string(body.size());
      EXPECT_TRUE(n.h.talk(c, get(std::string(target))) == stored_answer("200 OK", length, body))
          << at_once << target;
      EXPECT_EQ(n.h.talk(c, "HEAD " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n"),
                stored_answer("200 OK", length, ""))
          << at_once << target;
    }
    EXPECT_FALSE(c.ended());
    EXPECT_EQ(n.now.calls, 8);
    EXPECT_EQ(n.h.desk.calls, 0);
  }
}

TEST(StoredResponse, AnsweredNowKeepsPipelinedRequestsInOrder) {
  for (size_t at_once : {0u, 30u, 400'000u}) {
    NowHarness n;
    Client c = n.connect(at_once);
    const std::string large = body_for("/large");
    EXPECT_TRUE(n.h.talk(c, get("/a") + get("/large") + get("/none") + get("/made-anew") + get("/a")) ==
                stored_answer("200 OK", "7", "one two") + stored_answer("200 OK", "300000", large) +
                    stored_answer("200 OK", "0", "") + ok("plain") + stored_answer("200 OK", "7", "one two"))
        << at_once;
  }
}

TEST(StoredResponse, ThatIsNotUsualIsTheHandlers) {
  NowHarness n;
  Client c = n.connect(100'000);
  for (const char* target : {"/made-anew", "/lie"})
    EXPECT_EQ(n.h.talk(c, get(target)), ok("plain")) << target;
  EXPECT_EQ(n.now.calls, 2);
  // A request with a body is not for here.
  EXPECT_EQ(n.h.talk(c, put("Content-Length: 2", "ab")), ok("plain"));
  EXPECT_EQ(n.now.calls, 2);
  EXPECT_EQ(n.h.desk.calls, 3);
}

TEST(StoredResponse, AnsweredNowEndsWithItsConnection) {
  NowHarness n;
  Client old = n.connect(10);
  const std::string answer = n.h.talk(old, "GET /a HTTP/1.0\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("connection: close\r\n\r\none two")) << answer;
  EXPECT_TRUE(old.ended());

  Client gone = n.connect(10);
  gone.from_server->capacity = 20;
  gone.send(get("/a") + get("/a"));
  n.h.loop.settle();
  EXPECT_FALSE(gone.ended());  // the rest waits for the client
  EXPECT_EQ(n.now.calls, 2);
  gone.reset();
  n.h.loop.settle();
  EXPECT_TRUE(gone.ended());
  EXPECT_EQ(n.now.failed, 1);
  EXPECT_EQ(n.now.calls, 2);
}

// Whoever begins such a response and does not finish it has given half of one.
TEST(StoredResponse, BegunAndNotFinishedNeverLooksWhole) {
  NowHarness n;
  Client c = n.connect(10);
  EXPECT_EQ(n.h.talk(c, get("/forget")), "HTTP/1.1 2");
  EXPECT_TRUE(c.was_reset());
}

TEST(StoredResponse, ManyPartsAndLargeOnesArriveWhole) {
  auto send = [](Exchange& e, Desk& d) -> io::Task<void> {
    std::string large(700'000, 'l');
    std::vector<ByteView> parts(50, as_bytes("abc"));
    parts.push_back(as_bytes(large));
    parts.push_back(as_bytes("end"));
    StoredResponse stored;
    auto sent = co_await e.respond_stored(stored, parts);
    d.responded_ok = sent.has_value();
  };
  Harness h(send);
  Client c = h.connect();
  std::string got = h.talk(c, kGet);
  std::string expected;
  for (int i = 0; i < 50; ++i) expected += "abc";
  expected += std::string(700'000, 'l') + "end";
  EXPECT_TRUE(h.desk.responded_ok);
  EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4), expected);
}

io::Task<void> with_date(Exchange& e, Desk&) {
  Response response;
  if (e.request().target != "/none") response.headers.add("date", "Sat, 05 Nov 1994 00:00:00 GMT");
  auto sent = co_await e.respond(std::move(response), "x");
  EXPECT_TRUE(sent);
}

TEST(Server, KeepsAForeignDateWhenItIsAProxysServer) {
  {
    Harness own(with_date);
    Client c = own.connect();
    EXPECT_EQ(own.talk(c, get("/")), ok("x"));
  }
  Harness proxy(with_date, {}, plain_page, {.forward_date = true});
  Client p = proxy.connect();
  EXPECT_EQ(proxy.talk(p, get("/")),
            "HTTP/1.1 200 OK\r\ndate: Sat, 05 Nov 1994 00:00:00 GMT\r\ncontent-length: 1\r\n\r\nx");
  EXPECT_EQ(proxy.talk(p, get("/none")), ok("x"));
}

io::Task<void> hint(Exchange& e, Desk& d) {
  Headers link;
  link.add("link", "</a.css>; rel=preload");
  link.add("content-length", "5");
  auto hinted = co_await e.interim(103, std::move(link));
  EXPECT_TRUE(hinted);
  Headers evil;
  evil.add("x", "a\r\nb: c");
  auto refused = co_await e.interim(103, std::move(evil));
  EXPECT_FALSE(refused);
  for (int status : {99, 100, 101, 200}) {
    auto wrong = co_await e.interim(status, {});
    EXPECT_FALSE(wrong) << status;
  }
  co_await answer(e, d, 200, "x");
}

TEST(Server, SendsInterimResponsesToThoseWhoKnowThem) {
  Harness h(hint);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, get("/")), "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n" + ok("x"));
}

io::Task<void> read_beside(Exchange& e, Desk& d) {
  while (!d.open) co_await d.go.wait();
  [[maybe_unused]] bool whole = co_await read_all(e, d);
}

io::Task<void> hint_beside_the_body(Exchange& e, Desk& d) {
  io::TaskScope scope;
  scope.spawn(read_beside(e, d));
  Headers link;
  link.add("link", "</a.css>; rel=preload");
  auto hinted = co_await e.interim(103, std::move(link));
  EXPECT_TRUE(hinted);
  co_await scope.join();
  co_await answer(e, d, 200, d.body);
}

// As a proxy does whose origin says 103 but not 100: its body is asked for although the client has not taken the hint yet.
TEST(Server, SaysOneInterimResponseAfterTheOther) {
  Harness h(hint_beside_the_body);
  Client c = h.connect();
  c.from_server->capacity = 10;
  std::string got = h.talk(c, put("Content-Length: 5\r\nExpect: 100-continue"));
  EXPECT_EQ(got, "HTTP/1.1 1");
  h.desk.open = true;
  h.desk.go.notify_all();
  for (int i = 0; i < 20; ++i) {
    h.loop.settle();
    got += c.take();
  }
  EXPECT_EQ(got,
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
  c.from_server->capacity = SIZE_MAX;
  EXPECT_EQ(h.talk(c, "hello"), ok("hello"));
}

TEST(Server, SparesOldClientsInterimResponses) {
  auto hint_only = [](Exchange& e, Desk& d) -> io::Task<void> {
    auto hinted = co_await e.interim(103, {});
    EXPECT_TRUE(hinted);
    co_await answer(e, d, 200, "x");
  };
  Harness h(hint_only);
  Client c = h.connect();
  EXPECT_TRUE(h.talk(c, get("/", "1.0")).starts_with("HTTP/1.1 200 OK\r\n"));
}

// Echoes what comes over the connection after the upgrade, until it ends.
io::Task<void> tunnel(Exchange& e, Desk& d) {
  ++d.calls;
  Headers headers;
  headers.add("upgrade", "echo");
  auto stream = co_await e.upgrade(std::move(headers));
  if (!stream) {
    d.error = stream.error();
    co_await answer(e, d, 200, "plain");
    co_return;
  }
  Buffer buffer(64);
  for (;;) {
    auto got = co_await (*stream)->read(buffer.span(), kNoDeadline);
    if (!got) d.error = got.error();
    if (!got) co_return;
    if (*got == 0) co_return;
    std::array<ByteView, 1> parts = {buffer.view().first(*got)};
    auto written = co_await (*stream)->write(parts, kNoDeadline);
    if (!written) co_return;
  }
}

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n";
constexpr std::string_view kSwitching =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n";

TEST(Upgrade, GivesTheBytesBehindTheRequestAndThoseAfter) {
  Harness h(tunnel);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, std::string(kUpgrade) + "GET /smuggled HTTP/1.1\r\n"),
            std::string(kSwitching) + "GET /smuggled HTTP/1.1\r\n");
  EXPECT_EQ(h.talk(c, "more"), "more");
  c.end();
  h.loop.settle();
  EXPECT_TRUE(c.ended());
  EXPECT_EQ(h.desk.calls, 1);
}

TEST(Upgrade, IsRefusedToThoseWhoDidNotAsk) {
  Harness h(tunnel);
  for (std::string_view request : {
           std::string_view("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
           std::string_view("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\n\r\n"),
           std::string_view("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n"),
           std::string_view("GET / HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"),
           std::string_view("POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: "
                            "echo\r\nContent-Length: 1\r\n\r\nx"),
       }) {
    Client c = h.connect();
    std::string got = h.talk(c, request);
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << request;
    EXPECT_EQ(h.desk.error->code, Code::invalid);
  }
}

TEST(Upgrade, EndsWithTheDrainsPatience) {
  Harness h(tunnel);
  Client c = h.connect();
  EXPECT_EQ(h.talk(c, kUpgrade), kSwitching);
  h.server->drain();
  h.loop.advance(std::chrono::minutes(5));
  EXPECT_TRUE(h.serving->done());
  EXPECT_TRUE(c.was_reset());
}

}  // namespace
}  // namespace archipel::http
