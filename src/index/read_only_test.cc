// A journal that cannot be opened and can be read: what is proven is shown, writes are refused with the reason, and it opens by itself.
#include "index/index_fixture.h"

namespace archipel::index {
namespace {

using Rows = std::map<std::string, std::string>;

constexpr int kTriesMax = 2000;  // x 10 ms: only a bound, so that a broken build ends

io::Task<bool> open_in_time(Rig& rig) {
  for (int i = 0; i < kTriesMax && !rig.journal.committer->open(); ++i)
    co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(10));
  co_return rig.journal.committer->open();
}

io::Task<void> too_few_to_write(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put_body("a", std::string(5000, 'a')));
  co_await rig.stop();
  rig.delete_index();
  for (size_t i : {1u, 2u, 4u}) rig.islands[i]->down();
  const auto before = rig.stored();
  CO_ASSERT_TRUE(co_await rig.start_read_only());
  EXPECT_FALSE(rig.journal.committer->open());
  EXPECT_NE(rig.journal.committer->closed_because().find("island-1, island-2, island-4"), std::string::npos)
      << rig.journal.committer->closed_because();
  Result<std::string> body = co_await rig.body("a");
  CO_ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, std::string(5000, 'a'));
  EXPECT_FALSE(co_await rig.put("b", "2"));
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  EXPECT_NE(rig.failure->message.find("island-1"), std::string::npos) << rig.failure->message;
  auto extent = co_await rig.journal.committer->allocate_extent();
  EXPECT_FALSE(extent.has_value());
  EXPECT_EQ(rig.stored(), before);  // nothing is written to any island
  rig.islands[4]->up();
  CO_ASSERT_TRUE(co_await open_in_time(rig));
  EXPECT_EQ(rig.journal.committer->closed_because(), "");
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
}
TEST(ReadOnly, WithFewerThanWIslandsReadsGoOnAndWritesFollowByThemselves) {
  with_rig("ro_few", too_few_to_write);
}

int views_changed = 0;
io::Task<void> note_view() {
  ++views_changed;
  co_return;
}

// A commit on two islands, DIR lost: whether it happened is not known. Those before it are shown, if they are proven.
io::Task<void> only_what_is_proven(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 12; ++i) CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(i), "1"));
  for (size_t i = 2; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put("half", "2"));
  co_await rig.stop();
  rig.thaw();
  rig.delete_index();
  rig.delete_head();
  rig.islands[4]->down();
  rig.islands[5]->down();
  const auto before = rig.stored();
  CO_ASSERT_TRUE(co_await rig.start_read_only());
  EXPECT_FALSE(rig.journal.committer->open());
  CO_ASSERT_TRUE(rig.journal.undecided.has_value());
  EXPECT_EQ(rig.journal.undecided->what, (CommitPosition{1, 13}));
  EXPECT_EQ(rig.journal.undecided->holders, 2);
  CO_ASSERT_TRUE(rig.journal.undecided->mutations.size() == 1);
  EXPECT_EQ(rig.journal.undecided->mutations[0].key, "half");
  const Rows shown = rig.visible();
  EXPECT_GE(shown.size(), 4u);
  EXPECT_LE(shown.size(), 12u);
  EXPECT_FALSE(shown.contains("half"));
  EXPECT_EQ(rig.stored(), before);
  views_changed = 0;
  rig.journal.committer->on_view_changed(note_view);
  rig.thaw();
  CO_ASSERT_TRUE(co_await open_in_time(rig));
  EXPECT_EQ(views_changed, 1);
  EXPECT_EQ(rig.visible().size(), 12u);
  EXPECT_FALSE(rig.get("half"));
}
TEST(ReadOnly, ShowsOnlyWhatIsProven) {
  with_rig("ro_proven", only_what_is_proven);
}

// The same end, settled by an operator.
bool adopt = false;
io::Task<void> operator_decides(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  for (size_t i = 2; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put("half", "2"));
  co_await rig.stop();
  rig.thaw();
  rig.delete_index();
  rig.delete_head();
  rig.islands[4]->down();
  rig.islands[5]->down();
  EXPECT_FALSE(co_await rig.start());
  CO_ASSERT_TRUE(rig.undecided.has_value());
  (adopt ? rig.options.attested.adopt : rig.options.attested.void_from) = rig.undecided->what;
  CO_ASSERT_TRUE(co_await rig.start());
  rig.options.attested = {};
  for (int start = 0; start < 3; ++start) {
    EXPECT_EQ(rig.get("a"), "1");
    EXPECT_EQ(rig.get("half").has_value(), adopt);
    rig.thaw();  // those that were silent change nothing any more
    if (start == 1) rig.delete_index();
    CO_ASSERT_TRUE(co_await rig.restart());
  }
}
TEST(ReadOnly, AnOperatorMayAdoptOrVoidWhatIslandsDoNotSettle) {
  for (bool adopted : {false, true}) {
    SCOPED_TRACE(adopted);
    adopt = adopted;
    with_rig("ro_operator", operator_decides);
  }
}

// Three islands answer and one was wiped, so that a liar among the three could hide an epoch: whether there is a later epoch is not proven, unless the operator knows the last commit.
io::Task<void> at_least(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  Result<std::optional<Applied>> last = read_applied(*rig.journal.kv->snapshot());
  CO_ASSERT_TRUE(last && *last);
  const std::string hash = hex((*last)->hash);
  co_await rig.stop();
  rig.delete_index();
  rig.delete_head();
  rig.islands[0]->down();
  rig.islands[1]->down();
  rig.islands[2]->wipe();
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::undetermined);
  // A commit that is not there, or is another, was not said to be the last by somebody who knows.
  rig.options.attested.at_least = {.epoch = 1, .seq = 3, .hash = hash};
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::corrupt);
  EXPECT_NE(rig.failure->message.find("rollback"), std::string::npos) << rig.failure->message;
  rig.options.attested.at_least = {.epoch = 1, .seq = 2, .hash = std::string(16, '0')};
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::corrupt);
  rig.options.attested.at_least = {.epoch = 0, .seq = 2, .hash = hash.substr(0, 12)};
  bool started = co_await rig.start();
  EXPECT_TRUE(started) << (rig.failure ? rig.failure->describe() : "");
  CO_ASSERT_TRUE(started);
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
}
TEST(ReadOnly, AtLeastProvesFreshness) {
  with_rig("ro_least", at_least);
}

}  // namespace
}  // namespace archipel::index
