// The cache with a disk tier: what comes back from it, what survives a kill, and what a bad disk does.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/log.h"
#include "edge/cache.h"
#include "edge/disk.h"
#include "edge/disk_files_test_util.h"
#include "edge/disk_format.h"

namespace archipel::edge {
namespace {

constexpr uint64_t kDiskBytes = 4 * disk::kRegionBytes;

class TestClock final : public Clock {
 public:
  TimePoint now() override { return TimePoint(Duration(ns.load())); }
  UnixMs unix_ms() override { return 1'800'000'000'000 + ns.load() / 1'000'000; }
  void advance(Duration by) { ns += by.count(); }
  std::atomic<int64_t> ns{1'000'000'000};
};

struct CacheDisk : ::testing::Test {
  CacheDisk() {
    log::set_level(log::Level::error);
    config.memory_bytes = 64u << 20;
    config.disk_bytes = kDiskBytes;
    start();
  }
  ~CacheDisk() override {
    cache = nullptr;
    log::set_level(log::Level::info);
  }

  void start() { cache = make_cache(config, disk->files(), *workers, clock, *random); }
  // kill -9 once all that was handed over was written, and a new process.
  void restart() {
    cache->close();
    disk->kill();
    cache = nullptr;
    start();
  }

  std::shared_ptr<Entry> make(std::string_view text, size_t length = 4) {
    auto entry = std::make_shared<Entry>();
    entry->id = cache->new_id();
    entry->stamp = cache->stamp();
    entry->key = std::string(text);
    entry->site = "site";
    entry->tags = {"news"};
    entry->etag = "\"e\"";
    entry->length = length;
    entry->headers.add("content-type", "text/plain");
    entry->h1_head = "HTTP/1.1 200 OK\r\n";
    return entry;
  }
  static SliceRef slice(const Entry& entry, uint32_t index, std::string_view bytes) {
    auto out = std::make_shared<Slice>();
    out->entry = entry.id;
    out->index = index;
    out->bytes = Buffer::copy_of(as_bytes(bytes));
    return out;
  }
  std::string text(size_t i) { return "site\nhttp://host:80/" + std::to_string(i); }
  EntryRef put(std::string_view key, std::string_view body = "body") {
    auto entry = make(key, body.size());
    cache->put(cache->key_of(key), entry, slice(*entry, 0, body));
    return entry;
  }
  // Stored, and used once more, which is what takes it to the disk.
  EntryRef keep(std::string_view key, std::string_view body = "body") {
    EntryRef entry = put(key, body);
    hot(key);
    return entry;
  }
  // No faster than the writer, whose queue is bounded.
  void keep_many(size_t& next, size_t count, std::string_view bytes) {
    for (size_t i = 0; i < count; ++i) {
      keep(text(next++), bytes);
      if (i % 50 == 0) cache->close();
    }
  }
  // Null: healthy again.
  void fail_writes(std::function<bool(const std::string&)> which) {
    std::lock_guard lock(disk->mutex);
    disk->fails_to_write = std::move(which);
  }
  Found hot(std::string_view key) { return cache->find_hot(cache->key_of(key), key); }
  Found find(std::string_view key) {
    return io::run_blocking([&]() { return cache->find(cache->key_of(key), std::string(key)); });
  }
  SliceRef find_slice(EntryRef entry, uint32_t index) {
    return io::run_blocking([&]() { return cache->slice(entry, index); });
  }
  std::string body(std::string_view key) {
    Found found = find(key);
    if (found.entry == nullptr) return "no entry";
    return found.first == nullptr ? "no body" : std::string(as_text(found.first->bytes.view()));
  }
  Result<void> purge_tag(std::string tag, bool soft = false) {
    return io::run_blocking([&]() { return cache->purge_tag("site", tag, soft); });
  }
  std::string& data() { return disk->contents["data.00000"]; }
  size_t where_is(std::string_view bytes) { return data().find(bytes); }

  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
  TestClock clock;
  std::unique_ptr<io::Workers> workers = io::make_workers(2);
  std::unique_ptr<Random> random = seeded_random(1);
  CacheConfig config;
  std::shared_ptr<Cache> cache;
};

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

// --- bad disks

TEST_F(CacheDisk, FlippedBitIsNeverServed) {
  for (size_t i = 0; i < 40; ++i) keep(text(i), "the body of number " + std::to_string(i));
  restart();
  const size_t from = data().find("the body of number 0") - disk::kRecordHeaderBytes;
  // One bit in each record: header, body, head of the response.
  for (size_t i = 0, at = from; i < 40; ++i) {
    auto header = disk::decode_record_header(as_bytes(std::string_view(data()).substr(at)));
    ASSERT_TRUE(header.has_value());
    data()[at + i * 11 % header->bytes()] ^= static_cast<char>(1 << i % 8);
    at += size_t{header->units()} * disk::kUnit;
  }
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(body(text(i)), "no entry") << i;
  EXPECT_EQ(cache->stats().disk_corrupt, 40u);
  EXPECT_EQ(cache->stats().disk_objects, 0u);
}

TEST_F(CacheDisk, TornWriteLosesWhatWasTornAndNothingElse) {
  for (size_t i = 0; i < 10; ++i) keep(text(i), "whole " + std::to_string(i));
  cache->close();
  disk->tear_at = 150;  // in the middle of the second record of the next write
  keep(text(20), "torn 20");
  keep(text(21), "torn 21");
  cache->close();
  disk->kill();
  cache = nullptr;
  start();
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(body(text(i)), "whole " + std::to_string(i));
  for (size_t i = 20; i < 22; ++i) EXPECT_EQ(body(text(i)), "no entry");
  keep(text(30), "later");
  restart();
  EXPECT_EQ(body(text(30)), "later");
  EXPECT_EQ(body(text(3)), "whole 3");
}

TEST_F(CacheDisk, TornFooterIsReplacedByTheRecordsThemselves) {
  const std::string large(200 << 10, 'x');
  for (size_t i = 0; i < 100; ++i) keep(text(i), large);
  cache->close();
  ASSERT_GT(cache->stats().disk_bytes, disk::kRegionBytes);
  data()[disk::kRegionBytes - 10] ^= 1;  // trailer of the first region
  disk->kill();
  cache = nullptr;
  start();
  for (size_t i = 0; i < 100; ++i) ASSERT_EQ(body(text(i)), large) << i;
}

TEST_F(CacheDisk, DiskThatFailsToReadIsAMiss) {
  keep(text(1));
  restart();
  disk->fails_to_read = [](const std::string&) { return true; };
  EXPECT_EQ(body(text(1)), "no entry");
  EXPECT_GT(cache->stats().disk_errors, 0u);
  disk->fails_to_read = nullptr;
  EXPECT_EQ(body(text(1)), "body");
}

TEST_F(CacheDisk, DiskThatFailsToWriteIsLeftAloneForAWhile) {
  keep(text(1));
  cache->close();
  int tries = 0;
  fail_writes([&](const std::string& name) { return name.starts_with("data.") && ++tries > 0; });
  for (size_t i = 2; i < 50; ++i) keep(text(i));
  cache->close();
  EXPECT_LT(tries, 6);
  EXPECT_FALSE(cache->stats().disk_writable);
  EXPECT_NE(hot(text(49)).entry, nullptr);  // memory serves
  fail_writes(nullptr);
  clock.advance(std::chrono::seconds(11));
  keep(text(60));
  restart();
  EXPECT_EQ(body(text(60)), "body");
  EXPECT_EQ(body(text(1)), "body");
}

TEST_F(CacheDisk, WhatWasErasedWhileTheDiskTookNothingStaysGone) {
  for (size_t i = 0; i < 5; ++i) keep(text(i));
  cache->close();
  fail_writes([&](const std::string& name) { return name.starts_with("data."); });
  for (size_t i = 0; i < 3; ++i) cache->erase(cache->key_of(text(i)));
  cache->close();
  fail_writes(nullptr);
  clock.advance(std::chrono::seconds(11));
  keep(text(10));
  restart();
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(body(text(i)), "no entry") << i;
  for (size_t i : {3, 4, 10}) EXPECT_EQ(body(text(i)), "body") << i;
}

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

TEST_F(CacheDisk, FullDiskMakesTheTierSmaller) {
  cache = nullptr;
  disk = std::make_shared<FakeDisk>();
  disk->room = 5 * disk::kRegionBytes;
  config.disk_bytes = 9 * disk::kRegionBytes;
  start();
  EXPECT_TRUE(cache->stats().disk_writable);
  EXPECT_EQ(data().size(), 4 * disk::kRegionBytes);
  keep(text(1));
  restart();
  EXPECT_EQ(body(text(1)), "body");
}

TEST_F(CacheDisk, WithoutRoomItIsACacheInMemory) {
  cache = nullptr;
  disk = std::make_shared<FakeDisk>();
  disk->room = disk::kRegionBytes;
  start();
  EXPECT_FALSE(cache->stats().disk_writable);
  keep(text(1));
  EXPECT_EQ(body(text(1)), "body");
}

TEST_F(CacheDisk, SecondProcessOnTheDirectoryGoesWithoutIt) {
  keep(text(1));
  cache->close();
  auto second = make_cache(config, disk->files(), *workers, clock, *random);
  EXPECT_EQ(second->stats().disk_objects, 0u);
  EXPECT_FALSE(second->stats().disk_writable);
  EXPECT_EQ(body(text(1)), "body");
}

TEST_F(CacheDisk, ForeignDirectoryIsNotTouched) {
  cache = nullptr;
  disk = std::make_shared<FakeDisk>();
  disk->contents["thesis.tex"] = "ten years of work";
  start();
  EXPECT_FALSE(cache->stats().disk_writable);
  EXPECT_EQ(disk->contents.size(), 1u);
  disk = std::make_shared<FakeDisk>();
  disk->contents["identity"] = "of somebody else";
  start();
  EXPECT_EQ(disk->contents["identity"], "of somebody else");
  EXPECT_EQ(disk->contents.size(), 1u);
}

TEST_F(CacheDisk, DataOfAnotherCacheIsNotRead) {
  keep(text(1));
  cache->close();
  std::string foreign = data();
  cache = nullptr;
  disk = std::make_shared<FakeDisk>();
  start();
  cache = nullptr;
  data() = foreign;
  start();
  EXPECT_EQ(cache->stats().disk_objects, 0u);
  EXPECT_EQ(body(text(1)), "no entry");
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
