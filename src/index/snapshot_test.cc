// Starts from a snapshot: without the index, without DIR, after truncation, with islands that lost, aged, forged or damaged what they held.
#include "index/epochs.h"
#include "index/index_fixture.h"
#include "index/snapshot_loader.h"

namespace archipel::index {
namespace {

using Rows = std::map<std::string, std::string>;

// Snapshots only when asked for, in chunks of 64 KiB, so that few entries make several.
SnapshotOptions on_demand() {
  SnapshotOptions options;
  options.chunk_segments = 1;
  options.retry_pause = std::chrono::milliseconds(20);
  options.slot_deadline = options.last_slot_deadline = std::chrono::milliseconds(200);
  options.truncation_delay = Duration(0);
  return options;
}

io::Task<bool> fill(Rig& rig, std::string prefix, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string value = std::to_string(i) + std::string(7000, 'v');
    bool good = co_await rig.put(prefix + std::to_string(i), value);
    if (!good) co_return false;
  }
  co_return true;
}
io::Task<bool> snapshot(Rig& rig) {
  Result<void> done = co_await rig.keeper->snapshot_now();
  if (!done) rig.failure = done.error();
  co_return done.has_value();
}

Rows everything(const Rig& rig) {
  Rows out;
  auto done =
      rig.journal.kv->snapshot()->scan("", "", [&](std::string_view k, std::string_view v, std::string*) {
        out.emplace(k, v);
        return true;
      });
  CHECK(done.has_value());
  return out;
}

std::vector<SnapshotManifest> kept(const Rig& rig) {
  auto out = read_snapshots(*rig.journal.kv->snapshot());
  CHECK(out.has_value());
  return *out;
}
// Chunks of one segment lie on shards 0, 3, 4 and 5, whole on each.
void forget_chunk(Rig& rig, const SnapshotManifest& manifest, size_t island) {
  for (const extent::ExtentRef& ref : manifest.refs())
    rig.islands[island]->forget(
        extent::shard_name(*rig.keys, rig.islands[island]->id(), ref, static_cast<int>(island)));
}
std::string slot_name(const Rig& rig, size_t island, int slot) {
  return extent::head_slot_name(*rig.keys, rig.islands[island]->id(), slot);
}

// Deletes every commit strictly below the limit, as the collector would.
size_t truncate(Rig& rig) {
  auto limit = truncation_limit(*rig.journal.kv->snapshot(), system_clock().unix_ms() + 1000, Duration(0));
  CHECK(limit.has_value());
  if (!*limit) return 0;
  auto opens = read_opens(*rig.journal.kv->snapshot());
  CHECK(opens.has_value());
  size_t gone = 0;
  for (const EpochOpen& open : *opens) {
    for (uint64_t seq = 1; seq < 1000 && CommitPosition{open.epoch, seq} < **limit; ++seq) {
      for (auto& island : rig.islands)
        gone += island->blobs().erase(
            extent::commit_blob_name(*rig.keys, island->id(), open.epoch, open.bits, seq));
    }
  }
  return gone;
}

io::Task<void> end_of_dir(Rig& rig) {
  co_await rig.stop();
  rig.delete_index();
  rig.delete_head();
}

io::Task<void> without_index(Rig& rig) {
  rig.options.open_view = open_rocks_kv;
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await fill(rig, "a", 40));
  CO_ASSERT_TRUE(co_await snapshot(rig));
  CO_ASSERT_TRUE(co_await fill(rig, "b", 5));
  CO_ASSERT_TRUE(co_await rig.put("a3", std::nullopt));
  EXPECT_EQ(kept(rig).front().chunks.size(), 5u);
  const Rows before = rig.visible();
  co_await rig.stop();
  rig.delete_index();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.snapshot, 1u);
  EXPECT_GE(rig.journal.replayed, 7u);  // and the one that made the snapshot count
  EXPECT_LE(rig.journal.replayed, 8u);  // reserving extents may have taken one too
  EXPECT_EQ(rig.visible(), before);
}
TEST(SnapshotStart, TheViewIsLoadedAndOnlyTheRestReplayed) {
  with_rig("snap", without_index);
}

