#include "io/socket.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/metrics.h"

namespace archipel::io {
namespace {

constexpr size_t kPartsPerCall = 64;
// Parts that are together no longer than this are put side by side first: cheaper than to have the kernel gather them.
constexpr size_t kGatheredBytesMax = 2048;
// How much a connection moves, and a listener accepts, before others on the loop get their turn.
constexpr size_t kBytesPerTurn = 1u << 20;
// So few go at once, whosever turn it is: what says goodbye (TLS's close_notify) has no other moment.
constexpr size_t kBytesOutOfTurn = 64;
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

// Drops what is written from the front of `parts`; false when nothing is left.
bool skip_written(std::span<const ByteView>& parts, size_t& offset) {
  while (!parts.empty() && offset >= parts.front().size()) {
    offset -= parts.front().size();
    parts = parts.subspan(1);
  }
  return !parts.empty();
}

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

// recv(2) and send(2) as the kernel has them. In a process with threads the C library's change the thread's state before and after, so that it can be cancelled
// in between, which none of ours ever is: a hit pays for that twice.
ssize_t receive_now(int fd, MutableBytes out) {
  return ::syscall(SYS_recvfrom, fd, out.data(), out.size(), 0, nullptr, nullptr);
}
ssize_t send_now(int fd, const void* bytes, size_t size) {
  return ::syscall(SYS_sendto, fd, bytes, size, MSG_NOSIGNAL, nullptr, 0);
}

ssize_t send_all(int fd, std::span<const iovec> parts, size_t size) {
  if (parts.size() == 1) return send_now(fd, parts[0].iov_base, size);
  if (size <= kGatheredBytesMax) {
    char gathered[kGatheredBytesMax];
    char* end = gathered;
    for (const iovec& part : parts)
      if (part.iov_len > 0)
        end = static_cast<char*>(std::memcpy(end, part.iov_base, part.iov_len)) + part.iov_len;
    return send_now(fd, gathered, size);
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

std::unexpected<Error> listener_closed() {
  return fail(Code::cancelled, "the listener was closed");
}

}  // namespace

SocketStream::SocketStream(Loop& loop, int fd, std::string peer)
    : descriptor_(loop, fd), peer_(std::move(peer)) {}

std::unexpected<Error> cannot_connect(int error, const std::string& where) {
  switch (error) {
    case ECONNREFUSED:
      return fail(Code::unavailable, "nobody listens on " + where);
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
      return fail(Code::unavailable, "no way leads to " + where);
    case ETIMEDOUT:
      return fail(Code::timeout, where + " did not answer");
    default:
      return fail_errno(error, "connecting to " + where);
  }
}

Task<Result<void>> SocketStream::connected(Deadline deadline) {
  for (;;) {
    if (descriptor_.closed()) co_return closed_here();
    descriptor_.blocked(Direction::write);
    Wake wake = co_await descriptor_.ready(Direction::write, deadline);
    if (wake == Wake::timeout) co_return fail(Code::timeout, peer_ + " did not answer in time");
    if (wake == Wake::cancelled) co_return closed_here();
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(descriptor_.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) co_return cannot_connect(error, peer_);
    // Woken without a reason: there is no peer yet.
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    if (::getpeername(descriptor_.fd(), reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0) co_return {};
    if (errno != ENOTCONN) co_return cannot_connect(errno, peer_);
  }
}

Task<Result<void>> SocketStream::wait_readable(Deadline deadline) {
  if (descriptor_.closed()) co_return closed_here();
  // What was announced may have been read since.
  if (descriptor_.may(Direction::read) && !has_input()) descriptor_.blocked(Direction::read);
  Wake wake = co_await descriptor_.ready(Direction::read, deadline);
  if (wake == Wake::timeout) co_return no_time(peer());
  if (wake == Wake::cancelled) co_return closed_here();
  moved_in_turn_ = 0;
  co_return {};
}

// Bytes, an end or an error.
bool SocketStream::has_input() const {
  uint8_t byte = 0;
  return ::recv(descriptor_.fd(), &byte, 1, MSG_PEEK) >= 0 || errno != EAGAIN;
}

Task<Result<size_t>> SocketStream::read(MutableBytes out, Deadline deadline) {
  CHECK(!out.empty());
  for (;;) {
    if (descriptor_.closed()) co_return closed_here();
    if (auto got = try_read(out)) co_return std::move(*got);
    // Also when the turn's share is used up: if there is more to read, this returns as soon as others had their turn.
    Wake wake = co_await descriptor_.ready(Direction::read, deadline);
    if (wake == Wake::timeout) co_return no_time(peer());
    if (wake == Wake::cancelled) co_return closed_here();
    moved_in_turn_ = 0;
  }
}

Task<Result<void>> SocketStream::write(std::span<const ByteView> parts, Deadline deadline) {
  size_t offset = 0;  // of the first part that is not written completely
  while (skip_written(parts, offset)) {
    if (descriptor_.closed()) co_return closed_here();
    if (may_send(kBytesPerTurn)) {
      ssize_t sent = send_some(parts, offset);
      if (sent >= 0) {
        offset += static_cast<size_t>(sent);
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

std::optional<Result<size_t>> SocketStream::try_read(MutableBytes out) {
  if (descriptor_.closed()) return closed_here();
  if (moved_in_turn_ >= kBytesPerTurn) return std::nullopt;
  while (descriptor_.may(Direction::read)) {
    ssize_t got = receive_now(descriptor_.fd(), out);
    if (got >= 0) {
      const auto size = static_cast<size_t>(got);
      if (size < out.size()) descriptor_.did_part(Direction::read);
      moved_in_turn_ += size;
      return size;
    }
    if (errno == EAGAIN)
      descriptor_.blocked(Direction::read);
    else if (errno != EINTR)
      return fail_errno(errno, "reading from " + peer());
  }
  return std::nullopt;
}

size_t SocketStream::try_write(ByteView bytes) {
  if (descriptor_.closed() || !may_send(bytes.size())) return 0;
  const ssize_t sent = send_now(descriptor_.fd(), bytes.data(), bytes.size());
  note_sent(sent, bytes.size());
  return static_cast<size_t>(std::max<ssize_t>(sent, 0));
}

size_t SocketStream::try_write_parts(std::span<const ByteView> parts) {
  size_t size = 0;
  for (const ByteView& part : parts) size += part.size();
  if (descriptor_.closed() || !may_send(size)) return 0;
  return static_cast<size_t>(std::max<ssize_t>(send_some(parts, 0), 0));
}

bool SocketStream::may_send(size_t size) const {
  return (moved_in_turn_ < kBytesPerTurn || size <= kBytesOutOfTurn) && descriptor_.may(Direction::write);
}

void SocketStream::shutdown_write() {
  if (!descriptor_.closed()) ::shutdown(descriptor_.fd(), SHUT_WR);
}

void SocketStream::close(bool reset) {
  if (descriptor_.closed()) return;
  if (reset) {
    linger hard{.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor_.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  descriptor_.close();
}

// What send(2) says of the first parts. It takes less than it is given when the socket's buffer is full, and then tells when there is room.
ssize_t SocketStream::send_some(std::span<const ByteView> parts, size_t offset) {
  iovec vectors[kPartsPerCall];
  size_t count = std::min(parts.size(), kPartsPerCall);
  size_t size = 0;
  for (size_t i = 0; i < count; ++i) {
    ByteView part = parts[i].subspan(i == 0 ? offset : 0);
    vectors[i] = {const_cast<uint8_t*>(part.data()), part.size()};
    size += part.size();
  }
  const ssize_t sent = send_all(descriptor_.fd(), {vectors, count}, size);
  note_sent(sent, size);
  return sent;
}

// What a call that was to send `size` bytes said.
void SocketStream::note_sent(ssize_t sent, size_t size) {
  if (sent >= 0) {
    moved_in_turn_ += static_cast<size_t>(sent);
    if (static_cast<size_t>(sent) < size) descriptor_.did_part(Direction::write);
  } else if (errno == EAGAIN) {
    descriptor_.blocked(Direction::write);
  }
}

// A rest that close() can end; the listener may be gone when it resumes then.
struct SocketListener::Pause {
  SocketListener& listener;
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

SocketListener::SocketListener(Loop& loop, int fd, std::string address, PeerText peer_text, Prepare prepare)
    : descriptor_(loop, fd), address_(std::move(address)), peer_text_(peer_text), prepare_(prepare) {}

SocketListener::~SocketListener() {
  SocketListener::close();
}

Task<Result<std::unique_ptr<Stream>>> SocketListener::accept() {
  for (;;) {
    if (descriptor_.closed()) co_return listener_closed();
    if (++accepted_in_turn_ <= kAcceptsPerTurn && descriptor_.may(Direction::read)) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      int fd = ::accept4(descriptor_.fd(), reinterpret_cast<sockaddr*>(&peer), &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
      int error = errno;
      if (fd >= 0) {
        if (prepare_ != nullptr) prepare_(fd);
        auto stream = std::make_unique<SocketStream>(descriptor_.loop(), fd, peer_text_(peer));
        if (stream->watched()) {
          short_of_ = false;
          co_return stream;
        }
        error = ENOMEM;
      }
      if (is_shortage(error)) {
        bool open = co_await pause(error);
        if (!open) co_return listener_closed();
        continue;
      }
      if (error == EINTR || concerns_one_connection(error)) continue;
      if (error != EAGAIN) co_return fail_errno(error, "accepting connections on " + address_);
      descriptor_.blocked(Direction::read);
    }
    Wake wake = co_await descriptor_.ready(Direction::read, kNoDeadline);
    if (wake == Wake::cancelled) co_return listener_closed();
    accepted_in_turn_ = 0;
  }
}

void SocketListener::close() {
  descriptor_.close();
  if (pausing_ == nullptr) return;
  Pause* pausing = std::exchange(pausing_, nullptr);
  descriptor_.loop().cancel(pausing->timer);
  pausing->open = false;
  descriptor_.loop().post([self = pausing->self] { self.resume(); });
}

SocketListener::Pause SocketListener::pause(int error) {
  accept_pauses.add();
  // One line per shortage, not per pause.
  if (!std::exchange(short_of_, true)) {
    log::warn("tcp.accept_paused",
              {{"address", address_}, {"error", fail_errno(error, "accept").error().message}});
  }
  return Pause{*this};
}

}  // namespace archipel::io
