#include "door/s3/document_budget.h"

#include <gtest/gtest.h>

#include <deque>

#include "door/s3/testing/client.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {
namespace {

using testing::Answer;
using testing::FakeExchange;
using testing::md5_base64;
using testing::Signer;
using testing::World;

TEST(DocumentBudget, GivesWhatFitsAndTakesItBack) {
  DocumentBudget budget(100);
  auto first = budget.try_acquire(60);
  ASSERT_TRUE(first);
  EXPECT_FALSE(budget.try_acquire(41));
  {
    auto second = budget.try_acquire(40);
    EXPECT_TRUE(second);
    EXPECT_EQ(budget.bytes_used(), 100u);
    EXPECT_FALSE(budget.try_acquire(1));
  }
  EXPECT_FALSE(budget.try_acquire(SIZE_MAX));
  first.reset();
  EXPECT_EQ(budget.bytes_used(), 0u);
  EXPECT_TRUE(budget.try_acquire(100));
}

// Clients that have sent their request and then neither send nor read.
class SlowClients {
 public:
  explicit SlowClients(World& world) : world_(world) {}
  ~SlowClients() { go_on(); }

  // A request that is signed, begun, and then held: before its answer is taken or, with `hold_reading`, before its body comes.
  FakeExchange& begin(std::string method, std::string target, testing::HeaderList headers, std::string body,
                      bool hold_reading) {
    FakeExchange& exchange = exchanges_.emplace_back();
    exchange.in = World::request(std::move(method), std::move(target), headers);
    exchange.in.headers.add("x-amz-content-sha256", Signer::digest(body));
    exchange.in.headers.set("content-length", std::to_string(body.size()));
    world_.signer.sign(exchange.in);
    exchange.body = std::move(body);
    (hold_reading ? exchange.hold_reading : exchange.hold_answer) = &gate_;
    tasks_.push_back(world_.door().handle(exchange));
    return exchange;
  }
  // How many were refused so far.
  size_t refused() const {
    size_t n = 0;
    for (const FakeExchange& e : exchanges_) n += e.status() == 503;
    return n;
  }
  void go_on() {
    gate_.open();
    for (auto& task : tasks_) CHECK(task.done());
    tasks_.clear();
  }

 private:
  World& world_;
  testing::Gate gate_;
  std::deque<FakeExchange> exchanges_;
  std::deque<io::Task<void>> tasks_;
};

class DocumentBudgetTest : public ::testing::Test {
 protected:
  DocumentBudgetTest() { world.make_bucket(); }
  World world;
};

std::string largest_delete() {
  return "<Delete><Object><Key>a</Key></Object>" + std::string(kDeleteDocumentBytesMax - 100, ' ') +
         "</Delete>";
}

TEST_F(DocumentBudgetTest, LargeListAnswersInTheHandsOfSlowClientsAreBounded) {
  for (int i = 0; i < 100; ++i) {
    std::string key = std::to_string(i) + std::string(1000, '+');
    world.store.buckets.at("bucket").objects[key].info.etag = "e";
  }
  // Documents that trickle in take most of the room: they are made faster than lists.
  const std::string body = largest_delete();
  SlowClients others(world);
  const size_t held = kDocumentBytesInFlightMax / body.size() - 1;
  for (size_t i = 0; i < held; ++i)
    others.begin("POST", "/bucket?delete", {{"content-md5", md5_base64(body)}}, body, true);
  EXPECT_EQ(others.refused(), 0u);
  const size_t room = kDocumentBytesInFlightMax - held * body.size();

  const std::string list = "/bucket?list-type=2&encoding-type=url";
  const size_t size = world.send("GET", list).body.size();
  ASSERT_GT(size, 4 * kDocumentBytesFree);
  const size_t fit = room / size;
  ASSERT_GT(fit, 2u);
  SlowClients slow(world);
  for (size_t i = 0; i < fit + 3; ++i) slow.begin("GET", list, {}, {}, false);
  EXPECT_EQ(slow.refused(), 3u);
  Answer refused = world.send("GET", list);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.code(), "SlowDown");
  EXPECT_EQ(refused.headers.get("retry-after"), "1");
  EXPECT_EQ(world.send("GET", "/bucket?max-keys=3").status, 200);  // what is small goes on
  slow.go_on();
  EXPECT_EQ(world.send("GET", list).status, 200);
}

TEST_F(DocumentBudgetTest, DeleteDocumentsThatTrickleInAreBounded) {
  const std::string body = largest_delete();
  testing::HeaderList md5 = {{"content-md5", md5_base64(body)}};
  world.send("PUT", "/bucket/a", {}, "x");
  SlowClients slow(world);
  size_t fit = kDocumentBytesInFlightMax / body.size();
  for (size_t i = 0; i < fit; ++i) slow.begin("POST", "/bucket?delete", md5, body, true);
  EXPECT_EQ(slow.refused(), 0u);
  Answer refused = world.send("POST", "/bucket?delete", md5, body);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.code(), "SlowDown");
  EXPECT_FALSE(refused.body_read);
  EXPECT_TRUE(world.has("a"));
  slow.go_on();
  EXPECT_EQ(world.send("POST", "/bucket?delete", md5, body).status, 200);
  EXPECT_FALSE(world.has("a"));
}

}  // namespace
}  // namespace archipel::door::s3
