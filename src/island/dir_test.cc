#include "island/dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"

namespace archipel::island {
namespace {

namespace fs = std::filesystem;

const BlobName kName = "ab" + std::string(38, '1');
const BlobName kOther = "cd" + std::string(38, '2');

class Dir : public testing::Test {
 protected:
  Dir()
      : root_(testing::TempDir() + "dir_island_" + std::to_string(::getpid()) + "_" +
              hex(system_random().bytes<4>())) {
    fs::create_directory(root_);
    path_ = root_ + "/alpha";
    reopen();
  }
  ~Dir() override {
    std::error_code ignored;
    fs::permissions(path_, fs::perms::owner_all, ignored);
    fs::remove_all(root_, ignored);
  }

  void reopen() { island_ = make_dir_island("alpha", path_, limits_); }
  void join() { ASSERT_TRUE(write_marker("the marker").has_value()); }

  Result<void> write_marker(std::string text) {
    return io::run_blocking([&] { return island_->write_marker(as_bytes(text), kNoDeadline); });
  }
  Result<Buffer> read_marker() {
    return io::run_blocking([&] { return island_->read_marker(kNoDeadline); });
  }
  Result<void> put(const BlobName& name, std::string text, Deadline deadline = kNoDeadline) {
    ByteView parts[] = {as_bytes(text).first(text.size() / 2), as_bytes(text).subspan(text.size() / 2)};
    return io::run_blocking([&] { return island_->put(name, parts, deadline); });
  }
  Result<Buffer> get(const BlobName& name, uint64_t offset = 0, uint64_t length = kBlobBytesMax) {
    return io::run_blocking([&] { return island_->get(name, offset, length, kNoDeadline); });
  }
  std::string text_of(const BlobName& name) {
    auto bytes = get(name);
    return bytes ? std::string(as_text(*bytes)) : bytes.error().describe();
  }
  static Code code(const auto& result) { return result ? Code::internal : result.error().code; }
  size_t temps() { return static_cast<size_t>(std::distance(fs::directory_iterator(path_ + "/tmp"), {})); }

