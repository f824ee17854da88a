#include "app/islands.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
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

// A bucket: it takes what it is given, marker or not.
class Bucket final : public island::Island {
 public:
  const std::string& id() const override { return id_; }
  io::Task<Result<void>> put(island::BlobName, std::span<const ByteView>, Deadline) override {
    co_return Result<void>{};
  }
  io::Task<Result<void>> overwrite(island::BlobName, ByteView, Deadline) override {
    co_return Result<void>{};
  }
  io::Task<Result<Buffer>> get(island::BlobName, uint64_t, uint64_t, Deadline) override {
    co_return fail(Code::not_found, "no such blob");
  }
  io::Task<Result<uint64_t>> size(island::BlobName, Deadline) override {
    co_return fail(Code::not_found, "no such blob");
  }
  io::Task<Result<void>> remove(island::BlobName, Deadline) override { co_return Result<void>{}; }
  io::Task<Result<std::vector<island::BlobName>>> list(Deadline) override {
    co_return std::vector<island::BlobName>{};
  }
  io::Task<Result<Buffer>> read_marker(Deadline) override {
    if (silent) co_return fail(Code::unavailable, "no answer");
    if (marker.empty()) co_return fail(Code::not_found, "no marker");
    Buffer bytes(marker.size());
    std::ranges::copy(as_bytes(marker), bytes.data());
    co_return bytes;
  }
  io::Task<Result<void>> write_marker(ByteView bytes, Deadline) override {
    marker = as_text(bytes);
    co_return Result<void>{};
  }
  std::string marker;
  bool silent = false;

 private:
  const std::string id_ = "a";
};

io::Task<void> wiped(const crypto::Keyring* keys) {
  const std::vector<bool> yes{true}, no{false};
  const std::string own = island::encode_marker(*keys, "a", system_random().bytes<16>());
  auto bucket = std::make_shared<Bucket>();
  bucket->marker = own;
  Guard guard({bucket}, *keys, *io::Loop::current());
  co_await guard.look();
  std::vector<bool> now = co_await confirm(guard.islands(), 'a');
  EXPECT_EQ(now, yes);
  // No answer is no absence.
  bucket->silent = true;
  co_await guard.look();
  now = co_await confirm(guard.islands(), 'b');
  EXPECT_EQ(now, yes);
  bucket->silent = false;
  bucket->marker.clear();
  co_await guard.look();
  now = co_await confirm(guard.islands(), 'c');
  EXPECT_EQ(now, no);
  // Brought back.
  bucket->marker = own;
  co_await guard.look();
  now = co_await confirm(guard.islands(), 'd');
  EXPECT_EQ(now, yes);
  // Wiped, and rejoined empty.
  bucket->marker.clear();
  co_await guard.look();
  now = co_await confirm(guard.islands(), 'e');
  EXPECT_EQ(now, no);
  const std::string anew = island::encode_marker(*keys, "a", system_random().bytes<16>());
  Result<void> joined = co_await guard.islands()[0]->write_marker(
      as_bytes(anew), io::Loop::current()->now() + std::chrono::seconds(30));
  EXPECT_TRUE(joined.has_value());
  now = co_await confirm(guard.islands(), 'f');
  EXPECT_EQ(now, yes);
}

TEST(Guard, AnIslandThatIsWipedInPlaceConfirmsNothing) {
  auto keys = crypto::Keyring::generate(system_random());
  io::run_blocking([&] { return wiped(keys.get()); });
}

}  // namespace
}  // namespace archipel::app
