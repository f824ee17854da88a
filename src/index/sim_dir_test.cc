#include "index/sim_dir.h"

#include <gtest/gtest.h>

namespace archipel::index {
namespace {

struct Process {
  explicit Process(SimDisk& disk) : files(disk.files(alive)), open_view(disk.open_view(alive)) {}
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::shared_ptr<DirFiles> files;
  std::function<Result<std::unique_ptr<Kv>>(const std::string&)> open_view;
  std::unique_ptr<Kv> view() { return std::move(*open_view(files->path_of("index"))); }
};

size_t keys_of(Kv& kv) {
  size_t keys = 0;
  auto done = kv.snapshot()->scan("", "", [&](std::string_view, std::string_view, std::string*) {
    ++keys;
    return true;
  });
  CHECK(done.has_value());
  return keys;
}

TEST(SimDisk, ACrashOfTheProcessKeepsEveryWrite) {
  SimDisk disk(1);
  {
    Process p(disk);
    auto lock = p.files->lock();
    ASSERT_TRUE(lock);
    EXPECT_FALSE(p.files->lock());
    auto file = p.files->open_in_place("head");
    ASSERT_TRUE((*file)->write(as_bytes("first"), false));
    auto view = p.view();
    ASSERT_TRUE(view->write({{"a", "1"}}));
    *p.alive = false;
    disk.process_died();
    ASSERT_TRUE((*file)->write(as_bytes("later"), true));
    ASSERT_TRUE(view->write({{"b", "2"}}));
    EXPECT_EQ(keys_of(*view), 2u) << "a dead process sees its own writes";
  }
  Process q(disk);
  EXPECT_TRUE(q.files->lock());
  EXPECT_EQ((*q.files->open_in_place("head"))->read(100).value(), "first");
  EXPECT_EQ(keys_of(*q.view()), 1u);
}

TEST(SimDisk, ACrashOfTheMachineKeepsABeginningAndChangesTheBootId) {
  size_t lost = 0, torn = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk(seed);
    Process p(disk);
    auto file = p.files->open_in_place("head");
    ASSERT_TRUE((*file)->write(as_bytes("0000000000"), true));
    auto view = p.view();
    for (char c = '1'; c <= '5'; ++c) {
      ASSERT_TRUE((*file)->write(as_bytes(std::string(10, c)), false));
      ASSERT_TRUE(view->write({{std::string(1, c), "x"}}));
    }
    const std::string before = p.files->boot_id();
    *p.alive = false;
    disk.machine_died();
    Process q(disk);
    EXPECT_NE(q.files->boot_id(), before);
    std::string head = (*q.files->open_in_place("head"))->read(100).value();
    EXPECT_EQ(head.size(), 10u);
    lost += head != std::string(10, '5');
    torn += head.front() != head.back();
    EXPECT_LE(keys_of(*q.view()), 5u);
  }
  EXPECT_GT(lost, 20u);
  EXPECT_GT(torn, 2u);
}

TEST(SimDisk, APlugCanBePulledBeforeAnyWrite) {
  SimDisk disk(1);
  Process p(disk);
  auto file = p.files->open_in_place("head");
  disk.before_write = [&](uint64_t number) {
    if (number == 2) *p.alive = false;
  };
  ASSERT_TRUE((*file)->write(as_bytes("one"), false));
  ASSERT_TRUE((*file)->write(as_bytes("two"), false));
  EXPECT_EQ((*file)->read(10).value(), "one");
}

TEST(SimDisk, ADamagedViewIsRefusedUntilBegunAnew) {
  SimDisk disk(1);
  Process p(disk);
  ASSERT_TRUE(p.view()->write({{"a", "1"}}));
  disk.damage_views();
  auto refused = p.open_view(p.files->path_of("index"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::corrupt);
  ASSERT_TRUE(p.files->rename("index", "index.old"));
  EXPECT_TRUE(p.files->exists("index.old").value());
  EXPECT_EQ(keys_of(*p.view()), 0u);
}

}  // namespace
}  // namespace archipel::index
