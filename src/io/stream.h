// Stream, Listener, Network: bytes in order between two peers. Real: TCP. Simulated: io/sim.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "io/loop.h"

namespace archipel::io {

// One connection. Belongs to one loop. At most one read and one write are under way at a time. Errors: timeout when the deadline
// passes (the connection is then only good for closing), cancelled after close(), io for resets.
class Stream {
 public:
  virtual ~Stream() = default;  // closes

  // Waits until a read would not block, holding no buffer: an idle connection costs nothing but its frame.
  virtual Task<Result<void>> wait_readable(Deadline deadline) = 0;
  // Reads 1..out.size() bytes; 0 means the peer ended its side.
  virtual Task<Result<size_t>> read(MutableBytes out, Deadline deadline) = 0;
  // Writes all of `parts`, in order (writev). The memory must live until the task finishes. The deadline covers progress as a whole.
  virtual Task<Result<void>> write(std::span<const ByteView> parts, Deadline deadline) = 0;
  // What can be done without waiting, for layers above that hold buffers: read() if something is there now (nothing: nullopt, wait_readable()
  // tells when to try again); and as much of `bytes` as fits, how much that was: the rest has to be offered next, by write(). Not while a read() or a write() of the same kind waits. A
  // stream that has no such notion says nullopt and 0.
  virtual std::optional<Result<size_t>> try_read(MutableBytes /*out*/) { return std::nullopt; }
  virtual size_t try_write(ByteView /*bytes*/) { return 0; }
  // The same for several, in order, in one system call.
  virtual size_t try_write_parts(std::span<const ByteView> /*parts*/) { return 0; }
  // After a try_read() that had nothing to give: something has come that is not whole yet, such as a part of a TLS record, and more must follow. False: what made the stream
  // readable was for itself alone (keys of TLS that change). A stream that cannot tell says true.
  virtual bool holds_part() const { return true; }
  // Ends our side; the peer reads to its end and then sees EOF.
  virtual void shutdown_write() = 0;
  // Ends both sides at once; waiting operations return cancelled. `reset` sends RST, so that a short body is never taken as complete.
  virtual void close(bool reset = false) = 0;
  // "127.0.0.1:51234"
  virtual std::string peer() const = 0;
  // What the two sides agreed to speak (ALPN): "h2", "http/1.1"; empty if they did not, or not yet: TLS agrees in its first operation.
  virtual std::string_view protocol() const { return {}; }
  // Nobody on the way can read or change the bytes: TLS.
  virtual bool secure() const { return false; }
};

class Listener {
 public:
  virtual ~Listener() = default;
  // The next connection, on the listener's loop. cancelled after close(). Running out of descriptors is retried inside after a pause.
  virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;
  virtual void close() = 0;
  // The bound address with the real port: "127.0.0.1:43121".
  virtual std::string address() const = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // "ADDR:PORT" or "[ADDR6]:PORT"; port 0 picks a free one. `reuse_port` lets several loops listen on one port.
  virtual Result<std::unique_ptr<Listener>> listen(Loop& loop, const std::string& address,
                                                   bool reuse_port) = 0;
  // A connection to "ADDR:PORT" or "[ADDR6]:PORT" (names: io/dns.h) or "unix:PATH", on `loop`, which is the calling one. Errors: invalid (no such address),
  // unavailable (refused, or no way there), timeout, io.
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Loop& loop, std::string address,
                                                        Deadline deadline) = 0;
};

Network& tcp_network();

}  // namespace archipel::io
