// The cache with a disk tier: what comes back from it, what survives a kill, and what makes room. What bad disks do: cache_disk_attack_test.cc
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "edge/cache_disk_test_util.h"

namespace archipel::edge {
namespace {

TEST_F(CacheDisk, WhatWasUsedTwiceSurvivesAKill) {
  EntryRef kept = keep(text(1), "first body");
  put(text(2), "second body");
  restart();
  EXPECT_EQ(hot(text(1)).entry, nullptr);
  Found found = find(text(1));
  ASSERT_NE(found.entry, nullptr);
  EXPECT_EQ(found.entry->id, kept->id);
  EXPECT_EQ(found.entry->tags, kept->tags);
  EXPECT_EQ(found.entry->headers.get("content-type"), "text/plain");
  EXPECT_EQ(as_text(found.first->bytes.view()), "first body");
  EXPECT_FALSE(found.purged_softly);
  EXPECT_NE(hot(text(1)).entry, nullptr);
  EXPECT_EQ(find(text(2)).entry, nullptr);
}

TEST_F(CacheDisk, ThousandsSurviveAKillAndACleanEndTheSame) {
  const std::string large(20'000, 'x');
  for (size_t i = 0; i < 1500; ++i) keep(text(i), large + std::to_string(i));
  restart();  // some regions are sealed, one is open
  for (size_t i = 0; i < 1500; ++i) ASSERT_EQ(body(text(i)), large + std::to_string(i)) << i;
  EXPECT_GT(cache->stats().disk_bytes, disk::kRegionBytes);
  EXPECT_EQ(cache->stats().disk_objects, 1500u);
  cache->close();
  cache = nullptr;
  start();
  for (size_t i = 0; i < 1500; ++i) ASSERT_EQ(body(text(i)), large + std::to_string(i)) << i;
}

TEST_F(CacheDisk, SlicesAndVariantsComeBack) {
  auto entry = make(text(1), 3 * kSliceBytes);
  cache->put(cache->key_of(text(1)), entry);
  for (uint32_t i = 0; i < 3; ++i)
    cache->put_slice(slice(*entry, i, std::string(kSliceBytes, static_cast<char>('a' + i))));
  hot(text(1));
  for (uint32_t i = 1; i < 3; ++i) cache->slice_hot(*entry, i);
  const std::string variant = text(2) + std::string(1, '\0') + "gzip";
  auto variants = std::make_shared<Variants>(Variants{text(2), {{"accept-encoding"}, {"cookie", "x"}}});
  cache->set_variants(cache->key_of(text(2)), variants);
  keep(variant, "zipped");
  restart();
  Found found = find(text(1));
  ASSERT_NE(found.first, nullptr);
  for (uint32_t i = 0; i < 3; ++i) {
    SliceRef part = find_slice(found.entry, i);
    ASSERT_NE(part, nullptr) << i;
    EXPECT_EQ(as_text(part->bytes.view()), std::string(kSliceBytes, static_cast<char>('a' + i)));
  }
  Found varied = find(text(2));
  EXPECT_EQ(varied.entry, nullptr);
  ASSERT_NE(varied.variants, nullptr);
  EXPECT_EQ(varied.variants->names, variants->names);
  EXPECT_EQ(body(variant), "zipped");
}

TEST_F(CacheDisk, WhatIsTooLargeForMemoryGoesToDiskTheSecondTime) {
  config.memory_bytes = 4u << 20;
  restart();
  const std::string large(100 << 10, 'x');
  put(text(1), large);
  EXPECT_EQ(body(text(1)), "no entry");
  put(text(1), large);
  cache->close();
  EXPECT_EQ(body(text(1)), large);
  for (int round = 0; round < 2; ++round) {
    auto entry = make(text(2), 2 * kSliceBytes);
    cache->put(cache->key_of(text(2)), entry);
    for (uint32_t i = 0; i < 2; ++i) cache->put_slice(slice(*entry, i, std::string(kSliceBytes, 'y')));
  }
  cache->close();
  Found found = find(text(2));
  ASSERT_NE(found.entry, nullptr);
  for (uint32_t i = 0; i < 2; ++i) EXPECT_NE(find_slice(found.entry, i), nullptr) << i;
}

// A round over more than memory holds never finds anything there: without this nothing of it would ever reach the disk.
TEST_F(CacheDisk, WhatMemoryLostGoesToDiskWhenItIsFetchedAgain) {
  config.memory_bytes = 4u << 20;
  restart();
  const std::string body_of_one(30 << 10, 'x');
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < 400; ++i) {
      EXPECT_EQ(hot(text(i)).entry, nullptr);
      put(text(i), body_of_one);
      if (i % 50 == 0) cache->close();
    }
  }
  restart();
  size_t there = 0;
  for (size_t i = 0; i < 400; ++i) there += find(text(i)).entry != nullptr;
  EXPECT_GE(there, 396u);  // a fingerprint in a full bucket may be forgotten
}

TEST_F(CacheDisk, ReplacedAndErasedStayGoneAfterAKill) {
  keep(text(1), "old");
  keep(text(2), "erased");
  cache->close();
  put(text(1), "new");
  cache->erase(cache->key_of(text(2)));
  restart();
  EXPECT_EQ(body(text(1)), "new");
  EXPECT_EQ(body(text(2)), "no entry");
}

TEST_F(CacheDisk, ReplacedBeforeItWasWrittenIsNotFoundAgain) {
  for (int i = 0; i < 50; ++i) {
    keep(text(1), "version " + std::to_string(i));
    if (i % 7 == 0) cache->erase(cache->key_of(text(1)));
  }
  restart();
  const std::string found = body(text(1));
  EXPECT_TRUE(found == "version 49" || found == "no entry") << found;
}

// --- purges

TEST_F(CacheDisk, PurgeHoldsForTheDiskAndSurvivesAKill) {
  keep(text(1));
  restart();
  ASSERT_TRUE(purge_tag("news").has_value());
  EXPECT_EQ(body(text(1)), "no entry");
  keep(text(2));
  cache->close();
  ASSERT_TRUE(purge_tag("news").has_value());
  disk->kill();
  cache = nullptr;
  start();
  EXPECT_EQ(body(text(1)), "no entry");
  EXPECT_EQ(body(text(2)), "no entry");
  keep(text(2), "anew");
  restart();
  EXPECT_EQ(body(text(2)), "anew");
}

TEST_F(CacheDisk, AnsweredPurgeSurvivesPowerLoss) {
  keep(text(1));
  cache->close();
  ASSERT_TRUE(purge_tag("news").has_value());
  disk->power_off();
  cache = nullptr;
  start();
  EXPECT_EQ(body(text(1)), "no entry");
}

TEST_F(CacheDisk, InvalidationSurvivesAKill) {
  keep(text(1));
  cache->close();
  cache->invalidate(text(1));
  restart();
  EXPECT_EQ(body(text(1)), "no entry");
}

TEST_F(CacheDisk, SoftPurgeOfWhatLiesOnTheDiskAsksForValidation) {
  keep(text(1));
  cache->close();
  ASSERT_TRUE(purge_tag("news", true).has_value());
  restart();
  EXPECT_TRUE(find(text(1)).purged_softly);
  EXPECT_EQ(body(text(1)), "body");
}

TEST_F(CacheDisk, PurgeAfterALostLogIsNewerThanWhatIsStored) {
  // Numbers of purges that were lost with the machine must not be given again to older effect.
  for (int i = 0; i < 5; ++i) cache->invalidate("site\nhttp://host:80/other");
  keep(text(1));  // stamped 5
  cache->close();
  disk->power_off();
  cache = nullptr;
  start();
  EXPECT_EQ(body(text(1)), "body");
  ASSERT_TRUE(purge_tag("news").has_value());
  EXPECT_EQ(body(text(1)), "no entry");
}

TEST_F(CacheDisk, PurgeThatCouldNotBeLoggedSaysSoAndHoldsMeanwhile) {
  keep(text(1));
  keep(text(2));
  cache->close();
  fail_writes([](const std::string& name) { return name == "purges"; });
  Result<void> done = purge_tag("news");
  EXPECT_FALSE(done.has_value());
  EXPECT_EQ(body(text(1)), "no entry");
  // Half of that record is in the file. The next purge that succeeds brings both.
  fail_writes(nullptr);
  ASSERT_TRUE(purge_tag("unrelated").has_value());
  disk->kill();
  cache = nullptr;
  start();
  EXPECT_EQ(body(text(2)), "no entry");
}

TEST_F(CacheDisk, DamagedLogOfPurgesForgetsAllRatherThanAPurge) {
  keep(text(1));
  cache->close();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(purge_tag("tag " + std::to_string(i)).has_value());
  disk->contents["purges"][64 + 5] ^= 1;  // the first of three
  disk->kill();
  cache = nullptr;
  start();
  EXPECT_EQ(body(text(1)), "no entry");
  EXPECT_EQ(cache->stats().disk_objects, 0u);
  keep(text(1));
  restart();
  EXPECT_EQ(body(text(1)), "body");
}

TEST_F(CacheDisk, CutEndOfTheLogOfPurgesIsNobodysPromise) {
  keep(text(1));
  cache->close();
  ASSERT_TRUE(purge_tag("unrelated").has_value());
  disk->contents["purges"].append("half a rec");
  disk->kill();
  cache = nullptr;
  start();
  EXPECT_EQ(body(text(1)), "body");
  ASSERT_TRUE(purge_tag("news").has_value());
  disk->kill();
  cache = nullptr;
  start();
  EXPECT_EQ(body(text(1)), "no entry");
}

// A slice is a 64th of a shard of the smallest size, which is what memory takes at most; with it comes the end of its record.
TEST_F(CacheDisk, WholeSlicesFromTheDiskAreHitsInMemoryAfterwards) {
  keep(text(1), std::string(kSliceBytes, 'x'));
  auto entry = make(text(2), 2 * kSliceBytes);
  cache->put(cache->key_of(text(2)), entry, slice(*entry, 0, std::string(kSliceBytes, 'a')));
  cache->put_slice(slice(*entry, 1, std::string(kSliceBytes, 'b')));
  hot(text(2));
  for (uint32_t i = 0; i < 2; ++i) cache->slice_hot(*entry, i);
  restart();
  EXPECT_EQ(body(text(1)).size(), kSliceBytes);
  EXPECT_NE(hot(text(1)).first, nullptr);
  Found found = find(text(2));
  ASSERT_NE(found.entry, nullptr);
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_NE(find_slice(found.entry, i), nullptr) << i;
    EXPECT_NE(cache->slice_hot(*found.entry, i), nullptr) << i;
  }
}