  std::string root_, path_;
  LaneLimits limits_;
  std::unique_ptr<Island> island_;
};

TEST_F(Dir, ReturnsTheBytesThatWerePut) {
  join();
  ASSERT_TRUE(put(kName, "hello, island"));
  EXPECT_EQ(text_of(kName), "hello, island");
  EXPECT_EQ(as_text(*get(kName, 7, 3)), "isl");
  EXPECT_EQ(as_text(*get(kName, 7, 100)), "island");
  EXPECT_TRUE(get(kName, 13, 5)->empty());
  EXPECT_TRUE(get(kName, 1000, 5)->empty());
  auto size = io::run_blocking([&] { return island_->size(kName, kNoDeadline); });
  EXPECT_EQ(*size, 13u);
  EXPECT_EQ(temps(), 0u);
}

TEST_F(Dir, KeepsEverythingPrivate) {
  join();
  ASSERT_TRUE(put(kName, "x"));
  for (const auto& entry : fs::recursive_directory_iterator(path_)) {
    fs::perms expected =
        entry.is_directory() ? fs::perms::owner_all : (fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(entry.status().permissions(), expected) << entry.path();
  }
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_all);
}

TEST_F(Dir, NeverReplacesABlob) {
  join();
  ASSERT_TRUE(put(kName, "first"));
  EXPECT_EQ(code(put(kName, "second")), Code::exists);
  EXPECT_EQ(code(put(kName, "first")), Code::exists);
  EXPECT_EQ(text_of(kName), "first");
  EXPECT_EQ(temps(), 0u);
}

TEST_F(Dir, ReplacesWholeBlobsOnOverwrite) {
  join();
  for (std::string text : {"a long first state", "short"}) {
    auto result = io::run_blocking([&] { return island_->overwrite(kName, as_bytes(text), kNoDeadline); });
    ASSERT_TRUE(result);
    EXPECT_EQ(text_of(kName), text);
  }
}

TEST_F(Dir, SaysNotFoundOnlyWhileTheIslandIsThere) {
  join();
  EXPECT_EQ(code(get(kName)), Code::not_found);
  fs::remove(path_ + "/marker");
  EXPECT_EQ(code(get(kName)), Code::unavailable);
  fs::remove_all(path_);
  auto gone = get(kName);
  ASSERT_EQ(code(gone), Code::unavailable);
  EXPECT_NE(gone.error().message.find("alpha"), std::string::npos);
  EXPECT_NE(gone.error().message.find(path_), std::string::npos);
}

// A short read may be answered without a worker; that must not be noticed.
TEST_F(Dir, AnswersShortReadsLikeLongOnes) {
  join();
  std::string text(300'000, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 / 5);
  ASSERT_TRUE(put(kName, text));
  for (uint64_t offset : {0u, 1u, 4096u, 131'071u, 299'999u, 300'000u, 300'001u}) {
    for (uint64_t length : {0u, 1u, 4096u, 131'072u, 131'073u}) {
      auto got = get(kName, offset, length);
      ASSERT_TRUE(got);
      EXPECT_TRUE(as_text(*got) ==
                  std::string_view(text).substr(std::min<uint64_t>(offset, text.size()), length))
          << offset << "+" << length;
    }
  }
  EXPECT_TRUE(get(kName, ~uint64_t{0}, 10)->empty());
  EXPECT_EQ(code(get(kOther, 0, 10)), Code::not_found);
  fs::remove(path_ + "/marker");
  EXPECT_EQ(code(get(kOther, 0, 10)), Code::unavailable);
  fs::remove_all(path_ + "/ab");
  EXPECT_EQ(code(get(kName, 0, 10)), Code::unavailable);
}

TEST_F(Dir, IsNotFooledOrHeldUpByWhatIsNoFile) {
  join();
  std::string place = path_ + "/ab/" + kName;
  ASSERT_EQ(::mkfifo(place.c_str(), 0600), 0);
  // A reader of a FIFO waits for a writer: one that never comes would hold a thread for ever.
  EXPECT_EQ(code(get(kName, 0, 10)), Code::unavailable);
  EXPECT_EQ(code(get(kName)), Code::unavailable);
  EXPECT_EQ(code(io::run_blocking([&] { return island_->size(kName, kNoDeadline); })), Code::unavailable);
  fs::remove(place);
  fs::create_directory(place);
  EXPECT_EQ(code(get(kName, 0, 10)), Code::unavailable);
  fs::remove(place);
  fs::create_symlink("/dev/zero", place);
  EXPECT_EQ(code(get(kName, 0, 10)), Code::unavailable);
}

TEST_F(Dir, IsNotHeldUpByAPipeForItsMarkerOrAmongWhatACrashLeft) {
  join();
  std::string pipe = path_ + "/tmp/99-1-" + kName;
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  reopen();
  EXPECT_TRUE(read_marker());
  fs::remove(path_ + "/marker");
  ASSERT_EQ(::mkfifo((path_ + "/marker").c_str(), 0600), 0);
  auto refused = read_marker();
  ASSERT_EQ(code(refused), Code::unavailable);
  EXPECT_NE(refused.error().message.find("alpha"), std::string::npos);
}

TEST_F(Dir, TreatsALostFanOutDirectoryAsDamageNotAsAbsence) {
  join();
  ASSERT_TRUE(put(kName, "x"));
  fs::remove_all(path_ + "/ab");
  EXPECT_EQ(code(get(kName)), Code::unavailable);
  EXPECT_EQ(code(put(kName, "y")), Code::unavailable);
  EXPECT_FALSE(fs::exists(path_ + "/ab"));
}

TEST_F(Dir, SaysAtTheStartThatItIsDamagedWhenDirectoriesAreMissing) {
  join();
  fs::remove(path_ + "/ab");
  fs::remove(path_ + "/cd");
  std::ofstream(path_ + "/cd") << "no directory";
  reopen();
  auto damaged = read_marker();
  ASSERT_EQ(code(damaged), Code::unavailable);
  EXPECT_NE(damaged.error().message.find("alpha"), std::string::npos);
  EXPECT_NE(damaged.error().message.find("damaged: 2 of 256"), std::string::npos) << damaged.error().message;
  EXPECT_FALSE(fs::exists(path_ + "/ab"));
}

TEST_F(Dir, MakesItsDirectoryOfTemporaryFilesAnew) {
  join();
  fs::remove(path_ + "/tmp");
  reopen();
  EXPECT_TRUE(read_marker());
  EXPECT_TRUE(put(kName, "x"));
}

TEST_F(Dir, RefusesToWriteWithoutItsMarker) {
  EXPECT_EQ(code(put(kName, "x")), Code::unavailable);
  EXPECT_FALSE(fs::exists(path_));
  join();
  fs::remove(path_ + "/marker");
  EXPECT_EQ(code(put(kName, "x")), Code::unavailable);
  auto overwritten = io::run_blocking([&] { return island_->overwrite(kName, as_bytes("x"), kNoDeadline); });
  EXPECT_EQ(code(overwritten), Code::unavailable);
  auto removed = io::run_blocking([&] { return island_->remove(kName, kNoDeadline); });
  EXPECT_EQ(code(removed), Code::unavailable);
  auto listed = io::run_blocking([&] { return island_->list(kNoDeadline); });
  EXPECT_EQ(code(listed), Code::unavailable);
}

TEST_F(Dir, TellsANewPlaceFromAnUnreachableOne) {
  EXPECT_EQ(code(read_marker()), Code::not_found);  // the parent is there: it can be joined
  path_ = root_ + "/no/such/parent";
  reopen();
  EXPECT_EQ(code(read_marker()), Code::unavailable);
  EXPECT_EQ(code(write_marker("m")), Code::unavailable);
}

TEST_F(Dir, KeepsItsFirstMarker) {
  join();
  EXPECT_EQ(as_text(*read_marker()), "the marker");
  EXPECT_EQ(code(write_marker("another")), Code::exists);
  EXPECT_EQ(as_text(*read_marker()), "the marker");
}

TEST_F(Dir, IsUnavailableWhenUnreadable) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  join();
  ASSERT_TRUE(put(kName, "x"));
  fs::permissions(path_, fs::perms::none);
  EXPECT_EQ(code(get(kName)), Code::unavailable);
  EXPECT_EQ(code(put(kOther, "x")), Code::unavailable);
  EXPECT_EQ(code(read_marker()), Code::unavailable);
}

TEST_F(Dir, IsUnavailableWhenSomethingElseIsInItsPlace) {
  std::ofstream(path_) << "a file";
  EXPECT_EQ(code(read_marker()), Code::unavailable);
  EXPECT_EQ(code(put(kName, "x")), Code::unavailable);
}

TEST_F(Dir, DoesNotFollowALinkOutOfTheIsland) {
  join();
  std::ofstream(root_ + "/secret") << "not a blob";
  fs::create_symlink(root_ + "/secret", path_ + "/ab/" + kName);
  EXPECT_EQ(code(get(kName)), Code::unavailable);
}

TEST_F(Dir, ReportsAFullDiskAndLeavesNothingBehind) {
  join();
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  auto result = put(kName, std::string(10'000, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);

  ASSERT_EQ(code(result), Code::unavailable);
  EXPECT_NE(result.error().message.find("no space left"), std::string::npos) << result.error().message;
  EXPECT_EQ(code(get(kName)), Code::not_found);
  EXPECT_EQ(temps(), 0u);
  EXPECT_TRUE(put(kName, std::string(10'000, 'x')));
}

TEST_F(Dir, RefusesABlobOverTheLimit) {
  join();
  Buffer half(kBlobBytesMax / 2);
  std::memset(half.data(), 0, half.size());
  std::vector<ByteView> parts = {half, half, half};
  auto result = io::run_blocking([&] { return island_->put(kName, parts, kNoDeadline); });
  EXPECT_EQ(code(result), Code::limit);
}

TEST_F(Dir, DoesNotStartAfterTheDeadline) {
  join();
  EXPECT_EQ(code(put(kName, "x", TimePoint{})), Code::timeout);
  EXPECT_EQ(code(get(kName)), Code::not_found);
}

TEST_F(Dir, RefusesAtOnceWhatWouldWaitBehindTooMuchOnThisIslandAlone) {
  join();
  ASSERT_TRUE(put(kName, "x"));
  limits_.under_way_max = 0;
  reopen();
  auto refused = put(kOther, "y");
  ASSERT_EQ(code(refused), Code::unavailable);
  EXPECT_NE(refused.error().message.find("alpha"), std::string::npos);
  EXPECT_EQ(code(read_marker()), Code::unavailable);
}

TEST_F(Dir, RemovesWhatACrashLeftButNotWhatIsBeingWritten) {
  join();
  std::ofstream(path_ + "/tmp/99-1-" + kName) << "half a bl";
  std::string live = path_ + "/tmp/99-2-" + kOther;
  std::ofstream(live) << "being written";
  int fd = ::open(live.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);

  EXPECT_EQ(code(get(kName)), Code::not_found);
  reopen();
  ASSERT_TRUE(read_marker());
  EXPECT_FALSE(fs::exists(path_ + "/tmp/99-1-" + kName));
  EXPECT_TRUE(fs::exists(live));
  ::close(fd);
}

TEST_F(Dir, ListsBlobsOnlyAndForgetsRemovedOnes) {
  join();
  ASSERT_TRUE(put(kName, "x"));
  ASSERT_TRUE(put(kOther, "y"));
  std::ofstream(path_ + "/ab/lost+found") << "foreign";
  auto names = io::run_blocking([&] { return island_->list(kNoDeadline); });
  ASSERT_TRUE(names);
  std::sort(names->begin(), names->end());
  EXPECT_EQ(*names, (std::vector<BlobName>{kName, kOther}));

  for (int i = 0; i < 2; ++i) {
    auto removed = io::run_blocking([&] { return island_->remove(kName, kNoDeadline); });
    EXPECT_TRUE(removed) << "absent already is success";
  }
  EXPECT_EQ(code(get(kName)), Code::not_found);
  EXPECT_EQ(text_of(kOther), "y");
}

TEST_F(Dir, GivesBackWhatAPreviousProcessStored) {
  join();
  ASSERT_TRUE(put(kName, "kept"));
  reopen();
  EXPECT_EQ(text_of(kName), "kept");
}

}  // namespace
}  // namespace archipel::island
