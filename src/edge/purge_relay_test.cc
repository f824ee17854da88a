#include "edge/purge_relay.h"

#include <gtest/gtest.h>

#include "edge/disk_files_test_util.h"
#include "edge/origins_test_util.h"
#include "edge/peers.h"

namespace archipel::edge {
namespace {

using namespace std::chrono_literals;
using testing::LoopClock;

class NowWorkers final : public io::Workers {
 public:
  void submit(io::Callback job) override { job(); }
};

// Edges of one ring, in memory and under virtual time, behind real HTTP connections.
class World final : public Connector {
 public:
  struct EdgeNode {
    std::string host;
    std::unique_ptr<PurgeRelay> relay;
    std::vector<std::string> purged;  // URLs; "*": everything
    bool dead = false;
    int posts = 0;
    std::shared_ptr<FakeDisk> disk;  // of what it tells; null: none
    std::vector<HeardMark> marks;    // on its disk, as it were
    bool keeps_marks = false;
    std::unique_ptr<http::testing::PipeListener> listener;
    std::vector<http::testing::Client> connections;
    std::unique_ptr<http::Server> server;
    std::optional<io::Task<void>> serving;
  };

  explicit World(std::vector<std::string> hosts) {
    for (const std::string& host : hosts) nodes_[host].host = host;
    for (const std::string& host : hosts) begin(host);
    loop.advance(200ms);
  }
  ~World() override {
    for (auto& [host, node] : nodes_) end(host);
  }

  EdgeNode& operator[](const std::string& host) { return nodes_.at(host); }

  // A start of this edge: it knows nothing of the one before.
  void begin(const std::string& host) {
    EdgeNode& node = nodes_.at(host);
    node.dead = false;
    node.relay = std::make_unique<PurgeRelay>(
        PurgeRelay::Parts{loop, *this, clock, *random,
                          [&node](const PurgeOrder& order) -> Result<PurgeRelay::Purging> {
                            if (order.url.empty()) return fail(Code::not_found, "no site of ours");
                            node.purged.push_back(order.url);
                            return PurgeRelay::Purging{};
                          },
                          [&node] {
                            node.purged.push_back("*");
                            return PurgeRelay::Purging{};
                          },
                          node.marks,
                          [&node](std::vector<HeardMark> marks) {
                            if (node.keeps_marks) node.marks = std::move(marks);
                          },
                          &workers});
    if (node.disk) node.relay->keep_in(node.disk->files());
    PeerPolicy policy;
    policy.self = "http://" + host + ":80";
    policy.token = "0123456789abcdef";
    for (auto& [other, unused] : nodes_) {
      OriginAddress address;
      address.host = other;
      address.url = "http://" + other + ":80";
      if (other != host) policy.list.push_back(address);
    }
    node.relay->use(policy);
    node.relay->start();
    node.server = http::make_server(
        loop, [&node](http::Exchange& exchange) { return answer(&node, exchange); }, {}, clock);
    node.listener = std::make_unique<http::testing::PipeListener>();
    node.serving.emplace(node.server->serve(*node.listener));
  }
  void end(const std::string& host) {
    EdgeNode& node = nodes_.at(host);
    kill(host);
    if (node.relay == nullptr) return;
    auto closing = node.relay->close();
    node.server->drain();
    loop.advance(1min);
    CHECK(closing.done() && node.serving->done());
    node.relay.reset();
    node.serving.reset();
    node.server.reset();
    node.listener.reset();
  }
  void kill(const std::string& host) {
    EdgeNode& node = nodes_.at(host);
    node.dead = true;
    for (auto& connection : node.connections) connection.reset();
    node.connections.clear();
  }

