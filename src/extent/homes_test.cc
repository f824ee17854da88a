#include "extent/homes.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace archipel::extent {
namespace {

TEST(Homes, StandardMeansShardIOnIslandI) {
  const Homes standard;
  EXPECT_TRUE(standard.standard());
  for (int i = 0; i < kRosterMax; ++i) EXPECT_EQ(standard[i], i);
  EXPECT_EQ(standard.mask(6), 0b111111u);
  EXPECT_EQ(standard.shard_on(4, 6), 4);
  EXPECT_EQ(standard.shard_on(6, 6), -1);
}

TEST(Homes, MapShardsToIslandsAndBack) {
  const std::array<uint8_t, 4> places{5, 0, 3, 2};
  const std::optional<Homes> homes = Homes::of(places);
  ASSERT_TRUE(homes);
  EXPECT_FALSE(homes->standard());
  EXPECT_EQ(homes->mask(4), 0b101101u);
  for (int shard = 0; shard < 4; ++shard) {
    EXPECT_EQ((*homes)[shard], places[static_cast<size_t>(shard)]);
    EXPECT_EQ(homes->shard_on((*homes)[shard], 4), shard);
  }
  EXPECT_EQ(homes->shard_on(1, 4), -1);
  EXPECT_EQ(homes->shard_on(4, 4), -1);  // what would be shard 4 is none of this extent
  EXPECT_EQ(homes->islands_of(0b0011u), 0b100001u);
  EXPECT_EQ(homes->shards_of(0b100001u, 4), 0b0011u);
  EXPECT_EQ(homes->shards_of(0b010010u, 4), 0u);
}

// So that what lies where it always lay has one way to be written down.
TEST(Homes, FirstIslandsInOrderAreStandard) {
  const std::array<uint8_t, 4> places{0, 1, 2, 3};
  EXPECT_TRUE(Homes::of(places)->standard());
  EXPECT_EQ(Homes::of(places)->mask(4), 0b1111u);
  EXPECT_EQ(Homes::of(places)->shards_of(~0u, 4), 0b1111u);
}

TEST(Homes, RefuseWhatIsNoList) {
  const std::array<uint8_t, 2> twice{3, 3}, outside{0, 16};
  EXPECT_FALSE(Homes::of(twice));
  EXPECT_FALSE(Homes::of(outside));
  std::vector<uint8_t> many(17, 0);
  EXPECT_FALSE(Homes::of(many));
}

}  // namespace
}  // namespace archipel::extent
