// Starts with islands that are lost, wiped, swapped, damaged or new.
#include "index/index_fixture.h"
#include "island/dir.h"

namespace archipel::index {
namespace {

using State = IslandReport::State;
using Rows = std::map<std::string, std::string>;

// What some island missed is owed even if the process dies before any record has told of it.
io::Task<void> missed_and_never_told(Rig& rig) {
  std::vector<uint32_t> owed;
  rig.options.on_debt = [&owed](uint64_t, uint64_t, uint32_t mask) { owed.push_back(mask); };
  CO_ASSERT_TRUE(co_await rig.start());
  rig.islands[4]->down();
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  EXPECT_EQ(owed, (std::vector<uint32_t>{0b101111}));
  rig.freeze();
  co_await rig.stop();
  rig.thaw();
  owed.clear();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(owed, (std::vector<uint32_t>{0b101111}));
}
TEST(Recovery, OwesWhatAnIslandMissedThoughNoRecordTellsIt) {
  with_rig("never_told", missed_and_never_told);
}

// Three are wiped and rejoined, and then the other three: nothing of the first epoch could be read, and that is said.
io::Task<void> wiped_twice(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put_body("a", std::string(9000, 'a')));
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  co_await rig.stop();
  for (size_t i : {0u, 1u, 2u}) rig.islands[i]->wipe();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("c", "3"));
  co_await rig.stop();
  const auto kept = rig.stored();
  std::vector<std::optional<std::string>> markers;
  for (size_t i : {3u, 4u, 5u}) {
    markers.push_back(rig.islands[i]->marker());
    rig.islands[i]->wipe();
  }
  const auto before = rig.stored();
  EXPECT_FALSE(co_await rig.start());
  CO_ASSERT_TRUE(rig.failure.has_value());
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  for (const char* said : {"epoch 1", "island-0", "island-3 (lost", "3 are needed"}) {
    EXPECT_NE(rig.failure->message.find(said), std::string::npos) << rig.failure->message;
  }
  EXPECT_EQ(rig.stored(), before);
  EXPECT_FALSE(rig.islands[3]->marker());
  for (size_t i : {3u, 4u, 5u}) {
    rig.islands[i]->blobs() = kept[i];
    rig.islands[i]->marker() = markers[i - 3];
  }
  CO_ASSERT_TRUE(co_await rig.start());
  Result<std::string> body = co_await rig.body("a");
  CO_ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, std::string(9000, 'a'));
}
TEST(Recovery, WipesAddUpToDebtAndAreRefusedWhereTheyWouldLoseData) {
  with_rig("wipedtwice", wiped_twice);
}

// The same, but repair filled the first three before the others were wiped.
io::Task<void> wiped_and_rebuilt(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put_body("a", std::string(9000, 'a')));
  co_await rig.stop();
  const auto whole = rig.stored();
  for (size_t i : {0u, 1u, 2u}) rig.islands[i]->wipe();
  CO_ASSERT_TRUE(co_await rig.start());
  for (size_t i : {0u, 1u, 2u}) {
    for (const auto& [name, bytes] : whole[i]) rig.islands[i]->blobs().emplace(name, bytes);
  }
  std::vector<IslandSeen> seen = co_await read_markers(*rig.keys, rig.placement, *io::Loop::current());
  co_await rig.stop();
  rig.options.rebuilt = [seen](const Snapshot&, const std::vector<island::Incarnation>& now) {
    uint32_t mask = 0;
    for (size_t i : {0u, 1u, 2u}) mask |= (now[i] == seen[i].incarnation ? 1u : 0u) << i;
    return Result<uint32_t>(mask);
  };
  for (size_t i : {3u, 4u, 5u}) rig.islands[i]->wipe();
  const bool started = co_await rig.start();
  EXPECT_TRUE(started) << rig.failure->describe();
  CO_ASSERT_TRUE(started);
  Result<std::string> body = co_await rig.body("a");
  CO_ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, std::string(9000, 'a'));
  // Another incarnation is not the one that was rebuilt.
  co_await rig.stop();
  rig.islands[0]->wipe();
  EXPECT_FALSE(co_await rig.start());
}
TEST(Recovery, WipesDoNotAddUpOverWhatWasRebuilt) {
  with_rig("rebuilt", wiped_and_rebuilt);
}

