#include "index/dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "index/index_fixture.h"

namespace archipel::index {
namespace {

class DirTest : public testing::Test {
 protected:
  ~DirTest() override { std::filesystem::remove_all(dir); }

  std::unique_ptr<Random> random = seeded_random(5);
  std::unique_ptr<crypto::Keyring> keys = crypto::Keyring::generate(*random);
  std::string dir = fresh_test_dir("dir");

  std::unique_ptr<HeadFile> open() const {
    auto head = HeadFile::open(dir, *keys);
    EXPECT_TRUE(head) << head.error().describe();
    return std::move(*head);
  }
};

TEST_F(DirTest, HeadIsExactAfterACrashOfTheProcess) {
  EXPECT_FALSE(open()->found());
  Digest32 hash{7};
  ASSERT_TRUE(open()->write({3, 44, hash}, false, false));
  auto found = open()->found();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->position.epoch, 3u);
  EXPECT_EQ(found->position.seq, 44u);
  EXPECT_EQ(found->position.hash, hash);
  EXPECT_TRUE(found->exact);
}

TEST_F(DirTest, HeadIsExactAfterACrashOfTheMachineOnlyIfItWasClosed) {
  ASSERT_TRUE(open()->write({3, 44, {}}, false, false));
  pretend_reboot(dir, *keys);
  ASSERT_TRUE(open()->found());
  EXPECT_FALSE(open()->found()->exact);
  ASSERT_TRUE(open()->write({3, 45, {}}, true, true));
  pretend_reboot(dir, *keys);
  ASSERT_TRUE(open()->found());
  EXPECT_TRUE(open()->found()->exact);
}

TEST_F(DirTest, ATornOrChangedHeadCountsAsAbsent) {
  ASSERT_TRUE(open()->write({3, 44, {}}, false, false));
  std::string bytes = read_whole_file(dir + "/head");
  for (size_t cut : {size_t{1}, size_t{100}, bytes.size() - 1}) {
    write_whole_file(dir + "/head", bytes.substr(0, cut));
    EXPECT_FALSE(open()->found()) << cut;
  }
  for (size_t at = 0; at < bytes.size(); at += 17) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    write_whole_file(dir + "/head", changed);
    EXPECT_FALSE(open()->found()) << at;
  }
}

TEST_F(DirTest, LockEndsWithItsHolder) {
  {
    auto lock = DirLock::acquire(dir);
    ASSERT_TRUE(lock);
    auto second = DirLock::acquire(dir);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::exists);
  }
  EXPECT_TRUE(DirLock::acquire(dir));
}

TEST_F(DirTest, LockOfAKilledProcessIsFree) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    auto lock = DirLock::acquire(dir);
    char good = lock ? 'y' : 'n';
    if (write(ready[1], &good, 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char good = 'n';
  ASSERT_EQ(read(ready[0], &good, 1), 1);
  ASSERT_EQ(good, 'y');
  auto refused = DirLock::acquire(dir);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find(std::to_string(child)), std::string::npos)
      << refused.error().message;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(DirLock::acquire(dir));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(DirTest, ASmallFileIsReplacedAsAWhole) {
  std::shared_ptr<DirFiles> files = open_dir_files(dir);
  auto absent = files->read("instance");
  ASSERT_TRUE(absent);
  EXPECT_FALSE(*absent);
  ASSERT_TRUE(files->write_atomically("instance", as_bytes("a longer text")));
  ASSERT_TRUE(files->write_atomically("instance", as_bytes("short")));
  auto found = files->read("instance");
  ASSERT_TRUE(found && *found);
  EXPECT_EQ(**found, "short");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir), {}), 1) << "nothing is left beside it";
  EXPECT_EQ(std::filesystem::status(dir + "/instance").permissions(), std::filesystem::perms{0600});
}

TEST_F(DirTest, AFileThatCannotBeOursIsNotReadWhole) {
  write_whole_file(dir + "/instance", std::string(DirFiles::kSmallFileBytesMax + 1, 'x'));
  auto found = open_dir_files(dir)->read("instance");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::limit);
}

}  // namespace
}  // namespace archipel::index