  // kill -9: what its disk has is what it had, and nobody hears of it any more.
  void crash(const std::string& host) {
    EdgeNode& node = nodes_.at(host);
    if (node.disk) node.disk->kill();
    node.keeps_marks = false;
    end(host);
    node.purged.clear();
  }
  void begin_with_disk(const std::string& host) {
    EdgeNode& node = nodes_.at(host);
    if (!node.disk) node.disk = std::make_shared<FakeDisk>();
    if (node.relay) end(host);
    node.keeps_marks = true;
    begin(host);
    loop.advance(2 * PurgeRelay::kBeat);
  }
  bool kept(const std::string& host, uint64_t number) {
    auto task = nodes_.at(host).relay->kept(number);
    loop.settle();
    return task.take().has_value();
  }

  uint64_t tell(const std::string& host, const std::string& url) {
    PurgeOrder order;
    order.url = url;
    return nodes_.at(host).relay->tell(order);
  }
  std::map<std::string, PurgeRelay::State> told(const std::string& host, uint64_t number, Duration wait) {
    auto task = nodes_.at(host).relay->told(number, loop.now() + wait);
    loop.advance(wait + 1ms);
    std::map<std::string, PurgeRelay::State> out;
    for (auto& one : task.take()) out[one.edge] = one.state;
    return out;
  }

  io::Task<Result<std::unique_ptr<io::Stream>>> connect(const OriginAddress& address, const OriginPolicy&,
                                                        Deadline) override {
    co_await io::sleep_until(loop.now() + 1ms);
    EdgeNode& node = nodes_.at(address.host);
    if (node.dead) co_return fail(Code::unavailable, "refused");
    auto client = node.listener->connect();
    node.connections.push_back(client);
    co_return std::make_unique<http::testing::PipeStream>(client.from_server, client.to_server, client.trace,
                                                          SIZE_MAX);
  }

  http::testing::ManualLoop loop;
  LoopClock clock{loop};
  NowWorkers workers;
  std::unique_ptr<Random> random = seeded_random(7);

 private:
  static io::Task<void> answer(EdgeNode* node, http::Exchange& exchange) {
    ++node->posts;
    std::string body;
    Buffer buffer(64u << 10);
    for (;;) {
      auto got = co_await exchange.read_body(buffer.span());
      if (!got || *got == 0) break;
      body += as_text(buffer.view().first(*got));
    }
    EXPECT_EQ(exchange.request().target, kPurgesPath);
    EXPECT_EQ(exchange.request().headers.get(kPeerField), "0123456789abcdef");
    io::Task<Result<std::string>> taking = node->relay->take(std::move(body));
    auto heard = co_await std::move(taking);
    http::Response response;
    response.status = heard ? 200 : 400;
    auto sent = co_await exchange.respond(std::move(response), heard.value_or(""));
    static_cast<void>(sent);
  }

