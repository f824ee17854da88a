#include "base/toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace archipel {
namespace {

using ::testing::ElementsAre;
using Kind = TomlValue::Kind;

TEST(Toml, KeepsTheOrderOfTheFileAndSaysWhereThingsStand) {
  auto tree = parse_toml("[z.b]\nx = 1\n[z.a]\ny = [\"p\", 2026-11-22]\n", "f.toml");
  ASSERT_TRUE(tree);
  const TomlValue* z = tree->get("z");
  ASSERT_NE(z, nullptr);
  ASSERT_EQ(z->entries.size(), 2u);
  EXPECT_EQ(z->entries[0].key, "b");
  EXPECT_EQ(z->entries[1].key, "a");
  const TomlValue* y = z->entries[1].value.get("y");
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->items[1].text, "2026-11-22");
  EXPECT_TRUE(y->items[1].is(Kind::date));
  EXPECT_EQ(TomlTable("f.toml", *z, "z").where(*y), "f.toml:4:5");
}

TEST(Toml, NamesTheLineOfWhatIsNotToml) {
  for (std::string text : {"a = \n", "[=]", "a = 1\na = 2", "\xff"}) {
    auto tree = parse_toml(text, "f.toml");
    ASSERT_FALSE(tree) << text;
    EXPECT_EQ(tree.error().code, Code::invalid);
    EXPECT_TRUE(tree.error().message.starts_with("f.toml:")) << tree.error().message;
  }
  std::string deep = "a = " + std::string(100, '[') + std::string(100, ']');
  EXPECT_FALSE(parse_toml(deep, "f.toml"));
}

TEST(TomlTable, ChecksTypesAndNamesWhatNobodyAskedFor) {
  std::string file = "f.toml";
  auto tree = parse_toml("name = \"x\"\ncount = 3\nlist = [\"a\", \"b\"]\ntypo = 1\n", file);
  ASSERT_TRUE(tree);
  TomlTable table(file, *tree, "the top level");
  std::string name;
  int count = 0;
  std::vector<std::string> list;
  EXPECT_TRUE(table.text("name", name, true));
  EXPECT_TRUE(table.number("count", count, 0, 3));
  EXPECT_TRUE(table.texts("list", list, 2));
  EXPECT_THAT(list, ElementsAre("a", "b"));
  EXPECT_EQ(table.texts("list", list, 1).error().message,
            "f.toml:3:8: `list` holds 2 values, and at most 1 are read");
  EXPECT_EQ(table.number("count", count, 0, 2).error().message,
            "f.toml:2:9: `count` must be a whole number from 0 to 2");
  EXPECT_EQ(table.text("count", name).error().message, "f.toml:2:9: `count` must be a string in quotes");
  EXPECT_EQ(table.text("missing", name, true).error().message,
            "f.toml:1:1: the top level needs the key `missing`");
  EXPECT_EQ(table.finish().error().message, "f.toml:4:1: unknown key `typo` in the top level");
}

}  // namespace
}  // namespace archipel
