#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "exposure/policy.h"
#include "exposure/solver_fixture.h"

namespace archipel::exposure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using namespace testing;

Solved solved(const Facts& facts, const Policy& policy, std::span<const Code> codes = kCodes) {
  const auto journal = ids_of(facts);
  auto answer = solve(facts, policy, codes, journal, world());
  EXPECT_TRUE(answer.has_value()) << (answer ? "" : answer.error().message);
  return answer ? *answer : Solved{};
}

RC_GTEST_PROP(Solver, FindsWhatTryingEveryPlacementFinds, ()) {
  const Posed posed = some_problem();
  RC_LOG() << to_text(posed);
  const auto answer = solve(posed.facts, posed.policy, posed.codes, {}, world());
  RC_ASSERT(answer.has_value());
  const auto best = slow_best(posed);
  RC_ASSERT(answer->solution.has_value() == best.has_value());
  RC_CLASSIFY(!best);
  if (!best) {
    RC_ASSERT(!answer->conflict.rules.empty());
    RC_ASSERT(!answer->conflict.missing.empty());
    return;
  }
  const Solution& solution = *answer->solution;
  RC_ASSERT(slow_keeps(posed.facts, posed.policy, solution.placing));
  RC_ASSERT(solution.placing.islands == best->islands);
  RC_ASSERT(solution.placing.code == best->code);
  const Rank rank = slow_rank(posed.facts, solution.placing);
  RC_ASSERT(solution.rho.value_or(1000) == std::get<0>(rank));
  RC_ASSERT(solution.delta.value_or(1000) == std::get<1>(rank));
  RC_ASSERT(solution.cost.has_value() == std::get<4>(rank));
  if (solution.cost) RC_ASSERT(std::abs(*solution.cost - std::get<5>(rank)) < 1e-6);
}

RC_GTEST_PROP(Violations, AreThereExactlyWhenARuleIsBroken, ()) {
  const Posed posed = some_problem();
  Placing placing{
      .policy = "some", .code = posed.policy.code.value_or(Code{2, 1}), .islands = {}, .where = {}};
  const size_t n = static_cast<size_t>(placing.code.n);
  RC_PRE(posed.facts.islands.size() >= n);
  for (size_t i = 0; i < n; ++i) placing.islands.push_back(posed.facts.islands[i].id);
  const auto broken = violations(posed.facts, posed.policy, placing, world());
  RC_ASSERT(broken.has_value());
  RC_ASSERT(broken->empty() == slow_keeps(posed.facts, posed.policy, placing));
}

TEST(Solver, PlacesOnEuropeanGroundOnly) {
  Policy policy = policy_named("eu-only");
  policy.allow = {"EU"};
  policy.code = Code{4, 2};
  const auto answer = solved(demo_facts(), policy);
  ASSERT_TRUE(answer.solution) << answer.conflict.message();
  EXPECT_THAT(answer.solution->placing.islands,
              ElementsAre("alibaba-frankfurt", "aws-ireland", "ovh-gravelines", "hetzner-helsinki"));
  EXPECT_EQ(answer.solution->placing.code, (Code{4, 2}));
}

TEST(Solver, KeepsAnAdversaryBelowWhatItNeedsToRead) {
  Policy policy = policy_named("no-us-read");
  policy.deny = {"US"};
  policy.of = {Basis::place, Basis::operator_, Basis::parent};
  policy.adversaries = {"US"};
  policy.read_bound = Bound::enforce;
  const auto answer = solved(demo_facts(), policy);
  ASSERT_TRUE(answer.solution) << answer.conflict.message();
  // Not [5, 3] with hetzner: there DE and JP together would cut; here three foreign states must.
  EXPECT_EQ(answer.solution->placing.code, (Code{4, 2}));
  EXPECT_THAT(answer.solution->placing.islands,
              ElementsAre("alibaba-frankfurt", "ovh-gravelines", "sakura-tokyo", "exoscale-zurich"));
}

// Two islands on German ground, five elsewhere: whoever takes both lets DE help itself twice.
TEST(Solver, LeavesOutWhatOneStateReachesTwice) {
  Facts facts;
  for (const char* state : {"DE", "DE", "FR", "JP", "CH", "CA", "BR"}) {
    facts.islands.push_back(party("i" + std::to_string(facts.islands.size()), "", {state}));
  }
  const auto answer = solved(facts, policy_named("default"));
  ASSERT_TRUE(answer.solution);
  EXPECT_EQ(answer.solution->placing.code, (Code{6, 3}));
  EXPECT_THAT(answer.solution->placing.islands, ElementsAre("i0", "i2", "i3", "i4", "i5", "i6"));
  EXPECT_EQ(answer.solution->rho, 3);
  EXPECT_EQ(answer.solution->delta, 4);
}