io::Task<void> without_dir(Rig& rig) {
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  for (int round = 0; round < 4; ++round) {
    CO_ASSERT_TRUE(co_await fill(rig, "r" + std::to_string(round), 12));
    CO_ASSERT_TRUE(co_await snapshot(rig));
    CO_ASSERT_TRUE(co_await rig.put("after" + std::to_string(round), "1"));
    if (round % 2 == 1) CO_ASSERT_TRUE(co_await rig.restart());
  }
  EXPECT_GT(truncate(rig), 0u);
  const Rows before = rig.visible();
  co_await end_of_dir(rig);
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.snapshot, 4u);
  EXPECT_EQ(rig.visible(), before);
  CO_ASSERT_TRUE(co_await rig.put("more", "1"));
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_EQ(rig.get("more"), "1");
}
TEST(SnapshotStart, ALostDirAndATruncatedJournalAreNoLoss) {
  with_rig("nodir", without_dir);
}

// Three rounds, each with a snapshot; the journal truncated; DIR gone. `spoil` does something to the islands before the start.
struct Spoiled {
  void (*spoil)(Rig& rig, const std::vector<SnapshotManifest>& kept) = nullptr;
  uint64_t expected_snapshot = 3;
  bool starts = true;
};
Spoiled spoiled;

io::Task<void> three_rounds(Rig& rig) {
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  for (int round = 0; round < 3; ++round) {
    CO_ASSERT_TRUE(co_await fill(rig, "r" + std::to_string(round), 12));
    CO_ASSERT_TRUE(co_await snapshot(rig));
    CO_ASSERT_TRUE(co_await rig.put("after" + std::to_string(round), "1"));
  }
  EXPECT_GT(truncate(rig), 0u);
  const Rows before = rig.visible();
  const std::vector<SnapshotManifest> manifests = kept(rig);
  CO_ASSERT_TRUE(manifests.size() == 2);
  co_await end_of_dir(rig);
  spoiled.spoil(rig, manifests);
  const bool started = co_await rig.start();
  for (auto& island : rig.islands) island->tamper_get = nullptr;
  EXPECT_EQ(started, spoiled.starts) << (rig.failure ? rig.failure->describe() : "");
  if (!started || !spoiled.starts) co_return;
  EXPECT_EQ(rig.journal.snapshot, spoiled.expected_snapshot);
  EXPECT_EQ(rig.visible(), before);
}

TEST(SnapshotStart, MissesTheExtentsOfThreeIslands) {
  spoiled = {[](Rig& rig, const std::vector<SnapshotManifest>& manifests) {
    for (size_t island : {0u, 3u, 4u}) forget_chunk(rig, manifests[1], island);
  }};
  with_rig("three", three_rounds);
}

TEST(SnapshotStart, TakesTheOlderSnapshotWhenTheNewerCannotBeRead) {
  spoiled = {[](Rig& rig, const std::vector<SnapshotManifest>& manifests) {
               for (size_t island : {0u, 3u, 4u, 5u}) forget_chunk(rig, manifests[1], island);
             },
             2};
  with_rig("older", three_rounds);
}

TEST(SnapshotStart, NamesWhatIsMissingWhenNoSnapshotCanBeRead) {
  spoiled = {.spoil = [](Rig& rig, const std::vector<SnapshotManifest>& manifests) {
    for (size_t island : {0u, 3u, 4u, 5u}) {
      forget_chunk(rig, manifests[0], island);
      forget_chunk(rig, manifests[1], island);
    }
  }};
  spoiled.starts = false;
  struct Run {
    static io::Task<void> run(Rig& rig) {
      co_await three_rounds(rig);
      CO_ASSERT_TRUE(rig.failure.has_value());
      EXPECT_EQ(rig.failure->code, Code::unavailable);
      EXPECT_NE(rig.failure->message.find("snapshot 3, chunk 1"), std::string::npos) << rig.failure->message;
      EXPECT_NE(rig.failure->message.find("snapshot 2, chunk 1"), std::string::npos) << rig.failure->message;
      EXPECT_NE(rig.failure->message.find("island-4"), std::string::npos) << rig.failure->message;
    }
  };
  with_rig("none", Run::run);
}

TEST(SnapshotStart, DoesWithSlotsOfOneIsland) {
  spoiled = {[](Rig& rig, const std::vector<SnapshotManifest>&) {
    for (size_t island = 0; island < 5; ++island) {
      for (int slot : {0, 1}) rig.islands[island]->forget(slot_name(rig, island, slot));
    }
  }};
  with_rig("slots", three_rounds);
}

