// Edge-triggered readiness as streams show it: nothing that came is missed, whatever was read or announced before.
#include "io/descriptor.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <rapidcheck.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <thread>

#include "io/socket.h"
#include "io/sync.h"

namespace archipel::io {
namespace {

using std::chrono::milliseconds;

constexpr Duration kLong = std::chrono::seconds(60);
Deadline in(Duration d) {
  return Loop::current()->now() + d;
}

// A stream of ours and the raw socket at its other end.
struct Pair {
  std::unique_ptr<SocketStream> stream;
  int peer = -1;
  Pair() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    stream = std::make_unique<SocketStream>(*Loop::current(), ends[0], "peer");
    peer = ends[1];
  }
  Pair(const Pair&) = delete;
  ~Pair() { hang_up(); }
  void send(std::string_view text) const {
    EXPECT_EQ(::send(peer, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  void hang_up() {
    if (peer >= 0) ::close(std::exchange(peer, -1));
  }
};

// Both ends over TCP.
struct TcpPair {
  std::unique_ptr<Stream> near, far;
};
Task<TcpPair> connect_tcp() {
  auto listener = tcp_network().listen(*Loop::current(), "127.0.0.1:0", false);
  EXPECT_TRUE(listener.has_value());
  TcpPair pair;
  auto near = co_await tcp_network().connect(*Loop::current(), (*listener)->address(), in(kLong));
  EXPECT_TRUE(near.has_value());
  auto far = co_await (*listener)->accept();
  EXPECT_TRUE(far.has_value());
  pair.near = std::move(*near);
  pair.far = std::move(*far);
  co_return pair;
}

Task<std::string> read_some(Stream& stream, size_t size, Duration patience = kLong) {
  std::string text(size, '\0');
  MutableBytes room(reinterpret_cast<uint8_t*>(text.data()), size);
  auto got = co_await stream.read(room, in(patience));
  if (!got) co_return "error: " + got.error().message;
  text.resize(*got);
  co_return text;
}

TEST(Descriptor, HearsOfWhatComesAfterAReadThatTookAll) {
  struct Body {
    static Task<void> go() {
      Pair pair;
      for (int i = 0; i < 3; ++i) {
        pair.send("abc");
        std::string got = co_await read_some(*pair.stream, 100);
        EXPECT_EQ(got, "abc");
      }
    }
  };
  run_blocking(Body::go);
}

TEST(Descriptor, IsReadToItsEndInPiecesAfterOneEvent) {
  struct Body {
    static Task<void> go() {
      Pair pair;
      pair.send("abcdef");
      std::string all;
      for (int i = 0; i < 3; ++i) {
        Result<void> readable = co_await pair.stream->wait_readable(in(kLong));
        EXPECT_TRUE(readable.has_value());
        std::string got = co_await read_some(*pair.stream, 2);
        all += got;
      }
      EXPECT_EQ(all, "abcdef");
    }
  };
  run_blocking(Body::go);
}

TEST(Descriptor, SaysReadableAsOftenAsItIsAsked) {
  struct Body {
    static Task<void> go() {
      Pair pair;
      pair.send("x");
      for (int i = 0; i < 3; ++i) {
        Result<void> readable = co_await pair.stream->wait_readable(in(kLong));
        EXPECT_TRUE(readable.has_value());
      }
      std::string got = co_await read_some(*pair.stream, 100);
      EXPECT_EQ(got, "x");
    }
  };
  run_blocking(Body::go);
}

// A read that got all it asked for does not say whether there is more: waiting must not take it for a yes.
TEST(Descriptor, IsNotReadableAfterAReadOfExactlyWhatWasThere) {
  struct Body {
    static Task<void> go() {
      Pair pair;
      pair.send("abc");
      std::string got = co_await read_some(*pair.stream, 3);
      EXPECT_EQ(got, "abc");
      Result<void> readable = co_await pair.stream->wait_readable(in(milliseconds(2)));
      EXPECT_FALSE(readable.has_value());
      pair.send("d");
      readable = co_await pair.stream->wait_readable(in(kLong));
      EXPECT_TRUE(readable.has_value());
      got = co_await read_some(*pair.stream, 3);
      EXPECT_EQ(got, "d");
    }
  };
  run_blocking(Body::go);
}

TEST(Descriptor, SeesTheEndThatCameWithTheLastBytes) {
  struct Body {
    static Task<void> go() {
      TcpPair tcp = co_await connect_tcp();
      ByteView part = as_bytes("last");
      auto written = co_await tcp.near->write({&part, 1}, kNoDeadline);
      EXPECT_TRUE(written.has_value());
      tcp.near->shutdown_write();
      Result<void> readable = co_await tcp.far->wait_readable(in(kLong));
      EXPECT_TRUE(readable.has_value());
      std::string got = co_await read_some(*tcp.far, 100);
      EXPECT_EQ(got, "last");
      got = co_await read_some(*tcp.far, 100);
      EXPECT_EQ(got, "");
      Pair pair;
      pair.send("last");
      pair.hang_up();
      got = co_await read_some(*pair.stream, 100);
      EXPECT_EQ(got, "last");
      got = co_await read_some(*pair.stream, 100);
      EXPECT_EQ(got, "");
    }
  };
  run_blocking(Body::go);
}

// recv stops in front of an urgent byte: a short read that leaves bytes behind.
TEST(Descriptor, ReadsOnBehindUrgentData) {
  struct Body {
    static Task<void> go() {
      auto listener = tcp_network().listen(*Loop::current(), "127.0.0.1:0", false);
      EXPECT_TRUE(listener.has_value());
      const std::string address = (*listener)->address();
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      FdGuard client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
      EXPECT_EQ(::connect(client.fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
      auto far = co_await (*listener)->accept();
      EXPECT_TRUE(far.has_value());
      EXPECT_EQ(::send(client.fd, "ab!", 3, MSG_OOB), 3);
      EXPECT_EQ(::send(client.fd, "cd", 2, 0), 2);
      std::string all;
      while (all.size() < 4) {
        std::string got = co_await read_some(**far, 100);
        EXPECT_FALSE(got.starts_with("error")) << got;
        if (got.empty() || got.starts_with("error")) break;
        all += got;
      }
      EXPECT_EQ(all, "abcd");
    }
  };
  run_blocking(Body::go);
}

// Both were told of by one look; the first to run closes the other, which must not be called any more.
TEST(Descriptor, MayBeClosedByAnotherOfTheSameLook) {
  struct Body {
    static Task<void> read_and_close(Stream& own, std::unique_ptr<SocketStream>& other,
                                     std::vector<int>& outcomes) {
      std::array<uint8_t, 10> bytes{};
      auto got = co_await own.read(bytes, in(kLong));
      if (!got) EXPECT_EQ(got.error().code, Code::cancelled);
      outcomes.push_back(got ? 1 : 0);
      other.reset();
    }
    static Task<void> go() {
      Pair one, two;
      TaskScope scope;
      std::vector<int> outcomes;
      scope.spawn(read_and_close(*one.stream, two.stream, outcomes));
      scope.spawn(read_and_close(*two.stream, one.stream, outcomes));
      one.send("x");
      two.send("x");
      co_await scope.join();
      EXPECT_EQ(outcomes, (std::vector<int>{1, 0}));
    }
  };
  run_blocking(Body::go);
}

TEST(Descriptor, MayBeMadeForALoopThatRunsOnAnotherThread) {
  auto busy = make_loop();
  std::thread thread([&busy] { busy->run(); });
  for (int i = 0; i < 50; ++i) {
    auto listener = tcp_network().listen(*busy, "127.0.0.1:0", false);
    ASSERT_TRUE(listener.has_value());
    struct Body {
      static Task<void> accept_one(Loop& there, Loop& home, Listener& listener,
                                   std::unique_ptr<Listener>& owner) {
        co_await resume_on(there);
        {
          auto accepted = co_await listener.accept();
          EXPECT_TRUE(accepted.has_value());
          owner.reset();
        }
        co_await resume_on(home);
      }
      static Task<void> go(Loop& there, std::unique_ptr<Listener>& owner) {
        Loop& home = *Loop::current();
        Task<void> accepting = accept_one(there, home, *owner, owner);
        const std::string address = owner->address();
        auto client = co_await tcp_network().connect(home, address, in(kLong));
        EXPECT_TRUE(client.has_value());
        co_await std::move(accepting);
      }
    };
    run_blocking([&] { return Body::go(*busy, *listener); });
  }
  busy->stop();
  thread.join();
}

// Parts that fit together are sent as one piece, larger ones are not; which of the two it was, nobody sees.
TEST(SocketStream, SendsPartsOfAllSizesInOrder) {
  struct Body {
    static Task<void> go() {
      for (size_t last : {0u, 1u, 500u, 1947u, 1948u, 1949u, 5000u}) {
        Pair pair;
        const std::string one(100, 'a'), three(last, 'c');
        const std::array<ByteView, 4> parts = {as_bytes(one), ByteView{}, as_bytes(three), as_bytes(one)};
        auto written = co_await pair.stream->write(parts, in(kLong));
        EXPECT_TRUE(written.has_value());
        std::string got(8000, '\0');
        const ssize_t size = ::recv(pair.peer, got.data(), got.size(), 0);
        got.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
        EXPECT_EQ(got, one + three + one) << last;
      }
    }
  };
  run_blocking(Body::go);
}

// Any sequence of what the peer does and what we do: what is read is what was sent, and a wait ends exactly if there is something.
TEST(Descriptor, NeverMissesAnEventForAnyProgram) {
  struct Body {
    static Task<void> go(const std::vector<int>& program, bool& good) {
      Pair pair;
      size_t sent = 0, got = 0;
      for (int step : program) {
        if (step < 4) {
          pair.send(std::string_view("abcd").substr(0, static_cast<size_t>(step) + 1));
          sent += static_cast<size_t>(step) + 1;
        } else if (step < 10) {
          if (got == sent) continue;  // would wait for ever
          std::string text = co_await read_some(*pair.stream, static_cast<size_t>(step) - 3);
          good = good && !text.empty() && !text.starts_with("error");
          got += text.size();
        } else if (step < 12) {
          const Deadline deadline = in(sent > got ? kLong : Duration{0});
          Result<void> readable = co_await pair.stream->wait_readable(deadline);
          good = good && readable.has_value() == (sent > got);
        } else {
          std::array<uint8_t, 3> room{};
          auto tried = pair.stream->try_read(room);
          if (tried) got += tried->value_or(0);
        }
        good = good && got <= sent;
      }
      while (good && got < sent) {
        std::string text = co_await read_some(*pair.stream, 100);
        good = good && !text.empty() && !text.starts_with("error");
        got += text.size();
      }
    }
  };
  EXPECT_TRUE(rc::check([] {
    const auto program = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 14));
    bool good = true;
    run_blocking([&] { return Body::go(program, good); });
    RC_ASSERT(good);
  }));
}

}  // namespace
}  // namespace archipel::io
