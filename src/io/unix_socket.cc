#include "io/unix_socket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/socket.h"

namespace archipel::io {
namespace {

constexpr int kBacklog = 64;

std::string peer_text(const sockaddr_storage&) {
  return "unix";
}

// The address of `path`. One that is too long goes through its directory's descriptor, which must stay open while the address is used.
struct UnixAddress {
  sockaddr_un raw{};
  socklen_t size = 0;
  FdGuard directory{-1};

  Result<void> set(const std::string& path) {
    std::string text = path;
    if (text.size() >= sizeof raw.sun_path) {
      const size_t slash = path.rfind('/');
      const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
      directory.fd = ::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
      if (directory.fd < 0) return fail_errno(errno, "opening " + parent);
      text = "/proc/self/fd/" + std::to_string(directory.fd) + path.substr(slash);
    }
    if (text.empty() || text.size() >= sizeof raw.sun_path)
      return fail(Code::invalid, "'" + path + "' cannot be the path of a socket: choose a shorter name");
    raw.sun_family = AF_UNIX;
    std::memcpy(raw.sun_path, text.data(), text.size());
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + 1);
    return {};
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&raw); }
};

// What an earlier process left.
Result<void> remove_socket(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(errno, "looking at " + path);
  }
  if (!S_ISSOCK(status.st_mode))
    return fail(Code::exists, path + " is in the way, and is no socket; move it aside");
  if (::unlink(path.c_str()) != 0) return fail_errno(errno, "removing the old socket " + path);
  return {};
}

}  // namespace

Result<std::unique_ptr<Listener>> listen_unix(Loop& loop, const std::string& path) {
  UnixAddress address;
  RETURN_IF_ERROR(address.set(path));
  RETURN_IF_ERROR(remove_socket(path));
  FdGuard guard{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (guard.fd < 0) return fail_errno(errno, "opening a socket for " + path);
  // Nobody can connect before listen(), so there is no moment in which the file is open to others.
  if (::bind(guard.fd, address.get(), address.size) != 0 || ::chmod(path.c_str(), 0600) != 0 ||
      ::listen(guard.fd, kBacklog) != 0) {
    return fail_errno(errno, "listening on " + path);
  }
  auto listener = std::make_unique<SocketListener>(loop, guard.release(), path, peer_text, nullptr);
  if (!listener->watched()) return fail_errno(ENOMEM, "watching the socket on " + path);
  return listener;
}

Result<std::unique_ptr<Stream>> connect_unix(Loop& loop, const std::string& path) {
  UnixAddress address;
  RETURN_IF_ERROR(address.set(path));
  FdGuard guard{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (guard.fd < 0) return fail_errno(errno, "opening a socket for " + path);
  if (::connect(guard.fd, address.get(), address.size) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ECONNREFUSED)
      return fail(Code::not_found, "nobody listens on " + path + "; is the gateway running?");
    if (error == EAGAIN) return fail(Code::unavailable, "too many clients wait on " + path + "; try again");
    return fail_errno(error, "connecting to " + path);
  }
  auto stream = std::make_unique<SocketStream>(loop, guard.release(), path);
  if (!stream->watched()) return fail_errno(ENOMEM, "watching the socket to " + path);
  return stream;
}

}  // namespace archipel::io
