#include "app/islands.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "index/chain_reader.h"
#include "io/loop.h"
#include "island/marker.h"

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
  EXPECT_EQ(islands.size(), 3u);
  EXPECT_TRUE(std::filesystem::is_directory(dir + "/c"));
  EXPECT_TRUE(std::filesystem::is_regular_file(dir + "/b"));
  islands.clear();
  std::filesystem::remove_all(dir);
}

TEST(WithoutImpostors, SwappedIslandsConfirmNothing) {
  const std::string dir = testing::TempDir() + "/impostors_" + std::to_string(getpid());
  auto keys = crypto::Keyring::generate(system_random());
  Config config;
  for (const char* id : {"a", "b", "c"}) {
    IslandConfig island;
    island.id = id;
    island.path = dir + "/" + id;
    config.islands.push_back(island);
  }
  std::filesystem::create_directories(dir);
  const std::string name(40, 'e');
  auto outcomes = io::run_blocking([&]() -> io::Task<std::vector<bool>> {
    return [](const Config* c, const crypto::Keyring* k, std::string d,
              std::string blob) -> io::Task<std::vector<bool>> {
      auto islands = make_islands(*c, true);
      Deadline deadline = system_clock().now() + std::chrono::seconds(30);
      for (auto& island : islands) {
        const std::string marker = island::encode_marker(*k, island->id(), system_random().bytes<16>());
        Result<void> joined = co_await island->write_marker(as_bytes(marker), deadline);
        EXPECT_TRUE(joined.has_value());
      }
      islands.clear();
      std::filesystem::rename(d + "/a", d + "/x");
      std::filesystem::rename(d + "/b", d + "/a");
      std::filesystem::rename(d + "/x", d + "/b");
      islands = make_islands(*c, false);
      std::vector<index::IslandReport> reports;
      const extent::Placement placement{islands};
      std::vector<index::IslandSeen> seen = co_await index::read_markers(*k, placement, *io::Loop::current());
      for (size_t i = 0; i < seen.size(); ++i) {
        index::IslandReport report;
        report.id = islands[i]->id();
        report.reason = seen[i].reason;
        report.refused = seen[i].refused;
        reports.push_back(report);
      }
      auto trusted = without_impostors(islands, reports);
      std::vector<bool> confirmed;
      for (auto& island : trusted) {
        const std::vector<ByteView> parts = {as_bytes("bytes")};
        Result<void> put = co_await island->put(blob, parts, deadline);
        confirmed.push_back(put.has_value());
      }
      co_return confirmed;
    }(&config, keys.get(), dir, name);
  });
  EXPECT_EQ(outcomes, (std::vector<bool>{false, false, true}));
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace archipel::app
