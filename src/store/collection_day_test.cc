// A day of overwriting one key, in fast motion: the store stays as small as what it holds.
//
// ARCHIPEL_DAY_WRITES=20000 store_test --gtest_filter='CollectionDay.*' is the long one; it prints what happened.
#include <cstdio>
#include <cstdlib>

#include "store/collector_fixture.h"

namespace archipel::store {
namespace {

constexpr UnixMs kHourMs = 3600 * 1000;

int writes_of_the_day() {
  const char* text = std::getenv("ARCHIPEL_DAY_WRITES");
  return text ? std::atoi(text) : 480;
}

struct Day {
  CollectorRig& rig;
  std::map<std::string, std::string> kept;
  uint64_t snapshots = 0;
  uint64_t most_bytes[4] = {};  // on all islands together, by quarter of the day
  uint64_t most_keys[4] = {};   // of the view

  io::Task<bool> run(int writes);
  io::Task<bool> write(int i);
  io::Task<bool> look_after();
};

// The one key mostly, in sizes that ride in commits and sizes that take extents; now and then something that stays.
io::Task<bool> Day::write(int i) {
  const std::string key = i % 24 == 7 ? "cold" + std::to_string(i) : "hot";
  const size_t size = key != "hot" ? 700 : i % 8 == 0 ? 200'000 : 2000;
  kept[key] = pattern(size, static_cast<uint64_t>(i));
  bool put = co_await rig.put(key, kept[key]);
  co_return put;
}

io::Task<bool> Day::look_after() {
  bool compacted = co_await rig.compact();
  bool collected = co_await rig.collect();
  co_return compacted&& collected;
}

io::Task<bool> Day::run(int writes) {
  const int look_every = std::max(writes / 96, 1), snapshot_every = std::max(writes / 12, 1);
  for (int i = 0; i < writes; ++i) {
    rig.clock.wall_ms += 24 * kHourMs / writes;
    bool good = co_await write(i);
    if (!good) co_return false;
    if (i % snapshot_every == snapshot_every - 1) {
      Result<void> done = co_await rig.keeper->snapshot_now();
      EXPECT_EQ(code_of(done), "ok");
      ++snapshots;
    }
    if (i % look_every != 0) continue;
    good = co_await look_after();
    if (!good) co_return false;
    const int quarter = i * 4 / writes;
    most_bytes[quarter] = std::max(most_bytes[quarter], rig.island_bytes());
    most_keys[quarter] = std::max<uint64_t>(most_keys[quarter], rig.count(""));
  }
  co_return true;
}

io::Task<void> whole_day(CollectorRig& rig) {
  Day day{rig, {}};
  const int writes = writes_of_the_day();
  CO_ASSERT_TRUE(co_await day.run(writes));
  const Collector::Counts& collected = rig.collector->counts();
  const Compactor::Counts& compacted = rig.compactor->counts();
  std::printf(
      "%d writes: %llu snapshots, %llu commits truncated, %llu doomed and %llu orphans deleted, %llu passes "
      "of compaction\n",
      writes, static_cast<unsigned long long>(day.snapshots),
      static_cast<unsigned long long>(collected.commits),
      static_cast<unsigned long long>(collected.doomed_deleted),
      static_cast<unsigned long long>(collected.orphans), static_cast<unsigned long long>(compacted.passes));
  for (int quarter = 0; quarter < 4; ++quarter)
    std::printf("  quarter %d: at most %llu bytes on islands, %llu keys in the view\n", quarter + 1,
                static_cast<unsigned long long>(day.most_bytes[quarter]),
                static_cast<unsigned long long>(day.most_keys[quarter]));
  EXPECT_GE(day.snapshots, 3u);
  EXPECT_GT(collected.commits, static_cast<uint64_t>(writes) / 2);
  EXPECT_GT(collected.doomed_deleted, static_cast<uint64_t>(writes) / 16);
  EXPECT_GE(compacted.passes, 1u);
  EXPECT_GT(compacted.streams, 0u);
  // A realm that forgets nothing grows by as much in every quarter.
  EXPECT_LT(day.most_bytes[3], day.most_bytes[1] + day.most_bytes[1] / 2);
  EXPECT_LT(day.most_keys[3], day.most_keys[1] * 2);
  rig.expect_true_registry();
  CO_ASSERT_TRUE(co_await rig.only_what_is_referenced());
  // What is left of the journal is enough to rebuild it all.
  CO_ASSERT_TRUE(co_await rig.restart(true));
  rig.expect_true_registry();
  for (const auto& [key, bytes] : day.kept) {
    Result<std::string> got = co_await rig.get("bucket", key);
    EXPECT_TRUE(got && *got == bytes) << key;
  }
}

TEST(CollectionDay, OfOverwritingOneKeyLeavesTheStoreSmall) {
  struct Body {
    static io::Task<void> go() {
      CollectorRig rig;
      rig.keeping.emplace();
      rig.keeping->chunk_segments = 4;
      rig.keeping->truncation_delay = std::chrono::hours(1);
      rig.grace = std::chrono::hours(1);
      rig.again = std::chrono::hours(4);
      bool started = co_await rig.begin();
      if (started) {
        Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
        EXPECT_EQ(code_of(made), "ok");
        co_await whole_day(rig);
      }
      co_await rig.end();
    }
  };
  io::run_blocking([] { return Body::go(); });
}

}  // namespace
}  // namespace archipel::store