io::Task<void> four_gone(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  auto kept = rig.islands[1]->blobs();
  auto marker = rig.islands[1]->marker();
  for (size_t i : {0u, 1u, 3u, 4u}) rig.islands[i]->wipe();
  rig.delete_index();
  const auto before = rig.stored();
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  for (const char* name : {"island-0", "island-1", "island-3", "island-4"}) {
    EXPECT_NE(rig.failure->message.find(name), std::string::npos) << rig.failure->message;
  }
  EXPECT_EQ(rig.failure->message.find("island-2"), std::string::npos);
  EXPECT_EQ(rig.stored(), before);
  EXPECT_FALSE(rig.islands[0]->marker());
  // One of them comes back: three are enough.
  rig.islands[1]->blobs() = kept;
  rig.islands[1]->marker() = marker;
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}}));
}
TEST(Recovery, WithFourGoneItRefusesAndWritesNothing) {
  with_rig("four", four_gone);
}

io::Task<void> no_rejoin(Rig& rig) {
  rig.options.rejoin_wiped = false;
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  rig.islands[5]->wipe();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.state_of(5), State::lost);
  EXPECT_FALSE(rig.islands[5]->marker());
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  EXPECT_TRUE(rig.islands[5]->blobs().empty());
  co_await rig.stop();
  // Two unreachable as well: three can take part, four are needed.
  rig.islands[0]->down();
  rig.islands[1]->down();
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  EXPECT_NE(rig.failure->message.find("unreachable: island-0, island-1"), std::string::npos)
      << rig.failure->message;
  rig.islands[1]->up();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.state_of(0), State::unreachable);
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
  CO_ASSERT_TRUE(co_await rig.put("c", "3"));
}
TEST(Recovery, ALostIslandStaysOutUntilItIsRejoined) {
  with_rig("norejoin", no_rejoin);
}

io::Task<void> foreign(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  std::swap(rig.islands[2]->marker(), rig.islands[3]->marker());
  const auto before = rig.stored();
  CO_ASSERT_TRUE(co_await rig.start());  // the other four go on
  EXPECT_EQ(rig.state_of(2), State::unreachable);
  EXPECT_EQ(rig.state_of(3), State::unreachable);
  EXPECT_TRUE(rig.journal.islands[2].refused);
  EXPECT_TRUE(rig.journal.islands[3].refused);
  EXPECT_FALSE(rig.journal.islands[4].refused);
  EXPECT_NE(rig.journal.islands[2].reason.find("island-2"), std::string::npos);
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"b", "2"}}));
  EXPECT_TRUE(rig.stored()[2] == before[2]);  // nothing is written to another's place
  EXPECT_TRUE(rig.stored()[3] == before[3]);
  // Set right, they take part again.
  co_await rig.stop();
  std::swap(rig.islands[2]->marker(), rig.islands[3]->marker());
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.state_of(2), State::ok);
  CO_ASSERT_TRUE(co_await rig.put("c", "3"));
  EXPECT_GT(rig.stored()[2].size(), before[2].size());
}
TEST(Recovery, ASwappedIslandIsRefusedByName) {
  with_rig("foreign", foreign);
}

// One provider's marker, damaged in every way: the others start without it, and it is neither lost nor rejoined.
io::Task<void> bad_marker(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  const std::string good = *rig.islands[2]->marker();
  std::string later = good;
  later[17] = 9;  // a version of the future
  for (const std::string& marker :
       {std::string(), std::string("x"), good.substr(0, 40), later, std::string(200, 'z')}) {
    rig.islands[2]->marker() = marker;
    bool started = co_await rig.start();
    EXPECT_TRUE(started) << (rig.failure ? rig.failure->describe() : "");
    CO_ASSERT_TRUE(started);
    EXPECT_EQ(rig.state_of(2), State::unreachable);
    EXPECT_NE(rig.journal.islands[2].reason.find("island-2"), std::string::npos);
    EXPECT_EQ(*rig.islands[2]->marker(), marker);
    EXPECT_EQ(rig.get("a"), "1");
    co_await rig.stop();
  }
  // With three of them too few are left, and the reason is said.
  for (size_t i : {3u, 4u}) rig.islands[i]->marker() = "x";
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  EXPECT_NE(rig.failure->message.find("not a marker"), std::string::npos) << rig.failure->message;
}
TEST(Recovery, ADamagedMarkerStopsOnlyItsIsland) {
  with_rig("badmarker", bad_marker);
}

io::Task<void> cannot_rejoin(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  rig.islands[1]->wipe();
  rig.islands[1]->fail_next(island::MemIsland::Op::write_marker, {Code::io, "disk full", {}});
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.state_of(1), State::lost);
  EXPECT_NE(rig.journal.islands[1].reason.find("disk full"), std::string::npos);
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  EXPECT_TRUE(rig.islands[1]->blobs().empty());
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_EQ(rig.state_of(1), State::rejoined);
}
TEST(Recovery, AnIslandThatCannotBeRejoinedStaysLost) {
  with_rig("cannotrejoin", cannot_rejoin);
}