// --- what is at hand

TEST_F(CacheDisk, WhatIsAtHandIsReadWithoutWaiting) {
  disk->at_hand = [] { return true; };
  keep(text(1), "small");
  keep(text(2), std::string(DiskTier::kAtHandBytesMax, 'x'));
  restart();
  disk->waited = 0;
  EXPECT_EQ(body(text(1)), "small");
  EXPECT_EQ(disk->waited, 0u);
  EXPECT_EQ(body(text(2)).size(), DiskTier::kAtHandBytesMax);  // so long that a worker copies it
  EXPECT_EQ(disk->waited, 1u);
}

TEST_F(CacheDisk, WhatIsNotAtHandComesFromAWorker) {
  disk->at_hand = [] { return false; };
  keep(text(1), "small");
  restart();
  disk->waited = 0;
  EXPECT_EQ(body(text(1)), "small");
  EXPECT_EQ(disk->waited, 1u);
  EXPECT_EQ(cache->stats().disk_reads, 1u);  // attempts are none
}

// Variants, the head and the first slice lie apart: whichever has to wait, nothing of the others is lost.
TEST_F(CacheDisk, PartsAtHandAndPartsThatWaitMakeOneAnswer) {
  for (uint64_t waits = 0; waits < 4; ++waits) {
    cache = nullptr;
    disk = std::make_shared<FakeDisk>();
    disk->at_hand = [&] { return true; };
    start();
    auto entry = make(text(1), 2 * kSliceBytes);
    const std::string variant = text(1) + std::string(1, '\0') + "gzip";
    cache->set_variants(cache->key_of(text(1)), std::make_shared<Variants>(Variants{text(1), {{"cookie"}}}));
    keep(variant);  // takes the variants along
    cache->put(cache->key_of(text(1)), entry);
    cache->put_slice(slice(*entry, 0, std::string(1000, 'a')));
    EXPECT_NE(hot(text(1)).entry, nullptr);
    EXPECT_NE(cache->slice_hot(*entry, 0), nullptr);
    restart();
    uint64_t asked = 0;
    disk->at_hand = [&] { return asked++ != waits; };
    Found found = find(text(1));
    EXPECT_EQ(asked, std::min<uint64_t>(waits + 1, 3)) << waits;
    ASSERT_NE(found.entry, nullptr) << waits;
    ASSERT_NE(found.first, nullptr) << waits;
    EXPECT_EQ(as_text(found.first->bytes.view()), std::string(1000, 'a')) << waits;
    EXPECT_NE(found.variants, nullptr) << waits;
  }
}

