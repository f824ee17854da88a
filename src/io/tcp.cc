// TCP: addresses, listening on them and connecting to them. What streams and listeners do with their sockets is in socket.cc.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "io/socket.h"
#include "io/unix_socket.h"

namespace archipel::io {
namespace {

constexpr int kBacklog = 4096;  // the kernel lowers it to net.core.somaxconn
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

  static Result<Address> parse(const std::string& text, const char* what_for) {
    auto bad = [&text, what_for] {
      return fail(Code::invalid, "'" + text + "' is not an address to " + what_for +
                                     "; write ADDR:PORT such as "
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

std::string peer_text(const sockaddr_storage& peer) {
  Address address;
  address.storage = peer;
  return address.text();
}

void send_at_once(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY);
}

class TcpNetwork final : public Network {
 public:
  Result<std::unique_ptr<Listener>> listen(Loop& loop, const std::string& text, bool reuse_port) override {
    ASSIGN_OR_RETURN(Address address, Address::parse(text, "listen on"));
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
    auto listener =
        std::make_unique<SocketListener>(loop, guard.release(), bound.text(), peer_text, send_at_once);
    if (!listener->watched()) return fail_errno(ENOMEM, "watching the socket on " + bound.text());
    return listener;
  }

  Task<Result<std::unique_ptr<Stream>>> connect(Loop& loop, std::string text, Deadline deadline) override {
    if (text.starts_with("unix:")) co_return connect_unix(loop, text.substr(5));
    CO_ASSIGN_OR_RETURN(Address address, Address::parse(text, "connect to"));
    FdGuard guard{::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (guard.fd < 0) co_return fail_errno(errno, "opening a socket for " + text);
    send_at_once(guard.fd);
    const bool waiting = ::connect(guard.fd, address.raw(), address.size) != 0;
    if (waiting && errno != EINPROGRESS) co_return cannot_connect(errno, text);
    auto stream = std::make_unique<SocketStream>(loop, guard.release(), text);
    if (!stream->watched()) co_return fail_errno(ENOMEM, "watching the socket to " + text);
    if (waiting) CO_RETURN_IF_ERROR(co_await stream->connected(deadline));
    co_return std::unique_ptr<Stream>(std::move(stream));
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
