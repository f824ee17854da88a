#include "exposure/ban.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "exposure/solver_fixture.h"

namespace archipel::exposure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace testing;

constexpr uint64_t kTera = 1'000'000'000'000;

Holding holding(std::string bucket, std::string policy, Code code, std::vector<std::string> islands) {
  Holding out;
  out.bucket = std::move(bucket);
  out.policy = std::move(policy);
  out.code = code;
  out.islands = std::move(islands);
  out.objects = 10;
  out.bytes = 3 * kTera;
  out.stored_bytes = out.bytes * static_cast<uint64_t>(code.n) / static_cast<uint64_t>(code.k);
  return out;
}

BanReport banned(const Facts& facts, const Inventory& inventory, const std::string& target,
                 std::span<const Policy> policies = {}) {
  const auto report = ban(facts, inventory, policies, kCodes, world(), {.target = target});
  EXPECT_TRUE(report.has_value()) << (report ? "" : report.error().message);
  return report ? *report : BanReport{};
}

// The example of the inquiry: 300 TB of clients' data by [5, 3] on A to E; A costs 0.09 dollars a GB, and D and C are the cheapest of the rest.
TEST(Ban, ReckonsTheWorkedExample) {
  Facts facts = split_example();
  const char* providers[] = {"aws", "azure", "google", "cloudflare", "nobody-knows"};
  for (size_t i = 0; i < 5; ++i) facts.islands[i].provider = providers[i];
  ASSERT_DOUBLE_EQ(world().price("aws")->egress_gb, 0.09);
  Holding all = holding("data", "split", {5, 3}, {"a", "b", "c", "d", "e"});
  all.objects = 1'000'000;
  all.bytes = 300 * kTera;
  all.stored_bytes = 500 * kTera;
  const auto report = banned(facts, {{all}, {}}, "a");
  EXPECT_THAT(report.islands, ElementsAre("a"));
  EXPECT_EQ(report.unavailable_objects, 0u);
  EXPECT_EQ(report.degraded_objects, 1'000'000u);
  EXPECT_EQ(report.degraded_bytes, 300 * kTera);
  ASSERT_EQ(report.holdings.size(), 1u);
  EXPECT_EQ(report.holdings[0].left, 4);
  EXPECT_EQ(report.holdings[0].tolerance, 1);
  EXPECT_TRUE(report.holdings[0].writable);

  EXPECT_EQ(report.copy_out.bytes, 100 * kTera);
  EXPECT_NEAR(report.copy_out.seconds[0] / 86400, 9.3, 0.05);
  EXPECT_NEAR(report.copy_out.seconds[1] / 3600, 22, 0.5);
  ASSERT_TRUE(report.copy_out.cost);
  EXPECT_NEAR(*report.copy_out.cost, 9000, 0.01);

  EXPECT_EQ(report.rebuild_around.bytes, 300 * kTera);
  EXPECT_NEAR(report.rebuild_around.seconds[0] / 86400, 27.8, 0.05);
  EXPECT_NEAR(report.rebuild_around.seconds[1] / 86400, 2.8, 0.05);
  const double cheapest_three = world().price("azure")->egress_gb + world().price("google")->egress_gb;
  ASSERT_TRUE(report.rebuild_around.cost) << "the one without a price is not needed";
  EXPECT_NEAR(*report.rebuild_around.cost, 100'000 * cheapest_three, 0.01);
}

TEST(Ban, NamesWhoseEgressHasNoPrice) {
  const auto report =
      banned(demo_facts(), {{holding("b", "default", {6, 3}, ids_of(demo_facts()))}, {}}, "exoscale-zurich");
  if (world().price("exoscale") == nullptr || world().price("exoscale")->egress_gb < 0) {
    EXPECT_FALSE(report.copy_out.cost);
    EXPECT_THAT(report.copy_out.unpriced, ElementsAre("exoscale-zurich"));
  }
  Facts own = demo_facts();
  own.islands[0].provider = "";
  const auto unknown = banned(own, {{holding("b", "default", {6, 3}, ids_of(own))}, {}}, "alibaba-frankfurt");
  EXPECT_FALSE(unknown.copy_out.cost);
  EXPECT_THAT(unknown.copy_out.unpriced, ElementsAre("alibaba-frankfurt"));
}

TEST(Ban, NeedsNoPriceOfWhatSendsNothing) {
  Facts facts = demo_facts();
  for (Party& island : facts.islands) island.provider = "";
  Holding empty = holding("b", "default", {6, 3}, ids_of(facts));
  empty.objects = empty.bytes = empty.stored_bytes = 0;
  const auto report = banned(facts, {{empty}, {}}, "aws-ireland");
  EXPECT_EQ(report.copy_out.cost, 0);
  EXPECT_EQ(report.rebuild_around.cost, 0);
  EXPECT_THAT(report.rebuild_around.unpriced, IsEmpty());
}

TEST(Ban, TakesWhatAStateReachesByGroundOperatorOrParent) {
  Facts facts = demo_facts();
  facts.islands[4].edges.push_back(
      {"US", Cap::cut, Basis::sanctions, Level::declared, "a test", "2026-11-22", ""});
  facts.keyholders = {party("owner", "", {"FR"}), party("lu", "", {"LU"}), party("ch", "", {"CH"})};
  facts.keys_threshold = 2;
  EXPECT_THAT(banned(facts, {}, "US").islands, ElementsAre("aws-ireland"));
  EXPECT_THAT(banned(facts, {}, "DE").islands, ElementsAre("alibaba-frankfurt", "hetzner-helsinki"));
  const auto europe = banned(facts, {}, "EU");
  EXPECT_THAT(europe.islands, ElementsAre("alibaba-frankfurt", "aws-ireland", "ovh-gravelines",
                                          "hetzner-helsinki", "exoscale-zurich"));
  EXPECT_THAT(europe.gateways, ElementsAre("home"));
  EXPECT_THAT(europe.keyholders, ElementsAre("owner", "lu"));
  EXPECT_TRUE(europe.keys_lost);
  EXPECT_TRUE(europe.gateways_lost);
  EXPECT_THAT(europe.advice,
              ElementsAre(HasSubstr("2 of 3 must open"), HasSubstr("every gateway goes with EU (home)")));
  EXPECT_FALSE(banned(facts, {}, "CH").keys_lost);
}

TEST(Ban, FindsAProviderByIdOrName) {
  EXPECT_THAT(banned(demo_facts(), {}, "aws").islands, ElementsAre("aws-ireland"));
  EXPECT_THAT(banned(demo_facts(), {}, "Amazon Web Services").islands, ElementsAre("aws-ireland"));
}

TEST(Ban, SaysWhatKindOfThingIsGone) {
  for (const auto& [target, kind] :
       {std::pair("aws-ireland", "island"), {"aws", "provider"}, {"DE", "state"}, {"EU", "bloc"}}) {
    EXPECT_EQ(banned(demo_facts(), {}, target).kind, kind);
  }
}

TEST(Ban, AdvisesOnWhatIsLostFirstAndSaysWhereItStopped) {
  const Facts facts = demo_facts();
  std::vector<Policy> policies;
  policies.reserve(kAdvisedMax + 2);
  for (size_t i = 0; i < kAdvisedMax + 2; ++i) policies.push_back(policy_named("p" + std::to_string(i)));
  const std::string last = policies.back().name;
  const auto report =
      banned(facts, {{holding("b", last, {2, 1}, {"aws-ireland", "ovh-gravelines"})}, {}}, "EU", policies);
  EXPECT_THAT(report.advice,
              ::testing::Contains(HasSubstr("policy \"" + last + "\": EU takes 2 of 2 shards")));
  EXPECT_EQ(report.advice.back(), "2 more policies were not looked at");
}

TEST(Ban, AsksWhatIsMeantWhereANameIsTwoThings) {
  Facts facts = demo_facts();
  facts.islands[0].id = "aws";
  const auto both = ban(facts, {}, {}, kCodes, world(), {.target = "aws"});
  ASSERT_FALSE(both.has_value());
  EXPECT_EQ(both.error().code, archipel::Code::invalid);
  EXPECT_THAT(both.error().message, HasSubstr("island:aws or provider:aws"));
  EXPECT_THAT(banned(facts, {}, "island:aws").islands, ElementsAre("aws"));
  EXPECT_THAT(banned(facts, {}, "provider:aws").islands, ElementsAre("aws-ireland"));
  facts.islands[0].id = "a";
  facts.islands[1].id = "aws";
  EXPECT_THAT(banned(facts, {}, "aws").islands, ElementsAre("aws"))
      << "all that this provider has: no question";
  const auto nothing = ban(facts, {}, {}, kCodes, world(), {.target = "atlantis"});
  ASSERT_FALSE(nothing.has_value());
  EXPECT_EQ(nothing.error().code, archipel::Code::not_found);
}

TEST(Ban, CountsTheJournalAndPutsTheWorstFirst) {
  const Facts facts = demo_facts();
  const Inventory inventory{
      {holding("", "", {6, 3}, ids_of(facts)),
       holding("eu", "eu-only", {4, 2},
               {"alibaba-frankfurt", "aws-ireland", "ovh-gravelines", "hetzner-helsinki"}),
       holding("far", "far", {2, 1}, {"sakura-tokyo", "exoscale-zurich"})},
      ids_of(facts)};
  const auto report = banned(facts, inventory, "EU");
  ASSERT_EQ(report.holdings.size(), 3u);
  EXPECT_EQ(report.holdings[0].holding.bucket, "") << "the journal loses five of six";
  EXPECT_EQ(report.holdings[0].tolerance, -2);
  EXPECT_EQ(report.holdings[1].holding.bucket, "eu");
  EXPECT_FALSE(report.holdings[1].writable);
  EXPECT_EQ(report.holdings[2].tolerance, 0);
  EXPECT_EQ(report.unavailable_objects, 20u);
  EXPECT_EQ(report.degraded_objects, 10u);
  EXPECT_EQ(report.rebuild_around.bytes, 3 * kTera) << "only what has k shards left can be rebuilt";
}

TEST(Ban, StopsEveryWriteWhereTooLittleOfTheJournalIsLeft) {
  const Facts facts = demo_facts();
  Inventory inventory{{holding("far", "far", {2, 1}, {"sakura-tokyo", "exoscale-zurich"}),
                       holding("", "", {6, 1}, ids_of(facts))},
                      ids_of(facts)};
  inventory.journal_quorum = 4;
  const auto two = banned(facts, inventory, "DE");
  EXPECT_FALSE(two.read_only);
  EXPECT_TRUE(two.holdings[0].writable) << "four of six islands confirm a commit, whatever its records' code";
  const auto five = banned(facts, inventory, "EU");
  EXPECT_TRUE(five.read_only);
  for (const BanOfHolding& item : five.holdings) EXPECT_FALSE(item.writable);
}

TEST(Ban, CountsConfirmedShardsOnly) {
  const Facts facts = demo_facts();
  Holding owed = holding("owed", "default", {6, 3}, ids_of(facts));
  owed.confirmed = 0b001111;
  const auto report = banned(facts, {{owed}, {}}, "DE");
  ASSERT_EQ(report.holdings.size(), 1u);
  EXPECT_EQ(report.holdings[0].lost, 2);
  EXPECT_EQ(report.holdings[0].left, 2);
  EXPECT_TRUE(report.holdings[0].unavailable) << "of four confirmed, two are gone, and three are needed";
}

TEST(Ban, AdvisesAPlacementThatSurvives) {
  const Facts facts = demo_facts();
  Policy policy = policy_named("careless");
  policy.islands = {"alibaba-frankfurt", "hetzner-helsinki", "aws-ireland", "ovh-gravelines"};
  policy.code = Code{4, 2};
  const Policy policies[] = {policy};
  const Inventory inventory{{holding("b", "careless", {4, 2}, policy.islands)}, {}};
  const auto report = banned(facts, inventory, "EU", policies);
  EXPECT_EQ(report.unavailable_objects, 10u);
  ASSERT_EQ(report.advice.size(), 3u);
  EXPECT_THAT(report.advice[0], HasSubstr("every gateway goes with EU"));
  EXPECT_THAT(report.advice[1], AllOf(HasSubstr("EU takes 4 of 4 shards of bucket b"),
                                      HasSubstr("no placement survives it here"), HasSubstr("more island")));
  EXPECT_THAT(report.advice[2],
              AllOf(HasSubstr("policy \"careless\" does not hold without EU"), HasSubstr("3 more islands")));
  const auto germany = banned(facts, inventory, "DE", policies);
  EXPECT_THAT(germany.holdings[0].tolerance, 0);
  EXPECT_THAT(germany.advice, ElementsAre(AllOf(HasSubstr("holds without DE: code [4, 2] on"),
                                                Not(HasSubstr("hetzner")), Not(HasSubstr("alibaba")))));
}

TEST(Ban, SaysWhichAdversaryToNameSoThatItIsSurvived) {
  Facts facts = demo_facts();
  for (size_t i = 0; i < 3; ++i) facts.islands[i].edges = party("", "", {"DE", "DE", "DE"}).edges;
  Policy policy = policy_named("loose");
  policy.code = Code{4, 2};
  policy.cut_bound = Bound::off;
  const Policy policies[] = {policy};
  const Inventory inventory{
      {holding("b", "loose", {4, 2}, {"alibaba-frankfurt", "aws-ireland", "ovh-gravelines", "sakura-tokyo"})},
      {}};
  const auto report = banned(facts, inventory, "DE", policies);
  ASSERT_FALSE(report.advice.empty());
  EXPECT_THAT(report.advice[0], AllOf(HasSubstr("adversaries = [\"DE\"]"), HasSubstr("survives")));
}

TEST(Ban, SaysWhatAPlacingLosesWhereNothingIsCounted) {
  Facts facts = split_example();
  EXPECT_THAT(banned(facts, {}, "a").advice,
              ElementsAre("policy \"split\" loses 1 of 5 shards: what lies there stays readable, and bears "
                          "the loss of 1 more"));
  EXPECT_THAT(
      banned(facts, {}, "EU").advice,
      ElementsAre(HasSubstr(
          "loses 4 of 5 shards: what lies there becomes unavailable, for code [5, 3] bears the loss of 2")));
}

TEST(Ban, AdvisesOnAPolicyThatNobodyWrote) {
  const Facts facts = demo_facts();
  const auto report = banned(facts, {{holding("b", "default", {6, 3}, ids_of(facts))}, {}}, "US");
  EXPECT_THAT(report.advice, ElementsAre(HasSubstr("policy \"default\" holds without US: code ")));
}

RC_GTEST_PROP(Ban, TakesFromEachHoldingWhatLiesThere, ()) {
  const Posed posed = some_problem();
  Inventory inventory;
  for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
    const int n = *rc::gen::inRange(1, static_cast<int>(posed.facts.islands.size()) + 1);
    std::vector<std::string> islands = ids_of(posed.facts);
    islands.resize(static_cast<size_t>(n));
    inventory.holdings.push_back(
        holding("b" + std::to_string(i), "some", {n, *rc::gen::inRange(1, n + 1)}, islands));
    inventory.holdings.back().confirmed = *rc::gen::inRange<uint32_t>(0, 256);
  }
  const auto of = [&](const char* target) {
    return *ban(posed.facts, inventory, {}, kCodes, world(), {.target = target});
  };
  const BanReport france = of("FR"), europe = of("EU");
  RC_ASSERT(france.copy_out.bytes <= europe.copy_out.bytes);
  RC_ASSERT(france.unavailable_bytes <= europe.unavailable_bytes);
  double copied = 0, rebuilt = 0;
  size_t hit = 0;
  for (const Holding& one : inventory.holdings) {
    int lost = 0, left = 0;
    for (size_t i = 0; i < one.islands.size(); ++i) {
      if ((one.confirmed >> i & 1) == 0) continue;
      const auto island = std::ranges::find(posed.facts.islands, one.islands[i], &Party::id);
      const bool french =
          std::ranges::any_of(island->edges, [](const Edge& edge) { return edge.state == "FR"; });
      (french ? lost : left) += 1;
    }
    if (lost == 0) continue;
    ++hit;
    const double shard = static_cast<double>(one.stored_bytes) / one.code.n;
    copied += shard * lost;
    if (left >= one.code.k) rebuilt += shard * lost * one.code.k;
    const auto item = std::ranges::find(france.holdings, one.bucket,
                                        [](const BanOfHolding& x) { return x.holding.bucket; });
    RC_ASSERT(item != france.holdings.end());
    RC_ASSERT(item->lost == lost && item->left == left && item->unavailable == (left < one.code.k));
  }
  RC_ASSERT(france.holdings.size() == hit);
  RC_ASSERT(std::abs(static_cast<double>(france.copy_out.bytes) - copied) < 2);
  RC_ASSERT(std::abs(static_cast<double>(france.rebuild_around.bytes) - rebuilt) < 2);
}

