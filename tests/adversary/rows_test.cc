// The rows of the attack checklist that go through islands, each with the rule that stops it. Those about keys: keys_test.cc; about the
// journal: journal_attacks_test.cc; about what islands learn: blind_test.cc. README.md has the whole table.
#include <algorithm>
#include <bit>
#include <set>

#include "cloud.h"
#include "extent/names.h"
#include "quiet.h"

namespace archipel::adversary {
namespace {

constexpr size_t kHeader = 128, kCell = extent::kSegmentSealed + extent::kTagBytes;
constexpr size_t kStripes = 3,
                 kObject = kStripes * kNeeded * extent::kSegmentPlain;  // one extent of three stripes

// Two objects of one whole extent each, and the names of their shards: [object][island].
struct Large {
  std::vector<std::vector<island::BlobName>> shards;
};

io::Task<bool> two_large(Cloud& cloud, Large& out) {
  cloud.store_options.extent_plain_bytes = kObject;
  Result<void> started = co_await cloud.start();
  CO_ASSERT(started.has_value());
  Result<void> made = co_await cloud.store().create_bucket(kBucket, kOwner);
  CO_ASSERT(made.has_value());
  for (const char* key : {"x", "y"}) {
    std::vector<size_t> before;
    for (const auto& island : cloud.islands) before.push_back(island->seen.size());
    Result<void> done = co_await cloud.put(key, pattern(kObject, key[0]));
    CO_ASSERT(done.has_value());
    auto& names = out.shards.emplace_back();
    for (size_t i = 0; i < cloud.islands.size(); ++i)
      for (size_t put = before[i]; put < cloud.islands[i]->seen.size(); ++put)
        if (cloud.islands[i]->seen[put].bytes == kHeader + kStripes * kCell)
          names.push_back(cloud.islands[i]->seen[put].name);
    CO_ASSERT(names.size() == cloud.islands.size());
  }
  co_return true;
}

// What was done to all islands alike is refused wherever it is felt: never other bytes, and HEAD stays right.
io::Task<bool> expect_refused(Cloud& cloud, const char* what, bool somewhere = true) {
  Cloud::Verdict verdict = co_await cloud.read_everything();
  EXPECT_TRUE(verdict.clean()) << what << ": " << verdict.complaints.front();
  EXPECT_EQ(verdict.refused > 0, somewhere)
      << what << (verdict.errors.empty() ? "" : ": " + verdict.errors.front());
  for (const std::string& error : verdict.errors)
    EXPECT_NE(error.find("island-"), std::string::npos) << what << " was not attributed: " << error;
  co_return true;
}

template <class Change>
io::Task<bool> everywhere(Cloud& cloud, const Large& large, const char* what, Change change) {
  Cloud::Stored before = cloud.save();
  for (size_t i = 0; i < cloud.islands.size(); ++i)
    change(cloud.islands[i]->blobs().at(large.shards[0][i]),
           cloud.islands[i]->blobs().at(large.shards[1][i]));
  co_await expect_refused(cloud, what);
  cloud.restore_islands(before);
  co_return true;
}

io::Task<bool> reorder(Cloud& cloud) {
  Large large;
  bool made = co_await two_large(cloud, large);
  CO_ASSERT(made);
  auto swap_stripes = [](std::string& x, std::string&) {
    std::swap_ranges(x.begin() + kHeader, x.begin() + kHeader + kCell, x.begin() + kHeader + kCell);
  };
  co_await everywhere(cloud, large, "stripes exchanged", swap_stripes);
  auto repeat_stripe = [](std::string& x, std::string&) {
    std::copy_n(x.begin() + kHeader, kCell, x.begin() + kHeader + kCell);
  };
  co_await everywhere(cloud, large, "a stripe twice", repeat_stripe);
  auto delete_stripe = [](std::string& x, std::string&) { x.erase(kHeader + kCell, kCell); };
  co_await everywhere(cloud, large, "a stripe taken out", delete_stripe);
  co_return true;
}
TEST(Attack, Row07SegmentsReorderedDeletedDuplicated) {
  Cloud().run(reorder);
}

io::Task<bool> truncate(Cloud& cloud) {
  Large large;
  bool made = co_await two_large(cloud, large);
  CO_ASSERT(made);
  auto last = [](std::string& x, std::string&) { x.resize(x.size() - kCell); };
  co_await everywhere(cloud, large, "cut at a segment's end", last);
  auto one_byte = [](std::string& x, std::string&) { x.resize(x.size() - 1); };
  co_await everywhere(cloud, large, "cut by a byte", one_byte);
  auto all = [](std::string& x, std::string&) { x.clear(); };
  co_await everywhere(cloud, large, "emptied", all);
  auto prefix = [](std::string& x, std::string&) { x.erase(kHeader, kCell); };
  co_await everywhere(cloud, large, "prefix dropped", prefix);
  auto header_too = [](std::string& x, std::string&) { x.erase(0, kCell); };
  co_await everywhere(cloud, large, "prefix dropped, header too", header_too);
  // Longer is no harm: nobody asks what lies behind the end that the index knows.
  Cloud::Stored before = cloud.save();
  for (size_t i = 0; i < cloud.islands.size(); ++i) {
    std::string& x = cloud.islands[i]->blobs().at(large.shards[0][i]);
    x += x.substr(kHeader);
  }
  co_await expect_refused(cloud, "extended", false);
  cloud.restore_islands(before);
  co_return true;
}
TEST(Attack, Row08TruncationAndDroppedPrefix) {
  Cloud().run(truncate);
}

io::Task<bool> swap_objects(Cloud& cloud) {
  Large large;
  bool made = co_await two_large(cloud, large);
  CO_ASSERT(made);
  auto swap_all = [](std::string& x, std::string& y) { std::swap(x, y); };
  co_await everywhere(cloud, large, "two objects of one size exchanged", swap_all);
  auto copy = [](std::string& x, std::string& y) { x = y; };
  co_await everywhere(cloud, large, "one object under both names", copy);
  auto splice = [](std::string& x, std::string& y) {
    x = x.substr(0, kHeader + kCell) + y.substr(kHeader + kCell);
  };
  co_await everywhere(cloud, large, "spliced at a segment", splice);
  auto behind_header = [](std::string& x, std::string& y) { x = x.substr(0, kHeader) + y.substr(kHeader); };
  co_await everywhere(cloud, large, "another object behind the header", behind_header);
  // Shards of one extent, exchanged between its islands.
  Cloud::Stored before = cloud.save();
  for (size_t i = 0; i + 1 < cloud.islands.size(); i += 2)
    std::swap(cloud.islands[i]->blobs().at(large.shards[0][i]),
              cloud.islands[i + 1]->blobs().at(large.shards[0][i + 1]));
  co_await expect_refused(cloud, "shards exchanged between islands");
  cloud.restore_islands(before);
  co_return true;
}
TEST(Attack, Row09ObjectsSwapped) {
  Cloud().run(swap_objects);
}

io::Task<bool> no_byte_too_early(Cloud& cloud) {
  // Two extents; the second is wrong on four islands.
  cloud.store_options.extent_plain_bytes = 3u * extent::kSegmentPlain;
  Result<void> started = co_await cloud.start();
  CO_ASSERT(started.has_value());
  Result<void> made = co_await cloud.store().create_bucket(kBucket, kOwner);
  CO_ASSERT(made.has_value());
  Result<void> done = co_await cloud.put("two", pattern(6u * extent::kSegmentPlain, 5));
  CO_ASSERT(done.has_value());
  for (int i = 0; i < 4; ++i) {
    SpyIsland& island = *cloud.islands[static_cast<size_t>(i)];
    std::string& second = island.blobs().at(island.seen.at(island.seen.size() - 2).name);
    second[kHeader + 40'000] = static_cast<char>(second[kHeader + 40'000] ^ 1);
  }
  Result<store::Store::Opened> opened = co_await cloud.store().get(kBucket, "two", std::nullopt, {});
  CO_ASSERT(opened.has_value());
  std::string got;
  bool failed = false;
  for (int i = 0; i < 20; ++i) {
    Result<Buffer> piece = co_await opened->reader->read();
    if (!piece) {
      failed = true;
      EXPECT_TRUE(Cloud::named_error(piece.error()));
      continue;  // asked again, it must not go on
    }
    EXPECT_FALSE(failed) << "went on after an error";
    EXPECT_FALSE(piece->empty()) << "a short body ended as if it were whole";
    got += as_text(*piece);
  }
  EXPECT_TRUE(failed);
  EXPECT_EQ(got, cloud.model["two"].substr(0, got.size()));
  EXPECT_LE(got.size(), 3u * extent::kSegmentPlain);
  // A range that ends before the lie is served; one that touches it is not.
  Result<std::string> before = co_await cloud.get("two", store::Store::Range{0, 190'000});
  EXPECT_TRUE(before && *before == cloud.model["two"].substr(0, 190'001));
  Result<std::string> suffix =
      co_await cloud.get("two", store::Store::Range{std::nullopt, 3u * extent::kSegmentPlain});
  EXPECT_FALSE(suffix);
  co_return true;
}
TEST(Attack, Row06NoByteLeavesBeforeItsTagHolds) {
  Cloud().run(no_byte_too_early);
}

io::Task<bool> inject(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  // Our own blobs under other names, and noise.
  for (size_t i = 0; i < cloud.islands.size(); ++i) {
    Blobs& blobs = cloud.islands[i]->blobs();
    Blobs ours = blobs;
    uint64_t number = 0;
    for (const auto& [name, bytes] : ours) {
      blobs[hex(as_bytes(pattern(20, ++number + 100 * i)))] = bytes;
      blobs[hex(as_bytes(pattern(20, ++number + 100 * i)))] = pattern(bytes.size(), number);
    }
  }
  co_await expect_refused(cloud, "planted blobs", false);
  Result<void> restarted = co_await cloud.restart(true);
  CO_ASSERT(restarted.has_value());
  co_await expect_refused(cloud, "planted blobs, after a start from the journal", false);
  co_return true;
}
TEST(Attack, Row11InjectedBlobsAreNothing) {
  Cloud().run(inject);
}

io::Task<bool> doctored(Cloud& cloud) {
  Large large;
  bool made = co_await two_large(cloud, large);
  CO_ASSERT(made);
  // One data shard is gone and two others, data or parity, are doctored in every cell: each rebuild would take a wrong one.
  for (size_t gone = 0; gone < 3; ++gone) {
    for (size_t a = 0; a < kIslands; ++a) {
      for (size_t b = a + 1; b < kIslands; ++b) {
        if (a == gone || b == gone) continue;
        Cloud::Stored before = cloud.save();
        cloud.islands[gone]->blobs().erase(large.shards[0][gone]);
        std::vector<uint64_t> blamed;
        for (int i = 0; i < kIslands; ++i) blamed.push_back(cloud.blamed(i));
        for (size_t liar : {a, b}) {
          std::string& bytes = cloud.islands[liar]->blobs().at(large.shards[0][liar]);
          for (size_t cell = 0; cell < kStripes; ++cell) bytes[kHeader + cell * kCell + 17] ^= 4;
        }
        Result<std::string> got = co_await cloud.get("x");
        EXPECT_TRUE(got && *got == cloud.model["x"]) << gone << " gone, " << a << " and " << b << " doctored";
        co_await cloud.settle();
        for (int i = 0; i < kIslands; ++i) {
          bool liar = static_cast<size_t>(i) == a || static_cast<size_t>(i) == b;
          EXPECT_TRUE(liar || cloud.blamed(i) == blamed[static_cast<size_t>(i)])
              << "island " << i << " is innocent";
        }
        cloud.restore_islands(before);
      }
    }
  }
  co_return true;
}
TEST(Attack, Row13ADoctoredShardNeverEntersADecode) {
  Cloud().run(doctored);
}

io::Task<bool> write_once(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  for (int i = 0; i < 3; ++i) {
    Result<void> done = co_await cloud.put("small/a", pattern(500, static_cast<uint64_t>(i)));
    CO_ASSERT(done.has_value());
    Result<void> restarted = co_await cloud.restart(i == 1);
    CO_ASSERT(restarted.has_value());
  }
  for (const auto& island : cloud.islands) {
    std::set<island::BlobName> mutable_names{extent::head_slot_name(*cloud.keys, island->id(), 0),
                                             extent::head_slot_name(*cloud.keys, island->id(), 1),
                                             extent::lease_name(*cloud.keys, island->id())};
    for (const SpyIsland::Seen& seen : island->seen)
      EXPECT_TRUE(seen.what != "overwrite" || mutable_names.contains(seen.name))
          << "in-place update of " << seen.name;
  }
  co_return true;
}
TEST(Attack, Row17NothingButSlotsIsEverUpdatedInPlace) {
  Cloud().run(write_once);
}

io::Task<bool> ransom(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  const Cloud::Stored before = cloud.save();
  // Whoever has the credentials of n-k islands encrypts, or deletes, all that lies there.
  for (uint32_t mask = 0; mask < 64; ++mask) {
    if (std::popcount(mask) != kIslands - kNeeded) continue;
    for (bool encrypt : {true, false}) {
      for (size_t i = 0; i < cloud.islands.size(); ++i) {
        if ((mask >> i & 1) == 0) continue;
        Blobs& blobs = cloud.islands[i]->blobs();
        if (!encrypt) blobs.clear();
        for (auto& [name, bytes] : blobs) bytes = pattern(bytes.size(), bytes.size());
      }
      co_await expect_refused(cloud, "ransom", false);
      cloud.restore_islands(before);
    }
  }
  co_return true;
}
TEST(Attack, Row19StolenCredentialsOfThreeIslandsTakeNothing) {
  Cloud().run(ransom);
}

// Repair is fed by islands too: whatever three of them hold, what is rebuilt is right, and is all that is needed when the other three go.
io::Task<bool> repair_under_attack(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  io::Dice dice(61);
  for (int round = 0; round < 8; ++round) {
    uint32_t mask = 0;
    while (std::popcount(mask) < kIslands - kNeeded) mask |= 1u << dice.pick(kIslands);
    for (size_t i = 0; i < cloud.islands.size(); ++i) {
      if ((mask >> i & 1) == 0) continue;
      for (auto& [name, bytes] : cloud.islands[i]->blobs()) {
        if (bytes.empty() || dice.chance(1, 5)) continue;
        const size_t at = dice.pick(bytes.size());
        if (dice.chance(1, 2))
          bytes[at] = static_cast<char>(bytes[at] ^ 8);
        else
          bytes.resize(at);
      }
      if (dice.chance(1, 3)) {
        Blobs& blobs = cloud.islands[i]->blobs();
        blobs.erase(blobs.begin());
      }
    }
    Result<store::ScrubReport> report = co_await cloud.scrub(true);
    CO_ASSERT(report.has_value());
    EXPECT_TRUE(report->whole()) << report->failures.size() << ": "
                                 << (report->failures.empty() ? "" : report->failures[0]);
    for (size_t i = 0; i < cloud.islands.size(); ++i) {
      const bool touched = (mask >> i & 1) != 0;
      EXPECT_EQ(report->islands[i].wrong + report->islands[i].missing > 0, touched) << "island " << i;
    }
    // Those that helped are gone now.
    for (size_t i = 0; i < cloud.islands.size(); ++i)
      if ((mask >> i & 1) == 0) cloud.islands[i]->down();
    co_await expect_refused(cloud, "what was repaired, alone", false);
    for (auto& island : cloud.islands) island->up();
    if (testing::Test::HasFailure()) co_return false;
    // Until nobody is taken for dead any more.
    uint64_t unreachable = 1;
    for (int wait = 0; wait < 20 && unreachable > 0; ++wait) {
      co_await io::sleep_until(cloud.loop.now() + std::chrono::seconds(6));
      report = co_await cloud.scrub(false);
      CO_ASSERT(report.has_value());
      unreachable = 0;
      for (const auto& island : report->islands) unreachable += island.unreachable;
    }
    CO_ASSERT(unreachable == 0);
  }
  Result<void> restarted = co_await cloud.restart(true);
  CO_ASSERT(restarted.has_value());
  co_await expect_refused(cloud, "after a start from repaired islands", false);
  co_return true;
}
TEST(Attack, RepairIsNeverMisledAndMakesGoodWhatThreeIslandsSpoiled) {
  Cloud().run(repair_under_attack);
}

}  // namespace
}  // namespace archipel::adversary
