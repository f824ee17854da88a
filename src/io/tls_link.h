// One TLS connection, whichever side of it we are: what tls_stream.cc moves, and tls_client.cc sets up. Internal to src/io.
#pragma once

#include <string>
#include <vector>

#include "io/sync.h"
#include "io/tls_context.h"

namespace archipel::io {

inline constexpr size_t kPlainBytesMax = 16u << 10;                  // of a record (RFC 8446 §5.1)
inline constexpr size_t kRecordBytesMax = kPlainBytesMax + 5 + 256;  // sealed, with its header
inline constexpr size_t kBatchRecords = 4;  // sealed before they are written, and read at once
inline constexpr size_t kReplyBytesMax =
    4u << 10;  // of OpenSSL's own, behind a full batch: answers to key updates, alerts
inline constexpr size_t kBufferBytes = kBatchRecords * kRecordBytesMax + kReplyBytesMax;
inline constexpr size_t kSparesMax = 32;

inline std::unexpected<Error> closed_here() {
  return fail(Code::cancelled, "the connection was closed on this side");
}

struct Link;

// What the streams of one listener, or of one connector, share. One loop.
struct Shared {
  explicit Shared(Loop& l) : loop(l) {}
  virtual ~Shared() = default;
  virtual SslPtr new_session(const Link& link) = 0;
  virtual bool client() const { return false; }

  Loop& loop;
  Semaphore slots{kTlsHandshakesMax};
  std::vector<Buffer> spares;
  Buffer scratch{kPlainBytesMax};  // small parts of one write, gathered into one record

  Buffer take() {
    if (spares.empty()) return Buffer(kBufferBytes);
    Buffer buffer = std::move(spares.back());
    spares.pop_back();
    return buffer;
  }
  void give(Buffer& buffer) {
    Buffer back = std::move(buffer);
    buffer = Buffer();
    if (!back.empty() && spares.size() < kSparesMax) spares.push_back(std::move(back));
  }
};

// Bytes between OpenSSL and the connection.
struct Pending {
  Buffer bytes;
  size_t begin = 0, end = 0;
  bool empty() const { return begin == end; }
  ByteView view() const { return bytes.view().subspan(begin, end - begin); }
};

// Everything of one connection. Operations hold it, so that it may be closed and left while they wait.
struct Link {
  enum class Phase { fresh, shaking, open, failed, closed };

  Link(std::shared_ptr<Shared> s, std::unique_ptr<Stream> c, std::string n = {}, std::string a = {})
      : shared(std::move(s)), inner(std::move(c)), name(std::move(n)), alpn(std::move(a)) {}
  ~Link() {
    shared->give(in.bytes);
    shared->give(out.bytes);
  }

  const std::shared_ptr<Shared> shared;
  const std::unique_ptr<Stream> inner;
  const std::string name;  // a client's: who the server has to be
  const std::string alpn;  // a client's: what it offers, in wire form
  std::string distrust;    // a client's: which certificate it does not believe, and why
  SslPtr ssl;              // from the first byte on
  Pending in, out;
  Phase phase = Phase::fresh;
  std::optional<Error> failure;  // phase failed
  bool writing = false;          // somebody sends what is in `out`
  bool notified = false;         // close_notify was said
  bool blocked = false;          // reading wants to say something, and `out` is full
  size_t withheld =
      0;          // bytes (0 or 1) that try_write() sealed without saying so: the next write begins with them
  Event changed;  // of phase; nobody writes any more

  Result<void> usable() const {
    if (phase == Phase::closed) return closed_here();
    if (phase == Phase::failed) return fail(*failure);
    return {};
  }
  std::unexpected<Error> fail_with(Error error) {
    if (phase == Phase::closed) return closed_here();
    phase = Phase::failed;
    failure = error;
    return fail(std::move(error));
  }
  Error broken(const char* where) {
    std::string reason = take_openssl_reason();
    if (!distrust.empty()) return {Code::denied, distrust, "certificate"};
    return {Code::io,
            std::string(where) + " with " + inner->peer() +
                " failed: " + (reason.empty() ? "unknown reason" : reason),
            {}};
  }
  void release_empty() {
    if (in.empty()) shared->give(in.bytes);
    if (out.empty() && !writing) {
      out.begin = out.end = 0;
      shared->give(out.bytes);
    }
  }
  // OpenSSL may want to say something while it reads. What does not fit now leaves with the next write.
  void reply() {
    if (writing || out.empty()) return;
    out.begin += inner->try_write(out.view());
    if (out.empty()) out.begin = out.end = 0;
  }
  void say_goodbye() {
    if (phase != Phase::open || notified) return;
    notified = true;
    shut_down();
    reply();
  }
  void shut_down();
  size_t encrypt(std::span<const ByteView>& parts, size_t& offset);
};

// A stream over `link`. handshake() does it at once instead of in the first operation.
std::unique_ptr<Stream> make_tls_stream(std::shared_ptr<Link> link);
Task<Result<void>> tls_handshake(std::shared_ptr<Link> link, Deadline deadline);
// The connection that OpenSSL calls back about.
Link& link_of(ssl_st* ssl);

}  // namespace archipel::io
