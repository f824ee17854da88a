#include "app/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"
#include "base/log.h"

namespace archipel::app {

std::string service_message(ServiceState state, const std::string& status, int pid, int64_t now_us) {
  std::string out;
  switch (state) {
    case ServiceState::ready:
      // A successor speaks for itself: from now on it is the service.
      out = fmt::format("READY=1\nMAINPID={}\n", pid);
      break;
    case ServiceState::reloading:
      out = fmt::format("RELOADING=1\nMONOTONIC_USEC={}\n", now_us);
      break;
    case ServiceState::stopping:
      out = "STOPPING=1\n";
      break;
  }
  std::string line = status;
  std::ranges::replace(line, '\n', ' ');
  return out + "STATUS=" + line + "\n";
}

Result<void> send_service_message(const std::string& to, const std::string& message) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool named = to.starts_with('/') || to.starts_with('@');
  if (!named || to.size() >= sizeof address.sun_path)
    return fail(Code::invalid, "NOTIFY_SOCKET is '" + to + "', and has to be a path, or @NAME");
  std::memcpy(address.sun_path, to.data(), to.size());
  if (to.starts_with('@')) address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail_errno(errno, "a socket for the service manager");
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + to.size());
  const ssize_t sent = ::sendto(fd, message.data(), message.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), size);
  const int error = errno;
  ::close(fd);
  if (sent < 0) return fail_errno(error, to);
  return {};
}

void tell_service_manager(ServiceState state, const std::string& status) {
  const char* to = std::getenv("NOTIFY_SOCKET");
  if (to == nullptr || *to == '\0') return;
  const int64_t now_us =
      std::chrono::duration_cast<std::chrono::microseconds>(system_clock().now().time_since_epoch()).count();
  Result<void> sent = send_service_message(to, service_message(state, status, ::getpid(), now_us));
  if (!sent) log::warn("service_manager.not_told", {{"reason", sent.error().message}});
}

}  // namespace archipel::app