Solution solution_of(const Facts& facts, const Policy& policy) {
  return *solve(facts, policy, kCodes, {}, world())->solution;
}

TEST(Moves, AreWhatAPolicyNoLongerAllows) {
  const Facts facts = demo_facts();
  Policy policy = policy_named("eu-only");
  policy.allow = {"EU"};
  const Policy policies[] = {policy};
  const Solution solutions[] = {solution_of(facts, policy)};
  const std::vector<std::string> there = {"ovh-gravelines", "hetzner-helsinki", "aws-ireland",
                                          "alibaba-frankfurt"};
  const std::vector<std::string> partly = {"ovh-gravelines", "hetzner-helsinki", "aws-ireland",
                                           "sakura-tokyo"};
  const Inventory inventory{
      {holding("there", "eu-only", {4, 2}, there), holding("wide", "eu-only", {6, 3}, ids_of(facts)),
       holding("partly", "eu-only", {4, 2}, partly), holding("", "", {6, 3}, ids_of(facts)),
       holding("other", "unknown", {6, 3}, ids_of(facts))},
      {}};
  const auto moves = plan_moves(facts, inventory, policies, solutions, world());
  ASSERT_TRUE(moves.has_value());
  ASSERT_EQ(moves->size(), 2u) << "the order of shards is no reason";
  EXPECT_EQ((*moves)[0].from.bucket, "wide");
  EXPECT_EQ((*moves)[0].bytes, 6 * kTera) << "another code: everything is written again, twice its size";
  EXPECT_THAT((*moves)[0].reasons, ElementsAre(AllOf(HasSubstr("sakura-tokyo (place JP)"),
                                                     HasSubstr("exoscale-zurich (place CH)"))));
  EXPECT_EQ((*moves)[1].from.bucket, "partly");
  EXPECT_EQ((*moves)[1].bytes, 3 * kTera / 2) << "one shard of four moves";
  EXPECT_THAT((*moves)[1].to.islands,
              ElementsAre("alibaba-frankfurt", "aws-ireland", "ovh-gravelines", "hetzner-helsinki"));
}

