#include "index/reopening_committer.h"

#include "index/index_fixture.h"

namespace archipel::index {
namespace {

constexpr int kTriesMax = 2000;  // x 10 ms: only a bound, so that a broken build ends

// Tries until the journal takes a write again.
io::Task<bool> put_when_open(Rig& rig, std::string key, std::string value) {
  for (int i = 0; i < kTriesMax; ++i) {
    bool done = co_await rig.put(key, value);
    if (done) co_return true;
    co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(10));
  }
  co_return false;
}

io::Task<void> writes_go_on_when_islands_return(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("before", "1"));
  rig.freeze();
  EXPECT_FALSE(co_await rig.put("during", "2"));
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  EXPECT_FALSE(rig.journal.committer->open());
  EXPECT_EQ(rig.get("before"), "1");  // reads go on
  rig.thaw();
  CO_ASSERT_TRUE(co_await put_when_open(rig, "after", "3"));
  EXPECT_TRUE(rig.journal.committer->open());
  EXPECT_EQ(rig.journal.committer->applied(), (CommitPosition{2, 1}));
  auto id = co_await rig.journal.committer->allocate_extent();
  EXPECT_EQ(id->id.epoch, 2u);  // never an id of the closed epoch
  std::map<std::string, std::string> seen = rig.visible();
  EXPECT_EQ(seen.at("before"), "1");
  EXPECT_EQ(seen.at("after"), "3");

  rig.delete_index();
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_EQ(rig.visible(), seen);  // what the running gateway showed is what the islands say
}
TEST(ReopeningCommitter, WritesGoOnByThemselvesWhenIslandsReturn) {
  with_rig("reopen", writes_go_on_when_islands_return);
}

// The last commit before a failure was short of an island; the next epoch's first record tells so.
io::Task<void> debt_outlives_an_epoch(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  rig.islands[0]->down();
  CO_ASSERT_TRUE(co_await rig.put("short", "1"));
  rig.freeze();
  EXPECT_FALSE(co_await rig.put("during", "2"));
  rig.thaw();
  CO_ASSERT_TRUE(co_await put_when_open(rig, "after", "3"));
  std::string key = "m/debt/";
  Writer(key).u64(1).u64(1);
  std::optional<std::string> mask = rig.get(key);
  CO_ASSERT_TRUE(mask.has_value());
  EXPECT_EQ(Reader(*mask).u32(), 0b111110u);
}
TEST(ReopeningCommitter, DebtOfAnEpochsLastCommitsIsNotForgotten) {
  with_rig("debt", debt_outlives_an_epoch);
}

io::Task<void> close_it(Rig* rig) {
  co_await rig->journal.committer->close();
}

// Told to end while it claims the next epoch, it does not go on to open it.
io::Task<void> closing_ends_a_reopening(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  rig.freeze();
  EXPECT_FALSE(co_await rig.put("during", "2"));
  io::TaskScope scope;
  bool begun = false;
  for (auto& island : rig.islands) {
    island->after_put = [&rig, &scope, &begun](const island::BlobName&) {
      if (!std::exchange(begun, true)) scope.spawn(close_it(&rig));
    };
  }
  rig.thaw();
  for (int i = 0; i < kTriesMax && !begun; ++i)
    co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(10));
  EXPECT_TRUE(begun);
  co_await scope.join();
  for (auto& island : rig.islands) island->after_put = [](const island::BlobName&) {};
  for (const auto& island : rig.islands) {
    const std::string open = blob_name(*rig.keys, island->id(), BlobKind::open, 2, {}, 0);
    EXPECT_FALSE(island->blobs().contains(open));
  }
}
TEST(ReopeningCommitter, ClosingEndsAReopeningBeforeItsNextWrite) {
  with_rig("closing", closing_ends_a_reopening);
}

io::Task<void> closes_while_no_island_answers(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  rig.freeze();
  EXPECT_FALSE(co_await rig.put("during", "2"));
  EXPECT_FALSE(co_await rig.put("during", "3"));
  EXPECT_NE(rig.failure->message.find("closed"), std::string::npos);
  co_await rig.stop();
}
TEST(ReopeningCommitter, ClosesAlsoWhileItCannotReopen) {
  with_rig("reopen_never", closes_while_no_island_answers);
}

}  // namespace
}  // namespace archipel::index
