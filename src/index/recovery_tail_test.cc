// What the tail of the journal is: adopted, void, set back, or not to be known, which is said.
#include "index/index_fixture.h"

namespace archipel::index {
namespace {

using Rows = std::map<std::string, std::string>;

// One island was set back and lies about an epoch that two others never had; one is lost, two are silent.
io::Task<void> a_liar_hides_an_epoch(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  auto old = rig.islands[0]->blobs();
  rig.islands[4]->down();
  rig.islands[5]->down();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  co_await rig.stop();
  rig.thaw();
  rig.delete_index();
  rig.delete_head();
  rig.islands[0]->blobs() = old;
  auto kept = rig.islands[1]->blobs();
  auto marker = rig.islands[1]->marker();
  rig.islands[1]->wipe();
  rig.islands[2]->down();
  rig.islands[3]->down();
  const auto before = rig.stored();
  EXPECT_FALSE(co_await rig.start());
  CO_ASSERT_TRUE(rig.failure.has_value());
  EXPECT_EQ(rig.failure->code, Code::undetermined);
  EXPECT_EQ(rig.stored(), before);
  rig.thaw();
  rig.islands[1]->blobs() = kept;
  rig.islands[1]->marker() = marker;
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
}
TEST(Recovery, OneLiarCannotHideAnEpoch) {
  with_rig("liar", a_liar_hides_an_epoch);
}

io::Task<void> rollback(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  auto old = rig.stored();
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  co_await rig.stop();
  for (size_t i = 0; i < 6; ++i) rig.islands[i]->blobs() = old[i];
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::corrupt);
  EXPECT_NE(rig.failure->message.find("rollback"), std::string::npos) << rig.failure->message;
  EXPECT_EQ(rig.stored(), old);
}

TEST(Recovery, IslandsSetBackToAnOlderStateAreRefused) {
  with_rig("rollback", rollback);
}

io::Task<void> undetermined(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  // A commit on two islands, DIR lost, and two others silent: it may or may not have happened.
  for (size_t i = 2; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put("b", "2"));
  co_await rig.stop();
  rig.thaw();
  rig.delete_index();
  rig.delete_head();
  rig.islands[4]->down();
  rig.islands[5]->down();
  const auto before = rig.stored();
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::undetermined);
  EXPECT_NE(rig.failure->message.find("island-4"), std::string::npos) << rig.failure->message;
  EXPECT_NE(rig.failure->message.find("island-5"), std::string::npos);
  EXPECT_EQ(rig.stored(), before);
  rig.thaw();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}}));
}
TEST(Recovery, WhatCannotBeKnownIsSaidAndNothingIsWritten) {
  with_rig("undetermined", undetermined);
}

io::Task<void> with_head_it_is_known(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  for (size_t i = 2; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put("b", "2"));
  co_await rig.stop();
  rig.thaw();
  rig.delete_index();
  rig.islands[4]->down();
  rig.islands[5]->down();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}}));
}
TEST(Recovery, AnExactHeadSettlesWhatIslandsCannot) {
  with_rig("exact", with_head_it_is_known);
}

io::Task<void> after_a_reboot(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  const std::string head = read_whole_file(rig.dir + "/head");
  for (size_t i = 2; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put("b", "2"));
  co_await rig.stop();
  rig.thaw();
  rig.delete_index();
  // Not closed, and the machine went down: the head may be an old one, and must not settle what islands cannot.
  write_whole_file(rig.dir + "/head", head);
  pretend_reboot(rig.dir, *rig.keys);
  rig.islands[4]->down();
  rig.islands[5]->down();
  EXPECT_FALSE(co_await rig.start());
  CO_ASSERT_TRUE(rig.failure.has_value());
  EXPECT_EQ(rig.failure->code, Code::undetermined);
  rig.thaw();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}}));
}
TEST(Recovery, AnOldHeadSettlesNothing) {
  with_rig("reboot", after_a_reboot);
}

// DIR is set back to a copy that was made while the gateway ran, under the same start of the machine; two holders of the last commit are silent.
io::Task<void> an_older_copy_of_the_head(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  const std::string head = read_whole_file(rig.dir + "/head");
  rig.islands[4]->down();
  rig.islands[5]->down();
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  CO_ASSERT_TRUE(co_await rig.put("c", "3"));  // tells that "b" was acknowledged
  co_await rig.stop();
  rig.thaw();
  rig.delete_index();
  write_whole_file(rig.dir + "/head", head);
  rig.islands[0]->down();
  rig.islands[1]->down();
  const auto before = rig.stored();
  EXPECT_FALSE(co_await rig.start());
  CO_ASSERT_TRUE(rig.failure.has_value());
  EXPECT_EQ(rig.failure->code, Code::undetermined) << rig.failure->message;
  EXPECT_EQ(rig.stored(), before);
  rig.thaw();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}, {"c", "3"}}));
}
TEST(Recovery, AHeadThatIslandsProveToBeOldSettlesNothing) {
  with_rig("older_head", an_older_copy_of_the_head);
}

