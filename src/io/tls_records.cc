#include "io/tls_records.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace archipel::io {
namespace {

constexpr uint8_t kAlert = 21, kHandshake = 22, kData = 23;  // ContentType (RFC 8446 §5.1)
constexpr uint8_t kKeyUpdate = 24;                           // HandshakeType (§4)
constexpr uint8_t kUpdateNotRequested = 0, kUpdateRequested = 1;
constexpr uint8_t kCloseNotify = 0, kUnexpectedMessage = 10, kBadRecordMac = 20, kRecordOverflow = 22,
                  kIllegalParameter = 47, kDecodeError = 50, kUserCanceled = 90;  // AlertDescription (§6)
constexpr size_t kTagBytes = 16;
// Shorter parts are copied together and sealed by one call: for them the call, and what it does at both ends, costs more than the copy.
constexpr size_t kGatherMax = 2048;

const EVP_CIPHER* cipher_of(uint16_t suite) {
  // Fetching is slow, and what was fetched serves all threads for ever.
  static const EVP_CIPHER* const ciphers[] = {EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr),
                                              EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr),
                                              EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr)};
  return suite >= 0x1301 && suite <= 0x1303 ? ciphers[suite - 0x1301] : nullptr;
}

// HKDF-Expand-Label without a context (§7.1), for what one round of HMAC gives.
void expand(bool sha384, const TlsSecret& secret, std::string_view label, MutableBytes out) {
  std::array<uint8_t, 64> info{};
  size_t size = 0;
  info[size++] = 0;
  info[size++] = static_cast<uint8_t>(out.size());
  info[size++] = static_cast<uint8_t>(label.size());
  std::memcpy(info.data() + size, label.data(), label.size());
  size += label.size();
  info[size++] = 0;
  info[size++] = 1;
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned made = 0;
  CHECK(HMAC(sha384 ? EVP_sha384() : EVP_sha256(), secret.bytes.data(), static_cast<int>(secret.size),
             info.data(), size, digest.data(), &made) != nullptr);
  CHECK(out.size() <= made);
  std::memcpy(out.data(), digest.data(), out.size());
  OPENSSL_cleanse(digest.data(), digest.size());
}

std::array<uint8_t, 12> nonce_of(const std::array<uint8_t, 12>& iv, uint64_t sequence) {
  std::array<uint8_t, 12> nonce = iv;
  for (size_t i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<uint8_t>(sequence >> (8 * i));
  return nonce;
}

size_t sealed_size(ByteView in) {
  return size_t{in[3]} << 8 | in[4];
}

TlsRecords::Opened bad(uint8_t alert, const char* why) {
  return {.what = TlsRecords::What::bad, .used = 0, .plain = {}, .alert = alert, .why = why};
}

}  // namespace

TlsSecret::~TlsSecret() {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

void TlsRecords::FreeCipher::operator()(evp_cipher_ctx_st* cipher) const {
  EVP_CIPHER_CTX_free(cipher);
}

TlsRecords::~TlsRecords() {
  OPENSSL_cleanse(read_.iv.data(), read_.iv.size());
  OPENSSL_cleanse(write_.iv.data(), write_.iv.size());
}

std::unique_ptr<TlsRecords> TlsRecords::make(uint16_t suite, const TlsSecret& read, const TlsSecret& write,
                                             uint64_t sealed) {
  const EVP_CIPHER* cipher = cipher_of(suite);
  const bool sha384 = suite == 0x1302;
  const size_t size = sha384 ? 48 : 32;
  if (cipher == nullptr || read.size != size || write.size != size) return nullptr;
  std::unique_ptr<TlsRecords> records(new TlsRecords(suite, sha384));
  records->read_.secret = read;
  records->write_.secret = write;
  records->set_key(records->read_, false);
  records->set_key(records->write_, true);
  records->write_.sequence = records->write_.under_key = sealed;
  return records;
}

void TlsRecords::set_key(Half& half, bool sealing) {
  const EVP_CIPHER* cipher = cipher_of(suite_);
  std::array<uint8_t, 32> key{};
  const MutableBytes used = MutableBytes(key).first(suite_ == 0x1301 ? 16 : 32);
  expand(sha384_, half.secret, "tls13 key", used);
  expand(sha384_, half.secret, "tls13 iv", half.iv);
  if (!half.cipher) half.cipher.reset(EVP_CIPHER_CTX_new());
  CHECK(half.cipher != nullptr);
  CHECK(EVP_CipherInit_ex2(half.cipher.get(), cipher, key.data(), half.iv.data(), sealing ? 1 : 0, nullptr) ==
        1);
  OPENSSL_cleanse(key.data(), key.size());
  half.sequence = half.under_key = 0;
}

void TlsRecords::next_key(Half& half, bool sealing) {
  TlsSecret next;
  next.size = half.secret.size;
  expand(sha384_, half.secret, "tls13 traffic upd", MutableBytes(next.bytes).first(next.size));
  half.secret = next;
  set_key(half, sealing);
}

// --- sealing ---------------------------------------------------------------------------------------------------------------

// The header, and the cipher ready for what is behind it: `sealed` bytes.
void TlsRecords::begin_record(size_t sealed, MutableBytes out) {
  CHECK(sealed + kHeaderBytes <= out.size());
  out[0] = kData;
  out[1] = 3;
  out[2] = 3;
  out[3] = static_cast<uint8_t>(sealed >> 8);
  out[4] = static_cast<uint8_t>(sealed);
  const std::array<uint8_t, 12> nonce = nonce_of(write_.iv, write_.sequence++);
  ++write_.under_key;
  int moved = 0;
  EVP_CIPHER_CTX* cipher = write_.cipher.get();
  CHECK(EVP_EncryptInit_ex2(cipher, nullptr, nullptr, nonce.data(), nullptr) == 1);
  CHECK(EVP_EncryptUpdate(cipher, nullptr, &moved, out.data(), kHeaderBytes) == 1);
}

// `to` may be where `plain` lies.
void TlsRecords::encrypt(ByteView plain, uint8_t* to) {
  int moved = 0;
  if (plain.empty()) return;
  CHECK(EVP_EncryptUpdate(write_.cipher.get(), to, &moved, plain.data(), static_cast<int>(plain.size())) ==
        1);
  CHECK(static_cast<size_t>(moved) == plain.size());
}

void TlsRecords::end_record(uint8_t* tag) {
  int moved = 0;
  CHECK(EVP_EncryptFinal_ex(write_.cipher.get(), tag, &moved) == 1 && moved == 0);
  OSSL_PARAM wanted[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, kTagBytes),
                         OSSL_PARAM_construct_end()};
  CHECK(EVP_CIPHER_CTX_get_params(write_.cipher.get(), wanted) == 1);
}

