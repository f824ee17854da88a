#include "app/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace archipel::app {
namespace {

std::string islands(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += "[[island]]\nid = \"i" + std::to_string(i) + "\"\ntype = \"dir\"\npath = \"islands/" +
            std::to_string(i) + "\"\n";
  return text;
}

Result<Config> load(const std::string& text) {
  auto dir = std::filesystem::path(testing::TempDir()) / "config_test";
  std::filesystem::create_directories(dir);
  auto file = dir / "archipel.toml";
  std::ofstream(file, std::ios::trunc) << text;
  return load_config(file.string());
}

TEST(Config, SmallestFileTakesTheDefaults) {
  auto config = load(islands(6));
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->listen, "127.0.0.1:9000");
  EXPECT_EQ(config->code, (erasure::Code{6, 3}));
  EXPECT_TRUE(std::filesystem::path(config->islands[5].path).is_absolute());
  EXPECT_EQ(std::filesystem::path(config->keyring_path).filename(), "keyring");
}

TEST(Config, ErrorsNameLineAndColumn) {
  struct Case {
    std::string text, expected;
  };
  const Case cases[] = {
      {"[listen]\nhtpp = \"127.0.0.1:1\"\n" + islands(6), ":2:1: unknown key `htpp` in [listen]"},
      {"[listen\n", ":1:"},
      {"[=]\n", ":1:2:"},
      {"[listen]\n[+", ":2:2:"},
      {"a = 1 \xca\x9a\n", ":1:7:"},
      {"typo = 1\n" + islands(6), ":1:1: unknown key `typo`"},
      {"[realm]\ncode = [6, 4]\n" + islands(6), ":2:8: code [6, 4] is not admitted"},
      {"[realm]\ncode = \"6,3\"\n" + islands(6), ":2:8: `code` must be [n, k]"},
      {"[limits]\nthreads = 65\n" + islands(6), ":2:11: `threads` must be a whole number from 0 to 64"},
      {"[collection]\ngrace_s = -1\n" + islands(6), ":2:11: `grace_s` must be a whole number from 0 to"},
      {"[listen]\nhttps = \"127.0.0.1:1\"\n" + islands(6), "https needs a certificate"},
      {"[[tls]]\nhosts = [\"a\"]\ncert = \"c\"\nkey = \"k\"\n" + islands(6), "and none of them is set"},
      {"[listen]\nhttps = \"127.0.0.1:1\"\n[[tls]]\ncert = \"c\"\nkey = \"k\"\n" + islands(6),
       ":3:1: [[tls]] needs the key `hosts`"},
      {"[listen]\nhttps = \"127.0.0.1:1\"\n[[tls]]\nhosts = []\ncert = \"c\"\nkey = \"k\"\n" + islands(6),
       ":4:9: `hosts` must be a list"},
      {"[listen]\nhttps = \"127.0.0.1:1\"\n[[tls]]\nhosts = [\"a.b\", \"a..b\"]\ncert = \"c\"\n" + islands(6),
       ":4:17: a host is a name"},
      {"[listen]\nhttps = \"127.0.0.1:1\"\n[[tls]]\nhosts = [\"*.B\"]\ncert = \"c\"\n" + islands(6),
       "[[tls]] needs the key `key`"},
      {"[limits]\nupload_bytes_per_second_min = -1\n" + islands(6), ":2:31: `upload_bytes_per_second_min`"},
      {"[log]\nlevel = \"loud\"\n" + islands(6), ":2:9: `level` must be"},
      {islands(5), "needs exactly 6 islands, 5 are given"},
      {"", "no islands"},
      {islands(5) + "[[island]]\nid = \"i0\"\ntype = \"dir\"\npath = \"x\"\n",
       "island id \"i0\" is used twice"},
      {islands(5) + "[[island]]\nid = \"i7\"\ntype = \"dir\"\npath = \"islands/0\"\n", "share the directory"},
      {islands(5) + "[[island]]\nid = \"I7\"\ntype = \"dir\"\npath = \"x\"\n", "`id` must be 1 to 63"},
      {islands(5) + "[[island]]\nid = \"i7\"\ntype = \"floppy\"\npath = \"x\"\n",
       "island type \"floppy\" is unknown"},
      {islands(5) + "[[island]]\nid = \"i7\"\ntype = \"dir\"\npath = \"x\"\nplace = \"Germany\"\n",
       "ISO 3166-1"},
      {islands(5) + "[[island]]\ntype = \"dir\"\npath = \"x\"\n", "[[island]] needs the key `id`"},
  };
  for (const Case& c : cases) {
    auto config = load(c.text);
    ASSERT_FALSE(config.has_value()) << c.text;
    EXPECT_NE(config.error().message.find(c.expected), std::string::npos) << config.error().message;
  }
}

TEST(Config, LeavesFactsToThoseWhoReadThem) {
  const std::string facts =
      "[owner]\nhome = [\"FR\"]\n[[gateway]]\nid = \"home\"\n[policy.eu-only]\nallow = [\"EU\"]\n"
      "[class.personal]\npolicy = \"eu-only\"\n[[bloc]]\nid = \"EU\"\n[keys]\nthreshold = 2\n";
  auto config = load(facts + islands(6) + "region = \"eu-west-1\"\nreach = []\n");
  EXPECT_TRUE(config.has_value()) << config.error().message;
  config = load(islands(6) + "paths = \"x\"\n");
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().message.find("unknown key `paths`"), std::string::npos);
  config = load("[policies.eu-only]\n" + islands(6));
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().message.find("unknown key `policies`"), std::string::npos);
}

TEST(Config, MissingFileIsOneSentence) {
  auto config = load_config("/nonexistent/archipel.toml");
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, Code::not_found);
  EXPECT_NE(config.error().message.find("/nonexistent/archipel.toml"), std::string::npos);
}

}  // namespace
}  // namespace archipel::app
