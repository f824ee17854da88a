#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "exposure/engine.h"
#include "exposure/facts_fixture.h"

namespace archipel::exposure {
namespace {

using ::testing::ElementsAre;
using testing::party;
using testing::some_facts;
using testing::split_example;

using Names = std::vector<std::vector<std::string>>;

Names named(const Answer& answer, const std::vector<Coalition>& coalitions) {
  Names out;
  for (Coalition c : coalitions) out.push_back(answer.lens.names(c));
  return out;
}

TEST(Lens, SeesOnlyThoseWhoReachSomebodyInOrder) {
  Facts facts = split_example();
  EXPECT_THAT(lens_of(facts, Lens::Kind::states)->units,
              ElementsAre("CH", "CN", "DE", "FI", "FR", "IE", "JP", "LU", "SG", "US"));
  EXPECT_THAT(lens_of(facts, Lens::Kind::providers)->units, ElementsAre("a", "b", "c", "d", "e"));
}

TEST(Engine, CountsTheSplitExampleAsItWasFoundByHand) {
  Facts facts = split_example();
  auto answers = expose_all(facts, facts.placings);
  ASSERT_TRUE(answers);
  EXPECT_EQ(answers->at(0).exposure.rho(), 3);
  EXPECT_EQ(answers->at(0).exposure.delta(), 2);
  EXPECT_EQ(answers->at(0).exposure.read.size(), 25u);
  EXPECT_EQ(answers->at(0).exposure.cut.size(), 35u);
}

TEST(Lens, LetsAnEnabledBlocStandForItsStates) {
  Facts facts = split_example();
  facts.blocs = {{"EU", {"DE", "FI", "FR", "IE", "LU"}, true, ""}, {"FVEY", {"US", "GB"}, false, ""}};
  EXPECT_THAT(lens_of(facts, Lens::Kind::states)->units, ElementsAre("CH", "CN", "EU", "JP", "SG", "US"));
  auto answers = expose_all(facts, facts.placings);
  ASSERT_TRUE(answers);
  EXPECT_EQ(answers->at(0).exposure.rho(), 2);
  EXPECT_EQ(named(answers->at(0), answers->at(0).exposure.cut), (Names{{"EU"}, {"CH", "US"}, {"JP", "US"}}));
}

TEST(Lens, LetsAStateOfTwoBlocsActInBoth) {
  Facts facts = split_example();
  facts.blocs = {{"EU", {"DE", "FR"}, true, ""}, {"XX-1", {"DE", "JP"}, true, ""}};
  auto lens = lens_of(facts, Lens::Kind::states);
  ASSERT_TRUE(lens);
  auto structure = structure_of(facts, facts.placings[0], *lens);
  ASSERT_TRUE(structure);
  Coalition both = Coalition{1} << *lens->find("EU") | Coalition{1} << *lens->find("XX-1");
  EXPECT_EQ(structure->shards[0].reach.read & both, both);
  EXPECT_FALSE(lens->find("DE"));
}

TEST(Lens, NamesAPolicysIslandThatDoesNotExist) {
  Facts facts = split_example();
  facts.placings[0].islands[2] = "z";
  auto answers = expose_all(facts, facts.placings);
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().code, archipel::Code::invalid);
  EXPECT_THAT(answers.error().message, ::testing::HasSubstr("\"z\""));
}

TEST(Judge, TellsWhatAStateCanDoAloneAndWithHelp) {
  Facts facts = split_example();
  auto china = judge(facts, facts.placings[0], "CN");
  ASSERT_TRUE(china);
  EXPECT_FALSE(china->reads || china->cuts);
  EXPECT_TRUE(china->degrades);
  EXPECT_EQ(china->read_help, 2);
  EXPECT_EQ(china->cut_help, 2);  // CN has one shard: two more shards, or two keys
  auto nobody = judge(facts, facts.placings[0], "KP");
  ASSERT_TRUE(nobody);
  EXPECT_FALSE(nobody->degrades);
  EXPECT_EQ(nobody->read_help, 3);
}

TEST(Judge, AsksABlocAsOneWhetherItIsEnabledOrNot) {
  Facts facts = split_example();
  facts.blocs = {{"EU", {"DE", "FI", "FR", "IE", "LU"}, false, ""}};
  for (bool enabled : {false, true}) {
    facts.blocs[0].enabled = enabled;
    auto eu = judge(facts, facts.placings[0], "EU");
    ASSERT_TRUE(eu);
    EXPECT_TRUE(eu->cuts);
    EXPECT_FALSE(eu->reads);
    EXPECT_EQ(eu->read_help, 1);
  }
  auto germany = judge(facts, facts.placings[0], "DE");
  ASSERT_TRUE(germany);
  EXPECT_FALSE(germany->cuts) << "Germany is asked about, not the bloc it is in";
  EXPECT_EQ(germany->cut_help, 1);
}

TEST(Judge, CountsAProvidersHelpersInProviders) {
  Facts facts = split_example();
  auto a = judge(facts, facts.placings[0], "a");
  ASSERT_TRUE(a);
  EXPECT_TRUE(a->degrades);
  EXPECT_EQ(a->cut_help, 2);
  EXPECT_EQ(a->read_help, std::nullopt) << "no provider holds a key";
  auto unknown = judge(facts, facts.placings[0], "nobody-ltd");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, archipel::Code::not_found);
}