size_t TlsRecords::seal_message(uint8_t type, ByteView message, MutableBytes out) {
  CHECK(message.size() + kOverheadBytes <= out.size());
  std::memcpy(out.data() + kHeaderBytes, message.data(), message.size());
  out[kHeaderBytes + message.size()] = type;
  const size_t size = message.size() + 1;
  uint8_t* at = out.data() + kHeaderBytes;
  begin_record(size + kTagBytes, out);
  encrypt({at, size}, at);
  end_record(at + size);
  return message.size() + kOverheadBytes;
}

size_t TlsRecords::seal_alert(uint8_t level, uint8_t description, MutableBytes out) {
  const std::array<uint8_t, 2> alert = {level, description};
  return seal_message(kAlert, alert, out);
}

size_t TlsRecords::seal_key_update(MutableBytes out) {
  const std::array<uint8_t, 5> update = {kKeyUpdate, 0, 0, 1, kUpdateNotRequested};
  const size_t size = seal_message(kHandshake, update, out);
  next_key(write_, true);
  owes_key_update_ = false;
  return size;
}

TlsRecords::Sealed TlsRecords::seal(std::span<const ByteView>& parts, size_t& offset, MutableBytes out) {
  Sealed sealed;
  if (write_.under_key >= kRecordsPerKey) {
    sealed.written = seal_key_update(out);
    out = out.subspan(sealed.written);
  }
  const auto skip_used = [&parts, &offset] {
    while (offset >= parts.front().size()) {
      offset -= parts.front().size();
      parts = parts.subspan(1);
    }
  };
  skip_used();
  for (size_t i = 0; i < parts.size() && sealed.plain < offset + kPlainMax; ++i)
    sealed.plain += parts[i].size();
  sealed.plain = std::min(sealed.plain - offset, kPlainMax);
  const size_t size = sealed.plain;
  CHECK(size + kOverheadBytes <= out.size());
  begin_record(size + 1 + kTagBytes, out);
  uint8_t* at = out.data() + kHeaderBytes;
  uint8_t* const end = at + size;
  uint8_t* run = at;  // from here on it is copied, and not sealed yet
  while (at < end) {
    skip_used();
    const ByteView rest = parts.front().subspan(offset);
    const ByteView piece = rest.first(std::min(rest.size(), static_cast<size_t>(end - at)));
    if (piece.size() <= kGatherMax) {
      std::memcpy(at, piece.data(), piece.size());
    } else {
      encrypt({run, at}, run);
      encrypt(piece, at);
      run = at + piece.size();
    }
    at += piece.size();
    offset += piece.size();
  }
  *end = kData;
  encrypt({run, end + 1}, run);
  end_record(end + 1);
  sealed.written += size + kOverheadBytes;
  return sealed;
}

// --- opening ---------------------------------------------------------------------------------------------------------------

