// Starts after every kind of end. What was acknowledged is there; what was seen once stays; what cannot be known is said.
#include "base/metrics.h"
#include "index/index_fixture.h"
#include "io/sync.h"
#include "island/dir.h"

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

int64_t debt_now() {
  const std::string name = "archipel_journal_repair_debt_shards ";
  const std::string all = metrics::expose();
  size_t at = all.find("\n" + name);
  CHECK(at != std::string::npos);
  return std::stoll(all.substr(at + 1 + name.size()));
}

// Three are wiped and rejoined, and then the other three: nothing of the first epoch could be read, and that is said.
io::Task<void> wiped_twice(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put_body("a", std::string(9000, 'a')));
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  co_await rig.stop();
  for (size_t i : {0u, 1u, 2u}) rig.islands[i]->wipe();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(debt_now(), 6);  // two commits on three islands
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

// --- crashes at every write ---

int crash_at = 0;

// Writes until the islands freeze at the crash_at-th stored blob; what was acknowledged must be there after every later start, and
// what one start showed, the next must show.
io::Task<void> crash_while_committing(Rig& rig) {
  rig.options.in_flight_max = 4;
  CO_ASSERT_TRUE(co_await rig.start());
  Rows acknowledged;
  rig.freeze_after(crash_at);
  for (int i = 0; i < 3; ++i) {
    const std::string key = "k" + std::to_string(i);
    bool good = co_await rig.put_body(key, std::string(500, 'b'));
    if (!good) break;
    acknowledged[key] = *rig.get(key);
  }
  CO_ASSERT_TRUE(co_await rig.restart());
  const Rows first = rig.visible();
  for (const auto& [key, value] : acknowledged) {
    auto found = first.find(key);
    EXPECT_TRUE(found != first.end() && found->second == value) << key;
  }
  for (const auto& [key, value] : first) {
    Result<std::string> body = co_await rig.body(key);
    EXPECT_TRUE(body.has_value() && *body == std::string(500, 'b')) << key;
  }
  CO_ASSERT_TRUE(co_await rig.put("later", "1"));
  co_await rig.stop();
  for (size_t i : {0u, 1u, 2u}) rig.islands[(i + static_cast<size_t>(crash_at)) % 6]->wipe();
  rig.delete_index();
  CO_ASSERT_TRUE(co_await rig.start());
  Rows second = rig.visible();
  EXPECT_EQ(second.erase("later"), 1u);
  EXPECT_EQ(second, first);
}
TEST(Recovery, ACrashAtAnyWriteOfACommitLosesNothing) {
  for (crash_at = 1; crash_at <= 19; ++crash_at) {
    SCOPED_TRACE(crash_at);
    with_rig("crash", crash_while_committing);
  }
}

// A commit on `crash_at` islands is not acknowledged; then every write of the recovery is interrupted in turn.
io::Task<void> crash_while_recovering(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put_body("a", "the first"));
  rig.freeze_after(crash_at);
  bool good = co_await rig.put_body("b", "the second");
  bool was_acknowledged = good;
  co_await rig.stop();
  std::optional<bool> seen;
  for (int at = 1; at <= 40; ++at) {
    rig.thaw();
    rig.freeze_after(at);
    if (at % 3 == 0) rig.delete_index();
    bool started = co_await rig.start();
    if (started) {
      bool now = rig.get("b").has_value();
      EXPECT_TRUE(!seen || *seen == now);
      EXPECT_TRUE(!was_acknowledged || now);
      seen = now;
      Result<std::string> body = co_await rig.body("a");
      if (rig.puts_left > 0) EXPECT_TRUE(body.has_value());
    }
    co_await rig.stop();
  }
  rig.thaw();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_TRUE(seen.has_value());
  EXPECT_EQ(rig.get("b").has_value(), seen.value_or(false));
  Result<std::string> body = co_await rig.body("a");
  CO_ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, "the first");
}
TEST(Recovery, ACrashAtAnyWriteOfARecoveryChangesNothing) {
  for (crash_at = 1; crash_at <= 6; ++crash_at) {
    SCOPED_TRACE(crash_at);
    with_rig("recrash", crash_while_recovering);
  }
}

// A put that was given up lands after the recovery that voided it.
io::Task<void> late_landing(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  // On two islands only.
  for (size_t i = 2; i < 6; ++i) rig.islands[i]->down();
  EXPECT_FALSE(co_await rig.put("b", "2"));
  co_await rig.stop();
  auto late = rig.islands[0]->blobs();
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_FALSE(rig.get("b"));
  CO_ASSERT_TRUE(co_await rig.put("c", "3"));
  co_await rig.stop();
  // Names differ from island to island; so the test lands what it can: both copies stay, and must stay without effect.
  rig.islands[0]->blobs().insert(late.begin(), late.end());
  rig.delete_index();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.visible(), (Rows{{"a", "1"}, {"c", "3"}}));
}
TEST(Recovery, WhatWasVoidStaysVoid) {
  with_rig("void", late_landing);
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
