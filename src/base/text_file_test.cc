#include "base/text_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace archipel {
namespace {

std::string refused(const Result<std::string>& text) {
  return text ? "read" : text.error().message;
}

TEST(ReadTextFile, GivesTheWholeFileOrSaysWhyNot) {
  const auto dir = std::filesystem::path(testing::TempDir()) / "text_file_test";
  std::filesystem::create_directories(dir);
  const std::string file = (dir / "a.toml").string();
  std::ofstream(file, std::ios::trunc) << "12345";
  EXPECT_EQ(read_text_file(file, "config file", 5).value_or("refused"), "12345");
  EXPECT_EQ(refused(read_text_file(file, "config file", 4)),
            "the config file " + file + " is larger than 4 bytes");
  std::ofstream(file, std::ios::trunc) << std::string((1u << 20) + 1, 'x');
  EXPECT_EQ(refused(read_text_file(file, "config file", 1u << 20)),
            "the config file " + file + " is larger than 1 MiB");
  EXPECT_EQ(refused(read_text_file(dir.string(), "config file", 4)),
            "the config file " + dir.string() + " is not a regular file");
  EXPECT_EQ(refused(read_text_file("/dev/zero", "config file", 4)),
            "the config file /dev/zero is not a regular file");
  auto missing = read_text_file((dir / "none").string(), "config file", 4);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
}

}  // namespace
}  // namespace archipel