// --- threads

struct Seen {
  std::atomic<uint64_t> wrong{0}, found{0};
};
io::Task<int> use_it(CacheDisk& test, uint64_t seed, Seen& seen) {
  auto dice = seeded_random(seed);
  Cache& cache = *test.cache;
  for (int n = 0; n < 400; ++n) {
    const std::string key = test.text(dice->u64() % 300);
    const uint64_t what = dice->u64() % 16;
    if (what == 0) cache.erase(cache.key_of(key));
    if (what == 1) cache.invalidate(key);
    if (what > 1 && what < 9) {
      std::string bytes = key;
      bytes.resize(30'000 + dice->u64() % 30'000, key.back());
      test.keep(key, bytes);
    }
    Found got = co_await cache.find(cache.key_of(key), key);
    if (got.entry == nullptr || got.first == nullptr) continue;
    ++seen.found;
    const std::string_view bytes = as_text(got.first->bytes.view());
    if (!bytes.starts_with(key) || bytes.size() != got.entry->length || bytes.back() != key.back())
      ++seen.wrong;
  }
  co_return 0;
}

// Readers, writers, purges and erasures at once, over a disk that turns around several times: what is found is what was last stored, whole.
TEST_F(CacheDisk, ThreadsThatReadWriteAndEraseSeeWholeBodiesOnly) {
  config.memory_bytes = 4u << 20;
  restart();
  Seen seen;
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 3; ++i)
    threads.emplace_back([&, i] { io::run_blocking([&]() { return use_it(*this, i, seen); }); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen.wrong, 0u);
  EXPECT_GT(seen.found, 100u);
  EXPECT_EQ(cache->stats().disk_corrupt, 0u);
}

