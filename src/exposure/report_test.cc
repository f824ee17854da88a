#include "exposure/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <simdjson.h>

#include "exposure/facts_fixture.h"
#include "exposure/report_parts.h"

namespace archipel::exposure {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::shared_ptr<const World> built_in_world() {
  static const std::shared_ptr<const World> kWorld = World::load().value();
  return kWorld;
}

ReportInput example() {
  ReportInput input;
  input.file.file = "split.toml";
  input.file.world = built_in_world();
  input.file.facts = testing::split_example();
  input.file.facts.islands[1].provider = built_in_world()->regions().front().provider;
  input.file.facts.islands[1].region = built_in_world()->regions().front().region;
  input.file.facts.blocs = {{"EU", {"DE", "FI", "FR", "IE", "LU"}, false, ""}};
  input.file.facts.home = {"US"};
  input.file.notes = {"split.toml:3:1: island a: nobody says its parent, so it is its operator"};
  input.file.classes = {{"personal", "split", ""}};
  input.date = "2026-11-22";
  Holding holding{"photos", "personal", "split",   {5, 3},   {"a", "b", "c", "d", "e"},
                  0b01111,  1200,       3'000'000, 5'000'000};
  input.inventory.holdings = {holding};
  return input;
}

BanReport ban_of_a(const ReportInput& input) {
  BanReport ban;
  ban.target = "a";
  ban.kind = "island";
  ban.islands = {"a"};
  ban.holdings = {{input.inventory.holdings[0], 1, 3, false, true, false, 0}};
  ban.degraded_objects = 1200;
  ban.degraded_bytes = 3'000'000;
  ban.copy_out = {100'000'000'000'000, {800'000, 80'000}, 9000.0, {}};
  ban.rebuild_around = {300'000'000'000'000, {2'400'000, 240'000}, std::nullopt, {"e"}};
  ban.advice = {"add an island outside EU"};
  return ban;
}

TEST(ReportJson, SaysTheAnswersOfEveryPolicy) {
  const std::string json = report_json(example()).value();
  simdjson::dom::parser parser;
  const auto root = parser.parse(simdjson::padded_string(json));
  EXPECT_EQ(std::string_view(root["format"]), "archipel-exposure/1");
  const auto policy = root["policies"].at(0);
  EXPECT_EQ(std::string_view(policy["policy"]), "split");
  EXPECT_EQ(int64_t(policy["read"]["min"]), 3);
  EXPECT_EQ(policy["read"]["coalitions"].get_array().size(), 25U);
  EXPECT_EQ(int64_t(policy["cut"]["min"]), 2);
  EXPECT_EQ(policy["cut"]["coalitions"].get_array().size(), 35U);
  EXPECT_EQ(int64_t(policy["degrade"]["min"]), 1);
}

TEST(ReportJson, CarriesFactsHoldingsAndWhatWasAssumed) {
  ReportInput input = example();
  input.bans = {ban_of_a(input)};
  input.adversaries = {"CN"};
  const std::string json = report_json(input).value();
  simdjson::dom::parser parser;
  const auto root = parser.parse(simdjson::padded_string(json));
  const auto island = root["facts"]["islands"].at(1);
  EXPECT_EQ(std::string_view(island["city"]), built_in_world()->regions().front().city);
  EXPECT_EQ(std::string_view(island["edges"].at(2)["basis"]), "parent");
  EXPECT_EQ(root["holdings"].at(0)["confirmed"].get_array().size(), 4U) << "e is not confirmed";
  EXPECT_EQ(std::string_view(root["states"]["JP"]["fr"]), "Japon");
  EXPECT_TRUE(root["states"]["BR"].error() != simdjson::SUCCESS) << "nobody mentions it";
  EXPECT_EQ(bool(root["adversaries"].at(0)["reads"]), false);
  EXPECT_EQ(double(root["bans"].at(0)["copy_out"]["cost"]), 9000);
  EXPECT_EQ(std::string_view(root["bans"].at(0)["kind"]), "island");
  EXPECT_TRUE(root["bans"].at(0)["rebuild_around"]["cost"].is_null());
  EXPECT_THAT(std::string_view(root["assumed"].at(0)), HasSubstr("split.toml:3"));
  EXPECT_EQ(std::string_view(root["facts"]["blocs"].at(0)["fr"]), built_in_world()->set("EU")->fr);
  EXPECT_GT(root["facts"]["blocs"].get_array().size(), 1U) << "blocs of the world can be switched on";
}

TEST(ReportJson, SaysWhatItTakesWithoutTheOwnersOwn) {
  ReportInput input = example();
  const auto minima = [&](const char* question) {
    simdjson::dom::parser parser;
    const auto root = parser.parse(simdjson::padded_string(report_json(input).value()));
    const auto answer = root["policies"].at(0)[question];
    return std::pair(int64_t(answer["min"]),
                     answer["min_abroad"].is_null() ? -1 : int64_t(answer["min_abroad"]));
  };
  input.file.facts.home = {};
  EXPECT_EQ(minima("cut"), std::pair(2L, 2L));
  EXPECT_THAT(report_text(input, 80).value(), Not(HasSubstr("owner's own")));
  input.file.facts.home = {"FR", "US"};
  EXPECT_EQ(minima("read"), std::pair(3L, -1L)) << "two of three keys: somebody of home is always in it";
  EXPECT_EQ(minima("cut"), std::pair(2L, 2L)) << "DE and IE";
  EXPECT_THAT(report_text(input, 80).value(), HasSubstr("Without the owner's own, FR, US:"));
  input.file.facts.home = {"SG"};
  EXPECT_THAT(report_text(input, 80).value(), HasSubstr("The same without the owner's own: SG"));
}

TEST(ReportJson, IslandThatTheFactsDoNotKnowIsAnError) {
  ReportInput input = example();
  input.file.facts.placings[0].islands[2] = "atlantis";
  EXPECT_THAT(report_json(input).error().message, HasSubstr("atlantis"));
}

TEST(ReportText, SaysTheAnswersAndFitsTheTerminal) {
  ReportInput input = example();
  input.bans = {ban_of_a(input)};
  input.adversaries = {"CN"};
  for (const int columns : {40, 60, 80, 132}) {
    const std::string text = report_text(input, columns).value();
    EXPECT_THAT(text, HasSubstr("photos"));
    EXPECT_THAT(text, HasSubstr("$9,000"));
    EXPECT_THAT(text, HasSubstr("100 TB"));
    EXPECT_THAT(text, HasSubstr("nobody says"));
    for (size_t at = 0, end = 0; at < text.size(); at = end + 1) {
      end = text.find('\n', at);
      EXPECT_LE(end - at, static_cast<size_t>(columns)) << text.substr(at, end - at);
    }
  }
  EXPECT_THAT(report_text(input, 132).value(), HasSubstr("CH + DE + FR; CH + DE + US; CN + FR + US"));
}

TEST(ReportText, SaysWhatABanLeavesOfEachBucket) {
  ReportInput input = example();
  input.bans = {ban_of_a(input)};
  input.bits_per_second = {2.5e9, 1e8};
  const std::string text = report_text(input, 132).value();
  EXPECT_THAT(text, HasSubstr("The price of a ban: island a"));
  EXPECT_THAT(text, HasSubstr("readable, bears no further loss; not writable"));
  EXPECT_THAT(text, HasSubstr("AT 2.5 Gbit/s  AT 100 Mbit/s"));
  EXPECT_THAT(text, HasSubstr("No price of egress is known for e."));
  input.inventory.holdings.clear();
  const std::string uncounted = report_text(input, 132).value();
  EXPECT_THAT(uncounted, HasSubstr("nobody counts here"));
  EXPECT_THAT(uncounted, HasSubstr("add an island outside EU"));
  EXPECT_THAT(uncounted, Not(HasSubstr("0 objects"))) << "what is not known is not nothing";
}

TEST(ReportText, TableGivesWayWhereItIsWidest) {
  TextTable table({"A", "B"});
  table.add({"short", "one two three four five six seven eight nine ten"});
  EXPECT_EQ(table.render(28),
            "A      B\n-----  ---------------------\nshort  one two three four\n       five six seven "
            "eight\n       nine ten\n");
}

TEST(ReportText, NumbersAreForPeople) {
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1e14), "100 TB");
  EXPECT_EQ(bytes_text(3'210'000), "3.21 MB");
  EXPECT_EQ(duration_text(800'000), "9.3 days");
  EXPECT_EQ(duration_text(80'000), "22 hours");
  EXPECT_EQ(duration_text(0.001), "under 0.1 s");
  EXPECT_EQ(money_text(9000.4), "$9,000");
  EXPECT_EQ(money_text(0.0), "$0.00");
  EXPECT_EQ(money_text(std::nullopt), "not known");
}

TEST(ReportHtml, IsOneFileThatLoadsNothing) {
  const std::string html = report_html(example(), "fr").value();
  EXPECT_THAT(html, HasSubstr("<html lang=\"fr\""));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  EXPECT_THAT(html, HasSubstr("archipel-exposure/1"));
  EXPECT_THAT(html, HasSubstr("archipel-map/1"));
  for (const std::string_view mark :
       {"@LANGUAGE@", "@STYLE@", "@SCRIPT@", "@REPORT@", "@MAP@", "src=", "@import"})
    EXPECT_THAT(html, Not(HasSubstr(mark)));
  EXPECT_LT(html.size(), 400'000U);
}

TEST(ReportHtml, NothingInTheFactsEndsAScript) {
  ReportInput input = example();
  const std::string plain = report_html(input, "en").value();
  input.file.facts.islands[0].edges[0].source = "</script><script>alert(1)</script><!-- @STYLE@ ]]>";
  const std::string html = report_html(input, "en").value();
  auto count = [](std::string_view text, std::string_view what) {
    size_t found = 0;
    for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count(html, "</script"), count(plain, "</script"));
  EXPECT_EQ(count(plain, "</script"), 3U);
  EXPECT_EQ(count(html, "<!--"), 0U);
  EXPECT_EQ(count(html, "@STYLE@"), 1U) << "what is put in is not looked at again";
}

TEST(ReportHtml, UnknownLanguageIsRefused) {
  EXPECT_EQ(report_html(example(), "de").error().code, archipel::Code::invalid);
}

}  // namespace
}  // namespace archipel::exposure