TEST(SnapshotStart, IsNotMisledByForgedSlots) {
  spoiled = {[](Rig& rig, const std::vector<SnapshotManifest>&) {
    for (size_t island = 0; island < 5; ++island) {
      for (int slot : {0, 1}) {
        std::string& bytes = rig.islands[island]->blobs()[slot_name(rig, island, slot)];
        bytes = island % 2 == 0 ? std::string(3000, 'f') : rig.islands[5]->blobs()[slot_name(rig, 5, slot)];
      }
    }
  }};
  with_rig("forged", three_rounds);
}

// Cells of one data island are wrong: rebuilt from the others, and that island is named.
std::vector<std::string> wrong_islands;
io::Task<void> wrong_cells(Rig& rig) {
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await fill(rig, "a", 40));
  CO_ASSERT_TRUE(co_await snapshot(rig));
  for (const extent::ExtentRef& ref : kept(rig).front().refs())
    rig.islands[0]->flip(extent::shard_name(*rig.keys, "island-0", ref, 0), 500);
  auto kv = make_map_kv();
  Result<SnapshotLoaded> loaded = co_await load_snapshot(*rig.keys, rig.placement, *rig.workers,
                                                         *io::Loop::current(), kept(rig).front(), *kv);
  CO_ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->wrong, std::vector<std::string>{"island-0"});
  Result<std::optional<std::string>> value = kv->snapshot()->get("a7");
  CO_ASSERT_TRUE(value.has_value());
  EXPECT_EQ(**value, "7" + std::string(7000, 'v'));
}
TEST(SnapshotStart, NamesTheIslandWhoseCellsAreWrong) {
  with_rig("cells", wrong_cells);
}

// A manifest that is not of this snapshot: nothing of it becomes a view.
io::Task<void> other_manifests(Rig& rig) {
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await fill(rig, "a", 40));
  CO_ASSERT_TRUE(co_await snapshot(rig));
  const SnapshotManifest good = kept(rig).front();
  using Change = void (*)(SnapshotManifest&);
  const std::vector<Change> changes = {
      [](SnapshotManifest& m) { m.digest[5] ^= 1; },
      [](SnapshotManifest& m) { ++m.entries; },
      [](SnapshotManifest& m) { ++m.position.seq; },
      [](SnapshotManifest& m) { ++m.number; },
      [](SnapshotManifest& m) { m.stream.salt[0] ^= 1; },
      [](SnapshotManifest& m) { m.stream.commitment[0] ^= 1; },
      [](SnapshotManifest& m) { m.wrapped_key[30] ^= 1; },
      [](SnapshotManifest& m) { std::swap(m.chunks[0], m.chunks[1]); },
      [](SnapshotManifest& m) {
        m.chunks.pop_back();
        m.stream.length = m.chunks.size() * extent::kSegmentPlain;
        m.stream.segments = m.chunks.size();
      },
  };
  for (size_t i = 0; i <= changes.size(); ++i) {
    SnapshotManifest changed = good;
    if (i < changes.size()) changes[i](changed);
    auto kv = make_map_kv();
    Result<SnapshotLoaded> loaded =
        co_await load_snapshot(*rig.keys, rig.placement, *rig.workers, *io::Loop::current(), changed, *kv);
    EXPECT_EQ(loaded.has_value(), i == changes.size()) << i;
    Result<std::optional<Applied>> position = read_applied(*kv->snapshot());
    CO_ASSERT_TRUE(position.has_value());
    EXPECT_EQ(position->has_value(), i == changes.size()) << i;
  }
}
TEST(SnapshotStart, AManifestThatIsNotOfTheSnapshotGivesNoView) {
  with_rig("manifests", other_manifests);
}