TEST(Solver, TakesTheCheaperOfEqualPlacements) {
  Facts facts;
  for (const char* provider : {"aws", "azure", "google", "cloudflare"}) {
    facts.islands.push_back(party(std::string("a-") + provider, provider, {"US"}));
  }
  Policy policy = policy_named("cheap");
  const Code codes[] = {{2, 1}};
  const auto answer = solved(facts, policy, codes);
  ASSERT_TRUE(answer.solution);
  const double cloudflare = world().price("cloudflare")->storage_gb_month,
               azure = world().price("azure")->storage_gb_month;
  EXPECT_THAT(answer.solution->placing.islands, ElementsAre("a-azure", "a-cloudflare"));
  ASSERT_TRUE(answer.solution->cost);
  EXPECT_NEAR(*answer.solution->cost, 1000 * (cloudflare + azure), 1e-6);
}

TEST(Solver, WarnsOfAReadBoundThatIsNotEnforced) {
  Policy policy = policy_named("watched");
  policy.adversaries = {"EU"};
  policy.code = Code{5, 3};
  policy.cut_bound = Bound::off;
  const auto answer = solved(demo_facts(), policy);
  ASSERT_TRUE(answer.solution);
  ASSERT_EQ(answer.solution->warnings.size(), 1u);
  EXPECT_THAT(answer.solution->warnings[0], HasSubstr("adversary EU reads 4 of 5 shards"));
}

TEST(Solver, DoesNotBoundWhatTheOwnersOwnStateReads) {
  Facts facts = demo_facts();
  facts.home = {"FR", "DE", "FI"};
  Policy policy = policy_named("ours");
  policy.adversaries = {"DE"};
  policy.read_bound = Bound::enforce;
  policy.code = Code{6, 3};
  ASSERT_TRUE(solved(facts, policy).solution);
  facts.islands[2].edges[0].state = "DE";
  EXPECT_TRUE(solved(facts, policy).solution) << "DE reaches 3 of 6 and k is 3, but it is home";
  facts.home = {"FR"};
  EXPECT_FALSE(solved(facts, policy).solution);
}

TEST(Solver, KeepsPinnedIslandsInTheirOrder) {
  Policy policy = policy_named("pinned");
  policy.islands = {"sakura-tokyo", "aws-ireland", "ovh-gravelines", "exoscale-zurich"};
  policy.code = Code{4, 2};
  const auto answer = solved(demo_facts(), policy);
  ASSERT_TRUE(answer.solution);
  EXPECT_EQ(answer.solution->placing.islands, policy.islands);
}

TEST(Solver, SaysWhyPinnedIslandsBreakAPolicyAndWhichWouldNot) {
  Policy policy = policy_named("pinned");
  policy.islands = {"sakura-tokyo", "aws-ireland", "ovh-gravelines", "exoscale-zurich"};
  policy.code = Code{4, 2};
  policy.allow = {"EU"};
  const auto answer = solved(demo_facts(), policy);
  ASSERT_FALSE(answer.solution);
  EXPECT_THAT(
      answer.conflict.message(),
      AllOf(HasSubstr("sakura-tokyo (place JP)"), HasSubstr("exoscale-zurich (place CH)"),
            HasSubstr("archipel.toml:40:1"),
            HasSubstr("\"alibaba-frankfurt\", \"aws-ireland\", \"ovh-gravelines\", \"hetzner-helsinki\"")));
}

TEST(Conflict, NamesTheRuleTheNumbersAndTheMissingIslands) {
  Policy policy = policy_named("eu-only");
  policy.allow = {"EU"};
  policy.code = Code{6, 3};
  policy.adversaries = {"US"};
  const auto answer = solved(demo_facts(), policy);
  ASSERT_FALSE(answer.solution);
  EXPECT_THAT(answer.conflict.rules,
              ElementsAre("code = [6, 3] needs 6 islands (archipel.toml:40:1)",
                          "residency allow = [\"EU\"] of place leaves 4 of 6 islands: alibaba-frankfurt, "
                          "aws-ireland, hetzner-helsinki, ovh-gravelines (archipel.toml:40:1)"));
  EXPECT_THAT(answer.conflict.missing,
              ElementsAre("2 more islands whose place is in EU",
                          "another code, which holds with the islands there are: [4, 2]"));
}

