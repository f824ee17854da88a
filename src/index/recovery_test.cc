// Starts after every kind of end: the view comes back as it was, from DIR or from the islands.
#include "index/index_fixture.h"

namespace archipel::index {
namespace {

using State = IslandReport::State;
using Rows = std::map<std::string, std::string>;

io::Task<void> restarts(Rig& rig) {
  rig.options.open_view = open_rocks_kv;
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.epoch, 1u);
  EXPECT_EQ(rig.state_of(3), State::joined);
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  rig.options.create = false;
  for (uint64_t epoch = 2; epoch < 6; ++epoch) {
    CO_ASSERT_TRUE(co_await rig.restart());
    EXPECT_EQ(rig.journal.epoch, epoch);
    EXPECT_EQ(rig.journal.replayed, 0u);
    EXPECT_EQ(rig.state_of(3), State::ok);
    CO_ASSERT_TRUE(co_await rig.put("e" + std::to_string(epoch), "1"));
  }
  EXPECT_EQ(rig.visible().size(), 5u);
}
TEST(Recovery, EveryStartOpensAnEpochAndKeepsEverything) {
  with_rig("restarts", restarts);
}

io::Task<void> no_index(Rig& rig) {
  rig.options.open_view = open_rocks_kv;
  CO_ASSERT_TRUE(co_await rig.start());
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (int i = 0; i < 40; ++i)
      CO_ASSERT_TRUE(co_await rig.put(std::to_string(epoch) + "." + std::to_string(i), std::to_string(i)));
    CO_ASSERT_TRUE(co_await rig.put("0.0", std::nullopt));
    CO_ASSERT_TRUE(co_await rig.restart());
  }
  const Rows before = rig.visible();
  co_await rig.stop();
  rig.delete_index();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.replayed, 123u);
  EXPECT_EQ(rig.visible(), before);
}
TEST(Recovery, ADeletedIndexIsReplayed) {
  with_rig("noindex", no_index);
}

io::Task<void> index_of_another_chain(Rig& rig) {
  rig.options.open_view = open_rocks_kv;
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  {
    auto kv = open_rocks_kv(rig.dir + "/index");
    CO_ASSERT_TRUE(kv.has_value());
    std::string forged;
    Writer(forged).u64(1).u64(1).raw(std::string(40, 'x'));
    CO_ASSERT_TRUE((*kv)->write({{"a", "forged"}, {"m/applied", forged}}));
  }
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}}));
}
TEST(Recovery, AnIndexThatIsNotOfThisChainIsRebuilt) {
  with_rig("forged", index_of_another_chain);
}

// Any three of the six, index gone too.
int gone_mask = 0;
bool head_gone = false;

io::Task<void> three_gone(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 5; ++i)
    CO_ASSERT_TRUE(co_await rig.put_body("b" + std::to_string(i), std::string(3000 + i, 'a' + char(i))));
  CO_ASSERT_TRUE(co_await rig.restart());
  CO_ASSERT_TRUE(co_await rig.put_body("c", std::string(100, 'c')));
  const Rows before = rig.visible();
  rig.freeze();
  co_await rig.stop();
  rig.thaw();
  for (size_t i = 0; i < 6; ++i) {
    if (gone_mask >> i & 1) rig.islands[i]->wipe();
  }
  rig.delete_index();
  if (head_gone) rig.delete_head();
  bool started = co_await rig.start();
  EXPECT_TRUE(started) << (rig.failure ? rig.failure->describe() : "");
  CO_ASSERT_TRUE(started);
  EXPECT_EQ(rig.visible(), before);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(rig.state_of(i), gone_mask >> i & 1 ? State::rejoined : State::ok);
  Result<std::string> body = co_await rig.body("b3");
  CO_ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, std::string(3003, 'd'));
  CO_ASSERT_TRUE(co_await rig.put("after", "1"));
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_EQ(rig.get("after"), "1");
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(rig.state_of(i), State::ok);
}
TEST(Recovery, AnyThreeIslandsAndTheIndexMayGo) {
  for (gone_mask = 0; gone_mask < 64; ++gone_mask) {
    if (__builtin_popcount(static_cast<unsigned>(gone_mask)) != 3) continue;
    SCOPED_TRACE(gone_mask);
    head_gone = gone_mask % 2 == 1;
    with_rig("three", three_gone);
  }
}

// A start that is refused leaves the index as it was, also where it is not of the chain that the islands show now.
io::Task<void> refusal_keeps_the_index(Rig& rig) {
  rig.options.open_view = open_rocks_kv;
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  CO_ASSERT_TRUE(co_await rig.start());
  auto old = rig.stored();
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  co_await rig.stop();
  auto now = rig.stored();
  for (size_t i = 0; i < 6; ++i) rig.islands[i]->blobs() = old[i];
  CO_ASSERT_TRUE(!co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::corrupt);  // rollback
  {
    auto kv = open_rocks_kv(rig.dir + "/index");
    CO_ASSERT_TRUE(kv.has_value());
    EXPECT_EQ(*(*kv)->snapshot()->get("b"), "2");
  }
  for (size_t i = 0; i < 6; ++i) rig.islands[i]->blobs() = now[i];
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.replayed, 0u);
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
}
TEST(Recovery, ARefusedStartKeepsTheIndex) {
  with_rig("keepindex", refusal_keeps_the_index);
}

// A process that died while it built a new view: the old one is put back, and nothing is left over when a start has succeeded.
io::Task<void> half_built(Rig& rig) {
  rig.options.open_view = open_rocks_kv;
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  std::filesystem::rename(rig.dir + "/index", rig.dir + "/index.old");
  std::filesystem::create_directory(rig.dir + "/index");
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.replayed, 0u);
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}}));
  EXPECT_FALSE(std::filesystem::exists(rig.dir + "/index.old"));
}
TEST(Recovery, AHalfBuiltIndexGivesWayToTheOldOne) {
  with_rig("halfbuilt", half_built);
}

// Those that have the view's last commit do not answer for it: that is no reason to throw the view away.
io::Task<void> silence_resets_nothing(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  const Kv* view = rig.memory.get();
  const auto before = rig.stored();
  rig.islands[0]->down();
  rig.islands[1]->down();
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  co_await rig.stop();
  rig.thaw();
  for (size_t i = 2; i < 6; ++i) {
    rig.islands[i]->tamper_get = [known = before[i]](const island::BlobName& name, uint64_t, Buffer& answer) {
      if (!known.contains(name) && !answer.empty()) answer.data()[0] ^= 1;
    };
  }
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  EXPECT_EQ(rig.memory.get(), view);
  for (auto& island : rig.islands) island->tamper_get = {};
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
}
TEST(Recovery, SilenceThrowsNoIndexAway) {
  with_rig("silence", silence_resets_nothing);
}

}  // namespace
}  // namespace archipel::index
