// Listening and connecting.
#include <sys/resource.h>

#include <array>

#include "base/log.h"
#include "io/tcp_fixture.h"

namespace archipel::io {
namespace {

using std::chrono::milliseconds;

TEST(TcpListener, RefusesWhatIsNotAnAddress) {
  auto loop = make_loop();
  for (const char* text :
       {"", "localhost", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:8x", "1.2.3:80", "::1:80",
        "[::1]", "[::1:80", "[]:80", "example.org:80", "127.0.0.1:-1"}) {
    auto listener = tcp_network().listen(*loop, text, false);
    ASSERT_FALSE(listener.has_value()) << text;
    EXPECT_EQ(listener.error().code, Code::invalid) << text;
  }
}

TEST(TcpListener, TellsItsPortAndSharesItOnlyWhenAsked) {
  auto loop = make_loop();
  auto first = tcp_network().listen(*loop, "127.0.0.1:0", true);
  ASSERT_TRUE(first.has_value());
  std::string address = (*first)->address();
  EXPECT_EQ(address.substr(0, 10), "127.0.0.1:");
  EXPECT_NE(address, "127.0.0.1:0");
  auto second = tcp_network().listen(*loop, address, true);
  EXPECT_TRUE(second.has_value());
  auto third = tcp_network().listen(*loop, address, false);
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().code, Code::unavailable);
  EXPECT_NE(third.error().message.find(address), std::string::npos);
}

TEST(TcpListener, EndsAWaitingAcceptWhenClosedEvenIfDestroyedAtOnce) {
  struct Body {
    static Task<void> accept_cancelled(Listener& listener) {
      auto stream = co_await listener.accept();
      EXPECT_FALSE(stream.has_value());
      EXPECT_EQ(stream.error().code, Code::cancelled);
    }
    static Task<void> go() {
      auto listener = listen_here();
      TaskScope scope;
      scope.spawn(accept_cancelled(*listener));
      EXPECT_EQ(scope.active(), 1u);
      listener->close();
      listener.reset();
      co_await scope.join();
    }
  };
  run_blocking(Body::go);
}

TEST(TcpListener, WaitsWhileDescriptorsRunOut) {
  struct Body {
    static Task<void> accept_one(Listener& listener, std::unique_ptr<Stream>& out) {
      auto stream = co_await listener.accept();
      EXPECT_TRUE(stream.has_value());
      if (stream) out = std::move(*stream);
    }
    static Task<void> accept_cancelled(Listener& listener) {
      auto stream = co_await listener.accept();
      EXPECT_FALSE(stream.has_value());
    }
    static Task<void> go() {
      // UBSan looks at a type for the first time through a pipe, which needs descriptors: let it see the log's types now.
      log::warn("tcp.accept_paused", {{"address", "none"}, {"error", "none: rehearsal"}});
      auto listener = listen_here();
      Client client(listener->address()), other(listener->address());
      rlimit before{};
      getrlimit(RLIMIT_NOFILE, &before);
      // No descriptor beyond those in use: the lowest free number is the new limit.
      int lowest = ::dup(0);
      ::close(lowest);
      rlimit none = before;
      none.rlim_cur = static_cast<rlim_t>(lowest);
      setrlimit(RLIMIT_NOFILE, &none);
      TaskScope scope;
      std::unique_ptr<Stream> stream;
      scope.spawn(accept_one(*listener, stream));
      EXPECT_EQ(scope.active(), 1u);
      setrlimit(RLIMIT_NOFILE, &before);
      co_await scope.join();
      EXPECT_NE(stream, nullptr);
      // And closing ends such a rest at once.
      setrlimit(RLIMIT_NOFILE, &none);
      scope.spawn(accept_cancelled(*listener));
      EXPECT_EQ(scope.active(), 1u);
      listener->close();
      listener.reset();
      co_await scope.join();
      setrlimit(RLIMIT_NOFILE, &before);
    }
  };
  run_blocking(Body::go);
}

Task<void> talk_to_self(const std::string& address) {
  auto listener = tcp_network().listen(*Loop::current(), address, false);
  EXPECT_TRUE(listener.has_value());
  if (!listener) co_return;
  auto near =
      co_await tcp_network().connect(*Loop::current(), (*listener)->address(), in(std::chrono::seconds(60)));
  EXPECT_TRUE(near.has_value()) << near.error().describe();
  if (!near) co_return;
  EXPECT_EQ((*near)->peer(), (*listener)->address());
  auto far = co_await (*listener)->accept();
  EXPECT_TRUE(far.has_value());
  std::array<ByteView, 2> parts = {as_bytes("hello "), as_bytes("there")};
  auto written = co_await (*near)->write(parts, in(std::chrono::seconds(60)));
  EXPECT_TRUE(written.has_value());
  (*near)->shutdown_write();
  std::string got = co_await read_to_end(**far);
  EXPECT_EQ(got, "hello there");
}

TEST(TcpConnect, ReachesAListenerOverBothFamilies) {
  run_blocking([] { return talk_to_self("127.0.0.1:0"); });
  auto loop = make_loop();
  if (tcp_network().listen(*loop, "[::1]:0", false)) run_blocking([] { return talk_to_self("[::1]:0"); });
}

Task<Code> code_of(std::string address, Duration patience) {
  auto stream = co_await tcp_network().connect(*Loop::current(), address, in(patience));
  EXPECT_FALSE(stream.has_value());
  co_return stream ? Code::internal : stream.error().code;
}

TEST(TcpConnect, SaysWhyItCannot) {
  std::string free_port = run_blocking([]() -> Task<std::string> {
    auto listener = listen_here();
    co_return listener->address();
  });
  EXPECT_EQ(run_blocking([&] { return code_of(free_port, std::chrono::seconds(60)); }), Code::unavailable);
  EXPECT_EQ(run_blocking([] { return code_of("example.org:80", std::chrono::seconds(60)); }), Code::invalid);
  EXPECT_EQ(run_blocking([] { return code_of("unix:/nonexistent/s", std::chrono::seconds(60)); }),
            Code::not_found);
}

// A listener whose queue is full answers nobody.
TEST(TcpConnect, GivesUpAtItsDeadline) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof here;
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&here), size), 0);
  ASSERT_EQ(::listen(fd, 0), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size), 0);
  const std::string address = "127.0.0.1:" + std::to_string(ntohs(here.sin_port));
  Client first(address);
  ASSERT_TRUE(first.connected());
  Code code = run_blocking([&] { return code_of(address, milliseconds(50)); });
  EXPECT_EQ(code, Code::timeout);
  ::close(fd);
}

}  // namespace
}  // namespace archipel::io
