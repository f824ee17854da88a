#include "io/hand_over.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "io/socket.h"
#include "io/sync.h"

namespace archipel::io {
namespace {

constexpr int kTakeTimeoutMs = 5000;
constexpr Duration kReadyTimeout = std::chrono::minutes(2);  // for a successor to start
constexpr size_t kNamesBytesMax = 16u << 10;
constexpr std::string_view kReady = "ready\n";

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Code::invalid, "'" + path + "' cannot be the path of a socket: choose a shorter one");
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

bool same_user(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == geteuid() || peer.uid == 0);
}

// One message: the names, a line each, and the descriptors in the same order.
bool send_sockets(int channel, const std::vector<OfferedSocket>& sockets) {
  std::string names;
  std::array<int, kHandedSocketsMax> fds{};
  for (size_t i = 0; i < sockets.size(); ++i) {
    names += sockets[i].name + "\n";
    fds[i] = sockets[i].descriptor;
  }
  iovec part{names.data(), names.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kHandedSocketsMax)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(sizeof(int) * sockets.size());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * sockets.size());
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * sockets.size());
  return sendmsg(channel, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(names.size());
}

class Offer final : public SocketOffer {
 public:
  Offer(Loop& loop, int fd, std::function<std::vector<OfferedSocket>()> sockets, std::function<void()> taken)
      : loop_(loop), listening_(loop, fd), sockets_(std::move(sockets)), taken_(std::move(taken)) {}
  void start() { scope_.spawn(accept_all(this)); }
  Task<void> close() override {
    listening_.close();
    if (channel_ != nullptr) channel_->close();
    co_await scope_.join();
  }

 private:
  static Task<void> accept_all(Offer* self) {
    while (!self->listening_.closed()) {
      int fd = ::accept4(self->listening_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        FdGuard guard{fd};
        if (same_user(fd)) co_await self->give(guard.release());
        continue;
      }
      if (errno == EINTR || errno == ECONNABORTED) continue;
      Wake wake = Wake::timeout;
      if (errno == EAGAIN) {
        self->listening_.blocked(Direction::read);
        wake = co_await self->listening_.ready(Direction::read, kNoDeadline);
      } else {
        co_await sleep_until(self->loop_.now() + std::chrono::seconds(1));
      }
      if (wake == Wake::cancelled) co_return;
    }
  }

  // One successor at a time.
  Task<void> give(int fd) {
    Descriptor channel(loop_, fd);
    channel_ = &channel;
    std::vector<OfferedSocket> sockets = sockets_();
    if (sockets.size() > kHandedSocketsMax || channel.closed() || !send_sockets(channel.fd(), sockets))
      log::error("hand_over.failed", {{"reason", "the sockets could not be sent"}});
    std::string heard;
    const Deadline deadline = loop_.now() + kReadyTimeout;
    bool ready = false;
    while (!channel.closed()) {
      char bytes[16];
      ssize_t n = ::recv(channel.fd(), bytes, sizeof bytes, 0);
      if (n > 0) heard.append(bytes, static_cast<size_t>(n));
      ready = heard == kReady;
      if (n == 0 || ready || heard.size() > kReady.size() || (n < 0 && errno != EAGAIN && errno != EINTR))
        break;
      if (n > 0) continue;
      if (errno == EAGAIN) channel.blocked(Direction::read);
      Wake wake = co_await channel.ready(Direction::read, deadline);
      if (wake != Wake::ready) break;
    }
    channel_ = nullptr;
    if (ready) taken_();
  }

  Loop& loop_;
  Descriptor listening_;
  Descriptor* channel_ = nullptr;
  const std::function<std::vector<OfferedSocket>()> sockets_;
  const std::function<void()> taken_;
  TaskScope scope_;
};

std::string text_of(const sockaddr_storage& address) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
    return "[" + std::string(host) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
  return std::string(host) + ":" + std::to_string(ntohs(v4.sin_port));
}

