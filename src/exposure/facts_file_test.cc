#include "exposure/facts_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <fstream>
#include <iterator>

#include "exposure/engine.h"
#include "exposure/report.h"
#include "support/source_dir.h"

namespace archipel::exposure {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::shared_ptr<const World> world() {
  static const std::shared_ptr<const World> kept = World::load().value();
  return kept;
}

Result<FactsFile> facts(const std::string& text) {
  return parse_facts(text, "f.toml", world(), false);
}
Result<FactsFile> config(const std::string& text) {
  return parse_facts(text, "f.toml", world(), true);
}

const std::string kIsland = R"([[island]]
id = "a"
provider = "a company"
place = "DE"
operator = "SG"
parent = "CN"
)";

std::string with_reach(const std::string& entries) {
  return kIsland + "reach = [" + entries + "]\n";
}
const std::string kBan =
    R"({ state = "US", cap = "cut", basis = "sanctions", level = "Measured", source = "a law", date = 2026-01-31 })";

std::vector<std::string> said(const Party& party) {
  std::vector<std::string> out;
  out.reserve(party.edges.size());
  for (const Edge& edge : party.edges)
    out.push_back(edge.state + " " + std::string(to_string(edge.basis)) + " " +
                  std::string(to_string(edge.cap)) + " " + std::string(to_string(edge.level)));
  return out;
}

TEST(FactsFile, ReadsAPartyWithItsEdgesInOrder) {
  auto file = facts(with_reach(kBan));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->facts.islands.size(), 1u);
  const Party& island = file->facts.islands[0];
  EXPECT_THAT(said(island), ElementsAre("DE place both Declared", "SG operator both Declared",
                                        "CN parent both Declared", "US sanctions cut Measured"));
  EXPECT_EQ(island.edges[3].date, "2026-01-31");
  EXPECT_EQ(island.edges[3].source, "a law");
  EXPECT_EQ(island.edges[3].where, "f.toml:7:10");
  EXPECT_EQ(island.where, "f.toml:1:1");
  EXPECT_THAT(file->notes, IsEmpty());
}

TEST(FactsFile, FillsFromTheDataWhatIsLeftOut) {
  auto file = facts("[[island]]\nid = \"a\"\nprovider = \"Amazon Web Services\"\nregion = \"eu-west-1\"\n");
  ASSERT_TRUE(file) << file.error().message;
  const Party& island = file->facts.islands[0];
  EXPECT_EQ(island.provider, "aws");
  ASSERT_EQ(island.edges.size(), 3u);
  EXPECT_EQ(island.edges[0].state, "IE");
  EXPECT_EQ(island.edges[2].state, "US");
  for (const Edge& edge : island.edges) {
    EXPECT_FALSE(edge.source.empty());
    EXPECT_FALSE(edge.date.empty());
    EXPECT_THAT(edge.where, HasSubstr(".csv:"));
  }
}

TEST(FactsFile, AssumesTheParentAndSaysSo) {
  auto file = facts("[[island]]\nid = \"a\"\nprovider = \"a company\"\nplace = \"DE\"\noperator = \"FR\"\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(said(file->facts.islands[0]),
              ElementsAre("DE place both Declared", "FR operator both Declared", "FR parent both Assumed"));
  EXPECT_THAT(file->notes, ElementsAre(HasSubstr("f.toml:1:1: island a: nobody names its parent")));
}

TEST(FactsFile, AssumesThatAKeyHolderRunsItself) {
  auto file = facts("[[keyholder]]\nid = \"k\"\nplace = \"FR\"\n[keys]\nthreshold = 1\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(said(file->facts.keyholders[0]),
              ElementsAre("FR place both Declared", "FR operator both Assumed", "FR parent both Assumed"));
  EXPECT_EQ(file->notes.size(), 2u);
}

