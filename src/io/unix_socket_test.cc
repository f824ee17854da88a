#include "io/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/co_assert.h"

namespace archipel::io {
namespace {

class UnixSocket : public testing::Test {
 protected:
  UnixSocket() {
    std::filesystem::remove_all(dir);
    std::filesystem::create_directories(dir);
  }
  ~UnixSocket() override { std::filesystem::remove_all(dir); }
  std::string dir = testing::TempDir() + "/unix_" + std::to_string(getpid());
};

Task<void> serve_one(Listener* listener) {
  Result<std::unique_ptr<Stream>> peer = co_await listener->accept();
  CO_ASSERT_TRUE(peer.has_value());
  Buffer bytes(16);
  Result<size_t> got = co_await (*peer)->read({bytes.data(), bytes.size()}, kNoDeadline);
  CO_ASSERT_TRUE(got.has_value());
  const std::vector<ByteView> parts = {as_bytes("got "), bytes.view().first(*got)};
  Result<void> sent = co_await (*peer)->write(parts, kNoDeadline);
  EXPECT_TRUE(sent.has_value());
}

Task<void> talk(std::string path) {
  Loop& loop = *Loop::current();
  for (int round = 0; round < 2; ++round) {  // the second finds the first's socket
    Result<std::unique_ptr<Listener>> listener = listen_unix(loop, path);
    EXPECT_TRUE(listener.has_value()) << (listener ? "" : listener.error().describe());
    CO_ASSERT_TRUE(listener.has_value());
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    Task<void> serving = serve_one(listener->get());
    Result<std::unique_ptr<Stream>> client = connect_unix(loop, path);
    CO_ASSERT_TRUE(client.has_value());
    const std::vector<ByteView> parts = {as_bytes("hello")};
    Result<void> sent = co_await (*client)->write(parts, kNoDeadline);
    EXPECT_TRUE(sent.has_value());
    Buffer answer(64);
    Result<size_t> got = co_await (*client)->read({answer.data(), answer.size()}, kNoDeadline);
    CO_ASSERT_TRUE(got.has_value());
    EXPECT_EQ(as_text(answer.view().first(*got)), "got hello");
    co_await std::move(serving);
  }
  Result<std::unique_ptr<Stream>> nobody = connect_unix(loop, path);
  CO_ASSERT_TRUE(!nobody.has_value());
  EXPECT_EQ(nobody.error().code, Code::not_found);
}

TEST_F(UnixSocket, TwoProcessesTalkThroughAFileOfTheirUser) {
  run_blocking([&] { return talk(dir + "/s"); });
}

TEST_F(UnixSocket, APathMayBeLongerThanAnAddress) {
  const std::string deep = dir + "/" + std::string(120, 'd');
  std::filesystem::create_directories(deep);
  run_blocking([&] { return talk(deep + "/s"); });
}

Task<void> in_the_way(std::string path) {
  Result<std::unique_ptr<Listener>> listener = listen_unix(*Loop::current(), path);
  CO_ASSERT_TRUE(!listener.has_value());
  EXPECT_EQ(listener.error().code, Code::exists);
}

TEST_F(UnixSocket, AFileThatIsNoSocketStays) {
  std::ofstream(dir + "/s") << "precious";
  run_blocking([&] { return in_the_way(dir + "/s"); });
  EXPECT_TRUE(std::filesystem::is_regular_file(dir + "/s"));
}

}  // namespace
}  // namespace archipel::io