// An island that was set back to an older state shows older slots, an older tail and no newer snapshot.
io::Task<void> rolled_back(Rig& rig) {
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await fill(rig, "a", 12));
  CO_ASSERT_TRUE(co_await snapshot(rig));
  CO_ASSERT_TRUE(co_await rig.restart());
  auto old = rig.stored();
  for (int round = 0; round < 3; ++round) {
    CO_ASSERT_TRUE(co_await fill(rig, "b" + std::to_string(round), 12));
    CO_ASSERT_TRUE(co_await snapshot(rig));
    CO_ASSERT_TRUE(co_await rig.restart());
  }
  CO_ASSERT_TRUE(co_await rig.put("last", "1"));
  const Rows before = rig.visible();
  co_await end_of_dir(rig);
  for (size_t island : {1u, 4u}) rig.islands[island]->blobs() = old[island];
  std::vector<IslandSeen> seen = co_await read_markers(*rig.keys, rig.placement, *io::Loop::current());
  SlotsSeen slots =
      co_await read_head_slots(*rig.keys, rig.placement, seen, *rig.workers, *io::Loop::current());
  EXPECT_EQ(slots.old, (std::vector<std::string>{"island-1", "island-4"}));
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.snapshot, 4u);
  EXPECT_EQ(rig.visible(), before);
}
TEST(SnapshotStart, IsNotMisledByIslandsThatWereSetBack) {
  with_rig("setback", rolled_back);
}

// A slot says what was acknowledged: islands that were all set back below it are found out, even without DIR.
io::Task<void> all_set_back(Rig& rig) {
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await fill(rig, "a", 3));
  CO_ASSERT_TRUE(co_await snapshot(rig));
  auto old = rig.stored();
  CO_ASSERT_TRUE(co_await fill(rig, "b", 12));
  CO_ASSERT_TRUE(co_await snapshot(rig));
  co_await end_of_dir(rig);
  for (size_t island = 0; island < 6; ++island) {
    auto now = rig.islands[island]->blobs();
    rig.islands[island]->blobs() = old[island];
    for (int slot : {0, 1}) {
      const std::string name = slot_name(rig, island, slot);
      if (island == 2) rig.islands[island]->blobs()[name] = now[name];
    }
  }
  EXPECT_FALSE(co_await rig.start());
  CO_ASSERT_TRUE(rig.failure.has_value());
  EXPECT_NE(rig.failure->message.find("rollback"), std::string::npos) << rig.failure->describe();
}
TEST(SnapshotStart, ASlotThatIsAheadOfAllIslandsIsARollback) {
  with_rig("allback", all_set_back);
}

// A view from an old backup, whose place in the journal has been deleted since.
// `stays`: the commit that the old view is as of was not deleted with those after it, since bodies in it are live.
io::Task<void> old_index_where(Rig& rig, bool stays) {
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.stop();
  std::shared_ptr<Kv> backup(make_map_kv());
  std::vector<Mutation> rows;
  CO_ASSERT_TRUE(
      rig.memory->snapshot()->scan("", "", [&](std::string_view k, std::string_view v, std::string*) {
        rows.push_back({std::string(k), std::string(v)});
        return true;
      }));
  CO_ASSERT_TRUE(backup->write(rows));
  CO_ASSERT_TRUE(co_await rig.start());
  for (int round = 0; round < 3; ++round) {
    CO_ASSERT_TRUE(co_await fill(rig, "b" + std::to_string(round), 12));
    CO_ASSERT_TRUE(co_await snapshot(rig));
  }
  const auto whole = rig.stored();
  EXPECT_GT(truncate(rig), 0u);
  if (stays) {
    Result<std::optional<Applied>> at = read_applied(*backup->snapshot());
    CO_ASSERT_TRUE(at.has_value() && at->has_value());
    for (size_t i = 0; i < rig.islands.size(); ++i) {
      const std::string name =
          extent::commit_blob_name(*rig.keys, rig.islands[i]->id(), (*at)->epoch, (*at)->open, (*at)->seq);
      rig.islands[i]->blobs()[name] = whole[i].at(name);
    }
  }
  const Rows before = rig.visible();
  co_await rig.stop();
  rig.memory = backup;
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.snapshot, 3u);
  EXPECT_EQ(rig.visible(), before);
}
io::Task<void> old_index(Rig& rig) {
  return old_index_where(rig, false);
}
io::Task<void> old_index_at_a_live_commit(Rig& rig) {
  return old_index_where(rig, true);
}
TEST(SnapshotStart, AnIndexOlderThanTheJournalsBeginningIsReplaced) {
  with_rig("oldindex", old_index);
}
TEST(SnapshotStart, AnOldIndexIsReplacedThoughItsOwnCommitIsStillThere) {
  with_rig("oldlive", old_index_at_a_live_commit);
}