TEST(Conflict, NamesTheProviderThatIsFullAndTheAdversaryToStayAwayFrom) {
  Facts facts;
  facts.islands = {party("a", "aws", {"IE", "LU", "US"}), party("b", "aws", {"DE", "LU", "US"}),
                   party("c", "aws", {"FR", "LU", "US"}), party("d", "ovh", {"FR", "FR", "FR"})};
  Policy policy = policy_named("spread");
  policy.code = Code{4, 2};
  const auto crowded = solved(facts, policy);
  ASSERT_FALSE(crowded.solution);
  EXPECT_THAT(crowded.conflict.message(), HasSubstr("aws has 3 islands: a, b, c"));
  EXPECT_THAT(crowded.conflict.missing, ElementsAre("1 more island, at a provider other than aws"));

  facts.islands[1].provider = "azure";
  facts.islands[2].provider = "google";
  policy.adversaries = {"US"};
  const auto reached = solved(facts, policy);
  ASSERT_FALSE(reached.solution);
  EXPECT_THAT(
      reached.conflict.message(),
      HasSubstr(
          "adversary \"US\" may cut at most n-k shards (2 of [4, 2]) and reaches 3 of 4 islands: a, b, c"));
  EXPECT_THAT(reached.conflict.missing, ElementsAre("1 more island, out of reach of US"));
}

TEST(Conflict, IsCuredByExactlyTheIslandItAsksFor) {
  Facts facts = demo_facts();
  Policy policy = policy_named("eu-wide");
  policy.allow = {"EU"};
  policy.code = Code{5, 3};
  const auto before = solved(facts, policy);
  ASSERT_FALSE(before.solution);
  EXPECT_THAT(before.conflict.missing[0], HasSubstr("1 more island whose place is in EU"));
  facts.islands.push_back(party("here", "scaleway", {"FR", "FR", "FR"}));
  EXPECT_TRUE(solved(facts, policy).solution);
}

TEST(Conflict, SaysWhatAPlacementWouldCost) {
  Facts facts;
  for (const char* provider : {"aws", "azure", "google"})
    facts.islands.push_back(party(provider, provider, {"US"}));
  Policy policy = policy_named("cheap");
  policy.cost_max = 10;
  const Code codes[] = {{2, 1}};
  const auto answer = solved(facts, policy, codes);
  ASSERT_FALSE(answer.solution);
  EXPECT_THAT(answer.conflict.message(), HasSubstr("cost_max = 10.00 US dollars a month for 1 TB"));
  policy.cost_max =
      1000 * (world().price("azure")->storage_gb_month + world().price("google")->storage_gb_month);
  EXPECT_TRUE(solved(facts, policy, codes).solution);
}

TEST(Conflict, RefusesMetadataWhereThePolicyDoesNotWantIt) {
  Policy policy = policy_named("sealed");
  policy.metadata_deny = {"CN"};
  policy.of = {Basis::place, Basis::operator_, Basis::parent};
  const auto answer = solved(demo_facts(), policy);
  ASSERT_FALSE(answer.solution);
  EXPECT_THAT(answer.conflict.message(),
              AllOf(HasSubstr("metadata_deny = [\"CN\"]"), HasSubstr("alibaba-frankfurt"),
                    HasSubstr("a journal without alibaba-frankfurt")));
  EXPECT_EQ(answer.conflict.rules.size(), 1u);
}

TEST(Conflict, NamesACodeThatTheCloudDoesNotKnow) {
  Policy policy = policy_named("odd");
  policy.code = Code{6, 4};
  const auto answer = solved(demo_facts(), policy);
  ASSERT_FALSE(answer.solution);
  EXPECT_THAT(answer.conflict.message(),
              HasSubstr("code = [6, 4] is none of the codes that this cloud knows"));
}

TEST(Solver, RefusesWordsThatNameNothing) {
  const auto refused = [](Policy policy) {
    const auto answer = solve(demo_facts(), policy, kCodes, {}, world());
    EXPECT_FALSE(answer.has_value());
    return answer ? "" : answer.error().message;
  };
  Policy policy = policy_named("typo");
  policy.allow = {"UE"};
  EXPECT_THAT(refused(policy), AllOf(HasSubstr("allow names \"UE\""), HasSubstr("archipel.toml:40:1")));
  policy = policy_named("typo");
  policy.adversaries = {"amazno"};
  EXPECT_THAT(refused(policy), HasSubstr("\"amazno\" is no state, bloc, list of states or provider"));
  policy = policy_named("typo");
  policy.islands = {"atlantis"};
  EXPECT_THAT(refused(policy), HasSubstr("\"atlantis\", which is no island"));
}

TEST(Solver, RefusesAnIslandThatDoesNotSayWhatResidencyAsksFor) {
  Facts facts = demo_facts();
  for (Party& island : facts.islands)
    std::erase_if(island.edges, [](const Edge& e) { return e.basis == Basis::parent; });
  Policy policy = policy_named("known");
  policy.deny = {"US"};
  policy.of = {Basis::parent};
  const auto answer = solved(facts, policy);
  ASSERT_FALSE(answer.solution);
  EXPECT_THAT(answer.conflict.message(), HasSubstr("leaves 0 of 6 islands"));
}

TEST(DataClasses, AreTheFourThatEveryCloudHas) {
  EXPECT_THAT(standard_data_classes(), ElementsAre("personal", "intellectual-property", "public", "own"));
}

}  // namespace
}  // namespace archipel::exposure