// The same of the very last commit, which nothing tells of; but the copy is another directory, and the first start from it is killed.
io::Task<void> a_copy_of_dir(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  const std::string head = read_whole_file(rig.dir + "/head");
  const std::string instances = read_whole_file(rig.dir + "/instances");
  rig.islands[4]->down();
  rig.islands[5]->down();
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  co_await rig.stop();
  rig.thaw();
  const std::string elsewhere = fresh_test_dir("copy");
  write_whole_file(elsewhere + "/head", head);
  write_whole_file(elsewhere + "/instances", instances);
  std::filesystem::remove_all(rig.dir);
  rig.dir = rig.options.dir = elsewhere;
  rig.options.files = nullptr;
  rig.options.lease.old_gateway_is_dead = true;
  rig.freeze();
  EXPECT_FALSE(co_await rig.start());
  rig.thaw();
  rig.islands[0]->down();
  rig.islands[1]->down();
  EXPECT_FALSE(co_await rig.start());
  CO_ASSERT_TRUE(rig.failure.has_value());
  EXPECT_EQ(rig.failure->code, Code::undetermined) << rig.failure->message;
  rig.thaw();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
}
TEST(Recovery, ACopyOfDirSettlesNothing) {
  with_rig("copy_of_dir", a_copy_of_dir);
}

// Absences of an island that was wiped and rejoined prove nothing about the epoch before.
io::Task<void> blank_islands_prove_nothing(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  // Acknowledged by four islands; then two of them are wiped and a start is killed when it has rejoined them, DIR is lost, and
  // the other two are silent: three blank or ignorant islands must not void it.
  rig.islands[4]->down();
  rig.islands[5]->down();
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  co_await rig.stop();
  rig.thaw();
  rig.islands[0]->wipe();
  rig.islands[1]->wipe();
  rig.freeze_after(1);  // the claim's first landing is the end
  EXPECT_FALSE(co_await rig.start());
  rig.thaw();
  CO_ASSERT_TRUE(rig.islands[0]->marker().has_value());
  rig.delete_index();
  rig.delete_head();
  rig.islands[2]->down();
  rig.islands[3]->down();
  EXPECT_FALSE(co_await rig.start());
  rig.thaw();
  // Two shards and one copy of the record are left of it, and later commits cannot be there: an honest "cannot be known".
  bool started = co_await rig.start();
  if (started) {
    EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
  } else {
    EXPECT_EQ(rig.failure->code, Code::undetermined);
  }
}
TEST(Recovery, BlankIslandsVoidNothing) {
  with_rig("blank", blank_islands_prove_nothing);
}

io::Task<void> adopted_is_completed(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  for (size_t i = 3; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put_body("b", std::string(9000, 'b')));
  CO_ASSERT_TRUE(co_await rig.restart());
  CO_ASSERT_TRUE(rig.get("b").has_value());
  // Now it stands the loss of the three that had it.
  for (size_t i = 0; i < 3; ++i) rig.islands[i]->down();
  Result<std::string> body = co_await rig.body("b");
  CO_ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, std::string(9000, 'b'));
}
TEST(Recovery, AnAdoptedCommitIsCompletedOnAllIslands) {
  with_rig("complete", adopted_is_completed);
}

// A start that is killed after it has read the tail must not leave behind a view that takes for acknowledged what it was about to adopt.
io::Task<void> adopted_is_not_shown_early(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  for (size_t i = 3; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put("b", "2"));
  co_await rig.stop();
  rig.thaw();
  rig.freeze_after(1);
  EXPECT_FALSE(co_await rig.start());
  Result<std::optional<std::string>> shown = rig.memory->snapshot()->get("b");
  CO_ASSERT_TRUE(shown.has_value());
  EXPECT_FALSE(shown->has_value());
  rig.thaw();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
}
TEST(Recovery, WhatIsAdoptedIsShownWhenTheEpochIsOpenAndNotBefore) {
  with_rig("early", adopted_is_not_shown_early);
}

// An opening that landed on too few islands for anybody to have been served is what the next one builds on: it is on w islands first.
io::Task<void> a_parent_is_completed(Rig& rig) {
  auto holders = [&rig](uint64_t epoch) {
    int count = 0;
    for (const auto& island : rig.islands)
      count += static_cast<int>(island->blobs().contains(extent::open_name(*rig.keys, island->id(), epoch)));
    return count;
  };
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  uint64_t parent = 0;
  for (int stored = 1; stored < 60 && parent == 0; ++stored) {
    rig.freeze_after(stored);
    const bool started = co_await rig.start();
    if (started) co_await rig.stop();
    rig.thaw();
    for (uint64_t epoch = 2; epoch < 60; ++epoch)
      if (holders(epoch) > 0 && holders(epoch) < rig.options.ack.w) parent = epoch;
  }
  CO_ASSERT_TRUE(parent != 0);
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_GE(holders(parent), rig.options.ack.w);
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}}));
}
TEST(Recovery, AnOpeningIsCompletedBeforeAnythingBuildsOnIt) {
  with_rig("parent", a_parent_is_completed);
}

io::Task<void> lying_islands(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 20; ++i)
    CO_ASSERT_TRUE(co_await rig.put_body("k" + std::to_string(i), std::string(100, 'k')));
  const Rows before = rig.visible();
  co_await rig.stop();
  rig.delete_index();
  for (size_t i : {1u, 4u}) {
    rig.islands[i]->tamper_get = [](const island::BlobName&, uint64_t, Buffer& answer) {
      if (!answer.empty()) answer.data()[answer.size() / 2] ^= 0x40;
    };
  }
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), before);
}
TEST(Recovery, LyingIslandsChangeNothing) {
  with_rig("lying", lying_islands);
}

}  // namespace
}  // namespace archipel::index