io::Task<void> creation_needs_clean_places(Rig& rig) {
  rig.islands[2]->marker() = "x";
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  EXPECT_NE(rig.failure->message.find("island-2"), std::string::npos) << rig.failure->message;
  EXPECT_FALSE(rig.islands[0]->marker());
}
TEST(Recovery, ANewRealmIsNotMadeBesideAForeignMarker) {
  with_rig("createforeign", creation_needs_clean_places);
}

io::Task<void> second_process(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  Result<Journal> second =
      co_await open_journal(rig.options, *rig.keys, rig.placement, *rig.fanout, *rig.workers,
                            *io::Loop::current(), *rig.random, system_clock());
  CO_ASSERT_TRUE(!second.has_value());
  EXPECT_EQ(second.error().code, Code::exists);
  EXPECT_NE(second.error().message.find(rig.dir), std::string::npos);
  EXPECT_NE(second.error().message.find(std::to_string(getpid())), std::string::npos);
}
TEST(Recovery, ASecondProcessIsTurnedAway) {
  with_rig("lock", second_process);
}

io::Task<void> not_created_unasked(Rig& rig) {
  rig.options.create = false;
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  EXPECT_EQ(rig.puts, 0);
  for (auto& island : rig.islands) EXPECT_FALSE(island->marker());
}
TEST(Recovery, ARealmIsNotMadeUnasked) {
  with_rig("uncreated", not_created_unasked);
}

io::Task<void> create_needs_all(Rig& rig) {
  rig.islands[0]->down();
  EXPECT_FALSE(co_await rig.start());
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  for (auto& island : rig.islands) EXPECT_FALSE(island->marker());
}
TEST(Recovery, ANewRealmNeedsEveryIsland) {
  with_rig("createall", create_needs_all);
}

io::Task<void> old_realm_is_not_overwritten(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  for (auto& island : rig.islands) island->wipe();
  EXPECT_FALSE(co_await rig.start());  // create is still set
  for (auto& island : rig.islands) EXPECT_FALSE(island->marker());
}
TEST(Recovery, ALostRealmIsNotReplacedByANewOne) {
  with_rig("replace", old_realm_is_not_overwritten);
}

io::Task<void> interrupted_creation(Rig& rig) {
  // Markers on some islands only, and again.
  rig.islands[4]->fail_next(island::MemIsland::Op::write_marker, {Code::io, "disk", {}});
  EXPECT_FALSE(co_await rig.start());
  rig.islands[5]->fail_next(island::MemIsland::Op::write_marker, {Code::io, "disk", {}});
  EXPECT_FALSE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_EQ(rig.get("a"), "1");
}
TEST(Recovery, AnInterruptedCreationIsFinished) {
  with_rig("creation", interrupted_creation);
}

// The same on real directories.
io::Task<void> directories(Rig& rig) {
  rig.options.open_view = open_rocks_kv;
  rig.options.ack = {};
  const std::string place = rig.dir + "/islands/";
  std::filesystem::create_directories(place);
  rig.placement.islands.clear();
  for (auto& island : rig.islands) {
    rig.placement.islands.push_back(island::make_dir_island(island->id(), place + island->id()));
  }
  CO_ASSERT_TRUE(co_await rig.start());
  for (int i = 0; i < 10; ++i) {
    CO_ASSERT_TRUE(
        co_await rig.put_body("k" + std::to_string(i), std::string(static_cast<size_t>(5000 + i), 'x')));
  }
  const Rows before = rig.visible();
  co_await rig.stop();
  for (size_t i : {0u, 3u, 4u}) std::filesystem::remove_all(place + rig.islands[i]->id());
  rig.delete_index();
  bool started = co_await rig.start();
  EXPECT_TRUE(started) << (rig.failure ? rig.failure->describe() : "");
  CO_ASSERT_TRUE(started);
  EXPECT_EQ(rig.visible(), before);
  EXPECT_EQ(rig.state_of(3), State::rejoined);
  Result<std::string> body = co_await rig.body("k9");
  CO_ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, std::string(5009, 'x'));
  co_await rig.stop();
  rig.placement.islands.clear();
}
TEST(Recovery, ThreeDirectoriesAndTheIndexMayGo) {
  with_rig("directories", directories);
}

}  // namespace
}  // namespace archipel::index
