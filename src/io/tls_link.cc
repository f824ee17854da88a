// What a link does by itself once OpenSSL has left it: TlsRecords between its buffers.
#include "io/tls_link.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

namespace archipel::io {
namespace {

constexpr std::string_view kReadSecret = "CLIENT_TRAFFIC_SECRET_0 ";
constexpr std::string_view kWriteSecret = "SERVER_TRAFFIC_SECRET_0 ";

constexpr uint8_t kFatal = 2;  // AlertLevel

int nibble(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

// "LABEL <client random> <secret>", the latter two in hexadecimal.
void parse_secret(std::string_view line, TlsSecret& secret) {
  const std::string_view digits = line.substr(line.rfind(' ') + 1);
  if (digits.size() % 2 != 0 || digits.size() > 2 * secret.bytes.size()) return;
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = nibble(digits[i]), low = nibble(digits[i + 1]);
    if (high < 0 || low < 0) return;
    secret.bytes[i / 2] = static_cast<uint8_t>(high << 4 | low);
  }
  secret.size = digits.size() / 2;
}

}  // namespace

void keep_traffic_secret(const SSL* ssl, const char* line) {
  HandOver* kept = link_of(ssl).hand_over.get();
  const std::string_view text = line;
  if (kept == nullptr) return;
  if (text.starts_with(kReadSecret)) parse_secret(text, kept->read);
  if (!text.starts_with(kWriteSecret)) return;
  parse_secret(text, kept->write);
  kept->sealed = 0;  // it is said when the key is put to use
}

void Link::take_over() {
  const std::unique_ptr<HandOver> kept = std::move(hand_over);
  if (!kept || SSL_version(ssl.get()) != TLS1_3_VERSION || SSL_has_pending(ssl.get()) == 1) return;
  // A client without memory for whole records asked for smaller ones (RFC 6066 §4); rare, and OpenSSL keeps to it.
  if (SSL_SESSION_get_max_fragment_length(SSL_get0_session(ssl.get())) != TLSEXT_max_fragment_length_DISABLED)
    return;
  const SSL_CIPHER* suite = SSL_get_current_cipher(ssl.get());
  if (suite == nullptr) return;
  records = TlsRecords::make(SSL_CIPHER_get_protocol_id(suite), kept->read, kept->write, kept->sealed);
  if (!records) return;
  const unsigned char* chosen = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl.get(), &chosen, &length);
  agreed.assign(reinterpret_cast<const char*>(chosen), length);
  ssl.reset();
}

// For a message of our own; empty: there is no room now.
MutableBytes Link::room_for_own() {
  if (out.bytes.empty()) out = {shared->take(), 0, 0};
  return out.room() < 2 * TlsRecords::kOverheadBytes ? MutableBytes() : out.bytes.span().subspan(out.end);
}

void Link::tell(uint8_t level, uint8_t alert) {
  const MutableBytes to = room_for_own();
  if (!to.empty()) out.end += records->seal_alert(level, alert, to);
}

void Link::answer_key_update() {
  if (!records->owes_key_update() || notified || phase == Phase::failed) return;
  const MutableBytes to = room_for_own();
  if (!to.empty()) out.end += records->seal_key_update(to);
}

size_t Link::seal(std::span<const ByteView>& parts, size_t& offset) {
  size_t total = 0;
  if (notified) return total;
  answer_key_update();
  for (;;) {
    while (!parts.empty() && offset >= parts.front().size()) {
      offset -= parts.front().size();
      parts = parts.subspan(1);
    }
    if (parts.empty()) return total;
    if (out.bytes.empty()) out = {shared->take(), 0, 0};
    if (out.room() < kRecordBytesMax + kReplyBytesMax) return total;
    const TlsRecords::Sealed sealed = records->seal(parts, offset, out.bytes.span().subspan(out.end));
    out.end += sealed.written;
    total += sealed.plain;
  }
}

// The other side did what it must not do: it is told, and so is the reader.
Result<size_t> Link::refuse(const TlsRecords::Opened& what) {
  if (what.alert != 0 && !notified) tell(kFatal, what.alert);
  notified = true;
  in.begin = in.end = 0;
  return fail_with({Code::io, "the TLS connection with " + inner->peer() + " failed: " + what.why, {}});
}

std::optional<Result<size_t>> Link::open(MutableBytes to) {
  using What = TlsRecords::What;
  size_t total = 0;
  std::optional<Result<size_t>> outcome;
  while (total < to.size() && !outcome) {
    if (!opened.empty()) {
      const size_t count = std::min(opened.size(), to.size() - total);
      std::memcpy(to.data() + total, opened.data(), count);
      opened = opened.subspan(count);
      total += count;
      continue;
    }
    if (ended) {
      outcome = Result<size_t>(0);
      break;
    }
    const TlsRecords::Opened got =
        records->open(in.bytes.span().subspan(in.begin, in.end - in.begin), to.subspan(total));
    if (got.what == What::part) break;
    in.begin += got.used;
    if (got.what == What::bad) outcome = refuse(got);
    if (got.what == What::end) {
      ended = true;  // what is behind it is for nobody (RFC 8446 §6.1)
      in.begin = in.end = 0;
    }
    if (got.what != What::data) continue;
    if (got.plain.data() == to.data() + total)
      total += got.plain.size();
    else
      opened = got.plain;
  }
  // An error behind good bytes is met by the next operation.
  if (total > 0) outcome = Result<size_t>(total);
  answer_key_update();
  reply();
  if (!has_more()) park();
  release_empty();
  return outcome;
}

bool Link::has_more() const {
  if (ssl) return !in.empty() || SSL_pending(ssl.get()) > 0;
  return ended || !opened.empty() || TlsRecords::whole(in.view());
}

bool Link::holds_part() const {
  if (!in.empty() || !parked.empty() || blocked || phase != Phase::open) return true;
  return ssl && SSL_has_pending(ssl.get()) == 1;
}

void Link::park() {
  if (in.empty() || !opened.empty()) return;
  parked = Buffer::copy_of(in.view());
  in.begin = in.end = 0;
  shared->give(in.bytes);
}

void Link::unpark() {
  CHECK(opened.empty());
  if (in.bytes.empty()) in = {shared->take(), 0, 0};
  if (!parked.empty()) {
    std::memcpy(in.bytes.data(), parked.data(), parked.size());
    in.end = parked.size();
    parked = Buffer();
  } else if (in.begin > 0) {
    std::memmove(in.bytes.data(), in.bytes.data() + in.begin, in.end - in.begin);
    in.end -= in.begin;
  }
  in.begin = 0;
}

}  // namespace archipel::io