  std::map<std::string, EdgeNode> nodes_;
};

using State = PurgeRelay::State;
using Urls = std::vector<std::string>;

TEST(PurgeRelay, TellsAllOthersAndTheyDoNotTellOn) {
  World w({"a", "b", "c"});
  const uint64_t number = w.tell("a", "http://www/1");
  EXPECT_EQ(w.told("a", number, 100ms),
            (std::map<std::string, State>{{"http://b:80", State::purged}, {"http://c:80", State::purged}}));
  w.loop.advance(1min);
  EXPECT_EQ(w["b"].purged, Urls{"http://www/1"});
  EXPECT_EQ(w["c"].purged, Urls{"http://www/1"});
  EXPECT_TRUE(w["a"].purged.empty()) << "it came back";
}

TEST(PurgeRelay, ManyAreToldInFewRequestsAndInOrder) {
  World w({"a", "b"});
  Urls all;
  for (int i = 0; i < 5000; ++i) {
    all.push_back("http://www/" + std::to_string(i));
    w.tell("a", all.back());
  }
  const int before = w["b"].posts;
  w.loop.advance(1s);
  EXPECT_EQ(w["b"].purged, all);
  EXPECT_LE(w["b"].posts - before, 6);
}

TEST(PurgeRelay, AnEdgeThatWasAwayLearnsWhatItMissed) {
  World w({"a", "b"});
  w.tell("a", "http://www/1");
  w.loop.advance(1s);
  w.kill("b");
  uint64_t number = 0;
  for (int i = 2; i <= 4; ++i) number = w.tell("a", "http://www/" + std::to_string(i));
  EXPECT_EQ(w.told("a", number, 2s).at("http://b:80"), State::pending);
  w.loop.advance(PurgeRelay::kUnreachableAfter + PurgeRelay::kPauseMax);
  auto asked = w["a"].relay->told(number, w.loop.now() + 1h);
  ASSERT_TRUE(asked.done()) << "nobody waits for an edge that is gone";
  EXPECT_EQ(asked.take().at(0).state, State::unreachable);
  w["b"].dead = false;
  w.loop.advance(PurgeRelay::kPauseMax + 1s);
  EXPECT_EQ(w["b"].purged, (Urls{"http://www/1", "http://www/2", "http://www/3", "http://www/4"}));
  EXPECT_EQ(w.told("a", number, 1s).at("http://b:80"), State::purged);
}

TEST(PurgeRelay, OneThatWasStartedAnewHearsItAllAgain) {
  World w({"a", "b"});
  w.tell("a", "http://www/1");
  w.tell("a", "http://www/2");
  w.loop.advance(1s);
  w.end("b");
  w["b"].purged.clear();
  w.begin("b");
  w.loop.advance(2 * PurgeRelay::kBeat);
  EXPECT_EQ(w["b"].purged, (Urls{"http://www/1", "http://www/2"})) << "its disk may hold what it forgot";
}

TEST(PurgeRelay, WhoMissedWhatIsForgottenLetsEverythingGo) {
  World w({"a", "b"});
  w.kill("b");
  for (size_t i = 0; i < PurgeRelay::kLogRecordsMax + 10; ++i) w.tell("a", "http://www/x");
  w["b"].dead = false;
  w.loop.advance(1min);
  ASSERT_FALSE(w["b"].purged.empty());
  EXPECT_EQ(w["b"].purged.front(), "*");
  EXPECT_EQ(w["b"].purged.size(), PurgeRelay::kLogRecordsMax + 1);
}

TEST(PurgeRelay, AnEdgeThatLagsRefusesThoseWhoKnowMore) {
  World w({"a", "b", "c"});
  w.kill("c");
  w.tell("a", "http://www/1");
  EXPECT_FALSE(w["b"].relay->fulfils(w["a"].relay->need())) << "from the moment it is told of";
  w.loop.advance(1s);
  EXPECT_TRUE(w["b"].relay->fulfils(w["a"].relay->need()));
  EXPECT_FALSE(w["c"].relay->fulfils(w["b"].relay->need())) << "b has heard, c has not";
  EXPECT_TRUE(w["b"].relay->fulfils(w["c"].relay->need())) << "knowing more is no harm";
  w["c"].dead = false;
  w.loop.advance(10s);
  EXPECT_TRUE(w["c"].relay->fulfils(w["b"].relay->need()));
  EXPECT_EQ(w["c"].purged, Urls{"http://www/1"});
}

TEST(PurgeRelay, WhatNobodyTellsAnyMoreIsLetGoAfterAWhile) {
  World w({"a", "b", "c"});
  w.kill("c");
  w.tell("a", "http://www/1");
  w.loop.advance(1s);
  w.end("a");  // for good: c hears of it from nobody
  w["c"].dead = false;
  const std::string need = w["b"].relay->need();
  EXPECT_FALSE(w["c"].relay->fulfils(need));
  w.loop.advance(PurgesHeard::kLagMax + 1s);
  EXPECT_FALSE(w["c"].relay->fulfils(need));
  w.loop.advance(1ms);
  EXPECT_EQ(w["c"].purged, Urls{"*"});
  EXPECT_TRUE(w["c"].relay->fulfils(need));
}

TEST(PurgeRelay, WhatIsPendingOutlivesItsSender) {
  World w({"a", "b", "c"});
  w.begin_with_disk("a");
  w.tell("a", "http://www/1");
  w.loop.advance(1s);
  w.kill("c");
  const uint64_t number = w.tell("a", "http://www/2");
  EXPECT_TRUE(w.kept("a", number));
  w.loop.advance(1s);
  w.crash("a");
  w["c"].dead = false;
  w.begin_with_disk("a");
  EXPECT_EQ(w["c"].purged, (Urls{"http://www/1", "http://www/2"}));
  EXPECT_EQ(w["b"].purged, (Urls{"http://www/1", "http://www/2"})) << "who has heard is not told again";
  const uint64_t next = w.tell("a", "http://www/3");
  EXPECT_EQ(next, number + 1);
  w.loop.advance(1s);
  EXPECT_EQ(w["c"].purged.back(), "http://www/3");
  for (const char* from : {"a", "b", "c"})
    for (const char* to : {"a", "b", "c"})
      EXPECT_TRUE(w[to].relay->fulfils(w[from].relay->need())) << from << to << w[from].relay->need();
}

TEST(PurgeRelay, WithoutADirectoryWhatIsPendingIsNotKept) {
  World w({"a", "b"});
  EXPECT_FALSE(w.kept("a", w.tell("a", "http://www/1")));
}

TEST(PurgeRelay, OneThatWasStartedAnewAndKnowsWhatItHeardIsNotToldAgain) {
  World w({"a", "b"});
  w.begin_with_disk("b");
  for (int i = 0; i < 3; ++i) w.tell("a", "http://www/1");
  w.loop.advance(1s);
  w.kill("b");
  w.tell("a", "http://www/2");
  w.crash("b");
  w.begin_with_disk("b");
  EXPECT_EQ(w["b"].purged, Urls{"http://www/2"});
  // Nor does it let everything go when the log does not reach back to the first any more.
  for (size_t i = 0; i < PurgeRelay::kLogRecordsMax + 10; ++i) {
    w.tell("a", "http://www/x");
    if (i % 1000 == 0) w.loop.advance(1s);
  }
  w.loop.advance(10s);
  w.crash("b");
  w.begin_with_disk("b");
  EXPECT_TRUE(w["b"].purged.empty());
}

TEST(PurgeRelay, BothMayBeStartedAnewAtOnce) {
  World w({"a", "b"});
  w.begin_with_disk("a");
  w.begin_with_disk("b");
  w["b"].purged.clear();
  w.tell("a", "http://www/1");
  w.loop.advance(1s);
  w.kill("b");
  w.tell("a", "http://www/2");
  w.crash("b");
  w.crash("a");
  w.begin_with_disk("a");
  w.crash("a");
  w.begin_with_disk("a");
  w.begin_with_disk("b");
  EXPECT_EQ(w["b"].purged, Urls{"http://www/2"});
}

TEST(PurgeRelay, ADamagedLogOfWhatWasToldMakesTheOthersLetGo) {
  World w({"a", "b"});
  w.begin_with_disk("a");
  for (int i = 0; i < 5; ++i) w.tell("a", "http://www/1");
  w.loop.advance(1s);
  w.crash("a");
  std::string& bytes = w["a"].disk->contents[ToldLog::kName];
  bytes[bytes.size() / 2] ^= 1;
  w["b"].purged.clear();
  w.begin_with_disk("a");
  EXPECT_EQ(w["b"].purged, Urls{"*"});
}

TEST(PurgeRelay, WhatIsHeardIsKeptOnlyOnceItIsOnTheDiskItself) {
  World w({"a"});
  io::Event written;
  std::vector<std::vector<HeardMark>> kept;
  auto slow = [](io::Event* until) -> io::Task<Result<void>> {
    co_await until->wait();
    co_return Result<void>();
  };
  PurgeRelay relay({w.loop,
                    w,
                    w.clock,
                    *w.random,
                    [&](const PurgeOrder&) -> Result<PurgeRelay::Purging> {
                      PurgeRelay::Purging out;
                      out.push_back(slow(&written));
                      return out;
                    },
                    [] { return PurgeRelay::Purging{}; },
                    {},
                    [&](std::vector<HeardMark> marks) { kept.push_back(std::move(marks)); },
                    &w.workers});
  auto first = relay.take(
      R"({"edge":"x","id":"0000000000000001","first":1,"lost":false,"records":[{"url":"http://www/1"}]})");
  auto second = relay.take(R"({"edge":"y","id":"0000000000000002","first":3,"lost":true,"records":[]})");
  w.loop.settle();
  EXPECT_TRUE(second.done());
  EXPECT_TRUE(kept.empty()) << "the first is not on the disk yet, and the second's mark would say that it is";
  written.notify_all();
  w.loop.settle();
  EXPECT_TRUE(first.done());
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].at(0).number, 1u);
  auto closing = relay.close();
  w.loop.advance(10s);
}

TEST(PurgeRelay, WhatIsForNoSiteOfItsIsNoObstacle) {
  World w({"a", "b"});
  PurgeOrder order;
  order.site = "elsewhere";
  w["a"].relay->tell(order);
  const uint64_t number = w.tell("a", "http://www/1");
  EXPECT_EQ(w.told("a", number, 1s).at("http://b:80"), State::purged);
  EXPECT_EQ(w["b"].purged, Urls{"http://www/1"});
}

TEST(PurgeRelay, EndsInTimeWithAnEdgeThatDoesNotAnswerAndTellsTheLastToThoseWhoDo) {
  World w({"a", "b", "c"});
  w.loop.advance(1s);
  w.kill("c");
  w.tell("a", "http://www/last");
  auto closing = w["a"].relay->close();
  w.loop.advance(PurgeRelay::kCloseMax + 1s);
  EXPECT_TRUE(closing.done());
  EXPECT_EQ(w["b"].purged, Urls{"http://www/last"});
}

TEST(PurgeRelay, TakesNothingThatIsNoBatch) {
  World w({"a"});
  for (const char* bad :
       {"", "[]", "{}", R"({"edge":"x","id":"00","first":1,"lost":false,"records":[]})",
        R"({"edge":"x","id":"0000000000000001","first":0,"lost":false,"records":[]})",
        R"({"edge":"x","id":"0000000000000001","first":-1,"lost":false,"records":[]})",
        R"({"edge":"x","id":"0000000000000001","first":18446744073709551615,"lost":true,"records":[{}]})"}) {
    auto task = w["a"].relay->take(bad);
    EXPECT_FALSE(task.take()) << bad;
  }
  auto odd = w["a"].relay->take(
      R"({"edge":"x","id":"0000000000000001","first":1,"lost":false,"records":[3,{},{"key":"xyz"},{"url":"http://www/1"}]})");
  auto answer = odd.take();
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, R"({"heard":4})");
  EXPECT_EQ(w["a"].purged, Urls{"http://www/1"}) << "what is no order is passed over";
}

TEST(PurgeOrder, SaysTheSameThereAndBack) {
  PurgeOrder key;
  key.key = std::string("www\nhttp://h/\xff\"\\a", 18);
  PurgeOrder tag;
  tag.tag = "red \"one\"";
  tag.site = "www";
  tag.soft = true;
  PurgeOrder group;
  group.origin = "https://www:8443";
  group.group = "scripts";
  for (const PurgeOrder& order : {key, tag, group}) {
    auto back = parse_purge_order(purge_order_json(order), true);
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, order);
  }
  EXPECT_FALSE(parse_purge_order(purge_order_json(key), false)) << "operators have no keys";
  EXPECT_FALSE(parse_purge_order(R"({"group":"x"})", true));
}

}  // namespace
}  // namespace archipel::edge