TEST(Moves, SayTheirCostWhereThePricesAreKnown) {
  Facts facts;
  for (const char* provider : {"aws", "azure", "google"})
    facts.islands.push_back(party(provider, provider, {"US"}));
  Policy policy = policy_named("pinned");
  policy.islands = {"azure", "google"};
  const Policy policies[] = {policy};
  const Solution solutions[] = {
      {.placing = {"pinned", {2, 1}, policy.islands, ""}, .rho = 1, .delta = 1, .cost = {}, .warnings = {}}};
  const Inventory inventory{{holding("b", "pinned", {2, 1}, {"aws", "google"})}, {}};
  const auto moves = plan_moves(facts, inventory, policies, solutions, world());
  ASSERT_TRUE(moves.has_value());
  ASSERT_EQ(moves->size(), 1u);
  ASSERT_TRUE((*moves)[0].cost);
  EXPECT_NEAR(*(*moves)[0].cost, 3000 * world().price("aws")->egress_gb, 1e-6) << "3 TB are read at aws";
  EXPECT_THAT((*moves)[0].reasons, ElementsAre(HasSubstr("are asked for")));
}

TEST(Moves, NameIslandsThatAreGone) {
  const Facts facts = demo_facts();
  const Policy policies[] = {policy_named("default")};
  const Solution solutions[] = {solution_of(facts, policies[0])};
  const Inventory inventory{{holding("b", "default", {2, 1}, {"atlantis", "aws-ireland"})}, {}};
  const auto moves = plan_moves(facts, inventory, policies, solutions, world());
  ASSERT_TRUE(moves.has_value());
  EXPECT_THAT(moves->at(0).reasons, ElementsAre("atlantis is no longer among the islands"));
  EXPECT_FALSE(plan_moves(facts, inventory, policies, {}, world()).has_value());
}

RC_GTEST_PROP(Moves, EndWhereNothingMustMoveAnyMore, ()) {
  const Posed posed = some_problem();
  const auto answer = solve(posed.facts, posed.policy, posed.codes, {}, world());
  RC_ASSERT(answer.has_value());
  if (!answer->solution) return;
  std::vector<std::string> islands = ids_of(posed.facts);
  islands.resize(2);
  const Policy policies[] = {posed.policy};
  const Solution solutions[] = {*answer->solution};
  Inventory inventory{{holding("b", "some", {2, 1}, islands)}, {}};
  const auto moves = plan_moves(posed.facts, inventory, policies, solutions, world());
  RC_ASSERT(moves.has_value());
  const Placing placing{.policy = "some", .code = {2, 1}, .islands = islands, .where = {}};
  if (!slow_keeps(posed.facts, posed.policy, placing))
    RC_ASSERT(!moves->empty() && !moves->front().reasons.empty());
  for (const Move& move : *moves) {
    inventory.holdings[0].code = move.to.code;
    inventory.holdings[0].islands = move.to.islands;
  }
  RC_ASSERT(plan_moves(posed.facts, inventory, policies, solutions, world())->empty());
}

}  // namespace
}  // namespace archipel::exposure