TEST(Judge, CountsOnlyConfirmedShards) {
  Facts facts = split_example();
  auto one_owed = judge(facts, facts.placings[0], "FR", 0b11110);
  ASSERT_TRUE(one_owed);
  EXPECT_EQ(one_owed->cut_help, 1);
}

RC_GTEST_PROP(Judge, AgreesWithTheCoalitions, ()) {
  Facts facts = some_facts();
  auto answers = expose_all(facts, facts.placings);
  RC_ASSERT(answers.has_value());
  for (size_t i = 0; i < facts.placings.size(); ++i) {
    const Answer& answer = answers->at(i);
    for (size_t unit = 0; unit < answer.lens.units.size(); ++unit) {
      auto adversary = judge(facts, facts.placings[i], answer.lens.units[unit]);
      RC_ASSERT(adversary.has_value());
      std::optional<int> read_help, cut_help;
      Coalition itself = Coalition{1} << unit;
      for (Coalition c : answer.exposure.read)
        read_help = std::min(read_help.value_or(99), std::popcount(c & ~itself));
      for (Coalition c : answer.exposure.cut)
        cut_help = std::min(cut_help.value_or(99), std::popcount(c & ~itself));
      RC_ASSERT(adversary->read_help == read_help);
      RC_ASSERT(adversary->cut_help == cut_help);
    }
  }
}

TEST(Sensitivity, NamesTheFactsThatAnAnswerHangsOn) {
  Facts facts = split_example();
  facts.keyholders.clear();
  facts.keys_threshold = 0;
  facts.placings = {{"one", {1, 1}, {"a"}, ""}};
  for (Edge& edge : facts.islands[0].edges)
    if (edge.state != "CN") edge.level = Level::proved;
  auto found = sensitivities(facts);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->empty()) << "DE and SG reach it anyway";
  auto& edges = facts.islands[0].edges;
  std::erase_if(edges, [](const Edge& edge) { return edge.state != "CN"; });
  found = sensitivities(facts);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->at(0).party, "island a");
  EXPECT_EQ(found->at(0).edge.state, "CN");
  EXPECT_EQ(found->at(0).rho, 1);
  EXPECT_EQ(found->at(0).rho_without, std::nullopt);
}

RC_GTEST_PROP(Sensitivity, SaysWhatAskingAgainWithoutTheFactSays, ()) {
  Facts facts = some_facts();
  auto found = sensitivities(facts);
  RC_ASSERT(found.has_value());
  size_t expected = 0;
  for (const Placing& placing : facts.placings) {
    auto ask = [&](const Facts& of) {
      Placing one[] = {placing};
      auto answers = expose_all(of, one);
      return std::pair(answers->at(0).exposure.rho(), answers->at(0).exposure.delta());
    };
    auto before = ask(facts);
    for (size_t i = 0; i < facts.islands.size(); ++i) {
      if (std::ranges::find(placing.islands, facts.islands[i].id) == placing.islands.end()) continue;
      for (size_t e = 0; e < facts.islands[i].edges.size(); ++e) {
        Facts without = facts;
        if (without.islands[i].edges[e].level < Level::declared) continue;
        without.islands[i].edges.erase(without.islands[i].edges.begin() + static_cast<ptrdiff_t>(e));
        if (ask(without) != before) ++expected;
      }
    }
  }
  auto of_islands =
      std::ranges::count_if(*found, [](const Sensitivity& s) { return s.party.starts_with("island "); });
  RC_ASSERT(static_cast<size_t>(of_islands) == expected);
}

}  // namespace
}  // namespace archipel::exposure