bool TlsRecords::whole(ByteView in) {
  if (in.size() < kHeaderBytes) return false;
  // Of what cannot be a record the header is enough.
  return in[0] != kData || sealed_size(in) > kSealedMax || in.size() >= kHeaderBytes + sealed_size(in);
}

// `sealed` with its tag; false: it is not what the other side sealed.
bool TlsRecords::decrypt(ByteView header, MutableBytes sealed, uint8_t* to) {
  const size_t size = sealed.size() - kTagBytes;
  const std::array<uint8_t, 12> nonce = nonce_of(read_.iv, read_.sequence++);
  OSSL_PARAM tag[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, sealed.data() + size, kTagBytes),
      OSSL_PARAM_construct_end()};
  EVP_CIPHER_CTX* cipher = read_.cipher.get();
  int moved = 0;
  CHECK(EVP_DecryptInit_ex2(cipher, nullptr, nullptr, nonce.data(), tag) == 1);
  CHECK(EVP_DecryptUpdate(cipher, nullptr, &moved, header.data(), static_cast<int>(header.size())) == 1);
  return EVP_DecryptUpdate(cipher, to, &moved, sealed.data(), static_cast<int>(size)) == 1 &&
         EVP_DecryptFinal_ex(cipher, to + size, &moved) == 1;
}

TlsRecords::Opened TlsRecords::open(MutableBytes in, MutableBytes out) {
  if (!whole(in)) return {};
  if (in[0] != kData) return bad(kUnexpectedMessage, "a record that is not sealed");
  const size_t sealed = sealed_size(in);
  if (sealed > kSealedMax) return bad(kRecordOverflow, "a record that is too long");
  if (sealed <= kTagBytes) return bad(kBadRecordMac, "a record that is too short");
  const size_t used = kHeaderBytes + sealed;
  size_t size = sealed - kTagBytes;  // with type and padding
  uint8_t* to = size <= out.size() ? out.data() : in.data() + kHeaderBytes;
  if (!decrypt(in.first(kHeaderBytes), in.subspan(kHeaderBytes, sealed), to))
    return bad(kBadRecordMac, "bad record mac");
  while (size > 0 && to[size - 1] == 0) --size;
  if (size == 0) return bad(kUnexpectedMessage, "a record without a type");
  const uint8_t type = to[--size];
  if (size > kPlainMax) return bad(kRecordOverflow, "a record with too much in it");
  if (message_size_ > 0 && type != kHandshake)
    return bad(kUnexpectedMessage, "a record within a handshake message");
  if (type == kData && size > 0) {
    idle_records_ = 0;
    return {.what = What::data, .used = used, .plain = {to, size}, .alert = 0, .why = ""};
  }
  if (++idle_records_ > kIdleRecordsMax) return bad(kUnexpectedMessage, "too many records without data");
  if (type == kData) return {.what = What::nothing, .used = used, .plain = {}, .alert = 0, .why = ""};
  if (type == kAlert) return alert_received({to, size}, used);
  if (type == kHandshake) return handshake_received({to, size}, used);
  return bad(kUnexpectedMessage, "a record of an unknown type");
}

TlsRecords::Opened TlsRecords::alert_received(ByteView message, size_t used) {
  if (message.size() != 2) return bad(kDecodeError, "an alert of a wrong length");
  Opened opened{.what = What::nothing, .used = used, .plain = {}, .alert = 0, .why = ""};
  if (message[1] == kUserCanceled) return opened;  // a close_notify follows (§6.1)
  opened.what = message[1] == kCloseNotify ? What::end : What::bad;
  if (opened.what == What::bad) opened.why = "the other side sent an alert";
  return opened;
}

// Behind the handshake a client has one thing to say: that its key changes (§4.6.3). It may come in pieces, but nothing behind it under the old key (§5.1).
TlsRecords::Opened TlsRecords::handshake_received(ByteView message, size_t used) {
  if (message.empty()) return bad(kUnexpectedMessage, "an empty handshake record");
  static constexpr std::array<uint8_t, 4> kHead = {kKeyUpdate, 0, 0, 1};
  for (uint8_t byte : message) {
    if (message_size_ == message_.size()) return bad(kUnexpectedMessage, "a record across a change of keys");
    if (message_size_ < kHead.size() && byte != kHead[message_size_])
      return bad(message_size_ == 0 ? kUnexpectedMessage : kDecodeError, "a handshake message out of place");
    message_[message_size_++] = byte;
  }
  Opened opened{.what = What::nothing, .used = used, .plain = {}, .alert = 0, .why = ""};
  if (message_size_ < message_.size()) return opened;
  message_size_ = 0;
  if (message_[4] > kUpdateRequested)
    return bad(kIllegalParameter, "a key update that asks for nothing known");
  next_key(read_, false);
  if (message_[4] == kUpdateRequested) owes_key_update_ = true;
  return opened;
}

}  // namespace archipel::io
