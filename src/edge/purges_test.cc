#include "edge/purges.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "base/random.h"
#include "edge/cache.h"
#include "io/loop.h"

namespace archipel::edge {
namespace {

Entry entry_of(std::string key, std::vector<std::string> tags = {}) {
  Entry entry;
  entry.key = std::move(key);
  entry.site = "site";
  entry.tags = std::move(tags);
  return entry;
}

std::string text(size_t i) {
  return "site\nhttp://host:80/dir" + std::to_string(i % 10) + "/" + std::to_string(i);
}

TEST(PurgeBook, JudgesByWhatCameAfter) {
  PurgeBook book{HashSecret{}};
  Entry entry = entry_of(text(1), {"a"});
  const uint64_t before = book.latest();
  book.add(PurgeScope::tag, "site", "a", false);
  const uint64_t between = book.latest();
  book.add(PurgeScope::tag, "site", "a", true);
  EXPECT_EQ(book.judge(entry, before), Verdict::hard);
  EXPECT_EQ(book.judge(entry, between), Verdict::soft);
  EXPECT_EQ(book.judge(entry, book.latest()), Verdict::clean);
}

TEST(PurgeBook, TextsOfDifferentScopesDoNotMeet) {
  PurgeBook book{HashSecret{}};
  book.add(PurgeScope::tag, "si", "tea", false);  // not the tag "a" of a site "site"
  book.add(PurgeScope::site, {}, "a", false);
  book.add(PurgeScope::group, "site", "a", false);
  EXPECT_EQ(book.judge(entry_of(text(1), {"a"}), 0), Verdict::clean);
}

TEST(PurgeBook, ManyLengthsOfPrefixesPurgeMoreNeverLess) {
  PurgeBook book{HashSecret{}};
  const std::string key = "site\nhttp://host:80/" + std::string(300, 'x');
  for (size_t i = 0; i < 200; ++i) {
    const uint64_t before = book.latest();
    book.add(PurgeScope::prefix, {}, key.substr(0, 20 + i), false);
    EXPECT_EQ(book.judge(entry_of(key), before), Verdict::hard) << i;
  }
  EXPECT_EQ(book.judge(entry_of("other\nhttp://host:80/"), 0), Verdict::clean);
  EXPECT_LE(book.size(), PurgeBook::kPrefixLengthsMax);
}

TEST(PurgeBook, FullBookForgetsTheOlderHalfOnTheSafeSide) {
  PurgeBook book(HashSecret{}, 1000);
  book.add(PurgeScope::key, {}, text(1), false);
  const uint64_t early = book.latest();
  for (size_t i = 0; i < 5000; ++i) book.add(PurgeScope::key, {}, "other " + std::to_string(i), false);
  EXPECT_LE(book.size(), 1000u);
  // Nobody knows any more which: whoever was not held against those since counts as purged.
  EXPECT_EQ(book.judge(entry_of(text(1)), 0), Verdict::hard);
  EXPECT_EQ(book.judge(entry_of(text(2)), early), Verdict::hard);
  EXPECT_EQ(book.judge(entry_of(text(1)), book.latest()), Verdict::clean);
  EXPECT_EQ(book.judge(entry_of("other 4999"), book.latest() - 1), Verdict::hard);
}

TEST(PurgeBook, SnapshotHoldsAllOfIt) {
  PurgeBook book(HashSecret{}, 1000);
  for (size_t i = 0; i < 1500; ++i) book.add(PurgeScope::key, {}, text(i), i % 2 == 0);
  book.add(PurgeScope::prefix, {}, "site\nhttp://host:80/dir3", false);
  book.add(PurgeScope::tag, "site", "a", true);
  PurgeBook copy{HashSecret{}};
  copy.restore(book.snapshot());
  EXPECT_EQ(copy.latest(), book.latest());
  for (size_t i = 0; i < 1500; ++i)
    for (uint64_t since : {uint64_t{0}, book.latest() - 600, book.latest() - 1})
      ASSERT_EQ(copy.judge(entry_of(text(i), {"a"}), since), book.judge(entry_of(text(i), {"a"}), since));
}

// --- through the cache

struct Purging : ::testing::Test {
  std::shared_ptr<Cache> make(size_t bytes) {
    CacheConfig config;
    config.memory_bytes = bytes;
    return make_cache(config, *workers, system_clock(), *random);
  }
  static void put(Cache& cache, const std::string& key, std::vector<std::string> tags, uint64_t stamp) {
    auto entry = std::make_shared<Entry>(entry_of(key, std::move(tags)));
    entry->id = cache.new_id();
    entry->stamp = stamp;
    entry->length = 0;
    cache.put(cache.key_of(key), std::move(entry));
  }
  static void purge(io::Task<Result<void>> task) { ASSERT_TRUE(task.take().has_value()); }

