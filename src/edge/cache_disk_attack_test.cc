// The cache on bad disks: full, failing, torn, damaged, lying, somebody else's. What is found is what was stored, or nothing.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "edge/cache_disk_test_util.h"

namespace archipel::edge {
namespace {

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

// --- lies

disk::Identity identity_of(CacheDisk& test) {
  auto identity = disk::decode_identity(as_bytes(test.disk->contents["identity"]));
  CHECK(identity.has_value());
  return *identity;
}

// All checksums of it hold; what it says does not.
TEST_F(CacheDisk, FooterThatLiesServesNothingOfAnother) {
  for (size_t i = 0; i < 4; ++i) keep(text(i), "the body of number " + std::to_string(i));
  cache->close();
  std::vector<disk::Item> items;
  uint32_t unit = disk::kRegionHeaderBytes / disk::kUnit;
  for (size_t i = 0; i < 4; ++i) {
    const auto at = std::string_view(data()).substr(size_t{unit} * disk::kUnit);
    auto header = disk::decode_record_header(as_bytes(at));
    ASSERT_TRUE(header.has_value());
    items.push_back({header->key.low, header->kind, unit, header->bytes(), 0});
    unit += header->units();
  }
  std::swap(items[0].hash, items[1].hash);            // another's record
  items[2].unit += 1;                                 // the middle of one
  items[3].bytes = disk::kRecordBytesMax;             // more than it is
  items.push_back({1, disk::Kind::slice, 1, 96, 0});  // nobody's
  const std::string footer = disk::encode_footer(identity_of(*this).id, 1, items, 0, 0);
  data().replace(disk::kRegionBytes - footer.size(), footer.size(), footer);
  disk->kill();
  cache = nullptr;
  start();
  EXPECT_EQ(cache->stats().disk_objects, 5u);  // it was believed so far
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(body(text(i)), "no entry") << i;
  EXPECT_EQ(body(text(3)), "the body of number 3");
}

TEST_F(CacheDisk, FooterThatPointsOutOfItsRegionIsReplacedByTheRecords) {
  for (size_t i = 0; i < 4; ++i) keep(text(i));
  cache->close();
  const disk::CacheId id = identity_of(*this).id;
  const uint32_t beyond = disk::kRegionBytes / disk::kUnit;
  for (const disk::Item& lie :
       {disk::Item{1, disk::Kind::slice, beyond, 96, 0}, disk::Item{1, disk::Kind::slice, 0, 96, 0},
        disk::Item{1, disk::Kind::slice, beyond - 2, 4096, 0},
        disk::Item{1, disk::Kind::entry, 1, UINT32_MAX, 0},
        disk::Item{1, static_cast<disk::Kind>(9), 1, 96, 0}}) {
    const std::string footer = disk::encode_footer(id, 1, {lie}, 0, 0);
    data().replace(disk::kRegionBytes - footer.size(), footer.size(), footer);
    disk->kill();
    cache = nullptr;
    start();
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(body(text(i)), "body") << i;
  }
}

// Numbers of purges go on above what regions say. One that says the highest there is would make the next purge number 0, which concerns nothing.
TEST_F(CacheDisk, FooterWithAnImpossibleStampDoesNotStopPurges) {
  keep(text(1));
  cache->close();
  const std::string footer = disk::encode_footer(identity_of(*this).id, 1, {}, 0, UINT64_MAX);
  data().replace(disk::kRegionBytes - footer.size(), footer.size(), footer);
  disk->kill();
  cache = nullptr;
  start();
  EXPECT_EQ(body(text(1)), "body");
  keep(text(2));
  ASSERT_TRUE(purge_tag("news").has_value());
  EXPECT_EQ(body(text(1)), "no entry");
  EXPECT_EQ(body(text(2)), "no entry");
}

TEST_F(CacheDisk, RegionThatIsThereTwiceIsHarmless) {
  for (size_t i = 0; i < 4; ++i) keep(text(i), "the body of number " + std::to_string(i));
  cache->close();
  disk->kill();
  cache = nullptr;
  data().replace(disk::kRegionBytes, disk::kRegionBytes, data(), 0, disk::kRegionBytes);
  start();
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(body(text(i)), "the body of number " + std::to_string(i));
  size_t next = 10;
  keep_many(next, 400, std::string(300 << 10, 'x'));  // once around
  restart();
  EXPECT_EQ(body(text(next - 1)).size(), 300u << 10);
  EXPECT_EQ(cache->stats().disk_corrupt, 0u);
}

// Writes that went elsewhere, blocks that came back as zeros or as they were once, flipped bits: anywhere, many at a time.
void damage(std::string& bytes, Random& dice) {
  const size_t length = 1 + dice.u64() % (dice.u64() % 4 == 0 ? 100'000 : 600);
  const size_t used = 3u << 20;  // where the objects of the test lie
  const size_t at = dice.u64() % 8 == 0 ? disk::kRegionBytes - length : dice.u64() % used;
  switch (dice.u64() % 3) {
    case 0:
      bytes[at] ^= static_cast<char>(1 << dice.u64() % 8);
      break;
    case 1:
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), length, '\0');
      break;
    default:
      bytes.replace(at, length, bytes, dice.u64() % used / disk::kUnit * disk::kUnit, length);
  }
}

TEST_F(CacheDisk, NoDamageIsEverServed) {
  auto dice = seeded_random(7);
  size_t right = 0, lost = 0;
  for (int life = 0; life < 8; ++life) {
    cache = nullptr;
    disk = std::make_shared<FakeDisk>();
    start();
    for (size_t i = 0; i < 200; ++i) keep(text(i), text(i) + std::string(i * 50, 'y'));
    cache->close();
    disk->kill();
    cache = nullptr;
    for (uint64_t i = 0, count = 1 + dice->u64() % 20; i < count; ++i) damage(data(), *dice);
    start();
    for (uint64_t i = 0, count = dice->u64() % 20; i < count; ++i) damage(data(), *dice);
    for (size_t i = 0; i < 200; ++i) {
      const std::string got = body(text(i));
      ++(got == "no entry" ? lost : right);
      ASSERT_TRUE(got == "no entry" || got == text(i) + std::string(i * 50, 'y')) << life << " " << i;
    }
    keep(text(1000), "later");
    restart();
    EXPECT_EQ(body(text(1000)), "later");
  }
  EXPECT_GT(right, 100u);
  EXPECT_GT(lost, 100u);
}

TEST_F(CacheDisk, RegionOverwrittenDuringAReadIsAMissAndNoDamage) {
  keep(text(0), "an old one");
  restart();
  std::atomic<bool> once{true};
  size_t next = 1;
  disk->before_read = [&] {
    if (!once.exchange(false)) return;
    // The disk turns around twice before the read gets its bytes. Used meanwhile, it is written again; not in the second turn.
    keep_many(next, 500, std::string(300 << 10, 'x'));
  };
  EXPECT_EQ(body(text(0)), "no entry");
  EXPECT_EQ(cache->stats().disk_corrupt, 0u);
  disk->before_read = nullptr;
}

// --- errors of the device

TEST_F(CacheDisk, DiskThatFailsAtTheStartIsEmptyAndTakesWhatComes) {
  keep(text(1));
  cache->close();
  disk->kill();
  cache = nullptr;
  disk->fails_to_read = [](const std::string& name) { return name.starts_with("data."); };
  start();
  EXPECT_EQ(body(text(1)), "no entry");
  EXPECT_GT(cache->stats().disk_errors, 0u);
  disk->fails_to_read = nullptr;
  keep(text(2));
  restart();
  EXPECT_EQ(body(text(2)), "body");
}

TEST_F(CacheDisk, RegionThatCannotBeReadAnyMoreIsEmptiedWithoutIt) {
  const std::string large(300 << 10, 'x');
  size_t next = 0;
  keep_many(next, 150, large);
  cache->close();
  disk->fails_to_read = [](const std::string& name) { return name.starts_with("data."); };
  keep_many(next, 400, large);  // round and round
  cache->close();
  disk->fails_to_read = nullptr;
  EXPECT_LE(cache->stats().disk_bytes, kDiskBytes);
  EXPECT_LT(cache->stats().disk_objects, 250u);  // none of them where nothing is any more
  restart();
  for (size_t i = next - 100; i < next; ++i) ASSERT_EQ(body(text(i)).size(), large.size()) << i;
}

TEST_F(CacheDisk, NewDiskThatCannotBeWrittenIsNotUsed) {
  cache = nullptr;
  disk = std::make_shared<FakeDisk>();
  fail_writes([](const std::string&) { return true; });
  start();
  EXPECT_FALSE(cache->stats().disk_writable);
  keep(text(1));
  EXPECT_EQ(body(text(1)), "body");
}

// Somebody cut the file, or another program took the disk's blocks: reading says so, and a miss is all that comes of it.
TEST_F(CacheDisk, RealFileThatBecameShorterIsAMiss) {
  const std::string dir = ::testing::TempDir() + "archipel_edge_cut_" + std::to_string(getpid());
  std::filesystem::remove_all(dir);
  cache = nullptr;
  config.disk_dir = dir;
  config.memory_bytes = 4u << 20;
  cache = make_cache(config, *workers, clock, *random);
  for (size_t i = 0; i < 150; ++i) keep(text(i), std::string(60'000, 'x'));
  cache->close();
  std::filesystem::resize_file(dir + "/data.00000", 200'000);
  size_t misses = 0;
  for (size_t i = 0; i < 150; ++i) {
    const std::string got = body(text(i));
    misses += got == "no entry";
    ASSERT_TRUE(got == "no entry" || got == std::string(60'000, 'x')) << i;
  }
  EXPECT_GT(misses, 10u);
  EXPECT_EQ(cache->stats().disk_errors, misses);
  cache = nullptr;
  cache = make_cache(config, *workers, clock, *random);  // takes its room again
  keep(text(100));
  cache->close();
  EXPECT_TRUE(cache->stats().disk_writable);
  cache = nullptr;
  std::filesystem::remove_all(dir);
}

// A disk_size that is a slip takes no more than a machine can do without.
TEST(DiskRoom, OthersOnTheFileSystemKeepATwentiethButAGigabyteIsEnough) {
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  EXPECT_TRUE(leaves_room(100 * kGiB, 200 * kGiB, 99 * kGiB));
  EXPECT_FALSE(leaves_room(100 * kGiB, 200 * kGiB, 99 * kGiB + 1));
  EXPECT_FALSE(leaves_room(kGiB - 1, 200 * kGiB, 0));
  EXPECT_TRUE(leaves_room(100, 100, 95)) << "a small file system";
  EXPECT_FALSE(leaves_room(100, 100, 96));
  EXPECT_FALSE(leaves_room(0, 0, 1));
}

}  // namespace
}  // namespace archipel::edge