TEST(FactsFile, TakesAGatewayToSeePlaintextUnlessItSaysOtherwise) {
  auto file = facts("[[gateway]]\nid = \"g\"\nplace = \"FR\"\noperator = \"FR\"\nparent = \"FR\"\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->facts.gateways[0].plaintext);
  EXPECT_THAT(file->notes, ElementsAre(HasSubstr("plaintext")));
}

TEST(FactsFile, LetsAReachGiveEvidenceForAPlace) {
  auto file = facts(with_reach(
      R"({ state = "DE", cap = "both", basis = "place", level = "Measured", source = "round trips", date = "2026-11-22" })"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(said(file->facts.islands[0]),
              ElementsAre("DE place both Measured", "SG operator both Declared", "CN parent both Declared"));
}

TEST(FactsFile, TakesTwoParentsOfOneCompany) {
  auto file = facts(with_reach(
      R"({ state = "JP", basis = "parent", cap = "both", level = "Declared", source = "s", date = "2026-11-22" })"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(said(file->facts.islands[0]), Contains("JP parent both Declared"));
  EXPECT_THAT(said(file->facts.islands[0]), Contains("CN parent both Declared"));
}

// Two laws by which a state reaches the same people are two facts, and a source may say more of a reach elsewhere.
TEST(FactsFile, TakesAReachFromSeveralSources) {
  const std::string staff =
      R"({ state = "US", cap = "read", basis = "staff", level = "Declared", source = "one law", date = 2026-01-31 })";
  auto other = [&](const std::string& what, const std::string& by) {
    std::string out = staff;
    return out.replace(out.find(what), what.size(), by);
  };
  for (const std::string& second :
       {other("one law", "another law"), other("2026", "2025"), other("read", "both")}) {
    auto file = facts(with_reach(staff + ", " + second));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->facts.islands[0].edges.size(), 5u) << second;
  }
  auto twice = facts(with_reach(staff + ", " + staff));
  ASSERT_TRUE(twice) << twice.error().message;
  EXPECT_EQ(twice->facts.islands[0].edges.size(), 4u);
  auto levels = facts(with_reach(staff + ", " + other("Declared", "Measured")));
  ASSERT_FALSE(levels);
  EXPECT_THAT(levels.error().message, HasSubstr("contradiction: the reach of US by staff"));
}

TEST(FactsFile, DropsTheKeysWithoutHolders) {
  auto file = facts("[keys]\nthreshold = 2\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->facts.keys_threshold, 0);
  EXPECT_THAT(file->notes, ElementsAre(HasSubstr("f.toml:2:13")));
}

TEST(FactsFile, KnowsTheBlocsOfTheDataButEnablesNone) {
  auto file = facts("[[bloc]]\nid = \"EU\"\nenabled = true\n");
  ASSERT_TRUE(file) << file.error().message;
  for (const Bloc& bloc : file->facts.blocs) EXPECT_EQ(bloc.enabled, bloc.id == "EU") << bloc.id;
  EXPECT_EQ(file->facts.blocs[0].states.size(), 27u);
  EXPECT_TRUE(std::ranges::any_of(file->facts.blocs, [](const Bloc& bloc) { return bloc.id == "FVEY"; }));
}

struct Wrong {
  std::string text, where, what;
};

TEST(FactsFile, NamesWhatIsWrongAndWhere) {
  const std::string gateway = "[[gateway]]\nid = \"g\"\nplace = \"FR\"\n";
  auto reach = [](const std::string& from, const std::string& to) {
    std::string text = kBan;
    return with_reach(text.replace(text.find(from), from.size(), to));
  };
  auto policy = [](const std::string& body) { return kIsland + "[policy.p]\n" + body; };
  const Wrong cases[] = {
      {"[[island]]\nid = \"a\"\nprovider = \"x\"\noperator = \"DE\"\n", "1:1", "needs the key `place`"},
      {"[[island]]\nid = \"a\"\nprovider = \"x\"\nplace = \"DE\"\n", "1:1", "has no operator"},
      {"[[island]]\nid = \"a\"\nplace = \"DE\"\n", "1:1", "needs the key `operator`"},
      {"[[island]]\nid = \"a b\"\n", "2:6", "1 to 63"},
      {"[[island]]\nid = \"a\"\nplace = \"UK\"\n", "3:9", "Great Britain is \"GB\""},
      {"[[island]]\nid = \"a\"\nplace = \"de\"\n", "3:9", "not a state"},
      {"[[island]]\nid = \"a\"\nregion = \"eu-west-1\"\nplace = \"IE\"\n", "3:10", "add `provider`"},
      {"[[island]]\nid = \"a\"\nprovider = \"aws\"\nregion = \"nowhere-1\"\n", "4:10", "not known"},
      {"[[island]]\nid = \"a\"\nprovider = \"aws\"\nregion = \"eu-west-1\"\nplace = \"US\"\n", "1:1",
       "contradiction"},
      {"[[island]]\nid = \"a\"\nprice = 3\nplace = \"DE\"\noperator = \"DE\"\n", "3:1",
       "unknown key `price`"},
      {"island = 3\n", "1:10", "[[island]]"},
      {"typo = 3\n", "1:1", "unknown key `typo`"},
      {reach("\"US\"", "\"XX\""), "7:", "\"XX\" is not a state"},
      {reach("\"cut\"", "\"steal\""), "7:", "read, cut and both"},
      {reach("\"sanctions\"", "\"mood\""), "7:", "`basis` must be one of"},
      {reach("a law", "a\\u001b[2Jlaw"), "7:", "`source` holds a control character"},
      {"[[island]]\nid = \"a\"\nprovider = \"a\\nb\"\n", "3:12", "`provider` holds a control character"},
      {reach("basis = \"sanctions\", ", ""), "7:10", "needs the key `basis`"},
      {reach("\"Measured\"", "\"Certain\""), "7:", "Proved, Measured"},
      {reach(", date = 2026-01-31", ""), "7:10", "needs the key `date`"},
      {reach("2026-01-31", "\"2026-02-30\""), "7:", "must be a day"},
      {reach("2026-01-31", "\"yesterday\""), "7:", "must be a day"},
      {reach("source = \"a law\", ", ""), "7:10", "needs the key `source`"},
      {with_reach(kBan +
                  ", { state = \"US\", cap = \"cut\", basis = \"sanctions\", level = \"Assumed\", date = "
                  "2026-01-31 }"),
       "7:", "contradiction: the reach of US by sanctions is said with other words at f.toml:7:10"},
      {with_reach(
           R"({ state = "FR", cap = "both", basis = "place", level = "Declared", source = "s", date = 2026-01-31 })"),
       "4:9", "contradiction"},
      {with_reach(
           R"({ state = "DE", cap = "cut", basis = "place", level = "Declared", source = "s", date = 2026-01-31 })"),
       "4:9", "contradiction"},
      {kIsland + kIsland, "8:6", "island \"a\" is given twice, first at f.toml:1:1"},
      {gateway + "plaintext = 1\n", "4:13", "true or false"},
      {"[[keyholder]]\nid = \"k\"\nplace = \"FR\"\n", "1:1", "[keys] threshold"},
      {"[[keyholder]]\nid = \"k\"\nplace = \"FR\"\n[keys]\nthreshold = 0\n", "5:13", "from 1 to 1"},
      {"[[keyholder]]\nid = \"k\"\nplace = \"FR\"\n[keys]\nthreshold = 2\n", "5:13", "from 1 to 1"},
      {"[[name]]\nid = \"n\"\nplace = \"FR\"\nkind = \"phone\"\n", "4:8", "\"dns\" or \"ca\""},
      {"[[bloc]]\nid = \"FR\"\nstates = [\"FR\"]\n", "2:6", "is a state"},
      {"[[bloc]]\nid = \"XX-9\"\n", "1:1", "needs the key `states`"},
      {"[[bloc]]\nid = \"XX-9\"\nstates = []\n", "3:10", "no states"},
      {"[[bloc]]\nid = \"XX-9\"\nstates = [\"FR\", \"FR\"]\n", "3:17", "twice"},
      {"[[bloc]]\nid = \"XX-9\"\nstates = [\"FR\", \"EU\"]\n", "3:17", "the EU is a bloc"},
      {"[[bloc]]\nid = \"EU\"\n[[bloc]]\nid = \"EU\"\n", "4:6", "given twice"},
      {"[owner]\nhome = [\"France\"]\n", "2:9", "not a state"},
      {policy("islands = [\"a\"]\n"), "7:1", "needs the key `code`"},
      {policy("code = [1, 1]\n"), "7:1", "needs the key `islands`"},
      {policy("code = [1, 2]\nislands = [\"a\"]\n"), "8:8", "impossible"},
      {policy("code = [1, 0]\nislands = [\"a\"]\n"), "8:8", "impossible"},
      {policy("code = [17, 3]\nislands = [\"a\"]\n"), "8:8", "impossible"},
      {policy("code = [1]\nislands = [\"a\"]\n"), "8:8", "[n, k]"},
      {policy("code = [2, 1]\nislands = [\"a\"]\n"), "9:11", "needs exactly 2 islands"},
      {policy("code = [2, 1]\nislands = [\"a\", \"a\"]\n"), "9:17", "named twice"},
      {policy("code = [1, 1]\nislands = [\"b\"]\n"), "9:12", "no island \"b\""},
      {policy("code = [1, 1]\nislands = [\"a\"]\nallow = [\"EU\"]\n"), "10:1", "unknown key `allow`"},
      {"[policy]\np = 1\n", "2:5", "must be a table"},
      {"[[island]\n", "1:", ""},
  };
  for (const Wrong& wrong : cases) {
    auto file = facts(wrong.text);
    ASSERT_FALSE(file) << wrong.text;
    EXPECT_EQ(file.error().code, archipel::Code::invalid);
    EXPECT_TRUE(file.error().message.starts_with("f.toml:" + wrong.where))
        << wrong.text << file.error().message;
    EXPECT_THAT(file.error().message, HasSubstr(wrong.what)) << wrong.text;
  }
}

TEST(FactsFile, ReadsPoliciesAndClassesOfAConfig) {
  auto file = config(kIsland + R"(
type = "dir"
path = "islands/a"
[realm]
code = [6, 3]
[owner]
credentials_file = "x"
home = ["FR"]
[class.personal]
policy = "eu-only"
[class.public]
policy = "default"
[policy.eu-only]
allow = ["EU"]
code = [4, 2]
[policy.no-us-read]
deny = ["US"]
residency_of = ["place", "operator", "parent"]
adversaries = ["US", "FVEY", "alibaba", "a company"]
read_bound = "enforce"
cut_bound = "warn"
cost_max = 25
metadata_deny = ["countries-of-concern"]
)");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->policies.size(), 2u);
  EXPECT_EQ(file->policies[0].code, (exposure::Code{4, 2}));
  EXPECT_EQ(file->policies[0].where, "f.toml:19:1");
  const Policy& strict = file->policies[1];
  EXPECT_THAT(strict.of, ElementsAre(Basis::place, Basis::operator_, Basis::parent));
  EXPECT_EQ(strict.read_bound, Bound::enforce);
  EXPECT_EQ(strict.cut_bound, Bound::warn);
  EXPECT_EQ(strict.cost_max, 25.0);
  EXPECT_EQ(file->classes.size(), 2u);
  EXPECT_THAT(file->facts.home, ElementsAre("FR"));
}

TEST(FactsFile, RefusesRulesOfAConfigThatCannotBeMeant) {
  const Wrong cases[] = {
      {"[policy.P]\n", "7:1", "a-z"},
      {"[policy.p]\nallow = [\"Europe\"]\n", "8:10", "not a state"},
      {"[policy.p]\nadversaries = [\"nobody ltd\"]\n", "8:16", "neither a state"},
      {"[policy.p]\nread_bound = \"maybe\"\n", "8:14", "enforce"},
      {"[policy.p]\nresidency_of = [\"staff\"]\n", "8:17", "each once"},
      {"[policy.p]\ncost_max = -1\n", "8:12", "US dollars"},
      {"[policy.p]\ncode = [2, 1]\nislands = [\"a\"]\n", "9:11", "exactly 2 islands"},
      {"[policy.p]\ntypo = 1\n", "8:1", "unknown key"},
      {"[class.own]\npolicy = \"nowhere\"\n", "8:10", "no [policy.nowhere]"},
  };
  for (const Wrong& wrong : cases) {
    auto file = config(kIsland + wrong.text);
    ASSERT_FALSE(file) << wrong.text;
    EXPECT_TRUE(file.error().message.starts_with("f.toml:" + wrong.where)) << file.error().message;
    EXPECT_THAT(file.error().message, HasSubstr(wrong.what));
  }
}

TEST(FactsFile, LeavesAConfigAloneThatSaysNothingOfExposure) {
  auto file = config("[realm]\ncode = [6, 3]\n[[island]]\nid = \"a\"\ntype = \"dir\"\npath = \"x\"\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(file->facts.islands[0].edges, IsEmpty());
  EXPECT_THAT(file->notes, Contains(HasSubstr("nobody says where it lies")));
  EXPECT_FALSE(config("[policy.p]\n[[island]]\nid = \"a\"\n")) << "a policy needs to know";
}

const std::string kPlaced = kIsland + "[policy.p]\ncode = [1, 1]\nislands = [\"a\"]\n";

TEST(FactsFile, ReadsWhatIsSaidToBeKept) {
  auto file = facts(
      "[[holding]]\nbucket = \"b\"\npolicy = \"p\"\nclass = \"own\"\nobjects = 7\n"
      "bytes = 300_000_000_000_000\nunconfirmed = [\"a\"]\n" +
      kPlaced);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->holdings.size(), 1u);
  const Holding& holding = file->holdings[0];
  EXPECT_EQ(holding.bucket, "b");
  EXPECT_EQ(holding.data_class, "own");
  EXPECT_EQ(holding.objects, 7u);
  EXPECT_EQ(holding.stored_bytes, 300'000'000'000'000u);
  EXPECT_THAT(holding.islands, ElementsAre("a"));
  EXPECT_EQ(holding.confirmed & 1, 0u);
}

TEST(FactsFile, RefusesWhatCannotBeKept) {
  const std::string good = "bucket = \"b\"\npolicy = \"p\"\nobjects = 1\nbytes = 1\n";
  const std::pair<std::string, std::string> cases[] = {
      {"policy = \"p\"\nobjects = 1\nbytes = 1\n", "`bucket`"},
      {"bucket = \"b\"\npolicy = \"q\"\nobjects = 1\nbytes = 1\n", "f.toml:12:10: there is no [policy.q]"},
      {"bucket = \"b\"\npolicy = \"p\"\nbytes = 1\n", "needs the key `objects`"},
      {"bucket = \"b\"\npolicy = \"p\"\nobjects = 1\nbytes = -1\n",
       "f.toml:14:9: `bytes` must be a whole number"},
      {"bucket = \"b\"\npolicy = \"p\"\nobjects = 1.5\nbytes = 1\n", "`objects` must be a whole number"},
      {good + "unconfirmed = [\"z\"]\n", "f.toml:15:16: policy \"p\" has no shard on \"z\""},
      {good + "typo = 1\n", "unknown key `typo`"}};
  for (const auto& [text, what] : cases) {
    auto file = facts(kPlaced + "[[holding]]\n" + text);
    ASSERT_FALSE(file) << text;
    EXPECT_THAT(file.error().message, HasSubstr(what));
  }
}

std::string read_text(const std::string& path) {
  std::ifstream in(archipel::testing::source_dir() / path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// The examples of inquiry §4, as tests/exposure/brute_force.py answers them.
TEST(FactsJson, AnswersTheWorkedExamplesAsTheBruteForceDoes) {
  simdjson::dom::parser parser, other;
  simdjson::padded_string text(read_text("tests/exposure/vectors.json"));
  simdjson::dom::array vectors = parser.parse(text)["vectors"];
  size_t count = 0;
  for (simdjson::dom::element vector : vectors) {
    std::string name(vector["file"].get_string().value());
    auto file = facts(read_text("tests/exposure/worked/" + name));
    ASSERT_TRUE(file) << file.error().message;
    auto json = facts_json(file->facts);
    ASSERT_TRUE(json) << json.error().message;
    EXPECT_EQ(*json, simdjson::minify(vector["expected"])) << name;
    ++count;
  }
  EXPECT_EQ(count, 5u);
}

TEST(FactsJson, SaysNullWhereNobodyCan) {
  auto file = facts(R"([[keyholder]]
id = "k"
place = "FR"
[keys]
threshold = 1
)" + kIsland + "[policy.\"é\"]\ncode = [1, 1]\nislands = [\"a\"]\n");
  ASSERT_TRUE(file) << file.error().message;
  file->facts.keyholders[0].edges.clear();
  EXPECT_EQ(facts_json(file->facts).value(),
            R"({"policies":[{"policy":"é","read":{"min":null,"coalitions":[]},)"
            R"("cut":{"min":1,"coalitions":[["CN"],["DE"],["SG"]]}}]})");
}

TEST(FactsJson, KeepsPoliciesInTheOrderOfTheFile) {
  auto file =
      facts(kIsland +
            "[policy.z]\ncode = [1, 1]\nislands = [\"a\"]\n[policy.b]\ncode = [1, 1]\nislands = [\"a\"]\n");
  ASSERT_TRUE(file);
  std::string json = facts_json(file->facts).value();
  EXPECT_LT(json.find("\"z\""), json.find("\"b\""));
}

}  // namespace
}  // namespace archipel::exposure
