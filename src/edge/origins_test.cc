#include "edge/balance.h"

#include <gtest/gtest.h>

#include "edge/access_log.h"
#include "edge/text_body.h"
#include "http/pipe_stream_test_util.h"

namespace archipel::edge {
namespace {

using http::testing::Channel;

struct Wire {
  std::string to;  // whose
  std::shared_ptr<Channel> sent = std::make_shared<Channel>(), answer = std::make_shared<Channel>();
  void say(std::string_view text) {
    answer->bytes += text;
    answer->changed.notify_all();
  }
  void end() {
    answer->ended = true;
    answer->changed.notify_all();
  }
};

class FakeConnector final : public Connector {
 public:
  std::vector<std::shared_ptr<Wire>> wires;
  std::vector<std::string> down;
  io::Task<Result<std::unique_ptr<io::Stream>>> connect(const OriginAddress& origin, const OriginPolicy&,
                                                        Deadline) override {
    if (std::ranges::find(down, origin.host) != down.end()) co_return fail(Code::unavailable, "refused");
    auto wire = std::make_shared<Wire>();
    wire->to = origin.host;
    wires.push_back(wire);
    co_return std::make_unique<http::testing::PipeStream>(wire->answer, wire->sent,
                                                          std::make_shared<http::testing::Trace>(), SIZE_MAX);
  }
};

// A client that sends its body as the test says.
class SlowBody final : public BodySource {
 public:
  explicit SlowBody(std::optional<uint64_t> length) : length_(length) {}
  std::optional<uint64_t> length() const override { return length_; }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    ++reads;
    while (text.empty() && !ended && !gone) co_await changed.wait();
    if (gone) co_return fail(Code::io, "the client went away");
    size_t n = std::min(out.size(), text.size());
    std::copy_n(text.data(), n, out.data());
    text.erase(0, n);
    co_return n;
  }
  void give(std::string_view more) {
    text += more;
    changed.notify_all();
  }
  void end(bool by_leaving = false) {
    (by_leaving ? gone : ended) = true;
    changed.notify_all();
  }
  int reads = 0;

 private:
  const std::optional<uint64_t> length_;
  std::string text;
  bool ended = false, gone = false;
  io::Event changed;
};

struct Outcome {
  bool expects_continue = false;
  std::optional<Error> error;
  int status = 0;
  std::string body, origin;
  http::Headers headers;
  bool answered = false;  // to the end
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nhi";

struct World {
  http::testing::ManualLoop loop;
  FakeConnector connector;
  OriginPolicy policy;
  Background background{{&loop}};
  std::unique_ptr<Balancer> origins;

