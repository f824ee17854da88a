// TCP over non-blocking sockets: every operation tries its system call first and waits for readiness only after EAGAIN.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/log.h"
#include "base/metrics.h"
#include "io/descriptor.h"
#include "io/stream.h"

namespace archipel::io {
namespace {

constexpr int kBacklog = 4096;  // the kernel lowers it to net.core.somaxconn
constexpr size_t kPartsPerCall = 64;
// How much a connection moves, and a listener accepts, before others on the loop get their turn.
constexpr size_t kBytesPerTurn = 1u << 20;
constexpr int kAcceptsPerTurn = 32;
// How long accept() rests when the process or the system is out of descriptors or memory.
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

metrics::Counter accept_pauses{"archipel_tcp_accept_pauses_total",
                               "Pauses of accept() because descriptors or memory ran out"};

std::unexpected<Error> no_time(const std::string& peer) {
  return fail(Code::timeout, "the connection with " + peer + " made no progress before its deadline");
}
std::unexpected<Error> closed_here() {
  return fail(Code::cancelled, "the connection was closed on this side");
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;

  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }

  std::string text() const {
    char host[INET6_ADDRSTRLEN] = "?";
    if (family() == AF_INET6) {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
      inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
      return "[" + std::string(host) + "]:" + std::to_string(ntohs(v6.sin6_port));
    }
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
    return std::string(host) + ":" + std::to_string(ntohs(v4.sin_port));
  }

  static Result<Address> parse(const std::string& text) {
    auto bad = [&text] {
      return fail(Code::invalid, "'" + text +
                                     "' is not an address to listen on; write ADDR:PORT such as "
                                     "127.0.0.1:9000, or [ADDR6]:PORT such as [::1]:9000");
    };
    size_t colon = text.rfind(':');
    if (colon == std::string::npos) return bad();
    std::string host = text.substr(0, colon);
    uint16_t port = 0;
    const char* end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
    if (error != std::errc() || stop != end) return bad();

    Address address;
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      address.size = sizeof v6;
      if (inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6.sin6_addr) != 1) return bad();
    } else {
      auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      address.size = sizeof v4;
      if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1) return bad();
    }
    return address;
  }
};

void set_option(int fd, int level, int name) {
  int on = 1;
  setsockopt(fd, level, name, &on, sizeof on);
}

