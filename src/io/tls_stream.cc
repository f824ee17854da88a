// A stream of plaintext over a stream of TLS records. OpenSSL, or TlsRecords after it, sees two buffers in memory, never a socket; they are lent from a pool while
// there is something in them.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/log.h"
#include "base/metrics.h"
#include "io/sync.h"
#include "io/tls_link.h"

namespace archipel::io {
namespace {

// A client that spoke plain HTTP: what else it sends is dropped so that it gets to see our answer.
constexpr size_t kPlainHttpBytesMax = 64u << 10;
constexpr Duration kPlainHttpTimeout = std::chrono::seconds(2);
constexpr std::string_view kPlainHttpAnswer =
    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    "content-length: 44\r\n\r\nThis port speaks TLS: use https:// with it.\n";

metrics::Counter handshakes{"archipel_tls_handshakes_total", "TLS handshakes that succeeded"};
metrics::Counter resumed{"archipel_tls_resumptions_total", "TLS handshakes that resumed a session"};
metrics::Counter handshakes_failed{"archipel_tls_handshakes_failed_total",
                                   "TLS handshakes that failed or were given up"};

// SSL_get_error() wants an empty queue. It nearly always is, and emptying an empty one takes OpenSSL longer than looking.
void clear_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

// --- OpenSSL's view of the connection ------------------------------------------------------------------------------------

int bio_read(BIO* bio, char* to, int size) {
  Link& link = *static_cast<Link*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (link.in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  size_t count = std::min(static_cast<size_t>(std::max(size, 0)), link.in.end - link.in.begin);
  std::memcpy(to, link.in.bytes.data() + link.in.begin, count);
  link.in.begin += count;
  return static_cast<int>(count);
}

int bio_write(BIO* bio, const char* from, int size) {
  Link& link = *static_cast<Link*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  Pending& out = link.out;
  if (out.bytes.empty()) out = {link.shared->take(), 0, 0};
  size_t count = std::min(static_cast<size_t>(std::max(size, 0)), out.bytes.size() - out.end);
  if (count == 0) {
    BIO_set_retry_write(bio);
    return -1;
  }
  std::memcpy(out.bytes.data() + out.end, from, count);
  out.end += count;
  return static_cast<int>(count);
}

long bio_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* bio_method() {
  static BIO_METHOD* method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "archipel");
    CHECK(m != nullptr);
    CHECK(BIO_meth_set_read(m, bio_read) == 1 && BIO_meth_set_write(m, bio_write) == 1 &&
          BIO_meth_set_ctrl(m, bio_control) == 1);
    return m;
  }();
  return method;
}

// OpenSSL tells of every record that it has sealed.
void count_record(int ours, int, int type, const void*, size_t, SSL* ssl, void*) {
  HandOver* kept = link_of(ssl).hand_over.get();
  if (ours == 1 && type == SSL3_RT_HEADER && kept != nullptr) ++kept->sealed;
}

void make_session(Link& link) {
  link.ssl = link.shared->new_session(link);
  BIO* bio = BIO_new(bio_method());
  CHECK(bio != nullptr);
  BIO_set_data(bio, &link);
  BIO_set_init(bio, 1);
  SSL_set_bio(link.ssl.get(), bio, bio);  // takes it
  if (link.shared->client()) return;
  link.hand_over = std::make_unique<HandOver>();
  SSL_set_msg_callback(link.ssl.get(), count_record);
}

// --- moving records ------------------------------------------------------------------------------------------------------

// More of what the client sent; 0 at its end. Holds no buffer while it waits.
Task<Result<size_t>> fill(std::shared_ptr<Link> link, Deadline deadline) {
  Pending& in = link->in;
  link->unpark();
  std::optional<Result<size_t>> now = link->inner->try_read(in.bytes.span().subspan(in.end));
  Result<size_t> got = now ? std::move(*now) : Result<size_t>(0);
  if (!now) {
    link->park();
    link->release_empty();
    Result<void> ready = co_await link->inner->wait_readable(deadline);
    if (!ready) co_return fail(std::move(ready).error());
    link->unpark();
    got = co_await link->inner->read(in.bytes.span().subspan(in.end), deadline);
  }
  if (got) in.end += *got;
  co_return got;
}

Task<Result<void>> flush(std::shared_ptr<Link> link, Deadline deadline) {
  Result<void> written;
  link->writing = true;
  while (written && !link->out.empty()) {
    ByteView batch = link->out.view();
    std::array<ByteView, 1> parts = {batch};
    written = co_await link->inner->write(parts, deadline);
    link->out.begin += batch.size();
  }
  link->writing = false;
  link->release_empty();
  link->changed.notify_all();
  co_return written;
}

// Waits until nobody sends: reader and writer may both have something to say.
Task<Result<void>> wait_for_writer(std::shared_ptr<Link> link, Deadline deadline) {
  while (link->writing && link->phase == Link::Phase::open) {
    bool in_time = co_await link->changed.wait(deadline);
    if (!in_time)
      co_return link->fail_with({Code::timeout, link->inner->peer() + " took nothing in time", {}});
  }
  co_return link->usable();
}

// --- the handshake -------------------------------------------------------------------------------------------------------

Task<void> tell_plain_http(std::shared_ptr<Link> link) {
  link->out.begin = link->out.end;
  const Deadline deadline = link->shared->loop.now() + kPlainHttpTimeout;
  std::array<ByteView, 1> parts = {as_bytes(kPlainHttpAnswer)};
  Result<void> told = co_await link->inner->write(parts, deadline);
  if (!told) co_return;
  link->inner->shutdown_write();
  for (size_t dropped = 0; dropped < kPlainHttpBytesMax;) {
    link->in.begin = link->in.end = 0;
    Result<size_t> got = co_await fill(link, deadline);
    if (!got) co_return;
    if (*got == 0) co_return;
    dropped += *got;
  }
}

Task<Result<void>> exchange_handshake(std::shared_ptr<Link> link, Deadline deadline) {
  make_session(*link);
  for (;;) {
    ERR_clear_error();
    const int done = SSL_do_handshake(link->ssl.get());
    const int why = SSL_get_error(link->ssl.get(), done);
    const bool plain = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST;
    std::optional<Error> broken;
    if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
      broken = link->broken("the TLS handshake");
    if (link->in.empty()) {
      link->in.begin = link->in.end = 0;
      link->shared->give(link->in.bytes);
    }
    if (plain) {
      co_await tell_plain_http(link);
      co_return fail(*broken);
    }
    Result<void> flushed = co_await flush(link, deadline);  // an alert, too
    if (broken) co_return fail(*broken);
    if (!flushed) co_return flushed;
    if (why == SSL_ERROR_NONE) {
      if (SSL_session_reused(link->ssl.get()) == 1) resumed.add();
      link->take_over();
      co_return Result<void>();
    }
    if (why == SSL_ERROR_WANT_WRITE) continue;
    Result<size_t> got = co_await fill(link, deadline);
    if (!got) co_return fail(std::move(got).error());
    if (*got == 0)
      co_return fail(Code::io, link->inner->peer() + " ended the connection within the TLS handshake");
  }
}

Task<Result<void>> shake_hands(std::shared_ptr<Link> link, Deadline deadline) {
  if (!link->shared->client()) {
    // Who says nothing costs nothing.
    Result<void> spoken = co_await link->inner->wait_readable(deadline);
    if (!spoken) co_return spoken;
  }
  deadline = std::min(deadline, link->shared->loop.now() + kTlsHandshakeTimeout);
  Result<void> admitted = co_await link->shared->slots.acquire(1, deadline);
  if (!admitted) co_return admitted;
  Result<void> done = co_await exchange_handshake(link, deadline);
  link->shared->slots.release(1);
  (done ? handshakes : handshakes_failed).add();
  if (!done) log::debug("tls.refused", {{"peer", link->inner->peer()}, {"reason", done.error().message}});
  co_return done;
}

// The first operation does the handshake; another one beside it waits for that.
Task<Result<void>> establish(std::shared_ptr<Link> link, Deadline deadline) {
  using Phase = Link::Phase;
  if (link->phase == Phase::fresh) {
    link->phase = Phase::shaking;
    Result<void> done = co_await shake_hands(link, deadline);
    if (link->phase == Phase::shaking) {
      if (done)
        link->phase = Phase::open;
      else [[maybe_unused]]
        auto failed = link->fail_with(done.error());
    }
    link->changed.notify_all();
  }
  while (link->phase == Phase::shaking) {
    bool in_time = co_await link->changed.wait(deadline);
    if (!in_time)
      co_return fail(Code::timeout,
                     "the TLS handshake with " + link->inner->peer() + " was not over in time");
  }
  co_return link->usable();
}

// --- plaintext -----------------------------------------------------------------------------------------------------------

size_t size_of(std::span<const ByteView> parts) {
  size_t size = 0;
  for (ByteView part : parts) size += part.size();
  return size;
}

Task<Result<void>> write_all(std::shared_ptr<Link> link, std::span<const ByteView> parts, Deadline deadline) {
  if (link->phase != Link::Phase::open) CO_RETURN_IF_ERROR(co_await establish(link, deadline));
  size_t left = size_of(parts);
  size_t offset = left == 0 ? 0 : std::exchange(link->withheld, 0);
  left -= offset;
  for (;;) {
    if (link->writing) CO_RETURN_IF_ERROR(co_await wait_for_writer(link, deadline));
    CO_RETURN_IF_ERROR(link->usable());
    // Usually the connection takes it at once.
    link->reply();
    if (!link->out.empty()) {
      Result<void> sent = co_await flush(link, deadline);
      if (!sent) co_return link->fail_with(std::move(sent).error());
      continue;
    }
    link->release_empty();
    if (left == 0) co_return Result<void>();
    const size_t sealed = link->encrypt(parts, offset);
    if (sealed == 0) co_return link->fail_with(link->broken("sealing records for the connection"));
    left -= sealed;
  }
}

// As much as one batch of records holds, if the connection takes that now. What it does not take waits in `out` for a write(), to which the caller is made to
// come by not telling it of the last byte.
size_t write_now(Link& link, std::span<const ByteView> parts) {
  if (link.phase != Link::Phase::open || link.writing) return 0;
  link.reply();
  const size_t size = size_of(parts);
  if (!link.out.empty() || size == 0) return 0;
  size_t offset = std::exchange(link.withheld, 0);
  size_t taken = offset;
  while (taken < size) {
    const size_t sealed = link.encrypt(parts, offset);
    if (sealed == 0) {
      [[maybe_unused]] auto failed = link.fail_with(link.broken("sealing records for the connection"));
      break;
    }
    taken += sealed;
    link.reply();
    if (!link.out.empty()) break;
  }
  if (!link.out.empty() && taken == size) {
    link.withheld = 1;
    --taken;
  }
  link.release_empty();
  return taken;
}

// Opens records that are here into `out`. nullopt: there is not a whole one.
std::optional<Result<size_t>> decrypt(Link& link, MutableBytes out) {
  if (link.records) return link.open(out);
  size_t total = 0;
  std::optional<Result<size_t>> outcome;
  // Behind the last byte there is nothing to be asked for.
  while (total < out.size() && (total == 0 || !link.in.empty() || SSL_pending(link.ssl.get()) > 0)) {
    size_t count = 0;
    clear_errors();
    const int done = SSL_read_ex(link.ssl.get(), out.data() + total, out.size() - total, &count);
    if (done == 1) {
      total += count;
      continue;
    }
    const int why = SSL_get_error(link.ssl.get(), done);
    link.blocked = why == SSL_ERROR_WANT_WRITE;
    if (total > 0 || why == SSL_ERROR_WANT_READ || link.blocked)
      break;  // what is wrong behind good bytes is found by the next read
    if (why == SSL_ERROR_ZERO_RETURN)
      outcome = Result<size_t>(0);
    else
      outcome = link.fail_with(link.broken("the TLS connection"));
    break;
  }
  if (total > 0)
    outcome = Result<size_t>(total);
  else
    clear_errors();
  link.reply();
  link.release_empty();
  return outcome;
}

Task<Result<size_t>> read_some(std::shared_ptr<Link> link, MutableBytes out, Deadline deadline) {
  CHECK(!out.empty());
  if (link->phase != Link::Phase::open) CO_RETURN_IF_ERROR(co_await establish(link, deadline));
  for (;;) {
    CO_RETURN_IF_ERROR(link->usable());
    std::optional<Result<size_t>> opened = decrypt(*link, out);
    if (opened) co_return std::move(*opened);
    if (std::exchange(link->blocked, false)) {
      CO_RETURN_IF_ERROR(co_await wait_for_writer(link, deadline));
      Result<void> sent = co_await flush(link, deadline);
      if (!sent) co_return link->fail_with(std::move(sent).error());
      continue;
    }
    Result<size_t> got = co_await fill(link, deadline);
    if (!got) co_return link->fail_with(std::move(got).error());
    if (*got == 0)
      co_return link->fail_with(
          {Code::io, link->inner->peer() + " ended the connection without saying so within TLS", {}});
  }
}

// What is here, without waiting; an answer of OpenSSL's own may have to wait for the next read.
std::optional<Result<size_t>> read_now(Link& link, MutableBytes out) {
  if (link.phase == Link::Phase::fresh || link.phase == Link::Phase::shaking) return std::nullopt;
  if (Result<void> usable = link.usable(); !usable) return fail(usable.error());
  std::optional<Result<size_t>> opened = decrypt(link, out);
  if (opened || link.blocked) return opened;
  link.unpark();
  std::optional<Result<size_t>> got = link.inner->try_read(link.in.bytes.span().subspan(link.in.end));
  if (got && *got && **got > 0) {
    link.in.end += **got;
    return decrypt(link, out);
  }
  link.park();
  link.release_empty();
  if (!got) return std::nullopt;
  if (!*got) return link.fail_with(got->error());
  return link.fail_with(
      {Code::io, link.inner->peer() + " ended the connection without saying so within TLS", {}});
}

Task<Result<void>> wait_for_more(std::shared_ptr<Link> link, Deadline deadline) {
  if (link->phase != Link::Phase::open) CO_RETURN_IF_ERROR(co_await establish(link, deadline));
  if (link->has_more()) co_return Result<void>();
  Result<void> ready = co_await link->inner->wait_readable(deadline);
  co_return ready;
}

// --- stream and listener ---------------------------------------------------------------------------------------------------

class TlsStream final : public Stream {
 public:
  explicit TlsStream(std::shared_ptr<Link> link) : link_(std::move(link)) {}
  ~TlsStream() override { end(false); }