  explicit World(std::vector<std::string> hosts = {"a"}) {
    for (std::string& host : hosts) policy.origins.push_back({false, host, 80, "http://" + host});
  }
  ~World() {
    origins.reset();
    loop.advance(std::chrono::hours(1));
  }
  Balancer& get() {
    if (!origins)
      origins = std::make_unique<Balancer>(
          policy, BalanceParts{{&loop}, connector, system_clock(), system_random(), background});
    return *origins;
  }
  static io::Task<void> run(Balancer* origins, FetchRequest request, Deadline deadline, Outcome* out) {
    BodySource* body = request.body;
    co_await one(origins, std::move(request), deadline, out);
    out->answered = true;
    if (body != nullptr) co_await body->sending.join();
  }
  static io::Task<void> one(Balancer* origins, FetchRequest request, Deadline deadline, Outcome* out) {
    auto fetch = co_await origins->fetch(std::move(request), deadline);
    if (!fetch) {
      out->error = fetch.error();
      co_return;
    }
    out->status = (*fetch)->status();
    out->headers = (*fetch)->headers();
    out->origin = (*fetch)->origin();
    Buffer buffer(100);
    for (;;) {
      auto got = co_await (*fetch)->read(buffer.span());
      if (!got) out->error = got.error();
      if (!got || *got == 0) co_return;
      out->body += as_text(buffer.view().first(*got));
    }
  }
  io::Task<void> begin(Outcome* out, std::string method = "GET", BodySource* body = nullptr) {
    FetchRequest request;
    request.method = std::move(method);
    request.target = "/x";
    request.headers.add("host", "h");
    request.body = body;
    request.expects_continue = out->expects_continue;
    auto task = run(&get(), std::move(request), loop.now() + std::chrono::seconds(10), out);
    loop.settle();
    return task;
  }
  // wires[0] has answered one request, and is kept.
  void keep_a_connection() {
    Outcome first;
    auto one = begin(&first);
    connector.wires[0]->say(kOk);
    loop.settle();
  }
};

TEST(Origins, ConnectionsAreKeptAndUsedAgain) {
  World world;
  for (int i = 0; i < 3; ++i) {
    Outcome out;
    auto task = world.begin(&out);
    ASSERT_EQ(world.connector.wires.size(), 1u);
    world.connector.wires[0]->say(kOk);
    world.loop.settle();
    EXPECT_EQ(out.body, "hi");
    EXPECT_EQ(out.status, 200);
    EXPECT_FALSE(out.headers.find("keep-alive"));
    EXPECT_TRUE(task.done());
  }
  // Nobody uses it for long: it is closed.
  world.loop.advance(std::chrono::minutes(1));
  EXPECT_TRUE(world.connector.wires[0]->sent->ended);
}

TEST(Origins, TheNextIsAskedWhenOneCannotBeReached) {
  World world({"a", "b"});
  world.connector.down = {"a"};
  for (int i = 0; i < 2; ++i) {
    Outcome out;
    TextBody body("four");
    auto task = world.begin(&out, "POST", &body);  // nothing of its body was used up
    ASSERT_FALSE(world.connector.wires.empty());
    world.connector.wires.back()->say(kOk);
    world.loop.settle();
    EXPECT_EQ(out.origin, "http://b");
    EXPECT_TRUE(task.done());
  }
  world.connector.down = {"a", "b"};
  world.get();
  Outcome out;
  world.origins.reset();
  auto task = world.begin(&out);
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->code, Code::unavailable);
  EXPECT_NE(out.error->message.find("http://"), std::string::npos);
}

TEST(Origins, AKeptConnectionThatWasJustClosedIsNoFailure) {
  World world;
  world.keep_a_connection();
  Outcome second;
  auto two = world.begin(&second);
  ASSERT_EQ(world.connector.wires.size(), 1u);
  world.connector.wires[0]->end();  // after the request was sent
  world.loop.settle();
  ASSERT_EQ(world.connector.wires.size(), 2u);
  world.connector.wires[1]->say(kOk);
  world.loop.settle();
  EXPECT_EQ(second.body, "hi");
}

TEST(Origins, WhatMayHaveBeenActedOnIsNotSentTwice) {
  World world({"a", "b"});
  Outcome out;
  auto task = world.begin(&out, "POST");
  world.connector.wires[0]->end();
  world.loop.settle();
  EXPECT_TRUE(out.error);
  EXPECT_EQ(world.connector.wires.size(), 1u);
}

TEST(Origins, ABodyCutShortIsAnError) {
  World world;
  Outcome out;
  auto task = world.begin(&out);
  world.connector.wires[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi");
  world.connector.wires[0]->end();
  world.loop.settle();
  EXPECT_EQ(out.body, "hi");
  EXPECT_TRUE(out.error);
}

TEST(Origins, SilentOneTimesOut) {
  World world;
  Outcome out;
  auto task = world.begin(&out);
  world.loop.advance(std::chrono::seconds(11));
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->code, Code::timeout);
  EXPECT_EQ(world.connector.wires.size(), 1u);
}

TEST(Origins, ConnectionsAreBounded) {
  World world;
  world.policy.connections_max = 2;
  Outcome out[3];
  auto a = world.begin(&out[0]), b = world.begin(&out[1]), c = world.begin(&out[2]);
  EXPECT_EQ(world.connector.wires.size(), 2u);
  world.connector.wires[0]->say(kOk);
  world.loop.settle();
  EXPECT_EQ(world.connector.wires.size(), 2u);
  world.connector.wires[0]->say(kOk);
  world.connector.wires[1]->say(kOk);
  world.loop.settle();
  EXPECT_EQ(out[2].body, "hi");
}

// An origin that has heard enough: a body that is too large, or not for this client.
TEST(Upload, AnEarlyRefusalIsPassedOnWhileTheClientStillSends) {
  World world;
  Outcome out;
  SlowBody body(1000);
  auto task = world.begin(&out, "POST", &body);
  body.give("0123456789");
  world.loop.settle();
  Wire& wire = *world.connector.wires[0];
  EXPECT_TRUE(wire.sent->bytes.ends_with("0123456789"));
  wire.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
  world.loop.settle();
  EXPECT_EQ(out.status, 413);
  EXPECT_EQ(out.body, "no");
  EXPECT_TRUE(out.answered);
  EXPECT_TRUE(wire.sent->ended);  // a connection with half a request on it carries no other
  body.give("more");
  world.loop.settle();
  EXPECT_TRUE(task.done());
  EXPECT_TRUE(wire.sent->bytes.ends_with("0123456789"));
}

TEST(Upload, TheOriginIsNotReadingAndItsRefusalArrivesAllTheSame) {
  World world;
  Outcome out;
  SlowBody body(1'000'000);
  auto task = world.begin(&out, "POST", &body);
  Wire& wire = *world.connector.wires[0];
  wire.sent->capacity = 1000;
  body.give(std::string(100'000, 'x'));
  world.loop.settle();
  wire.say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
  world.loop.settle();
  EXPECT_EQ(out.status, 401);
  EXPECT_EQ(out.body, "no");
  EXPECT_TRUE(task.done());
}

TEST(Upload, AnAnswerThatBeginsEarlyComesBesideTheBody) {
  World world;
  Outcome out;
  SlowBody body(std::nullopt);
  auto task = world.begin(&out, "POST", &body);
  Wire& wire = *world.connector.wires[0];
  body.give("one");
  world.loop.settle();
  wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nONE\r\n");
  world.loop.settle();
  EXPECT_EQ(out.body, "ONE");
  body.give("two");
  world.loop.settle();
  EXPECT_TRUE(wire.sent->bytes.ends_with("3\r\ntwo\r\n"));
  wire.say("3\r\nTWO\r\n");
  world.loop.settle();
  EXPECT_EQ(out.body, "ONETWO");
  body.end();
  world.loop.settle();
  EXPECT_TRUE(wire.sent->bytes.ends_with("0\r\n\r\n"));
  wire.say("0\r\n\r\n");
  world.loop.settle();
  EXPECT_TRUE(task.done());
  EXPECT_FALSE(out.error);
  // Both messages were whole: the connection is kept.
  Outcome next;
  auto again = world.begin(&next);
  EXPECT_EQ(world.connector.wires.size(), 1u);
  wire.say(kOk);
  world.loop.settle();
  EXPECT_EQ(next.body, "hi");
}

// RFC 9110 §10.1.1: the expectation is the origin's to meet.
TEST(Upload, ABodyThatIsOfferedIsTakenWhenTheOriginWantsIt) {
  World world;
  Outcome out;
  out.expects_continue = true;
  SlowBody body(4);
  auto task = world.begin(&out, "PUT", &body);
  Wire& wire = *world.connector.wires[0];
  EXPECT_NE(wire.sent->bytes.find("\r\nexpect: 100-continue\r\n"), std::string::npos) << wire.sent->bytes;
  body.give("four");
  world.loop.settle();
  EXPECT_EQ(body.reads, 0);
  wire.say("HTTP/1.1 100 Continue\r\n\r\n");
  world.loop.settle();
  EXPECT_TRUE(wire.sent->bytes.ends_with("\r\n\r\nfour"));
  body.end();
  wire.say(kOk);
  world.loop.settle();
  EXPECT_EQ(out.body, "hi");
  EXPECT_TRUE(task.done());
}

TEST(Upload, ABodyThatTheOriginDoesNotWantIsNeverAskedFor) {
  for (std::string_view status : {"401 Unauthorized", "417 Expectation Failed", "200 OK"}) {
    World world;
    Outcome out;
    out.expects_continue = true;
    SlowBody body(4);
    auto task = world.begin(&out, "PUT", &body);
    world.connector.wires[0]->say("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: 2\r\n\r\nno");
    world.loop.settle();
    EXPECT_EQ(out.status, std::stoi(std::string(status)));
    EXPECT_EQ(out.body, "no");
    EXPECT_EQ(body.reads, 0);
    EXPECT_TRUE(task.done());
    EXPECT_TRUE(world.connector.wires[0]->sent->ended);
  }
}

TEST(Upload, ABodyThatIsStillOfferedGoesToAnotherConnectionWhenTheKeptOneWasJustClosed) {
  World world;
  world.keep_a_connection();
  Outcome out;
  out.expects_continue = true;
  SlowBody body(4);
  auto task = world.begin(&out, "POST", &body);
  ASSERT_EQ(world.connector.wires.size(), 1u);
  world.connector.wires[0]->end();  // after the request was sent
  world.loop.settle();
  ASSERT_EQ(world.connector.wires.size(), 2u);
  Wire& wire = *world.connector.wires[1];
  wire.say("HTTP/1.1 100 Continue\r\n\r\n");
  body.give("four");
  world.loop.settle();
  EXPECT_TRUE(wire.sent->bytes.ends_with("\r\n\r\nfour"));
  EXPECT_FALSE(world.connector.wires[0]->sent->bytes.ends_with("four"));
  body.end();
  wire.say(kOk);
  world.loop.settle();
  EXPECT_EQ(out.body, "hi");
  EXPECT_TRUE(task.done());
}

TEST(Upload, ABodyOfWhichBytesWereTakenIsNotSentTwice) {
  World world;
  world.keep_a_connection();
  Outcome out;
  SlowBody body(4);
  auto task = world.begin(&out, "POST", &body);
  body.give("fo");
  world.loop.settle();
  world.connector.wires[0]->end();
  body.end();
  world.loop.settle();
  EXPECT_TRUE(out.error);
  EXPECT_EQ(world.connector.wires.size(), 1u);
}

TEST(Upload, AnOriginThatNeverSays100GetsTheBodyAfterASecond) {
  World world;
  Outcome out;
  out.expects_continue = true;
  SlowBody body(4);
  auto task = world.begin(&out, "PUT", &body);
  body.give("four");
  world.loop.advance(std::chrono::milliseconds(900));
  EXPECT_EQ(body.reads, 0);
  world.loop.advance(std::chrono::milliseconds(200));
  EXPECT_TRUE(world.connector.wires[0]->sent->bytes.ends_with("\r\n\r\nfour"));
  body.end();
  world.loop.settle();
  world.connector.wires[0]->say(kOk);
  world.loop.settle();
  EXPECT_EQ(out.body, "hi");
  EXPECT_TRUE(task.done());
}

TEST(Upload, ASlowClientDoesNotUseUpTheOriginsTime) {
  World world;
  Outcome out;
  SlowBody body(60);
  auto task = world.begin(&out, "POST", &body);
  for (int i = 0; i < 60; ++i) {
    world.loop.advance(std::chrono::seconds(5));
    body.give("x");
    world.loop.settle();
  }
  body.end();
  world.loop.advance(std::chrono::seconds(9));
  EXPECT_FALSE(out.answered);
  world.connector.wires[0]->say(kOk);
  world.loop.settle();
  EXPECT_EQ(out.body, "hi");
  EXPECT_TRUE(task.done());
  // … but from the body's end on it runs.
  Outcome late;
  SlowBody small(1);
  auto other = world.begin(&late, "POST", &small);
  small.give("x");
  small.end();
  world.loop.advance(std::chrono::seconds(21));
  ASSERT_TRUE(late.error);
  EXPECT_EQ(late.error->code, Code::timeout);
  EXPECT_TRUE(other.done());
}

TEST(Upload, AClientThatLeavesTakesItsRequestWithIt) {
  World world;
  Outcome out;
  SlowBody body(60);
  auto task = world.begin(&out, "POST", &body);
  body.give("x");
  world.loop.settle();
  body.end(true);
  world.loop.settle();
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->detail, "client");
  EXPECT_TRUE(world.connector.wires[0]->sent->reset);
  EXPECT_TRUE(task.done());
}

TEST(Upload, AnOriginThatTakesNothingTimesOut) {
  World world;
  Outcome out;
  SlowBody body(1'000'000);
  auto task = world.begin(&out, "POST", &body);
  world.connector.wires[0]->sent->capacity = 1000;
  body.give(std::string(100'000, 'x'));
  world.loop.advance(std::chrono::minutes(3));
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->code, Code::timeout);
  EXPECT_TRUE(task.done());
}

TEST(AccessLog, NothingThatAClientSendsForgesALine) {
  AccessRecord record;
  record.target = "/a\" b=c\\ \xff";
  record.user_agent = "x\ny";
  record.method = "GET";
  for (bool json : {true, false}) {
    std::string line = format_access(record, json);
    EXPECT_EQ(std::ranges::count(line, '\n'), 1) << line;
    EXPECT_TRUE(line.ends_with('\n'));
  }
  EXPECT_NE(format_access(record, true).find(R"("target":"/a\" b=c\\ )"), std::string::npos);
  EXPECT_NE(format_access(record, false).find(R"(target="/a\" b=c\\ )"), std::string::npos);
  std::string long_one(100'000, 'a');
  record.target = long_one;
  EXPECT_LT(format_access(record, true).size(), 4096u);
}

}  // namespace
}  // namespace archipel::edge
