#include "app/inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace archipel::app {
namespace {

TEST(Inventory, IsTheSameAfterItsLines) {
  exposure::Inventory inventory;
  inventory.journal = {"a", "b", "c"};
  exposure::Holding holding;
  holding.bucket = "photos";
  holding.data_class = "personal";
  holding.policy = "eu-only";
  holding.code = {3, 2};
  holding.islands = {"a", "b", "c"};
  holding.confirmed = 0b101;
  holding.objects = 7;
  holding.bytes = 1ull << 40;
  holding.stored_bytes = 3ull << 39;
  holding.in_commits = true;
  inventory.holdings = {holding};
  auto lines = inventory_lines(inventory);
  ASSERT_EQ(lines.size(), 2u);
  auto parsed = parse_inventory(lines);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->journal, inventory.journal);
  EXPECT_EQ(inventory_lines(*parsed), lines);
  EXPECT_EQ(parsed->holdings[0].confirmed, 0b101u);
}

TEST(Inventory, RefusesALineThatIsNotOne) {
  const std::string journal = R"({"journal":["a"]})";
  const std::string good =
      R"({"bucket":"b","data_class":"","policy":"default","code":[1,1],"islands":["a"],"confirmed":["a"],"objects":1,"bytes":1,"stored_bytes":1,"in_commits":false})";
  ASSERT_TRUE(parse_inventory(std::vector{journal, good}));
  for (auto [from, to] : {std::pair{"[1,1]", "[1,2]"},
                          {"[1,1]", "[2,1]"},
                          {"[1,1]", "7"},
                          {"\"objects\":1", "\"objects\":-1"},
                          {"\"bucket\":\"b\",", ""},
                          {"[\"a\"],\"conf", "3,\"conf"},
                          {"{", ""}}) {
    std::string bad = good;
    bad.replace(bad.find(from), std::string(from).size(), to);
    auto parsed = parse_inventory(std::vector{journal, bad});
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Code::invalid);
  }
}

}  // namespace
}  // namespace archipel::app
