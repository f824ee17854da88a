#include "app/placements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "island/mem_island.h"

namespace archipel::app {
namespace {

using store::PlacedAs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Island {
  const char *id, *place, *parent;
};
constexpr Island kIslands[] = {{"paris", "FR", "FR"},  {"dublin", "IE", "US"}, {"helsinki", "FI", "FI"},
                               {"vienna", "AT", "AT"}, {"tokyo", "JP", "JP"},  {"zurich", "CH", "CH"}};

// Six islands of six companies and whatever `more` says, as a file of this test.
Config config_with(const std::string& more) {
  const auto dir =
      std::filesystem::path(::testing::TempDir()) /
      (std::string("placements_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
  std::filesystem::create_directories(dir);
  Config config;
  config.file = (dir / "archipel.toml").string();
  config.code = {6, 3};
  std::ofstream out(config.file);
  for (const Island& one : kIslands) {
    config.islands.push_back(
        {one.id, "", std::string("company ") + one.id, one.place, one.place, one.parent});
    out << "[[island]]\nid = \"" << one.id << "\"\nprovider = \"company " << one.id << "\"\nplace = \""
        << one.place << "\"\noperator = \"" << one.place << "\"\nparent = \"" << one.parent << "\"\n";
  }
  out << "[[gateway]]\nid = \"home\"\nplace = \"FR\"\noperator = \"FR\"\nparent = \"FR\"\n" << more;
  return config;
}

std::shared_ptr<const extent::Placement> roster() {
  auto out = std::make_shared<extent::Placement>();
  for (const Island& one : kIslands) out->islands.push_back(std::make_shared<island::MemIsland>(one.id));
  return out;
}

Result<SolvedPolicies> solved(const Config& config) {
  auto file = exposure::load_config_facts(config.file);
  if (!file) return fail(std::move(file).error());
  auto out = solve_policies(std::move(*file), config, ids_of(*roster()));
  return out;
}

const std::string kPolicies =
    "[policy.eu]\nallow = [\"EU\"]\ncode = [4, 2]\n"
    "[policy.pinned]\ncode = [4, 2]\nislands = [\"zurich\", \"tokyo\", \"paris\", \"vienna\"]\n"
    "[policy.anywhere]\ncode = [4, 2]\n"
    "[class.personal]\npolicy = \"eu\"\n[class.recipes]\npolicy = \"pinned\"\n";

TEST(SolvedPolicies, SayWhereBodiesGo) {
  const Config config = config_with(kPolicies);
  auto policies = solved(config);
  ASSERT_TRUE(policies.has_value()) << policies.error().message;
  auto placements = make_placements(*policies, config, roster(), {});
  ASSERT_TRUE(placements.has_value()) << placements.error().message;
  EXPECT_THAT((*placements)->policies(), ElementsAre("anywhere", "default", "eu", "pinned"));
  auto islands = [&](const store::BucketPlacement& asked) {
    auto placed = (*placements)->resolve(asked);
    return placed ? ids_of(*(*placed)->islands) : std::vector{placed.error().message};
  };
  EXPECT_THAT(islands({"", "personal"}),
              ::testing::UnorderedElementsAre("paris", "dublin", "helsinki", "vienna"));
  EXPECT_THAT(islands({"", "recipes"}), ElementsAre("zurich", "tokyo", "paris", "vienna"));
  EXPECT_EQ(islands({"", "public"}).size(), 6u);
  // Commits lie on all islands, whatever code a policy has.
  EXPECT_FALSE((*(*placements)->find("eu"))->in_commits);
  EXPECT_FALSE((*(*placements)->find("pinned"))->in_commits);
  EXPECT_TRUE((*(*placements)->find("anywhere"))->in_commits);
  EXPECT_TRUE((*placements)->standard().in_commits);
}

TEST(SolvedPolicies, ThatCannotHoldAreNamedWithTheirLine) {
  auto refused = solved(config_with("[policy.alps]\nallow = [\"AT\", \"CH\"]\n"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::precondition);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("archipel.toml:"), HasSubstr("alps"), HasSubstr("[\"AT\", \"CH\"]"),
                    HasSubstr("2 more islands whose place")));
  refused = solved(config_with("[policy.tight]\nmetadata_deny = [\"JP\"]\n"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("tight"), HasSubstr("tokyo")));
}

TEST(SolvedPolicies, NeedTheIslandsOfTheGatewayThatRuns) {
  const Config config = config_with(kPolicies);
  auto file = exposure::load_config_facts(config.file);
  ASSERT_TRUE(file.has_value());
  std::vector<std::string> running = ids_of(*roster());
  running[0] = "lyon";
  auto refused = solve_policies(std::move(*file), config, running);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("archipel.toml:"));
}

constexpr PlacedAs kCommits{PlacedAs::In::commits, 6, 3, {0, 1, 2, 3, 4, 5}};
constexpr PlacedAs kAll{PlacedAs::In::extents, 6, 3, {0, 1, 2, 3, 4, 5}};
constexpr PlacedAs kEu{PlacedAs::In::extents, 4, 2, {0, 1, 2, 3}};

// Two buckets of the class personal, of which the older holds what it got before; and one that follows "anywhere".
store::StoreInventory some_inventory() {
  store::StoreInventory kept;
  kept.buckets = {{"fresh", {"", "personal"}, {}},
                  {"free", {"anywhere", ""}, {{kCommits, {2, 600}}}},
                  {"old", {"", "personal"}, {{kCommits, {1, 300}}, {kAll, {3, 3000}}, {kEu, {1, 1000}}}}};
  kept.placings[kCommits] = {{10, 9'000}, 0b111111};
  kept.placings[kAll] = {{3, 6'600}, 0b011111};
  kept.placings[kEu] = {{1, 2'100}, 0b1111};
  kept.empty = 0b100000;
  return kept;
}

TEST(InventoryOf, CountsEveryBucketByWhereItLies) {
  const Config config = config_with(kPolicies);
  auto policies = solved(config);
  ASSERT_TRUE(policies.has_value());
  auto placements = make_placements(*policies, config, roster(), {});
  ASSERT_TRUE(placements.has_value());
  const exposure::Inventory inventory = inventory_of(some_inventory(), **placements);
  EXPECT_EQ(inventory.journal, ids_of(*roster()));
  ASSERT_EQ(inventory.holdings.size(), 6u);
  const exposure::Holding& fresh = inventory.holdings[0];
  EXPECT_EQ(fresh.bucket, "fresh");
  EXPECT_EQ(fresh.policy, "eu");
  EXPECT_EQ(fresh.data_class, "personal");
  EXPECT_EQ(fresh.objects, 0u);
  EXPECT_EQ(fresh.islands.size(), 4u);
  const exposure::Holding& extents = inventory.holdings[4];
  EXPECT_EQ(extents.bucket, "old");
  EXPECT_EQ(extents.confirmed & 0b111111u, 0b011111u);
  EXPECT_EQ(extents.stored_bytes, 6'600u);
  // The journal's records are whole everywhere; small bodies in commits are counted with their buckets.
  const exposure::Holding& journal = inventory.holdings.back();
  EXPECT_EQ(journal.bucket, "");
  EXPECT_EQ(journal.code, (exposure::Code{6, 1}));
  EXPECT_EQ(journal.confirmed & 0b111111u, 0b011111u);
  EXPECT_EQ(journal.stored_bytes, 9'000u - 1'800u);
}

TEST(MovesOf, AreThoseThatThePolicyAsksFor) {
  const Config config = config_with(kPolicies);
  auto policies = solved(config);
  ASSERT_TRUE(policies.has_value());
  auto placements = make_placements(*policies, config, roster(), {});
  ASSERT_TRUE(placements.has_value());
  const exposure::Inventory inventory = inventory_of(some_inventory(), **placements);
  auto moves = moves_of(*policies, inventory);
  ASSERT_TRUE(moves.has_value()) << moves.error().message;
  // Not what "free" has in commits, where its policy lets it ride; not what lies in the EU already.
  ASSERT_EQ(moves->size(), 1u);
  for (const exposure::Move& move : *moves) {
    EXPECT_EQ(move.from.bucket, "old");
    EXPECT_EQ(move.from.code, (exposure::Code{6, 3}));
    EXPECT_EQ(move.from.objects, 4u);
    EXPECT_EQ(move.from.bytes, 3'300u);
    EXPECT_THAT(move.to.islands, ::testing::UnorderedElementsAre("paris", "dublin", "helsinki", "vienna"));
    EXPECT_FALSE(move.reasons.empty());
  }
}

TEST(Placements, AreAllIslandsWhereTheConfigSaysNothing) {
  Config config = config_with("");
  auto policies = solved(config);
  ASSERT_TRUE(policies.has_value()) << policies.error().message;
  EXPECT_TRUE(policies->choices.empty());
  ASSERT_EQ(policies->solutions.size(), 1u);
  EXPECT_EQ(policies->solutions[0].placing.policy, "default");
  EXPECT_EQ(policies->solutions[0].placing.islands, ids_of(*roster()));
  EXPECT_EQ(policy_of({"", "personal"}, **make_placements(*policies, config, roster(), {})), "default");
}

}  // namespace
}  // namespace archipel::app
