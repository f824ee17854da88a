// Streams and listeners over non-blocking sockets of any family. Internal to src/io: TCP and Unix sockets differ only in their addresses.
#pragma once

#include <sys/socket.h>

#include <span>
#include <string>
#include <utility>

#include "io/descriptor.h"
#include "io/stream.h"

namespace archipel::io {

// A connected socket. Every operation tries its system call first and waits for readiness only after EAGAIN.
class SocketStream final : public Stream {
 public:
  // Takes ownership of `fd`, which is non-blocking.
  SocketStream(Loop& loop, int fd, std::string peer);

  // False if the kernel had no room to watch the socket, which is closed then.
  bool watched() const { return !descriptor_.closed(); }

  // Waits for the connection that connect(2) began.
  Task<Result<void>> connected(Deadline deadline);

  Task<Result<void>> wait_readable(Deadline deadline) override;
  Task<Result<size_t>> read(MutableBytes out, Deadline deadline) override;
  Task<Result<void>> write(std::span<const ByteView> parts, Deadline deadline) override;
  std::optional<Result<size_t>> try_read(MutableBytes out) override;
  size_t try_write(ByteView bytes) override;
  size_t try_write_parts(std::span<const ByteView> parts) override;
  void shutdown_write() override;
  void close(bool reset) override;
  std::string peer() const override { return peer_; }

 private:
  bool has_input() const;
  bool may_send(size_t size) const;
  ssize_t send_some(std::span<const ByteView> parts, size_t offset);
  void note_sent(ssize_t sent, size_t size);

  Descriptor descriptor_;
  const std::string peer_;
  size_t moved_in_turn_ = 0;
};

// A listening socket. close() may be called while accept() waits.
class SocketListener final : public Listener {
 public:
  using PeerText = std::string (*)(const sockaddr_storage& peer);
  using Prepare = void (*)(int fd);  // of each accepted socket
  // Takes ownership of `fd`, which listens and is non-blocking. `address` is what address() says.
  SocketListener(Loop& loop, int fd, std::string address, PeerText peer_text, Prepare prepare);
  ~SocketListener() override;

  bool watched() const { return !descriptor_.closed(); }

  Task<Result<std::unique_ptr<Stream>>> accept() override;
  void close() override;
  std::string address() const override { return address_; }
  int descriptor() const { return descriptor_.fd(); }

 private:
  struct Pause;
  Pause pause(int error);

  Descriptor descriptor_;
  const std::string address_;
  const PeerText peer_text_;
  const Prepare prepare_;
  int accepted_in_turn_ = 0;
  bool short_of_ = false;
  Pause* pausing_ = nullptr;
};

// A connection that cannot be made: unavailable if nobody is there or no way leads there, timeout, io.
std::unexpected<Error> cannot_connect(int error, const std::string& where);

// Closes the socket unless it is released: listen() has many ways to fail.
struct FdGuard {
  int fd;
  ~FdGuard() {
    if (fd >= 0) ::close(fd);
  }
  int release() { return std::exchange(fd, -1); }
};

}  // namespace archipel::io
