// The proof that scrub and repair need the `cells` sub-key alone: the program beside this file is given 32 bytes, a list, and six directories.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "extent/names.h"
#include "extent/work_item.h"
#include "island/dir.h"

namespace archipel::extent {
namespace {

struct Said {
  int code = -1;
  std::string text;
};

Said run(const std::string& command) {
  Said said;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  CHECK(pipe != nullptr);
  std::array<char, 4096> piece;
  while (size_t got = fread(piece.data(), 1, piece.size(), pipe)) said.text.append(piece.data(), got);
  const int status = pclose(pipe);
  said.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return said;
}

class CellsOnly : public testing::Test {
 protected:
  // All tests share six directories, for making one takes longer than a test.
  static void SetUpTestSuite() {
    dir_ = testing::TempDir() + "/cells_only_" + std::to_string(getpid());
    std::filesystem::remove_all(dir_);
    for (int i = 0; i < 6; ++i) {
      std::filesystem::create_directories(path(i));
      islands_.push_back(island::make_dir_island("island-" + std::to_string(i), path(i)));
      io::run_blocking([&] { return islands_.back()->write_marker(as_bytes("a marker"), deadline()); });
    }
  }
  static void TearDownTestSuite() {
    islands_.clear();
    std::filesystem::remove_all(dir_);
  }

  static Deadline deadline() { return system_clock().now() + std::chrono::seconds(30); }
  static std::string path(int island) { return dir_ + "/" + std::to_string(island); }

  // The gateway's part: it has the keyring, stores an extent and a journal blob, and writes down what is to be looked at.
  WorkItem store_extent(std::string_view bytes, erasure::Code code = {6, 3}, Homes homes = {}) {
    WorkItem item;
    item.ref.id = {1, ++counter_};
    item.ref.attempt = random_->bytes<16>();
    item.ref.geometry = {code, 1000, bytes.size()};
    item.ref.homes = homes;
    name(item);
    for (int i = 0; i < code.n; ++i) item.next_names.push_back(name_of(item.ref, i, 1));
    auto coded = encode_extent(*keys_, erasure::Coder(code), item.ref, as_bytes(bytes), item.names);
    for (size_t i = 0; i < item.names.size(); ++i)
      put(static_cast<size_t>(item.ref.home(static_cast<int>(i))), item.names[i],
          std::string(as_text(coded->shards[i])));
    return item;
  }
  WorkItem store_journal_blob(std::string_view record, std::string_view section) {
    WorkItem item;
    item.ref.kind = ExtentRef::Kind::section;
    item.ref.id = {1, ++counter_};
    item.ref.attempt = random_->bytes<16>();
    item.ref.geometry = {{6, 3}, 1000, section.size()};
    item.ref.base = static_cast<uint32_t>(kShardHeaderBytes + record.size());
    name(item);
    item.record.emplace();
    item.record->bytes = static_cast<uint32_t>(record.size());
    item.record->digest = crypto::blake2b_256(as_bytes(record));
    auto coded = encode_section(*keys_, coder_, item.ref, as_bytes(section));
    for (size_t i = 0; i < 6; ++i) {
      item.record->headers.push_back(random_->bytes<kShardHeaderBytes>());
      put(i, item.names[i],
          std::string(as_text(ByteView(item.record->headers[i]))) + std::string(record) +
              std::string(as_text(coded->shards[i])));
    }
    return item;
  }
  void name(WorkItem& item) {
    for (int i = 0; i < item.n(); ++i) item.names.push_back(name_of(item.ref, i));
  }
  std::string name_of(const ExtentRef& ref, int shard, uint32_t repair = 0) {
    return shard_name(*keys_, islands_[static_cast<size_t>(ref.home(shard))]->id(), ref, shard, repair);
  }
  void put(size_t island, const std::string& name, const std::string& bytes) {
    const std::vector<ByteView> parts = {as_bytes(bytes)};
    auto done = io::run_blocking([&] { return islands_[island]->put(name, parts, deadline()); });
    ASSERT_TRUE(done) << done.error().message;
  }
  std::string get(size_t island, const std::string& name) {
    auto bytes = io::run_blocking([&] { return islands_[island]->get(name, 0, 10u << 20, deadline()); });
    return bytes ? std::string(as_text(*bytes)) : "(" + bytes.error().message + ")";
  }
  void damage(size_t island, const std::string& name) {
    std::string bytes = get(island, name);
    bytes[bytes.size() / 2] ^= 1;
    io::run_blocking([&] { return islands_[island]->remove(name, deadline()); });
    put(island, name, bytes);
  }
  Said cells_only(const std::vector<WorkItem>& items, const std::string& option = "") {
    std::string list;
    for (const WorkItem& item : items) Writer(list).bytes(encode_work_item(item));
    std::ofstream(dir_ + "/list", std::ios::binary) << list;
    std::ofstream(dir_ + "/key", std::ios::binary) << as_text(CellKeys(*keys_).view());
    std::string command = std::string(CELLS_ONLY) + " " + option + " " + dir_ + "/key " + dir_ + "/list";
    for (int i = 0; i < 6; ++i) command += " " + path(i);
    return run(command);
  }

