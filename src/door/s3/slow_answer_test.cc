#include "door/s3/slow_answer.h"

#include <gtest/gtest.h>

#include "door/s3/errors.h"
#include "door/s3/testing/client.h"
#include "door/s3/xml.h"
#include "io/sim/sim_loop.h"
#include "io/sync.h"

namespace archipel::door::s3::testing {
namespace {

struct Scene {
  io::SimLoop loop{1};
  FakeStore store;
  FixedClock clock;
  Door::State door{Options{}, store, clock, nullptr, system_random()};
  FakeExchange exchange;

  // What the client got of work that takes `seconds` of virtual time.
  void answer(int seconds, Result<SlowAnswer> outcome) {
    exchange.in = World::request("POST", "/bucket/key?uploadId=x", {});
    loop.post([this, seconds, &outcome] { running_.emplace(handle(this, seconds, std::move(outcome))); });
    loop.run();
    EXPECT_EQ(loop.end(), io::SimLoop::End::stopped);
  }

 private:
  static io::Task<Result<SlowAnswer>> work(io::SimLoop* loop, int seconds, Result<SlowAnswer> outcome) {
    co_await io::sleep_until(loop->now() + std::chrono::seconds(seconds));
    co_return outcome;
  }
  static io::Task<void> handle(Scene* scene, int seconds, Result<SlowAnswer> outcome) {
    Call call{scene->door, scene->exchange, scene->exchange.in, "request"};
    auto sent = co_await reply_when_done(call, work(&scene->loop, seconds, std::move(outcome)));
    if (!sent) sent = co_await reply_error(call, sent.error());
    EXPECT_TRUE(sent.has_value());
    scene->loop.stop();
  }
  std::optional<io::Task<void>> running_;
};

SlowAnswer good() {
  SlowAnswer answer;
  answer.headers.add("x-amz-version-id", "v");
  answer.document = std::string(kXmlDeclaration) + "<Done/>";
  return answer;
}

TEST(SlowAnswer, WorkThatEndsSoonIsAnsweredAtOnceWithItsHeaders) {
  Scene scene;
  scene.answer(4, good());
  EXPECT_EQ(scene.exchange.status(), 200);
  EXPECT_EQ(scene.exchange.out.headers.get("x-amz-version-id"), "v");
  EXPECT_EQ(scene.exchange.sent, std::string(kXmlDeclaration) + "<Done/>");
}

TEST(SlowAnswer, AnErrorThatComesSoonHasItsStatus) {
  Scene scene;
  scene.answer(4, refuse("NoSuchUpload"));
  EXPECT_EQ(scene.exchange.status(), 404);
}

TEST(SlowAnswer, BlanksFollowWhileTheWorkGoesOn) {
  Scene scene;
  scene.answer(17, good());
  EXPECT_EQ(scene.exchange.status(), 200);
  EXPECT_TRUE(scene.exchange.finished);
  EXPECT_EQ(scene.exchange.sent, std::string(kXmlDeclaration) + "  <Done/>")
      << "after 5 s the head, then one each 5 s";
  EXPECT_TRUE(parse_xml(scene.exchange.sent, "Done").has_value());
}

TEST(SlowAnswer, AnErrorThatComesLateStandsInTheBody) {
  Scene scene;
  scene.answer(12, refuse("InternalError"));
  EXPECT_EQ(scene.exchange.status(), 200);
  EXPECT_NE(scene.exchange.sent.find("<Error><Code>InternalError</Code>"), std::string::npos)
      << scene.exchange.sent;
  EXPECT_TRUE(parse_xml(scene.exchange.sent, "Error").has_value())
      << "blanks before an error do not spoil it";
}

}  // namespace
}  // namespace archipel::door::s3::testing