  Task<Result<void>> wait_readable(Deadline deadline) override {
    // Mostly there is nothing to be done here, and no need of a coroutine more.
    if (link_->phase == Link::Phase::open && !link_->has_more()) return link_->inner->wait_readable(deadline);
    return wait_for_more(link_, deadline);
  }
  Task<Result<size_t>> read(MutableBytes out, Deadline deadline) override {
    return read_some(link_, out, deadline);
  }
  Task<Result<void>> write(std::span<const ByteView> parts, Deadline deadline) override {
    return write_all(link_, parts, deadline);
  }
  std::optional<Result<size_t>> try_read(MutableBytes out) override { return read_now(*link_, out); }
  bool holds_part() const override { return link_->holds_part(); }
  size_t try_write(ByteView bytes) override {
    const std::array<ByteView, 1> parts = {bytes};
    return write_now(*link_, parts);
  }
  size_t try_write_parts(std::span<const ByteView> parts) override { return write_now(*link_, parts); }
  void shutdown_write() override {
    link_->say_goodbye();
    link_->inner->shutdown_write();
  }
  void close(bool reset) override { end(reset); }
  std::string peer() const override { return link_->inner->peer(); }
  bool secure() const override { return true; }
  std::string_view protocol() const override {
    if (!link_->ssl) return link_->agreed;
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(link_->ssl.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }

 private:
  void end(bool reset) {
    if (link_->phase == Link::Phase::closed) return;
    if (!reset && !link_->writing) link_->say_goodbye();
    link_->phase = Link::Phase::closed;
    link_->inner->close(reset);
    link_->changed.notify_all();
  }

  const std::shared_ptr<Link> link_;
};

// The streams of one listener.
struct Listening final : Shared {
  Listening(Loop& l, std::shared_ptr<OpensslContext> c, bool h2)
      : Shared(l), context(std::move(c)), offers_h2(h2) {}
  SslPtr new_session(const Link&) override { return context->new_session(offers_h2); }
  const std::shared_ptr<OpensslContext> context;
  const bool offers_h2;
};

class TlsListener final : public Listener {
 public:
  TlsListener(std::shared_ptr<Listening> shared, std::unique_ptr<Listener> inner)
      : shared_(std::move(shared)), inner_(std::move(inner)) {}