  std::unique_ptr<io::Workers> workers = io::make_workers(1);
  std::unique_ptr<Random> random = seeded_random(1);
};

TEST_F(Purging, OfOneTagOverManyObjectsHoldsForTheNextFindOfEach) {
  constexpr size_t kObjects = 20'000;
  auto cache = make(128u << 20);
  for (size_t i = 0; i < kObjects; ++i) put(*cache, text(i), {i % 2 == 0 ? "even" : "odd"}, cache->stamp());
  ASSERT_EQ(cache->stats().memory_entries, kObjects);
  purge(cache->purge_tag("site", "even", false));
  size_t found = 0;
  for (size_t i = 0; i < kObjects; ++i) {
    const bool there = cache->find_hot(cache->key_of(text(i)), text(i)).entry != nullptr;
    ASSERT_EQ(there, i % 2 == 1) << i;
    found += there;
  }
  EXPECT_EQ(found, kObjects / 2);
  EXPECT_EQ(cache->stats().memory_entries, kObjects / 2);
}

TEST_F(Purging, FloodOfPurgesKeepsTheBookSmallAndWhatItDoesNotConcern) {
  auto cache = make(8u << 20);
  put(*cache, text(1), {"kept"}, cache->stamp());
  for (size_t i = 0; i < PurgeBook::kPurgesMax + 1000; ++i) {
    cache->invalidate("site\nhttp://host:80/posted/" + std::to_string(i));
    // The sweep runs beside; give it the processor before the book has to forget by itself.
    if (cache->stats().purges > PurgeBook::kPurgesMax / 8 * 7) std::this_thread::yield();
  }
  EXPECT_LE(cache->stats().purges, PurgeBook::kPurgesMax);
  std::ifstream statm("/proc/self/statm");
  size_t whole = 0, resident = 0;
  statm >> whole >> resident;
  std::printf("resident after %zu purges: %zu MiB\n", PurgeBook::kPurgesMax + 1000, resident * 4096 >> 20);
}

// What is found after a purge returned was fetched after it: under threads that fetch, store, find and purge at once.
TEST_F(Purging, RacesOfPutFindAndPurgeNeverShowWhatWasPurged) {
  constexpr size_t kKeys = 16;
  auto cache = make(4u << 20);
  std::atomic<uint64_t> purged_until[kKeys] = {};  // numbers: what is fresh has a stamp of at least this
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0}, hits{0};
  auto storer = [&](uint64_t seed) {
    auto dice = seeded_random(seed);
    while (!stop) {
      const size_t i = dice->u64() % kKeys;
      const uint64_t stamp = cache->stamp();
      if (dice->u64() % 2 == 0) std::this_thread::yield();  // the origin answers
      put(*cache, text(i), {"tag" + std::to_string(i)}, stamp);
    }
  };
  auto finder = [&](uint64_t seed) {
    auto dice = seeded_random(seed);
    for (size_t n = 0; n < 40'000; ++n) {
      const size_t i = dice->u64() % kKeys;
      const uint64_t since = purged_until[i].load();
      Found found = cache->find_hot(cache->key_of(text(i)), text(i));
      if (found.entry == nullptr || found.purged_softly) continue;
      ++hits;
      if (found.entry->stamp < since) ++wrong;
    }
  };
  auto purger = [&](uint64_t seed) {
    auto dice = seeded_random(seed);
    while (!stop) {
      const size_t i = dice->u64() % kKeys;
      const uint64_t before = cache->stamp();
      switch (dice->u64() % 3) {
        case 0:
          cache->invalidate(text(i));
          break;
        case 1:
          purge(cache->purge_tag("site", "tag" + std::to_string(i), false));
          break;
        default:
          purge(cache->purge_tag("site", "tag" + std::to_string(i), true));
      }
      // One purger: its number is the next one.
      purged_until[i].store(before + 1);
      for (int wait = 0; wait < 20; ++wait) std::this_thread::yield();
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back(purger, 1);
  threads.emplace_back(storer, 2);
  threads.emplace_back(storer, 3);
  std::thread finding(finder, 4), finding_too(finder, 5);
  finding.join();
  finding_too.join();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(hits, 1000u);
}

// --- attacks

TEST_F(Purging, HashFloodingWithCraftedKeysMeetsNobody) {
  // Texts whose hashes agree in 6 bits under a secret that an attacker guessed.
  HashSecret guessed;
  guessed.bytes.fill(1);
  HashSecret real;
  real.bytes.fill(2);
  std::vector<std::string> crafted;
  for (size_t i = 0; crafted.size() < 256; ++i)
    if ((hash_key(guessed, text(i)).low & 63) == 0) crafted.push_back(text(i));
  std::vector<int> buckets(64);
  for (const std::string& key : crafted) ++buckets[hash_key(real, key).low & 63];
  EXPECT_LT(*std::ranges::max_element(buckets), 20);  // four on average
}

}  // namespace
}  // namespace archipel::edge
