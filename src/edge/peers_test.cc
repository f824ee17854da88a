#include "edge/peers.h"

#include <set>

#include "edge/origins_test_util.h"

namespace archipel::edge {
namespace {

using namespace std::chrono_literals;
using testing::OriginWorld;

// This edge, two others, a shield, and one origin.
struct PeersTest : ::testing::Test {
  OriginWorld w{1};
  PeerPolicy policy;
  std::shared_ptr<Peers> peers;
  std::shared_ptr<Upstream> upstream;

  static OriginAddress edge(const std::string& host) {
    OriginAddress out;
    out.host = host;
    out.url = "http://" + host + ":80";
    return out;
  }
  PeersTest() {
    policy.self = "http://edge0:80";
    policy.list = {edge("edge1"), edge("edge2")};
    policy.token = "0123456789abcdef";
    for (const char* host : {"edge1", "edge2", "shield"}) {
      w.add(host).body = host;
      w.named(host).status = 200;
    }
    w[0].body = "origin";
  }
  void start() {
    for (const char* host : {"edge1", "edge2", "shield"}) w.named(host).check_status = 204;
    w.start();
    peers = std::make_shared<Peers>(policy, "cdn", w.parts(), nullptr);
    upstream = peered(peers, std::shared_ptr<Upstream>(w.balancer.get(), [](Upstream*) {}));
    w.loop.advance(100ms);
  }
  ~PeersTest() override {
    upstream.reset();
    peers.reset();
  }
  static FetchRequest get(const std::string& target) {
    FetchRequest out = OriginWorld::get(target);
    out.headers.set("host", "backend.internal");
    out.headers.add("x-forwarded-host", "www.example.org");
    add_to_loop(out.headers, "cdn");
    return out;
  }
  OriginWorld::Answer ask(FetchRequest request) {
    OriginWorld::Answer out;
    auto task = w.ask(*upstream, std::move(request), out);
    w.loop.advance(200ms);
    CHECK(task.done());
    return out;
  }
  std::string target_of(std::string_view owner) {
    for (int i = 0; i < 1000; ++i) {
      std::string target = "/" + std::to_string(i);
      if (ask(get(target)).body == owner) return target;
    }
    CHECK(false);
    return {};
  }
};

TEST_F(PeersTest, EachKeyIsAskedOfItsOwnerAndOurOwnOfTheOrigin) {
  start();
  std::map<std::string, int> owners;
  for (int i = 0; i < 300; ++i) {
    auto answer = ask(get("/" + std::to_string(i)));
    ASSERT_FALSE(answer.error);
    EXPECT_EQ(ask(get("/" + std::to_string(i))).body, answer.body) << "always the same";
    ++owners[answer.body];
  }
  for (const char* who : {"edge1", "edge2", "origin"}) {
    EXPECT_GT(owners[who], 70) << who;
    EXPECT_LT(owners[who], 130) << who;
  }
}

TEST_F(PeersTest, AnEdgeIsAskedAsTheClientAskedAndTold) {
  start();
  target_of("edge1");
  const http::Headers& seen = w.named("edge1").last;
  EXPECT_EQ(seen.get("host"), "www.example.org");
  EXPECT_EQ(seen.get(kPeerField), policy.token);
  EXPECT_EQ(seen.get("cdn-loop"), "cdn");
  target_of("origin");
  EXPECT_EQ(w[0].last.find(kPeerField), nullptr) << "the token stays among edges";
}

TEST_F(PeersTest, WhatCameFromAnEdgeIsNotPassedToAnother) {
  start();
  std::string target = target_of("edge1");
  FetchRequest request = get(target);
  add_to_loop(request.headers, "cdn");
  EXPECT_EQ(times_in_loop(request.headers, "cdn"), 2);
  EXPECT_EQ(ask(std::move(request)).body, "origin");
}

TEST_F(PeersTest, ADeadPeerCostsNoErrorsAndIsSkippedWithinAnInterval) {
  start();
  std::string target = target_of("edge1"), other = target_of("edge2");
  w.named("edge1").kill();
  EXPECT_EQ(ask(get(target)).body, "origin") << "at once";
  w.loop.advance(policy.interval * 12 / 10);
  const int connects = w.connects;
  const int64_t failed = peers->stats().failed;
  auto answer = ask(get(target));
  EXPECT_FALSE(answer.error);
  EXPECT_NE(answer.body, "edge1");
  EXPECT_EQ(peers->stats().failed, failed) << "nobody asks it any more";
  EXPECT_LE(w.connects - connects, 3);
  EXPECT_EQ(ask(get(other)).body, "edge2") << "it moves its own keys only";
  w.named("edge1").refuses = false;
  w.loop.advance(5s);
  EXPECT_EQ(ask(get(other)).body, "edge2");
  EXPECT_EQ(ask(get(target)).body, "edge1");
}

TEST_F(PeersTest, AnEdgeThatDoesNotKnowTheSiteIsNoAnswer) {
  w.named("edge1").status = w.named("edge2").status = 421;
  start();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(get("/" + std::to_string(i))).body, "origin");
}

TEST_F(PeersTest, TheShieldIsAskedInsteadOfTheOriginWhileItLives) {
  policy.list.clear();
  policy.shield = {edge("shield")};
  start();
  EXPECT_EQ(ask(get("/a")).body, "shield");
  EXPECT_EQ(w[0].requests, 0);
  FetchRequest post = get("/a");
  post.method = "POST";
  EXPECT_EQ(ask(std::move(post)).body, "origin") << "what is not for all goes straight there";
  w.named("shield").kill();
  EXPECT_EQ(ask(get("/b")).body, "origin");
  w.loop.advance(3s);
  EXPECT_EQ(ask(get("/c")).body, "origin");
}

TEST_F(PeersTest, WhatIsAnothersIsKeptOnlyWhileItIsHot) {
  policy.hot_requests = 5;
  start();
  std::string target = target_of("edge1");
  std::vector<Duration> kept;
  for (int i = 0; i < 6; ++i) {
    auto task = upstream->fetch(get(target), kNoDeadline);
    w.loop.advance(50ms);
    auto out = task.take();
    ASSERT_TRUE(out);
    ASSERT_TRUE((*out)->keep_max());
    kept.push_back(*(*out)->keep_max());
  }
  EXPECT_EQ(kept.front(), 0s);
  EXPECT_EQ(kept.back(), policy.hot_time);
  std::string own = target_of("origin");
  auto task = upstream->fetch(get(own), kNoDeadline);
  w.loop.advance(50ms);
  auto out = task.take();
  ASSERT_TRUE(out);
  EXPECT_FALSE((*out)->keep_max()) << "our own is kept as it says";
}

TEST(HotKeys, CountsInTheLastSeconds) {
  HotKeys hot(3);
  TimePoint now{1h};
  EXPECT_FALSE(hot.count(7, now));
  EXPECT_FALSE(hot.count(7, now));
  EXPECT_TRUE(hot.count(7, now));
  EXPECT_FALSE(hot.count(8, now));
  EXPECT_FALSE(hot.count(7, now + 1min));
}

TEST(CdnLoop, NamesAreCountedWhateverTheirParameters) {
  http::Headers headers;
  EXPECT_EQ(times_in_loop(headers, "cdn"), 0);
  headers.add("cdn-loop", "other, cdn;v=1 ,cdnx");
  headers.add("cdn-loop", "cdn");
  EXPECT_EQ(times_in_loop(headers, "cdn"), 2);
  add_to_loop(headers, "cdn");
  EXPECT_EQ(headers.count("cdn-loop"), 1u);
  EXPECT_EQ(times_in_loop(headers, "cdn"), 3);
  EXPECT_EQ(times_in_loop(headers, "other"), 1);
}

TEST(PeerToken, NothingIsNoToken) {
  EXPECT_FALSE(is_peer_token("", ""));
  EXPECT_FALSE(is_peer_token("x", ""));
  EXPECT_FALSE(is_peer_token("", "x"));
  EXPECT_FALSE(is_peer_token("y", "x"));
  EXPECT_TRUE(is_peer_token("x", "x"));
}

}  // namespace
}  // namespace archipel::edge
