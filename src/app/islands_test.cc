#include "app/islands.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/guard.h"
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

// Puts to all islands: which confirm?
io::Task<std::vector<bool>> confirm(std::vector<std::shared_ptr<island::Island>> islands, char name) {
  std::vector<bool> confirmed;
  for (auto& island : islands) {
    const std::vector<ByteView> parts = {as_bytes("bytes")};
    Result<void> put = co_await island->put(std::string(40, name), parts,
                                            io::Loop::current()->now() + std::chrono::seconds(30));
    confirmed.push_back(put.has_value());
  }
  co_return confirmed;
}

void swap_directories(const std::string& dir) {
  std::filesystem::rename(dir + "/a", dir + "/x");
  std::filesystem::rename(dir + "/b", dir + "/a");
  std::filesystem::rename(dir + "/x", dir + "/b");
}

io::Task<void> swapped(const Config* config, const crypto::Keyring* keys, std::string dir) {
  const std::vector<bool> all{true, true, true}, without_swapped{false, false, true};
  for (auto& island : make_islands(*config, true)) {
    const std::string marker = island::encode_marker(*keys, island->id(), system_random().bytes<16>());
    Result<void> joined = co_await island->write_marker(
        as_bytes(marker), io::Loop::current()->now() + std::chrono::seconds(30));
    EXPECT_TRUE(joined.has_value());
  }
  // Before the start, as the journal reports it.
  swap_directories(dir);
  Guard guard(make_islands(*config, false), *keys, *io::Loop::current());
  const extent::Placement placement{guard.islands()};
  std::vector<index::IslandSeen> seen = co_await index::read_markers(*keys, placement, *io::Loop::current());
  std::vector<index::IslandReport> reports;
  for (size_t i = 0; i < seen.size(); ++i)
    reports.push_back(
        {placement.islands[i]->id(), index::IslandReport::State::ok, seen[i].reason, seen[i].refused});
  guard.begin_with(reports);
  std::vector<bool> now = co_await confirm(guard.islands(), 'a');
  EXPECT_EQ(now, without_swapped);
  // Set right, and swapped again while it runs.
  swap_directories(dir);
  co_await guard.look();
  now = co_await confirm(guard.islands(), 'b');
  EXPECT_EQ(now, all);
  swap_directories(dir);
  co_await guard.look();
  now = co_await confirm(guard.islands(), 'c');
  EXPECT_EQ(now, without_swapped);
}

TEST(Guard, SwappedIslandsConfirmNothing) {
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
  io::run_blocking([&] { return swapped(&config, keys.get(), dir); });
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace archipel::app
