#include "app/exposure_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace archipel::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ExposureInput, ReadsBandwidthsAsPeopleWriteThem) {
  EXPECT_EQ(parse_bandwidth("1G"), 1e9);
  EXPECT_EQ(parse_bandwidth("2.5 Gb/s"), 2.5e9);
  EXPECT_EQ(parse_bandwidth("500Mbit/s"), 5e8);
  EXPECT_EQ(parse_bandwidth("9600"), 9600);
  for (const char* wrong : {"", "G", "0", "-1G", "0.1", "1g", "1GB", "1e9", "nan", "1 000", "2000T", "1G "})
    EXPECT_EQ(parse_bandwidth(wrong), std::nullopt) << wrong;
}

exposure::Holding holding(std::string bucket, std::vector<std::string> islands) {
  exposure::Holding out;
  out.bucket = std::move(bucket);
  out.policy = "p";
  out.code = {2, 1};
  out.islands = std::move(islands);
  out.objects = 1;
  return out;
}

std::vector<std::string> names_of(const std::vector<exposure::Placing>& placings) {
  std::vector<std::string> out;
  out.reserve(placings.size());
  for (const exposure::Placing& placing : placings) out.push_back(placing.policy);
  return out;
}

TEST(ExposureInput, JudgesWhatLiesOtherwiseThanItsPolicySays) {
  exposure::ReportInput input;
  input.file.facts.placings = {{"p", {2, 1}, {"a", "b"}, ""}};
  input.inventory.holdings = {holding("as-said", {"a", "b"})};
  EXPECT_THAT(placings_as_stored(input), IsEmpty());

  input.inventory.holdings.push_back(holding("moved", {"a", "c"}));
  input.inventory.holdings.push_back(holding("with-it", {"a", "c"}));
  input.inventory.holdings.push_back(holding("", {"a", "b"}));
  input.inventory.holdings.back().policy = "";
  input.inventory.holdings.push_back(holding("empty", {"b", "c"}));
  input.inventory.holdings.back().objects = 0;
  EXPECT_THAT(names_of(placings_as_stored(input)),
              ElementsAre("(journal)", "as stored: moved and 1 more, 1 of 2"));

  input.inventory.holdings.push_back(holding("moved", {"c", "d"}));
  EXPECT_THAT(names_of(placings_as_stored(input)),
              ElementsAre("(journal)", "as stored: moved and 1 more, 1 of 2", "as stored: moved, 1 of 2"));
  input.inventory.holdings.push_back(holding("moved", {"e", "f"}));
  EXPECT_EQ(names_of(placings_as_stored(input)).back(), "as stored: moved, 1 of 2 (2)");
}

TEST(ExposureInput, CountsOnlyWhatIsConfirmedOfWhatIsOwed) {
  exposure::ReportInput input;
  input.file.facts.placings = {{"p", {2, 1}, {"a", "b"}, ""}};
  input.inventory.holdings = {holding("owing", {"a", "b"})};
  input.inventory.holdings[0].confirmed = 0b01;
  const auto stored = placings_as_stored(input);
  ASSERT_THAT(names_of(stored), ElementsAre("as stored: owing, 1 of 2"));
  EXPECT_EQ(stored[0].confirmed & 0b11, 0b01u);
}

}  // namespace
}  // namespace archipel::app
