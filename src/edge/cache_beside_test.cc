// A disk tier that passes from a process to its successor while both serve.
#include <thread>
#include <vector>

#include "edge/cache_disk_test_util.h"

namespace archipel::edge {
namespace {

struct CacheBeside : CacheDisk {
  // The successor's; `cache` is the one that has the disk.
  std::shared_ptr<Cache> next;
  std::unique_ptr<Random> other = seeded_random(2);

  void begin_next() { next = make_cache_beside(config, disk->files(), *workers, clock, *other); }
  // From here on all that the fixture does is done in the successor.
  void succeed() {
    cache->release_disk();
    Result<void> attached = next->attach_disk();
    ASSERT_TRUE(attached) << attached.error().message;
    std::swap(cache, next);
  }
  ~CacheBeside() override { next = nullptr; }
};

TEST_F(CacheBeside, TheSuccessorServesFromMemoryAndThenWhatLiesOnTheDisk) {
  keep(text(1), "one");
  cache->close();
  begin_next();
  EXPECT_EQ(next->attach_disk().error().code, Code::exists) << "the predecessor has it still";
  std::swap(cache, next);
  EXPECT_EQ(body(text(1)), "no entry");
  put(text(2), "two");
  EXPECT_EQ(body(text(2)), "two");
  std::swap(cache, next);
  keep(text(3), "three");  // still on its way to the disk
  succeed();
  EXPECT_EQ(body(text(1)), "one");
  EXPECT_EQ(body(text(2)), "two");
  EXPECT_EQ(body(text(3)), "three");
  EXPECT_TRUE(cache->stats().disk_writable);
  keep(text(4), "four");
  restart();
  EXPECT_EQ(body(text(4)), "four") << "it writes to it";
}

TEST_F(CacheBeside, ThePredecessorGoesOnFromMemoryAlone) {
  EntryRef large = make(text(1), 3 * kSliceBytes);
  keep(text(2), "two");
  cache->close();
  begin_next();
  succeed();
  std::swap(cache, next);
  EXPECT_EQ(body(text(2)), "two") << "from memory";
  put(text(3), "three");
  hot(text(3));
  EXPECT_EQ(body(text(3)), "three");
  EXPECT_EQ(find_slice(large, 1), nullptr);
  cache->erase(cache->key_of(text(2)));
  EXPECT_EQ(body(text(2)), "no entry") << "the disk is none of its business";
  const Result<void> purged = purge_tag("news");
  EXPECT_EQ(purged.error().code, Code::unavailable) << "in effect, and not durable";
  cache->close();
  std::swap(cache, next);
  EXPECT_EQ(body(text(2)), "two") << "what the predecessor does now changes nothing";
}

TEST_F(CacheBeside, PurgesOfBothHoldForWhatEitherHasStored) {
  keep(text(1), "one");
  keep(text(2), "two");
  keep(text(3), "three");
  cache->close();
  cache->invalidate(text(3));
  begin_next();
  std::swap(cache, next);
  // In the successor, before it has the disk.
  put(text(4), "four");
  cache->invalidate(text(1));
  EXPECT_EQ(purge_tag("else").error().code, Code::unavailable);
  std::swap(cache, next);
  // Meanwhile a request that the predecessor still has under way.
  cache->invalidate(text(4));
  succeed();
  EXPECT_EQ(body(text(1)), "no entry") << "purged in the successor";
  EXPECT_EQ(body(text(2)), "two");
  EXPECT_EQ(body(text(3)), "no entry") << "purged before it began";
  EXPECT_EQ(body(text(4)), "no entry") << "purged in the predecessor";
  put(text(4), "four again");
  EXPECT_EQ(body(text(4)), "four again");
  restart();
  EXPECT_EQ(body(text(1)), "no entry") << "and durable";
  EXPECT_EQ(body(text(2)), "two");
}

TEST_F(CacheBeside, WhatTheSuccessorHasReplacedOrErasedIsNotFoundInItsOldForm) {
  for (size_t i = 1; i <= 3; ++i) keep(text(i), "old");
  cache->close();
  begin_next();
  std::swap(cache, next);
  put(text(1), "new");
  cache->erase(cache->key_of(text(2)));
  auto variants = std::make_shared<Variants>();
  variants->key = text(3);
  cache->set_variants(cache->key_of(text(3)), variants);
  std::swap(cache, next);
  succeed();
  EXPECT_EQ(body(text(1)), "new");
  cache->erase(cache->key_of(text(1)));
  EXPECT_EQ(body(text(1)), "no entry");
  EXPECT_EQ(body(text(2)), "no entry");
  EXPECT_EQ(body(text(3)), "old");
  restart();
  EXPECT_EQ(body(text(1)), "no entry");
  EXPECT_EQ(body(text(2)), "no entry");
}

TEST_F(CacheBeside, ACacheThatWasMadeAnewMeanwhileIsNotTakenOver) {
  keep(text(1), "one");
  cache->close();
  begin_next();
  cache->release_disk();
  disk->contents["identity"][20] ^= 1;
  EXPECT_EQ(next->attach_disk().error().code, Code::corrupt);
  std::swap(cache, next);
  EXPECT_EQ(body(text(1)), "no entry");
  put(text(2), "two");
  EXPECT_EQ(body(text(2)), "two") << "it goes on in memory";
  EXPECT_TRUE(cache->attach_disk()) << "and does not try again";
  EXPECT_TRUE(purge_tag("news"));
}

TEST_F(CacheBeside, WithoutAPredecessorItIsACacheLikeAnyOther) {
  cache->close();
  disk->kill();
  disk->contents.clear();
  begin_next();
  std::swap(cache, next);
  EXPECT_TRUE(cache->attach_disk());
  keep(text(1), "one");
  restart();
  EXPECT_EQ(body(text(1)), "one");
}

TEST_F(CacheBeside, ThreadsUseItWhileTheDiskComesAndGoes) {
  size_t next_key = 0;
  keep_many(next_key, 300, std::string(1000, 'x'));
  cache->close();
  begin_next();
  std::atomic<bool> over{false};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (Cache* one : {cache.get(), next.get()}) {
    threads.emplace_back([&, one] {
      for (size_t i = 0; !over; i = (i + 7) % 600) {
        const std::string key = text(i);
        Found found = io::run_blocking([&] { return one->find(one->key_of(key), key); });
        if (found.entry != nullptr && found.entry->key != key) ++wrong;
        auto entry = std::make_shared<Entry>();
        entry->id = one->new_id();
        entry->stamp = one->stamp();
        entry->key = key;
        entry->site = "site";
        entry->length = 3;
        entry->h1_head = "HTTP/1.1 200 OK\r\n";
        one->put(one->key_of(key), entry, slice(*entry, 0, "abc"));
        if (i % 5 == 0) one->invalidate(text((i + 3) % 600));
        if (i % 11 == 0) one->erase(one->key_of(key));
      }
    });
  }
  succeed();
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace archipel::edge
