#include "app/islands.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace archipel::app {
namespace {

TEST(MakeIslands, OneBadPathCostsOneIsland) {
  const std::string dir = testing::TempDir() + "/islands_" + std::to_string(getpid());
  std::filesystem::create_directories(dir);
  Config config;
  for (const char* id : {"a", "b", "c"}) {
    IslandConfig island;
    island.id = id;
    island.path = dir + "/" + id;
    config.islands.push_back(island);
  }
  std::ofstream(dir + "/b") << "a file where a directory was";
  auto islands = make_islands(config, true);
  ASSERT_TRUE(islands.has_value()) << islands.error().describe();
  EXPECT_EQ(islands->size(), 3u);
  EXPECT_TRUE(std::filesystem::is_directory(dir + "/c"));
  EXPECT_TRUE(std::filesystem::is_regular_file(dir + "/b"));
  islands->clear();
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace archipel::app