void send_at_once(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

class Taken final : public TakenSockets {
 public:
  explicit Taken(int channel) : channel_{channel} {}
  ~Taken() override {
    for (OfferedSocket& socket : sockets_)
      if (socket.descriptor >= 0) ::close(socket.descriptor);
  }
  Result<void> receive();
  Result<std::unique_ptr<Listener>> adopt(Loop& loop, std::string_view name) override {
    for (OfferedSocket& socket : sockets_) {
      if (socket.name != name || socket.descriptor < 0) continue;
      FdGuard guard{std::exchange(socket.descriptor, -1)};
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      if (getsockname(guard.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return fail_errno(errno, "asking for the address of a socket that was handed over");
      auto listener =
          std::make_unique<SocketListener>(loop, guard.release(), text_of(address), text_of, send_at_once);
      if (!listener->watched()) return fail_errno(ENOMEM, "watching a socket that was handed over");
      return listener;
    }
    return std::unique_ptr<Listener>();
  }
  void tell_ready() override {
    [[maybe_unused]] ssize_t n = ::send(channel_.fd, kReady.data(), kReady.size(), MSG_NOSIGNAL);
  }

 private:
  FdGuard channel_;
  std::vector<OfferedSocket> sockets_;
};

Result<void> Taken::receive() {
  pollfd waiting{channel_.fd, POLLIN, 0};
  if (poll(&waiting, 1, kTakeTimeoutMs) <= 0)
    return fail(Code::timeout, "the running process does not hand its sockets over");
  std::string names(kNamesBytesMax, '\0');
  iovec part{names.data(), names.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kHandedSocketsMax)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = recvmsg(channel_.fd, &message, MSG_CMSG_CLOEXEC);
  if (n < 0) return fail_errno(errno, "receiving sockets");
  names.resize(static_cast<size_t>(n));
  std::vector<int> fds;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    fds.resize((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(fds.data(), CMSG_DATA(header), fds.size() * sizeof(int));
  }
  for (int fd : fds) {
    size_t end = names.find('\n');
    sockets_.push_back({names.substr(0, end), fd});
    names.erase(0, end == std::string::npos ? names.size() : end + 1);
  }
  if (sockets_.empty() || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return fail(Code::io, "the running process handed no sockets over, or not all of them");
  return {};
}

}  // namespace

int listening_descriptor(const Listener& listener) {
  const auto* socket = dynamic_cast<const SocketListener*>(&listener);
  return socket == nullptr ? -1 : socket->descriptor();
}

Result<std::unique_ptr<SocketOffer>> offer_sockets(Loop& loop, const std::string& path,
                                                   std::function<std::vector<OfferedSocket>()> sockets,
                                                   std::function<void()> taken) {
  ASSIGN_OR_RETURN(sockaddr_un address, address_of(path));
  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode))
      return fail(Code::exists, path + " is in the way, and is no socket; move it aside");
    ::unlink(path.c_str());
  }
  FdGuard guard{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (guard.fd < 0) return fail_errno(errno, "opening a socket for " + path);
  if (::bind(guard.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(guard.fd, 4) != 0)
    return fail_errno(errno, "listening on " + path);
  auto offer = std::make_unique<Offer>(loop, guard.release(), std::move(sockets), std::move(taken));
  offer->start();
  return offer;
}

Result<std::unique_ptr<TakenSockets>> take_sockets(const std::string& path) {
  ASSIGN_OR_RETURN(sockaddr_un address, address_of(path));
  FdGuard guard{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (guard.fd < 0) return fail_errno(errno, "opening a socket for " + path);
  if (::connect(guard.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED)
      return fail(Code::not_found,
                  "nobody offers sockets on " + path + "; is the process running that is to be replaced?");
    return fail_errno(errno, "connecting to " + path);
  }
  if (!same_user(guard.fd)) return fail(Code::denied, path + " belongs to another user");
  auto taken = std::make_unique<Taken>(guard.release());
  RETURN_IF_ERROR(taken->receive());
  return taken;
}

}  // namespace archipel::io
