#include "edge/local_upstream.h"

#include <gtest/gtest.h>

#include "http/pipe_stream_test_util.h"

namespace archipel::edge {
namespace {

using namespace std::chrono_literals;

struct LocalTest : testing::Test {
  http::testing::ManualLoop loop;
  http::testing::FakeClock clock;
  Background background{{&loop}};
  std::shared_ptr<Upstream> upstream;
  io::Event go;
  bool open = false;
  int written = 0;
  std::optional<Error> write_error;
  std::string seen;

  void serve(io::Task<void> (*function)(http::Exchange&, LocalTest&)) {
    upstream = local_upstream([this, function](http::Exchange& e) { return function(e, *this); }, "door",
                              background, clock);
  }
  ~LocalTest() override {
    open = true;
    go.notify_all();
    loop.advance(1h);
    auto closing = background.close();
    loop.advance(1h);
    CHECK(closing.done());
  }
  static FetchRequest get(std::string method = "GET") {
    FetchRequest out;
    out.method = std::move(method);
    out.target = "/page?x";
    out.headers.add("host", "blog.example");
    return out;
  }
  Result<std::unique_ptr<Fetch>> fetch(FetchRequest request) {
    auto task = upstream->fetch(std::move(request), loop.now() + 10s);
    loop.settle();
    if (!task.done()) loop.advance(11s);
    return task.take();
  }
  // Up to `limit` bytes of its body.
  Result<std::string> read(Fetch& f, size_t limit = SIZE_MAX) {
    std::string out;
    Buffer buffer(1000);
    while (out.size() < limit) {
      auto task = f.read(buffer.span());
      loop.settle();
      auto got = task.take();
      if (!got) return fail(got.error());
      if (*got == 0) break;
      out += as_text(buffer.view().first(*got));
    }
    return out;
  }
};

io::Task<void> hello(http::Exchange& e, LocalTest& t) {
  t.seen = e.request().method + " " + e.request().target + " " + std::string(e.request().headers.get("host"));
  http::Response response;
  response.headers.add("content-type", "text/plain");
  auto sent = co_await e.respond(std::move(response), "hello");
  static_cast<void>(sent);
}

io::Task<void> flood(http::Exchange& e, LocalTest& t) {
  auto started = co_await e.start({}, uint64_t{10} << 20);
  std::string kilobyte(1024, 'x');
  for (int i = 0; started && i < 10 << 10; ++i) {
    auto done = co_await e.write(as_bytes(kilobyte));
    if (!done) {
      t.write_error = done.error();
      co_return;
    }
    ++t.written;
  }
  auto finished = co_await e.finish();
  static_cast<void>(finished);
}

io::Task<void> break_off(http::Exchange& e, LocalTest&) {
  auto started = co_await e.start({}, 100);
  auto written = co_await e.write(as_bytes("half"));
  static_cast<void>(started);
  static_cast<void>(written);
}

io::Task<void> say_nothing(http::Exchange&, LocalTest&) {
  co_return;
}

io::Task<void> wait(http::Exchange& e, LocalTest& t) {
  while (!t.open) co_await t.go.wait();
  auto sent = co_await e.respond({}, "late");
  if (!sent) t.write_error = sent.error();
}

io::Task<void> echo(http::Exchange& e, LocalTest&) {
  std::string body;
  Buffer buffer(10);
  for (;;) {
    auto got = co_await e.read_body(buffer.span());
    if (!got || *got == 0) break;
    body += as_text(buffer.view().first(*got));
  }
  auto sent = co_await e.respond({.status = 201, .headers = {}}, std::move(body));
  static_cast<void>(sent);
}

TEST_F(LocalTest, AHandlerAnswersWithoutASocket) {
  serve(hello);
  auto f = fetch(get());
  ASSERT_TRUE(f);
  EXPECT_EQ(seen, "GET /page?x blog.example");
  EXPECT_EQ((*f)->status(), 200);
  EXPECT_EQ((*f)->headers().get("content-type"), "text/plain");
  EXPECT_EQ((*f)->headers().get("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ((*f)->length(), 5u);
  EXPECT_EQ((*f)->origin(), "door");
  EXPECT_EQ(read(**f), "hello");
}

TEST_F(LocalTest, HeadHasTheLengthAndNoBody) {
  serve(hello);
  auto f = fetch(get("HEAD"));
  ASSERT_TRUE(f);
  EXPECT_EQ((*f)->headers().get("content-length"), "5");
  EXPECT_EQ(read(**f), "");
}

TEST_F(LocalTest, AHandlerWaitsWhileNobodyReads) {
  serve(flood);
  auto f = fetch(get());
  ASSERT_TRUE(f);
  loop.advance(1s);
  EXPECT_LE(written, static_cast<int>(kLocalWindowBytes >> 10));
  auto all = read(**f);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), size_t{10} << 20);
}

TEST_F(LocalTest, AReaderThatGoesAwayEndsTheHandler) {
  serve(flood);
  auto f = fetch(get());
  ASSERT_TRUE(f);
  EXPECT_TRUE(read(**f, 5000));
  f->reset();
  loop.settle();
  ASSERT_TRUE(write_error);
  EXPECT_EQ(write_error->code, Code::io);
}

TEST_F(LocalTest, AResponseThatBreaksOffNeverLooksWhole) {
  serve(break_off);
  auto f = fetch(get());
  ASSERT_TRUE(f);
  auto body = read(**f);
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Code::io);
}

TEST_F(LocalTest, NoResponseIsAnError) {
  serve(say_nothing);
  auto f = fetch(get());
  ASSERT_FALSE(f);
  EXPECT_EQ(f.error().code, Code::invalid);
}

TEST_F(LocalTest, TheDeadlineHolds) {
  serve(wait);
  auto f = fetch(get());
  ASSERT_FALSE(f);
  EXPECT_EQ(f.error().code, Code::timeout);
  open = true;
  go.notify_all();
  loop.settle();
  EXPECT_TRUE(write_error) << "it is told that nobody waits";
}

class Text final : public BodySource {
 public:
  std::optional<uint64_t> length() const override { return 12; }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    const size_t n = std::min(out.size(), text.size());
    std::copy_n(text.data(), n, out.data());
    text.erase(0, n);
    co_return n;
  }
  std::string text = "twelve bytes";
};

TEST_F(LocalTest, BodiesReachTheHandler) {
  serve(echo);
  Text body;
  FetchRequest request = get("PUT");
  request.body = &body;
  auto f = fetch(std::move(request));
  ASSERT_TRUE(f);
  EXPECT_EQ((*f)->status(), 201);
  EXPECT_EQ(read(**f), "twelve bytes");
}

}  // namespace
}  // namespace archipel::edge