  Task<Result<std::unique_ptr<Stream>>> accept() override {
    Result<std::unique_ptr<Stream>> connection = co_await inner_->accept();
    // The listener may be gone when its accept() comes back with an error.
    if (!connection) co_return fail(std::move(connection).error());
    std::unique_ptr<Stream> stream = make_tls_stream(std::make_shared<Link>(shared_, std::move(*connection)));
    co_return std::move(stream);
  }
  void close() override { inner_->close(); }
  std::string address() const override { return inner_->address(); }

 private:
  const std::shared_ptr<Listening> shared_;
  const std::unique_ptr<Listener> inner_;
};

}  // namespace

void Link::shut_down() {
  if (records) {
    tell(1, 0);  // close_notify
    return;
  }
  ERR_clear_error();
  SSL_shutdown(ssl.get());
  ERR_clear_error();
}

size_t Link::encrypt(std::span<const ByteView>& parts, size_t& offset) {
  if (records) return seal(parts, offset);
  size_t total = 0;
  for (;;) {
    while (!parts.empty() && offset >= parts.front().size()) {
      offset -= parts.front().size();
      parts = parts.subspan(1);
    }
    const size_t used = out.bytes.empty() ? 0 : out.end;
    if (parts.empty() || used + kRecordBytesMax + kReplyBytesMax > kBufferBytes) return total;
    ByteView plain = parts.front().subspan(offset);
    if (plain.size() >= kPlainBytesMax || parts.size() == 1) {
      plain = plain.first(std::min(plain.size(), kPlainBytesMax));
      offset += plain.size();
    } else {
      // A head and the first bytes of its body make one record.
      size_t gathered = 0;
      while (!parts.empty() && gathered < kPlainBytesMax) {
        ByteView next = parts.front().subspan(offset);
        size_t count = std::min(next.size(), kPlainBytesMax - gathered);
        if (count > 0) std::memcpy(shared->scratch.data() + gathered, next.data(), count);
        gathered += count;
        offset += count;
        if (offset < parts.front().size()) break;
        parts = parts.subspan(1);
        offset = 0;
      }
      plain = shared->scratch.view().first(gathered);
    }
    if (plain.empty()) continue;
    // Several records, if the client asked for small ones.
    for (size_t done = 0, sealed = 0; done < plain.size(); done += sealed) {
      clear_errors();
      if (SSL_write_ex(ssl.get(), plain.data() + done, plain.size() - done, &sealed) != 1) return 0;
    }
    total += plain.size();
  }
}

std::unique_ptr<Stream> make_tls_stream(std::shared_ptr<Link> link) {
  return std::make_unique<TlsStream>(std::move(link));
}

Task<Result<void>> tls_handshake(std::shared_ptr<Link> link, Deadline deadline) {
  return establish(std::move(link), deadline);
}

Link& link_of(const SSL* ssl) {
  return *static_cast<Link*>(BIO_get_data(SSL_get_rbio(ssl)));
}

std::unique_ptr<Listener> make_tls_listener(Loop& loop, std::unique_ptr<Listener> inner,
                                            std::shared_ptr<TlsContext> context,
                                            const TlsListenerOptions& options) {
  auto own = std::dynamic_pointer_cast<OpensslContext>(std::move(context));
  CHECK(own != nullptr);
  return std::make_unique<TlsListener>(std::make_shared<Listening>(loop, std::move(own), options.h2),
                                       std::move(inner));
}

}  // namespace archipel::io