class TcpStream final : public Stream {
 public:
  TcpStream(Loop& loop, int fd, const Address& peer) : descriptor_(loop, fd), peer_(peer) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY);
  }

  // False if the kernel had no room to watch the socket, which is closed then.
  bool watched() const { return !descriptor_.closed(); }

  Task<Result<void>> wait_readable(Deadline deadline) override {
    if (descriptor_.closed()) co_return closed_here();
    // Asio looks at the socket once more when it starts to wait, so nothing that came before is missed.
    Wake wake = co_await descriptor_.ready(Direction::read, deadline);
    if (wake == Wake::timeout) co_return no_time(peer());
    if (wake == Wake::cancelled) co_return closed_here();
    moved_in_turn_ = 0;
    co_return {};
  }

  Task<Result<size_t>> read(MutableBytes out, Deadline deadline) override {
    CHECK(!out.empty());
    for (;;) {
      if (descriptor_.closed()) co_return closed_here();
      if (moved_in_turn_ < kBytesPerTurn) {
        ssize_t got = ::recv(descriptor_.fd(), out.data(), out.size(), 0);
        if (got >= 0) {
          moved_in_turn_ += static_cast<size_t>(got);
          co_return static_cast<size_t>(got);
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) co_return fail_errno(errno, "reading from " + peer());
      }
      // Also when the turn's share is used up: if there is more to read, this returns as soon as others had their turn.
      Wake wake = co_await descriptor_.ready(Direction::read, deadline);
      if (wake == Wake::timeout) co_return no_time(peer());
      if (wake == Wake::cancelled) co_return closed_here();
      moved_in_turn_ = 0;
    }
  }

  Task<Result<void>> write(std::span<const ByteView> parts, Deadline deadline) override {
    size_t offset = 0;  // of the first part that is not written completely
    while (skip_written(parts, offset)) {
      if (descriptor_.closed()) co_return closed_here();
      if (moved_in_turn_ < kBytesPerTurn) {
        ssize_t sent = send_some(parts, offset);
        if (sent >= 0) {
          offset += static_cast<size_t>(sent);
          moved_in_turn_ += static_cast<size_t>(sent);
          continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) co_return fail_errno(errno, "writing to " + peer());
      }
      Wake wake = co_await descriptor_.ready(Direction::write, deadline);
      if (wake == Wake::timeout) co_return no_time(peer());
      if (wake == Wake::cancelled) co_return closed_here();
      moved_in_turn_ = 0;
    }
    co_return {};
  }

  void shutdown_write() override {
    if (!descriptor_.closed()) ::shutdown(descriptor_.fd(), SHUT_WR);
  }

  void close(bool reset) override {
    if (descriptor_.closed()) return;
    if (reset) {
      linger hard{.l_onoff = 1, .l_linger = 0};
      setsockopt(descriptor_.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    descriptor_.close();
  }

  std::string peer() const override { return peer_.text(); }

 private:
  // Drops what is written from the front of `parts`; false when nothing is left.
  static bool skip_written(std::span<const ByteView>& parts, size_t& offset) {
    while (!parts.empty() && offset >= parts.front().size()) {
      offset -= parts.front().size();
      parts = parts.subspan(1);
    }
    return !parts.empty();
  }

  ssize_t send_some(std::span<const ByteView> parts, size_t offset) {
    iovec vectors[kPartsPerCall];
    size_t count = std::min(parts.size(), kPartsPerCall);
    for (size_t i = 0; i < count; ++i) {
      ByteView part = parts[i].subspan(i == 0 ? offset : 0);
      vectors[i] = {const_cast<uint8_t*>(part.data()), part.size()};
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    return ::sendmsg(descriptor_.fd(), &message, MSG_NOSIGNAL);
  }

  Descriptor descriptor_;
  const Address peer_;
  size_t moved_in_turn_ = 0;
};

// What accept(2) may fail with although the listener is fine (its man page, "Error handling"; ECONNABORTED).
bool concerns_one_connection(int error) {
  for (int harmless : {ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
                       EOPNOTSUPP, ENETUNREACH, EPERM, ETIMEDOUT}) {
    if (error == harmless) return true;
  }
  return false;
}
bool is_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

class TcpListener final : public Listener {
 public:
  TcpListener(Loop& loop, int fd, std::string address)
      : descriptor_(loop, fd), address_(std::move(address)) {}
  ~TcpListener() override { TcpListener::close(); }

  bool watched() const { return !descriptor_.closed(); }

  Task<Result<std::unique_ptr<Stream>>> accept() override {
    for (;;) {
      if (descriptor_.closed()) co_return closed();
      if (++accepted_in_turn_ <= kAcceptsPerTurn) {
        Address peer;
        int fd = ::accept4(descriptor_.fd(), peer.raw(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int error = errno;
        if (fd >= 0) {
          auto stream = std::make_unique<TcpStream>(descriptor_.loop(), fd, peer);
          if (stream->watched()) {
            short_of_ = false;
            co_return stream;
          }
          error = ENOMEM;
        }
        if (is_shortage(error)) {
          bool open = co_await pause(error);
          if (!open) co_return closed();
          continue;
        }
        if (error == EINTR || concerns_one_connection(error)) continue;
        if (error != EAGAIN) co_return fail_errno(error, "accepting connections on " + address_);
      }
      Wake wake = co_await descriptor_.ready(Direction::read, kNoDeadline);
      if (wake == Wake::cancelled) co_return closed();
      accepted_in_turn_ = 0;
    }
  }

  void close() override {
    descriptor_.close();
    if (pausing_ == nullptr) return;
    Pause* pausing = std::exchange(pausing_, nullptr);
    descriptor_.loop().cancel(pausing->timer);
    pausing->open = false;
    descriptor_.loop().post([self = pausing->self] { self.resume(); });
  }

  std::string address() const override { return address_; }

 private:
  // A rest that close() can end; the listener may be gone when it resumes then.
  struct Pause {
    TcpListener& listener;
    std::coroutine_handle<> self = nullptr;
    Loop::TimerId timer = 0;
    bool open = true;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      self = handle;
      listener.pausing_ = this;
      Loop& loop = listener.descriptor_.loop();
      timer = loop.run_at(loop.now() + kAcceptPause, [this] {
        listener.pausing_ = nullptr;
        self.resume();
      });
    }
    bool await_resume() const noexcept { return open; }
  };

  Pause pause(int error) {
    accept_pauses.add();
    // One line per shortage, not per pause.
    if (!std::exchange(short_of_, true)) {
      log::warn("tcp.accept_paused",
                {{"address", address_}, {"error", fail_errno(error, "accept").error().message}});
    }
    return Pause{*this};
  }
  static std::unexpected<Error> closed() { return fail(Code::cancelled, "the listener was closed"); }

  Descriptor descriptor_;
  const std::string address_;
  int accepted_in_turn_ = 0;
  bool short_of_ = false;
  Pause* pausing_ = nullptr;
};

// Closes the socket unless it is released: listen() has many ways to fail.
struct FdGuard {
  int fd;
  ~FdGuard() {
    if (fd >= 0) ::close(fd);
  }
  int release() { return std::exchange(fd, -1); }
};

class TcpNetwork final : public Network {
 public:
  Result<std::unique_ptr<Listener>> listen(Loop& loop, const std::string& text, bool reuse_port) override {
    ASSIGN_OR_RETURN(Address address, Address::parse(text));
    FdGuard guard{::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (guard.fd < 0) return fail_errno(errno, "opening a socket for " + text);
    set_option(guard.fd, SOL_SOCKET, SO_REUSEADDR);
    if (reuse_port) set_option(guard.fd, SOL_SOCKET, SO_REUSEPORT);
    // [::] means IPv6 alone, whatever the machine's default: listen on both to serve both.
    if (address.family() == AF_INET6) set_option(guard.fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (::bind(guard.fd, address.raw(), address.size) != 0 || ::listen(guard.fd, kBacklog) != 0) {
      return cannot_listen(errno, text);
    }
    Address bound;
    if (::getsockname(guard.fd, bound.raw(), &bound.size) != 0)
      return fail_errno(errno, "asking for the port of " + text);
    auto listener = std::make_unique<TcpListener>(loop, guard.release(), bound.text());
    if (!listener->watched()) return fail_errno(ENOMEM, "watching the socket on " + bound.text());
    return listener;
  }

 private:
  static std::unexpected<Error> cannot_listen(int error, const std::string& text) {
    if (error == EADDRINUSE) {
      return fail(
          Code::unavailable,
          "cannot listen on " + text + ": the port is in use; stop the other process or choose another port");
    }
    if (error == EACCES) {
      return fail(Code::denied,
                  "cannot listen on " + text +
                      ": not permitted; choose a port above 1023 or grant CAP_NET_BIND_SERVICE");
    }
    return fail_errno(error, "listening on " + text);
  }
};

}  // namespace

Network& tcp_network() {
  static TcpNetwork network;
  return network;
}

}  // namespace archipel::io
