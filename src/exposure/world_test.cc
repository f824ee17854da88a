#include "exposure/world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "exposure/csv.h"
#include "support/source_dir.h"

namespace archipel::exposure {
namespace {

std::shared_ptr<const World> built_in() {
  auto world = World::load();
  if (!world) ADD_FAILURE() << world.error().message;
  return world ? *world : nullptr;
}

std::string message_of(const Result<std::shared_ptr<const World>>& result) {
  return result ? "" : result.error().message;
}

// What World says if `text` stands in place of the built-in file.
std::string with(std::string_view name, const std::string& text) {
  const EmbeddedFile files[] = {{name, text}};
  return message_of(World::parse(files));
}

std::string csv(std::string_view header, std::initializer_list<std::string_view> rows) {
  std::string out(header);
  for (const std::string_view row : rows) out += fmt::format("\n{}", row);
  return out + "\n";
}

constexpr std::string_view kStates = "code,en,fr,latitude,longitude,source,date,level";
constexpr std::string_view kSets = "id,kind,en,fr,enabled,source,date,level";
constexpr std::string_view kMembers = "set,state,note,source,date,level";
constexpr std::string_view kProviders = "id,name,aliases,operator,parent,note,source,date,level";
constexpr std::string_view kRegions = "provider,region,state,city,latitude,longitude,source,date,level";
constexpr std::string_view kPrices =
    "provider,egress_gb,storage_gb_month,put_1000,get_1000,note,source,date,level";
constexpr std::string_view kSources = "id,title,address,date";

TEST(World, WhatIsBuiltInIsWholeAndFoundByEveryName) {
  const auto world = built_in();
  ASSERT_NE(world, nullptr);
  EXPECT_EQ(world->states().size(), 249u);  // as many codes as ISO 3166-1 has
  ASSERT_NE(world->state("FR"), nullptr);
  EXPECT_EQ(world->state("DE")->fr, "Allemagne");
  EXPECT_NEAR(world->state("FR")->latitude, 46.6, 1);
  EXPECT_EQ(world->state("fr"), nullptr);
  EXPECT_EQ(world->state("UK"), nullptr);
  EXPECT_EQ(world->state("XX"), nullptr);

  ASSERT_NE(world->provider("aws"), nullptr);
  EXPECT_EQ(world->provider("aws")->operator_, "LU");
  EXPECT_EQ(world->provider("aws")->parent, "US");
  EXPECT_EQ(world->provider("Amazon Web Services"), world->provider("aws"));
  EXPECT_EQ(world->provider("GCP"), world->provider("google"));
  EXPECT_EQ(world->provider("OVHcloud"), world->provider("ovh"));
  EXPECT_EQ(world->provider("alibaba")->parent, "CN");
  EXPECT_EQ(world->provider("nobody"), nullptr);
  EXPECT_FALSE(world->provider("alibaba")->origin.source.empty());
}

TEST(World, SetsHoldWhatTheirTextsSay) {
  const auto world = built_in();
  ASSERT_NE(world, nullptr);
  const auto size = [&](std::string_view id) {
    return world->set(id) == nullptr ? 0 : world->set(id)->states.size();
  };
  EXPECT_EQ(size("EU"), 27u);
  EXPECT_EQ(size("EEA"), 30u);
  EXPECT_EQ(size("FVEY"), 5u);
  EXPECT_EQ(size("E-EVIDENCE"), 26u);
  EXPECT_FALSE(std::ranges::count(world->set("E-EVIDENCE")->states, "DK"));
  EXPECT_EQ(size("gdpr-adequacy"), 16u);
  EXPECT_EQ(size("countries-of-concern"), 8u);
  EXPECT_EQ(world->set("eu"), nullptr);
  EXPECT_EQ(world->set("EU")->kind, StateSet::Kind::bloc);
  EXPECT_EQ(world->set("gdpr-adequacy")->kind, StateSet::Kind::list);
  for (const StateSet& set : world->sets()) EXPECT_FALSE(set.enabled) << set.id;
}

TEST(World, TheSameCodeIsAnotherPlaceAtAnotherProvider) {
  const auto world = built_in();
  ASSERT_NE(world, nullptr);
  const RegionFact* alibaba = world->region("alibaba", "ap-southeast-3");
  const RegionFact* aws = world->region("aws", "ap-southeast-3");
  const RegionFact* huawei = world->region("Huawei Cloud", "ap-southeast-3");
  ASSERT_TRUE(alibaba != nullptr && aws != nullptr && huawei != nullptr);
  EXPECT_EQ(alibaba->state, "MY");
  EXPECT_EQ(huawei->state, "SG");
  EXPECT_EQ(aws->state, "ID");
  EXPECT_EQ(world->region("hetzner", "ap-southeast-3"), nullptr);
  EXPECT_EQ(world->region("nobody", "ap-southeast-3"), nullptr);
}

struct Mutation {
  std::string_view name, file;
  std::string text;
  std::string_view error;  // the whole beginning of the message
};

void PrintTo(const Mutation& mutation,  // NOLINT(readability-identifier-naming): gtest looks for it
             std::ostream* out) {
  *out << mutation.name;
}

// One thing is wrong with each, always in a line that is known.
std::vector<Mutation> mutations() {
  const std::string_view ok = "FR,France,France,46,2,own-knowledge,2026-11-22,Declared";
  const auto provider = [](std::string_view row) {
    return csv(kProviders, {"p,Provider,,FR,FR,,own-knowledge,2026-11-22,Assumed", row});
  };
  const auto state = [&](std::string_view row) { return csv(kStates, {ok, row}); };
  return {
      {"UnknownState", "providers.csv", provider("q,Q,,XX,FR,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: `operator`: there is no state \"XX\""},
      {"StateInSmallLetters", "providers.csv", provider("q,Q,,FR,fr,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: `parent`: there is no state \"fr\""},
      {"NoOperator", "providers.csv", provider("q,Q,,,FR,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: q has no operator"},
      {"NoParent", "providers.csv", provider("q,Q,,FR,,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: `parent` is missing"},
      {"NoSource", "providers.csv", provider("q,Q,,FR,FR,,,2026-11-22,Assumed"),
       "providers.csv:3: `source` is missing"},
      {"UnknownSource", "providers.csv", provider("q,Q,,FR,FR,,own-knowlege,2026-11-22,Assumed"),
       "providers.csv:3: there is no source \"own-knowlege\" in sources.csv"},
      {"NoDate", "providers.csv", provider("q,Q,,FR,FR,,own-knowledge,,Assumed"),
       "providers.csv:3: `date` is missing"},
      {"NoDay", "providers.csv", provider("q,Q,,FR,FR,,own-knowledge,2026-02-29,Assumed"),
       "providers.csv:3: `date` must be a day such as 2026-11-22, not \"2026-02-29\""},
      {"DateOtherWayRound", "providers.csv", provider("q,Q,,FR,FR,,own-knowledge,22.11.2026,Assumed"),
       "providers.csv:3: `date` must be a day"},
      {"UnknownLevel", "providers.csv", provider("q,Q,,FR,FR,,own-knowledge,2026-11-22,Certain"),
       "providers.csv:3: `level` must be Proved, Measured, Declared or Assumed, not \"Certain\""},
      {"ProviderInCapitals", "providers.csv", provider("P2,Q,,US,US,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: the id \"P2\" must be"},
      {"TwoProvidersOfOneName", "providers.csv",
       provider("q,PROVIDER,,US,US,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: the provider \"provider\" says \"q\", but providers.csv:2 says \"p\""},
      {"AliasOfAnother", "providers.csv", provider("q,Q,r;p,US,US,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: the provider \"p\" says \"q\", but"},
      {"ProviderTwice", "providers.csv", provider("p,Provider,,FR,FR,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: the provider \"p\" stands at providers.csv:2 already"},
      {"ProviderCalledLikeAState", "providers.csv", provider("de,D,,FR,FR,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: a provider cannot be called \"de\""},
      {"ProviderCalledLikeABloc", "providers.csv",
       provider("q,Fvey,,FR,FR,,own-knowledge,2026-11-22,Assumed"),
       "providers.csv:3: a provider cannot be called \"fvey\""},
      {"NorthOfThePole", "states.csv", state("DE,Germany,Allemagne,91,9,own-knowledge,2026-11-22,Declared"),
       "states.csv:3: `latitude` is 91: it must lie between -90 and 90"},
      {"BeyondTheDateLine", "states.csv",
       state("DE,Germany,Allemagne,51,-180.5,own-knowledge,2026-11-22,Declared"),
       "states.csv:3: `longitude` is -180.5"},
      {"CoordinateIsNoNumber", "states.csv",
       state("DE,Germany,Allemagne,51N,9,own-knowledge,2026-11-22,Declared"),
       "states.csv:3: `latitude` must be a number, not \"51N\""},
      {"NotANumberAtAll", "states.csv", state("DE,Germany,Allemagne,nan,9,own-knowledge,2026-11-22,Declared"),
       "states.csv:3: `latitude` must be a number"},
      {"StateTwice", "states.csv", state("FR,Frankreich,France,46,2,own-knowledge,2026-11-22,Declared"),
       "states.csv:3: the state FR says \"Frankreich\", but states.csv:2 says \"France\": only one can hold"},
      {"CodeOfThree", "states.csv", state("DEU,Germany,Allemagne,51,9,own-knowledge,2026-11-22,Declared"),
       "states.csv:3: \"DEU\" is no code of ISO 3166-1"},
      {"NoFrenchName", "states.csv", state("DE,Germany,,51,9,own-knowledge,2026-11-22,Declared"),
       "states.csv:3: `fr` is missing"},
      {"NoStates", "states.csv", csv(kStates, {}), "states.csv:1: there is no state"},
      {"StatesThatOthersNeedAreGone", "states.csv", csv(kStates, {ok}), "data/members.csv:"},
      {"BlocCalledLikeAState", "sets.csv",
       csv(kSets, {"EU,bloc,EU,UE,false,own-knowledge,2026-11-22,Declared",
                   "FR,bloc,F,F,false,own-knowledge,2026-11-22,Declared"}),
       "sets.csv:3: FR is the code of a state (France)"},
      {"BlocInSmallLetters", "sets.csv",
       csv(kSets, {"eu,bloc,EU,UE,false,own-knowledge,2026-11-22,Declared"}),
       "sets.csv:2: the id \"eu\" must be 2 to 16 of A-Z"},
      {"EnabledList", "sets.csv", csv(kSets, {"good,list,G,G,true,own-knowledge,2026-11-22,Declared"}),
       "sets.csv:2: good is a list, and only a bloc can be enabled"},
      {"UnknownKind", "sets.csv", csv(kSets, {"good,club,G,G,true,own-knowledge,2026-11-22,Declared"}),
       "sets.csv:2: `kind` must be bloc or list"},
      {"EnabledYes", "sets.csv", csv(kSets, {"EU,bloc,EU,UE,yes,own-knowledge,2026-11-22,Declared"}),
       "sets.csv:2: `enabled` must be true or false"},
      {"SetsThatMembersNeedAreGone", "sets.csv",
       csv(kSets, {"EU,bloc,EU,UE,true,own-knowledge,2026-11-22,Declared"}), "data/members.csv:"},
      {"MemberOfNothing", "members.csv", csv(kMembers, {"XY,FR,,own-knowledge,2026-11-22,Declared"}),
       "members.csv:2: there is no set \"XY\""},
      {"MemberTwice", "members.csv",
       csv(kMembers, {"EU,FR,,own-knowledge,2026-11-22,Declared",
                      "EU,FR,half of it,own-knowledge,2026-11-22,Declared"}),
       "members.csv:3: FR in EU says \"half of it\", but members.csv:2 says \"\""},
      {"SetWithoutMembers", "members.csv", csv(kMembers, {"EU,FR,,own-knowledge,2026-11-22,Declared"}),
       "data/sets.csv:"},
      {"RegionOfNobody", "regions.csv",
       csv(kRegions, {"nobody,r,FR,Paris,48,2,own-knowledge,2026-11-22,Declared"}),
       "regions.csv:2: there is no provider \"nobody\""},
      {"RegionInTwoStates", "regions.csv",
       csv(kRegions, {"aws,r,FR,Paris,48,2,own-knowledge,2026-11-22,Declared", "# a comment counts as a line",
                      "aws,r,DE,Berlin,52,13,own-knowledge,2026-11-22,Declared"}),
       "regions.csv:4: the region r of aws says \"DE\", but regions.csv:2 says \"FR\": only one can hold"},
      {"RegionWithoutCity", "regions.csv",
       csv(kRegions, {"aws,r,FR,,48,2,own-knowledge,2026-11-22,Declared"}),
       "regions.csv:2: `city` is missing"},
      {"PriceBelowNothing", "prices.csv", csv(kPrices, {"aws,-0.01,,,,,own-knowledge,2026-11-22,Declared"}),
       "prices.csv:2: `egress_gb` is -0.01: it must lie between 0 and"},
      {"PriceWithItsCurrency", "prices.csv",
       csv(kPrices, {"aws,0.09$,,,,,own-knowledge,2026-11-22,Declared"}),
       "prices.csv:2: `egress_gb` must be a number"},
      {"TwoPrices", "prices.csv",
       csv(kPrices, {"aws,0.09,,,,,own-knowledge,2026-11-22,Declared",
                     "aws,0.08,,,,,own-knowledge,2026-11-22,Declared"}),
       "prices.csv:3: the price of aws says \"egress 0.08"},
      {"SourceWithoutTitle", "sources.csv", csv(kSources, {"own-knowledge,,,2026-11-22"}),
       "sources.csv:2: `title` is missing"},
      {"SourceTwice", "sources.csv", csv(kSources, {"a,A,,2026-11-22", "a,B,,2026-11-22"}),
       "sources.csv:3: the source a says \"B\""},
      {"SourcesThatOthersNeedAreGone", "sources.csv", csv(kSources, {"a,A,,2026-11-22"}), "data/states.csv:"},
      {"ColumnMissing", "prices.csv", csv("provider,egress_gb", {"aws,0.09"}),
       "prices.csv:1: the column `storage_gb_month` is missing"},
      {"ColumnTooMany", "sources.csv",
       "# about\n" + csv("id,title,address,date,mood", {"a,A,,2026-11-22,good"}),
       "sources.csv:2: nobody knows the column `mood`"},
      {"FieldMissing", "sources.csv", csv(kSources, {"a,A,2026-11-22"}),
       "sources.csv:2: this row has 3 fields"},
      {"Empty", "sources.csv", "", "sources.csv:1: the file is empty"},
  };
}

class WorldMutation : public ::testing::TestWithParam<Mutation> {};

TEST_P(WorldMutation, IsNamedWithFileAndLine) {
  const std::string message = with(GetParam().file, GetParam().text);
  EXPECT_TRUE(message.starts_with(GetParam().error)) << message;
}

INSTANTIATE_TEST_SUITE_P(Each, WorldMutation, ::testing::ValuesIn(mutations()),
                         [](const auto& each) { return std::string(each.param.name); });

// Every single field that the tables need, taken out of what is built in.
TEST(World, NoRowDoesWithoutSourceDateOrLevel) {
  for (const std::string_view name :
       {"states.csv", "sets.csv", "members.csv", "providers.csv", "regions.csv", "prices.csv"}) {
    std::ifstream in(testing::source_dir() / "data" / name);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const auto table = parse_csv(text, name);
    ASSERT_TRUE(table.has_value()) << table.error().message;
    ASSERT_GT(table->rows.size(), 0u);
    const CsvRow& row = table->rows[table->rows.size() / 2];
    for (const std::string_view column : {"source", "date", "level"}) {
      std::string changed;
      size_t line = 1;
      std::istringstream lines(text);
      for (std::string each; std::getline(lines, each); line++) {
        if (line == row.line) {
          const auto at =
              static_cast<size_t>(std::ranges::find(table->columns, column) - table->columns.begin());
          each.clear();
          for (size_t i = 0; i < row.fields.size(); i++)
            each += fmt::format("{}\"{}\"", i == 0 ? "" : ",", i == at ? "" : row.fields[i]);
        }
        changed += each + "\n";
      }
      EXPECT_TRUE(with(name, changed).starts_with(fmt::format("{}:{}: `{}` ", name, row.line, column)))
          << with(name, changed);
    }
  }
}

TEST(World, SourceMayStandForItself) {
  const EmbeddedFile files[] = {
      {"providers.csv",
       "id,name,aliases,operator,parent,note,source,date,level\n"
       "p,P,,FR,FR,,https://example.com/imprint,2026-11-22,declared\n"
       "q,Q,,FR,FR,,\"a letter of theirs, signed\",2026-11-22,Measured\n"
       "r,R,,FR,FR,,own-knowledge,2026-11-22,Assumed\n"},
      {"regions.csv", "provider,region,state,city,latitude,longitude,source,date,level\n"},
      {"prices.csv", "provider,egress_gb,storage_gb_month,put_1000,get_1000,note,source,date,level\n"}};
  const auto world = World::parse(files);
  ASSERT_TRUE(world.has_value()) << world.error().message;
  EXPECT_EQ((*world)->provider("p")->origin.address, "https://example.com/imprint");
  EXPECT_EQ((*world)->provider("q")->origin.source, "a letter of theirs, signed");
  EXPECT_EQ((*world)->provider("q")->origin.level, Level::measured);
  EXPECT_EQ((*world)->provider("r")->origin.source, "own knowledge, not verified");
  EXPECT_EQ((*world)->provider("r")->origin.where, "providers.csv:4");
  EXPECT_EQ((*world)->provider("aws"), nullptr);
}

class WorldDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(::testing::TempDir()) /
                 fmt::format("world-{}", ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void write(std::string_view name, const std::string& text) {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  std::string load() { return message_of(World::load(directory_.string())); }

  std::filesystem::path directory_;
};

TEST_F(WorldDirectory, ReplacesTheFilesItHoldsAndNoOthers) {
  write("prices.csv", csv(kPrices, {"aws,0.05,,,,agreed,our contract of 2026,2026-11-22,Declared"}));
  write("notes.txt", "whatever");
  const auto world = World::load(directory_.string());
  ASSERT_TRUE(world.has_value()) << world.error().message;
  ASSERT_NE((*world)->price("Amazon"), nullptr);
  EXPECT_EQ((*world)->price("aws")->egress_gb, 0.05);
  EXPECT_LT((*world)->price("aws")->storage_gb_month, 0);  // not known, not nothing
  EXPECT_EQ((*world)->price("google"), nullptr);
  EXPECT_NE((*world)->provider("google"), nullptr);
}

TEST_F(WorldDirectory, ErrorsNameItsFile) {
  write("prices.csv", csv(kPrices, {"nobody,0.05,,,,,our contract of 2026,2026-11-22,Declared"}));
  EXPECT_TRUE(load().starts_with((directory_ / "prices.csv:2: there is no provider").string())) << load();
}

TEST_F(WorldDirectory, FileOfAnUnknownNameIsAnError) {
  write("prices.csv", csv(kPrices, {}));
  write("provider.csv", csv(kProviders, {}));
  EXPECT_TRUE(load().starts_with((directory_ / "provider.csv:1: nobody reads a file of this name").string()))
      << load();
}

TEST_F(WorldDirectory, WithoutAnyOrMissingIsNotFound) {
  EXPECT_EQ(World::load(directory_.string()).error().code, archipel::Code::not_found);
  EXPECT_EQ(World::load((directory_ / "no").string()).error().code, archipel::Code::not_found);
}

TEST_F(WorldDirectory, FileThatIsTooLargeOrNoFileIsAnError) {
  write("prices.csv", std::string(kCsvBytesMax + 1, '#'));
  EXPECT_EQ(World::load(directory_.string()).error().code, archipel::Code::limit);
  std::filesystem::remove(directory_ / "prices.csv");
  std::filesystem::create_directory(directory_ / "prices.csv");
  EXPECT_EQ(World::load(directory_.string()).error().code, archipel::Code::io);
}

TEST(World, PricesAreSaneAndEveryRegionLiesNearItsState) {
  const auto world = built_in();
  ASSERT_NE(world, nullptr);
  for (const Price& price : world->prices()) {
    EXPECT_LE(price.egress_gb, 0.3) << price.provider;
    EXPECT_LE(price.storage_gb_month, 0.1) << price.provider;
    EXPECT_LE(price.get_1000, 0.1) << price.provider;
  }
  for (const RegionFact& region : world->regions()) {
    const State* state = world->state(region.state);
    ASSERT_NE(state, nullptr);
    // Within half of what the largest states measure.
    const double away =
        std::hypot(region.latitude - state->latitude,
                   (region.longitude - state->longitude) * std::cos(region.latitude * 3.14159 / 180));
    EXPECT_LT(away, 42) << region.provider << " " << region.region;
  }
}

TEST(World, MapHasAnOutlineForEveryLargeState) {
  const std::string_view map = world_map();
  EXPECT_LE(map.size(), 70u << 10);
  EXPECT_TRUE(map.starts_with("{\"form\":\"archipel-map/1\""));
  for (const std::string_view code : {"US", "CN", "RU", "FR", "DE", "IE", "JP", "CH", "BR", "AU"})
    EXPECT_TRUE(map.contains(fmt::format("\"{}\":\"M", code))) << code;
}

}  // namespace
}  // namespace archipel::exposure