// Killed after every number of writes to islands, from before a snapshot to after its head slot.
int kill_after = 0;
bool survived = false;
io::Task<void> killed_while_writing(Rig& rig) {
  rig.snapshots = on_demand();
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await fill(rig, "a", 12));
  CO_ASSERT_TRUE(co_await snapshot(rig));
  CO_ASSERT_TRUE(co_await fill(rig, "b", 12));
  const Rows before = rig.visible();
  const int then = rig.puts;
  rig.freeze_after(kill_after);
  co_await snapshot(rig);
  survived = rig.puts - then < kill_after;
  rig.freeze();
  co_await end_of_dir(rig);
  rig.thaw();
  const bool started = co_await rig.start();
  EXPECT_TRUE(started) << rig.failure->describe();
  CO_ASSERT_TRUE(started);
  EXPECT_GE(rig.journal.snapshot, 1u);
  EXPECT_EQ(rig.visible(), before);
  const uint64_t newest = kept(rig).back().number;
  CO_ASSERT_TRUE(co_await snapshot(rig));
  EXPECT_EQ(kept(rig).back().number, newest + 1);
  co_await end_of_dir(rig);
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.snapshot, newest + 1);
  EXPECT_EQ(rig.visible(), before);
}
TEST(SnapshotStart, AKillAtAnyStepOfWritingOneLosesNothing) {
  survived = false;
  for (kill_after = 1; !survived; ++kill_after) {
    SCOPED_TRACE(kill_after);
    ASSERT_LT(kill_after, 200);
    with_rig("kill", killed_while_writing);
  }
  EXPECT_GT(kill_after, 30);  // chunks, the commit, the slot and the note: six writes each
}

// Random programs: the view is the same, byte by byte, whether it was loaded and replayed or only replayed.
int program = 0;
io::Task<void> random_program(Rig& rig) {
  auto chance = seeded_random(static_cast<uint64_t>(program) * 6007 + 1);
  auto pick = [&chance](uint64_t n) { return chance->u64() % n; };
  rig.snapshots = on_demand();
  rig.options.in_flight_max = 1 + static_cast<int>(pick(4));
  CO_ASSERT_TRUE(co_await rig.start());
  for (int round = 0; round < 6; ++round) {
    if (pick(3) == 0) rig.islands[pick(6)]->down();
    for (uint64_t i = pick(30); i > 0; --i) {
      std::optional<std::string> value;
      if (pick(4) > 0) value = std::string(pick(9000), static_cast<char>('a' + pick(26)));
      CO_ASSERT_TRUE(co_await rig.put("k" + std::to_string(pick(40)), value));
    }
    if (pick(2) == 0) CO_ASSERT_TRUE(co_await snapshot(rig));
    for (auto& island : rig.islands) island->up();
    if (pick(2) == 0) CO_ASSERT_TRUE(co_await rig.restart());
  }
  const bool any = !kept(rig).empty();
  rig.freeze();
  co_await rig.stop();
  rig.thaw();
  rig.delete_index();
  rig.snapshots.reset();
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.snapshot > 0, any);
  Rows loaded = everything(rig);
  co_await rig.stop();
  rig.delete_index();
  for (size_t island = 0; island < 6; ++island) {
    for (int slot : {0, 1}) rig.islands[island]->forget(slot_name(rig, island, slot));
  }
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_EQ(rig.journal.snapshot, 0u);
  Rows replayed = everything(rig);
  // The second start opened an epoch of its own.
  std::string own;
  Writer(own).u64(rig.journal.epoch);
  EXPECT_EQ(replayed.erase("m/open/" + own), 1u);
  EXPECT_EQ(replayed.erase("m/extent_range/" + own), 1u);
  replayed.erase("m/applied");
  loaded.erase("m/applied");
  EXPECT_EQ(loaded, replayed);
}
TEST(SnapshotStart, GivesTheSameViewAsAReplayOnRandomPrograms) {
  const char* asked = std::getenv("ARCHIPEL_PROGRAMS");
  const int programs = asked != nullptr ? std::atoi(asked) : 25;
  for (program = 1; program <= programs; ++program) {
    SCOPED_TRACE(program);
    with_rig("program", random_program, static_cast<uint64_t>(program));
  }
}

}  // namespace
}  // namespace archipel::index
