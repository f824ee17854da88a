#include "island/dir_ops.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "base/random.h"

namespace archipel::island {
namespace {

const BlobName kName = "ab" + std::string(38, '1');
const BlobName kNeighbour = "ab" + std::string(38, '2');
const BlobName kOther = "cd" + std::string(38, '3');

// The kernel reports a failed write-back once; the next fsync succeeds.
std::atomic<int> failing_syncs{0};
int sync_that_fails(int fd) {
  if (failing_syncs.load() > 0) {
    failing_syncs.fetch_sub(1);
    errno = EIO;
    return -1;
  }
  return ::fsync(fd);
}

class DirOpsTest : public testing::Test {
 protected:
  DirOpsTest() { EXPECT_TRUE(ops_.write_marker(as_bytes("the marker"))); }
  ~DirOpsTest() override {
    failing_syncs = 0;
    std::filesystem::remove_all(path_);
  }
  Code put(const BlobName& name, std::string text) {
    ByteView part = as_bytes(text);
    LentBytes bytes(std::span(&part, 1));
    auto result = ops_.put(name, bytes);
    return result ? Code::internal : result.error().code;
  }

  std::string path_ = testing::TempDir() + "dir_ops_" + hex(system_random().bytes<6>());
  DirOps ops_{"alpha", path_, &sync_that_fails};
};

TEST_F(DirOpsTest, NeverConfirmsABlobWhoseDirectoryFailedToSync) {
  failing_syncs = 1;
  EXPECT_NE(put(kName, "x"), Code::internal);
  // The blob is seen, and a sync now says that all is well. It is not: `exists` would make the caller read it back and count it.
  EXPECT_EQ(put(kName, "x"), Code::unavailable);
  EXPECT_EQ(put(kName, "x"), Code::unavailable);
  // What else was in the same directory may be lost as well.
  EXPECT_EQ(put(kNeighbour, "y"), Code::unavailable);
  auto overwritten = ops_.overwrite(kNeighbour, as_bytes("z"));
  ASSERT_FALSE(overwritten);
  EXPECT_EQ(overwritten.error().code, Code::unavailable);
  EXPECT_EQ(put(kOther, "z"), Code::internal);
}

TEST_F(DirOpsTest, NeverSaysExistsOfABlobWhoseDirectoryFailsToSync) {
  ASSERT_EQ(put(kName, "x"), Code::internal);
  failing_syncs = 1;
  EXPECT_NE(put(kName, "x"), Code::exists);
  EXPECT_EQ(put(kName, "x"), Code::unavailable);
}

// Elsewhere the open alone may ask a server, and a dead one would stop the event loop.
TEST_F(DirOpsTest, ReadsWithoutAThreadOnlyWhereItKnowsTheFileSystemToBeLocal) {
  ASSERT_EQ(put(kName, "x"), Code::internal);
  DirOps unknown("alpha", path_);
  EXPECT_FALSE(unknown.try_get(kName, 0, 1).has_value());
  DirOps foreign("alpha", "/proc");
  EXPECT_FALSE(foreign.read_marker().has_value());
  EXPECT_FALSE(foreign.try_get(kName, 0, 1).has_value());
}

TEST_F(DirOpsTest, StopsReadingACallersMemoryThatWasTakenBack) {
  ByteView part = as_bytes("x");
  LentBytes bytes(std::span(&part, 1));
  bytes.withdraw();
  auto result = ops_.put(kName, bytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::timeout);
  EXPECT_EQ(put(kName, "x"), Code::internal);
  EXPECT_TRUE(std::filesystem::is_empty(path_ + "/tmp"));
}

}  // namespace
}  // namespace archipel::island