// --- room

TEST_F(CacheDisk, OldestRegionMakesRoom) {
  const std::string large(300 << 10, 'x');
  for (size_t i = 0; i < 400; ++i) {  // 120 MB through 64 MiB
    keep(text(i), large + std::to_string(i));
    if (i % 50 == 0) cache->close();
    EXPECT_LE(cache->stats().disk_bytes, kDiskBytes);
  }
  cache->close();
  restart();
  EXPECT_EQ(body(text(399)), large + "399");
  EXPECT_EQ(body(text(10)), "no entry");
  size_t found = 0;
  for (size_t i = 0; i < 400; ++i) {
    const std::string got = body(text(i));
    if (got == "no entry") continue;
    ASSERT_EQ(got, large + std::to_string(i));
    ++found;
  }
  EXPECT_GT(found, 140u);
}

TEST_F(CacheDisk, WhatIsReadFromTheDiskIsWrittenAgainWhenItsRegionIsEmptied) {
  const std::string large(300 << 10, 'x');
  keep(text(0), "a small one");
  size_t next = 1;
  for (int lap = 0; lap < 3; ++lap) {
    keep_many(next, 110, large);  // half of the disk
    restart();                    // memory forgets, so that the disk is asked
    ASSERT_EQ(body(text(0)), "a small one") << lap;
  }
  keep_many(next, 500, large);
  restart();
  EXPECT_EQ(body(text(0)), "no entry");
}

TEST_F(CacheDisk, BudgetOfWritesIsKept) {
  config.disk_write_bytes_per_s = 1 << 20;
  restart();
  const std::string large(100 << 10, 'x');
  for (size_t i = 0; i < 200; ++i) keep(text(i), large);
  cache->close();
  EXPECT_LE(cache->stats().disk_written_bytes, 3u << 20);
  EXPECT_GT(cache->stats().disk_over_budget, 0u);
  clock.advance(std::chrono::seconds(5));
  hot(text(199));  // still wants to be written
  restart();
  EXPECT_EQ(body(text(199)), large);
}

TEST_F(CacheDisk, WhatIsOfNoUseAnyMoreIsNotFoundAfterAStart) {
  auto entry = make(text(1));
  entry->etag.clear();
  entry->lifetime.received = clock.unix_ms();
  entry->lifetime.fresh = 60'000;
  cache->put(cache->key_of(text(1)), entry, slice(*entry, 0, "body"));
  hot(text(1));
  keep(text(2));
  restart();
  EXPECT_EQ(cache->stats().disk_objects, 2u);
  clock.advance(std::chrono::seconds(61));
  restart();
  EXPECT_EQ(cache->stats().disk_objects, 1u);
}

TEST_F(CacheDisk, RealFilesSurviveTheSame) {
  const std::string dir = ::testing::TempDir() + "archipel_edge_disk_" + std::to_string(getpid());
  std::filesystem::remove_all(dir);
  cache = nullptr;
  config.disk_dir = dir;
  cache = make_cache(config, *workers, clock, *random);
  keep(text(1), "on a real disk");
  cache->close();
  ASSERT_TRUE(purge_tag("unrelated").has_value());
  auto second = make_cache(config, *workers, clock, *random);
  EXPECT_FALSE(second->stats().disk_writable);
  cache = nullptr;
  second = nullptr;
  cache = make_cache(config, *workers, clock, *random);
  EXPECT_EQ(body(text(1)), "on a real disk");
  EXPECT_EQ(std::filesystem::status(dir).permissions(), std::filesystem::perms::owner_all);
  cache = nullptr;
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace archipel::edge
