// Buckets are placed by name, when they are made and later; and the store tells what lies where.
#include "store/inventory.h"

#include "store/store_fixture.h"

namespace archipel::store {
namespace {

using In = PlacedAs::In;

constexpr size_t kSmall = 5'000, kLarge = 300'000;
const PlacementChoice kFew{"few", {4, 2}, {5, 0, 3, 2}, false};
const PlacedAs kInCommits{In::commits, 6, 3, {0, 1, 2, 3, 4, 5}};
const PlacedAs kInSix{In::extents, 6, 3, {0, 1, 2, 3, 4, 5}};
const PlacedAs kInFew{In::extents, 4, 2, {5, 0, 3, 2}};

void with_few(io::Task<void> (*scenario)(StoreRig&)) {
  struct Runner {
    static io::Task<void> run(io::Task<void> (*body)(StoreRig&)) {
      StoreRig rig;
      rig.choices = {kFew};
      const bool started = co_await rig.start();
      if (started) co_await body(rig);
      for (auto& island : rig.islands) island->up();
      co_await rig.stop();
    }
  };
  io::run_blocking([&] { return Runner::run(scenario); });
}

CreateBucket asking(std::string name, std::string policy, std::string data_class) {
  return {std::move(name), kAlice, false, {}, std::move(policy), std::move(data_class)};
}

io::Task<StoreInventory> kept(StoreRig* rig) {
  Result<StoreInventory> inventory = co_await rig->store->inventory();
  EXPECT_TRUE(inventory.has_value()) << inventory.error().message;
  co_return inventory ? std::move(*inventory) : StoreInventory();
}

const StoreInventory::Bucket& bucket_of(const StoreInventory& inventory, const std::string& name) {
  static const StoreInventory::Bucket kNone;
  for (const StoreInventory::Bucket& bucket : inventory.buckets)
    if (bucket.name == name) return bucket;
  ADD_FAILURE() << "there is no bucket " << name;
  return kNone;
}

TEST(BucketPlacement, NamesNobodyKnowsAreRefusedWithThoseThereAre) {
  with_few([](StoreRig& rig) -> io::Task<void> {
    Result<void> made = co_await rig.store->create_bucket(asking("one", "gone", ""));
    CO_ASSERT_TRUE(!made.has_value());
    EXPECT_EQ(made.error().detail, "PlacementRefused");
    EXPECT_NE(made.error().message.find("\"gone\""), std::string::npos) << made.error().message;
    EXPECT_NE(made.error().message.find("default, few"), std::string::npos) << made.error().message;
    made = co_await rig.store->create_bucket(asking("one", "", "odd"));
    CO_ASSERT_TRUE(!made.has_value());
    EXPECT_NE(made.error().message.find("intellectual-property, own, personal, public"), std::string::npos)
        << made.error().message;
    made = co_await rig.store->create_bucket(asking("one", "few or many", ""));
    EXPECT_EQ(code_of(made), "InvalidRequest");
    Result<BucketInfo> found = co_await rig.store->head_bucket("one");
    EXPECT_EQ(code_of(found), "NoSuchBucket");

    made = co_await rig.store->create_bucket(asking("one", "few", "own"));
    EXPECT_EQ(code_of(made), "ok");
    Result<BucketInfo> placed = co_await rig.store->place_bucket("one", {"gone", ""});
    EXPECT_EQ(code_of(placed), "PlacementRefused");
    placed = co_await rig.store->place_bucket("two", {"few", ""});
    EXPECT_EQ(code_of(placed), "NoSuchBucket");
    const StoreInventory inventory = co_await kept(&rig);
    EXPECT_EQ(bucket_of(inventory, "one").placement, (BucketPlacement{"few", "own"}));
  });
}

TEST(BucketPlacement, ChangesWhereBodiesGoFromThenOn) {
  with_few([](StoreRig& rig) -> io::Task<void> {
    Result<void> made = co_await rig.store->create_bucket("bucket", kAlice);
    CO_ASSERT_TRUE(made.has_value());
    auto put = co_await rig.put("bucket", "before", pattern(kLarge, 1));
    CO_ASSERT_TRUE(put.has_value());
    Result<BucketInfo> placed = co_await rig.store->place_bucket("bucket", {"few", "public"});
    CO_ASSERT_TRUE(placed.has_value() && placed->configs);
    EXPECT_TRUE(placed->configs->contains("placement"));
    put = co_await rig.put("bucket", "after", pattern(kLarge, 2));
    put = co_await rig.put("bucket", "small", pattern(kSmall, 3));
    StoreInventory inventory = co_await kept(&rig);
    EXPECT_EQ(bucket_of(inventory, "bucket").tallies,
              (Tallies{{kInSix, {1, kLarge}}, {kInFew, {2, kLarge + kSmall}}}));
    // Back to what it was: the document is gone, not empty.
    placed = co_await rig.store->place_bucket("bucket", {});
    CO_ASSERT_TRUE(placed.has_value());
    EXPECT_TRUE(!placed->configs || !placed->configs->contains("placement"));
    put = co_await rig.put("bucket", "small", pattern(kSmall, 3));
    inventory = co_await kept(&rig);
    EXPECT_EQ(bucket_of(inventory, "bucket").tallies,
              (Tallies{{kInCommits, {1, kSmall}}, {kInSix, {1, kLarge}}, {kInFew, {1, kLarge}}}));
  });
}

TEST(Inventory, IsTheSameFromTheJournalAlone) {
  with_few([](StoreRig& rig) -> io::Task<void> {
    Result<void> made = co_await rig.store->create_bucket(asking("few", "few", "personal"));
    made = co_await rig.store->create_bucket("six", kAlice);
    for (std::string bucket : {"few", "six"})
      for (size_t size : {kSmall, kLarge}) {
        auto put = co_await rig.put(bucket, std::to_string(size), pattern(size, size));
        CO_ASSERT_TRUE(put.has_value());
      }
    const StoreInventory before = co_await kept(&rig);
    CO_ASSERT_TRUE(co_await rig.restart(true));
    const StoreInventory after = co_await kept(&rig);
    CO_ASSERT_TRUE(before.buckets.size() == 2 && after.buckets.size() == 2);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(after.buckets[i].name, before.buckets[i].name);
      EXPECT_EQ(after.buckets[i].placement, before.buckets[i].placement);
      EXPECT_EQ(after.buckets[i].tallies, before.buckets[i].tallies);
    }
    CO_ASSERT_TRUE(after.placings.contains(kInFew) && after.placings.contains(kInSix));
    EXPECT_EQ(after.placings.at(kInFew).extents.extents, before.placings.at(kInFew).extents.extents);
    // Twice what clients stored, and what frames it.
    EXPECT_GT(after.placings.at(kInFew).extents.stored_bytes, 2 * (kSmall + kLarge));
    EXPECT_LT(after.placings.at(kInFew).extents.stored_bytes, 3 * (kSmall + kLarge));
    EXPECT_EQ(after.placings.at(kInFew).confirmed, 0b1111u);
  });
}

TEST(Inventory, ConfirmsNoShardThatIsOwed) {
  with_few([](StoreRig& rig) -> io::Task<void> {
    Result<void> made = co_await rig.store->create_bucket(asking("few", "few", ""));
    made = co_await rig.store->create_bucket("six", kAlice);
    auto put = co_await rig.put("six", "whole", pattern(kLarge, 1));
    CO_ASSERT_TRUE(put.has_value());
    rig.islands[3]->down();  // shard 2 of the few
    put = co_await rig.put("few", "owed", pattern(kLarge, 2));
    CO_ASSERT_TRUE(put.has_value());
    const StoreInventory inventory = co_await kept(&rig);
    CO_ASSERT_TRUE(inventory.placings.contains(kInFew));
    EXPECT_EQ(inventory.placings.at(kInFew).confirmed, 0b1011u);
    EXPECT_EQ(inventory.placings.at(kInSix).confirmed, 0b111111u);
  });
}

TEST(Inventory, ConfirmsNothingOnAnIslandThatIsLostOrCameBackEmpty) {
  for (const bool rejoins : {true, false}) {
    static bool rejoin;
    rejoin = rejoins;
    with_few([](StoreRig& rig) -> io::Task<void> {
      rig.journal_options.rejoin_wiped = rejoin;
      Result<void> made = co_await rig.store->create_bucket(asking("few", "few", ""));
      made = co_await rig.store->create_bucket("six", kAlice);
      for (std::string bucket : {"few", "six"}) {
        auto put = co_await rig.put(bucket, "large", pattern(kLarge, 1));
        put = co_await rig.put(bucket, "small", pattern(kSmall, 2));
        CO_ASSERT_TRUE(put.has_value());
      }
      rig.islands[3]->wipe();  // shard 2 of the few
      CO_ASSERT_TRUE(co_await rig.restart(false));
      const StoreInventory inventory = co_await kept(&rig);
      EXPECT_EQ(inventory.empty, 0b1000u);
      CO_ASSERT_TRUE(inventory.placings.size() == 3);
      EXPECT_EQ(inventory.placings.at(kInFew).confirmed, 0b1011u);
      EXPECT_EQ(inventory.placings.at(kInSix).confirmed, 0b110111u);
      EXPECT_EQ(inventory.placings.at(kInCommits).confirmed, 0b110111u);
    });
  }
}

}  // namespace
}  // namespace archipel::store