  static inline std::string dir_;
  static inline std::vector<std::shared_ptr<island::Island>> islands_;
  static inline std::unique_ptr<Random> random_ =
      seeded_random(5);  // goes on: no two tests have the same keys
  std::unique_ptr<crypto::Keyring> keys_ = crypto::Keyring::generate(*random_);
  erasure::Coder coder_{erasure::Code{6, 3}};
  uint64_t counter_ = 0;
};

TEST_F(CellsOnly, ScrubsAndRepairsBitForBit) {
  std::string body(20'000, 'x'), section(2'500, 'y');
  WorkItem extent = store_extent(body), commit = store_journal_blob("a sealed record", section);
  std::vector<std::string> right;
  for (const WorkItem* item : {&extent, &commit})
    for (size_t i = 0; i < 6; ++i) right.push_back(get(i, item->names[i]));
  Said whole = cells_only({extent, commit});
  EXPECT_EQ(whole.code, 0) << whole.text;
  EXPECT_EQ(whole.text, "items 2 faults 0 unrepaired 0\n");

  io::run_blocking([&] { return islands_[0]->remove(extent.names[0], deadline()); });
  damage(3, extent.names[3]);
  damage(4, commit.names[4]);
  io::run_blocking([&] { return islands_[5]->remove(commit.names[5], deadline()); });
  Said found = cells_only({extent, commit});
  EXPECT_EQ(found.code, 1);
  for (std::string line : {"extent 1/1 shard 0 missing", "extent 1/1 shard 3 wrong",
                           "commit 1/2 shard 4 wrong", "commit 1/2 shard 5 missing", "items 2 faults 4"})
    EXPECT_NE(found.text.find(line), std::string::npos) << found.text;

  Said repaired = cells_only({extent, commit}, "--repair");
  EXPECT_EQ(repaired.code, 0) << repaired.text;
  EXPECT_NE(repaired.text.find("extent 1/1 repaired 3 moved"), std::string::npos) << repaired.text;
  EXPECT_EQ(get(0, extent.names[0]), right[0]);
  EXPECT_EQ(get(4, commit.names[4]), right[10]);
  EXPECT_EQ(get(5, commit.names[5]), right[11]);
  extent.names[3] = extent.next_names[3];  // the gateway notes where it lies now
  EXPECT_EQ(get(3, extent.names[3]).substr(kShardHeaderBytes), right[3].substr(kShardHeaderBytes));
  EXPECT_EQ(cells_only({extent, commit}).code, 0);
}

TEST_F(CellsOnly, FindsEachShardOnTheIslandThatItsWorkItemNames) {
  const Homes homes = *Homes::of(std::vector<uint8_t>{5, 0, 3, 2});
  WorkItem extent = store_extent(std::string(20'000, 'x'), {4, 2}, homes);
  EXPECT_EQ(cells_only({extent}).text, "items 1 faults 0 unrepaired 0\n");
  const std::string lost = get(5, extent.names[0]), spoilt = get(3, extent.names[2]);
  io::run_blocking([&] { return islands_[5]->remove(extent.names[0], deadline()); });
  damage(3, extent.names[2]);
  Said repaired = cells_only({extent}, "--repair");
  EXPECT_EQ(repaired.code, 0) << repaired.text;
  EXPECT_NE(repaired.text.find("extent 1/1 repaired 0 in place"), std::string::npos) << repaired.text;
  EXPECT_EQ(get(5, extent.names[0]), lost);
  EXPECT_EQ(get(3, extent.next_names[2]).substr(kShardHeaderBytes), spoilt.substr(kShardHeaderBytes));
}

// Who writes the list is not believed: homes beyond the directories given are refused.
TEST_F(CellsOnly, RefusesAListForMoreIslands) {
  WorkItem extent = store_extent(std::string(5'000, 'x'), {4, 2});
  extent.ref.homes = *Homes::of(std::vector<uint8_t>{5, 0, 6, 2});
  Said said = cells_only({extent});
  EXPECT_EQ(said.code, 1);
  EXPECT_NE(said.text.find("more islands"), std::string::npos) << said.text;
}

TEST_F(CellsOnly, AnotherKeySeesOnlyWrongBytes) {
  WorkItem extent = store_extent(std::string(5'000, 'x'));
  keys_ = crypto::Keyring::generate(*random_);
  Said said = cells_only({extent}, "--repair");
  EXPECT_EQ(said.code, 1);
  EXPECT_NE(said.text.find("faults 6"), std::string::npos) << said.text;
  EXPECT_NE(said.text.find("unrepaired"), std::string::npos) << said.text;
}

// What is linked cannot derive a key, unwrap one, compute a name or decrypt.
TEST(CellsOnlyBinary, LinksNeitherKeyringNorDecryptionNorNames) {
  Said symbols = run(std::string(NM) + " -C " + CELLS_ONLY);
  ASSERT_EQ(symbols.code, 0);
  ASSERT_NE(symbols.text.find("archipel::crypto::Gmac::verify"), std::string::npos);
  for (std::string absent : {"crypto::Keyring::", "crypto::Aead::", "StreamOpener", "extent::shard_name",
                             "commit_blob_name", "EVP_DecryptFinal"})
    EXPECT_EQ(symbols.text.find(absent), std::string::npos) << absent;
}

}  // namespace
}  // namespace archipel::extent
