// One TLS connection, whichever side of it we are: what tls_stream.cc moves, and tls_client.cc sets up. Internal to src/io.
#pragma once

#include <string>
#include <vector>

#include "io/sync.h"
#include "io/tls_context.h"
#include "io/tls_records.h"

namespace archipel::io {

inline constexpr size_t kPlainBytesMax = TlsRecords::kPlainMax;
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

// What a server's handshake leaves behind for the records after it.
struct HandOver {
  TlsSecret read, write;
  uint64_t sealed = 0;  // records under `write`
};

// Bytes between the records' keeper and the connection.
struct Pending {
  Buffer bytes;
  size_t begin = 0, end = 0;
  bool empty() const { return begin == end; }
  size_t room() const { return bytes.size() - end; }
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
  const std::string name;               // a client's: who the server has to be
  const std::string alpn;               // a client's: what it offers, in wire form
  std::string distrust;                 // a client's: which certificate it does not believe, and why
  SslPtr ssl;                           // from the first byte on, until `records` takes over
  std::unique_ptr<HandOver> hand_over;  // a server's, in the handshake
  std::unique_ptr<TlsRecords> records;  // TLS 1.3 of a server, behind the handshake
  std::string agreed;                   // ALPN, once there are `records`
  MutableBytes opened;                  // plaintext of `records` that nobody has read yet; lies in `in.bytes`
  Buffer parked;  // part of a record, while the connection waits for the rest: as large as it is
  Pending in, out;
  Phase phase = Phase::fresh;
  std::optional<Error> failure;  // phase failed
  bool writing = false;          // somebody sends what is in `out`
  bool ended = false;            // the other side said close_notify to `records`
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
    if (in.empty() && opened.empty()) {
      in.begin = in.end = 0;
      shared->give(in.bytes);
    }
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
  // Seals from the front of `parts` what fits into `out`; returns how many bytes of plaintext. 0: it failed, or nothing is left.
  size_t encrypt(std::span<const ByteView>& parts, size_t& offset);

  // Something can be read without the connection: half a record is nothing.
  bool has_more() const;
  // Some of a record is here.
  bool holds_part() const;

  // Of `records` alone (tls_link.cc).
  // OpenSSL has shaken hands: if it can, it goes.
  void take_over();
  size_t seal(std::span<const ByteView>& parts, size_t& offset);
  // Opens what is here into `out`. nullopt: there is nothing, or not a whole record.
  std::optional<Result<size_t>> open(MutableBytes out);
  // An alert, if there is room for it.
  void tell(uint8_t level, uint8_t alert);
  // While it waits, a connection holds what it has of a record and no more; and takes a buffer again when there is something to be received.
  void park();
  void unpark();

 private:
  MutableBytes room_for_own();
  void answer_key_update();
  Result<size_t> refuse(const TlsRecords::Opened& what);
};

// OpenSSL tells every secret of a handshake, as a line of NSS's key log.
void keep_traffic_secret(const ssl_st* ssl, const char* line);

// A stream over `link`. handshake() does it at once instead of in the first operation.
std::unique_ptr<Stream> make_tls_stream(std::shared_ptr<Link> link);
Task<Result<void>> tls_handshake(std::shared_ptr<Link> link, Deadline deadline);
// The connection that OpenSSL calls back about.
Link& link_of(const ssl_st* ssl);

}  // namespace archipel::io
