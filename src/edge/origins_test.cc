#include "edge/balance.h"

#include <gtest/gtest.h>

#include "edge/access_log.h"
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

class TextBody final : public BodySource {
 public:
  explicit TextBody(std::string text) : text_(std::move(text)) {}
  std::optional<uint64_t> length() const override { return text_.size(); }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    size_t n = std::min(out.size(), text_.size() - at_);
    std::copy_n(text_.data() + at_, n, out.data());
    at_ += n;
    co_return n;
  }

 private:
  std::string text_;
  size_t at_ = 0;
};

struct Outcome {
  std::optional<Error> error;
  int status = 0;
  std::string body, origin;
  http::Headers headers;
};

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
    auto task = run(&get(), std::move(request), loop.now() + std::chrono::seconds(10), out);
    loop.settle();
    return task;
  }
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nhi";

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
  Outcome first;
  auto one = world.begin(&first);
  world.connector.wires[0]->say(kOk);
  world.loop.settle();
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
