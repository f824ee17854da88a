// TLS 1.3's records as a server opens them: a program of records that are sealed right, whatever is in them, and of bytes that are not. Properties: what is
// shown was sealed, whole and in order; nothing is shown behind a fault; what the server seals meanwhile opens on the other side.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>

#include "base/bytes.h"
#include "fuzz_support.h"
#include "io/tls_records.h"

using namespace archipel;
using archipel::io::TlsRecords;
using archipel::io::TlsSecret;

namespace {

TlsSecret secret_of(uint16_t suite, uint8_t fill) {
  TlsSecret secret;
  secret.size = suite == 0x1302 ? 48 : 32;
  std::memset(secret.bytes.data(), fill, secret.size);
  return secret;
}

// The client's sealing side, by the letter of RFC 8446: any type, any padding.
class Sealer {
 public:
  Sealer(uint16_t suite, const TlsSecret& secret) : suite_(suite), secret_(secret) {}

  std::string record(std::string inner) {
    const EVP_CIPHER* cipher = suite_ == 0x1301   ? EVP_aes_128_gcm()
                               : suite_ == 0x1302 ? EVP_aes_256_gcm()
                                                  : EVP_chacha20_poly1305();
    std::string key = expand("tls13 key", suite_ == 0x1301 ? 16 : 32), iv = expand("tls13 iv", 12);
    for (size_t i = 0; i < 8; ++i)
      iv[11 - i] = static_cast<char>(iv[11 - i] ^ static_cast<char>(sequence_ >> (8 * i)));
    ++sequence_;
    const size_t size = inner.size() + 16;
    std::string out = {23, 3, 3, static_cast<char>(size >> 8), static_cast<char>(size)};
    out.resize(5 + size);
    auto* at = reinterpret_cast<uint8_t*>(out.data());
    int moved = 0;
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    MUST(EVP_EncryptInit_ex(context, cipher, nullptr, as_bytes(key).data(), as_bytes(iv).data()) == 1);
    MUST(EVP_EncryptUpdate(context, nullptr, &moved, at, 5) == 1);
    MUST(EVP_EncryptUpdate(context, at + 5, &moved, as_bytes(inner).data(), static_cast<int>(inner.size())) ==
         1);
    MUST(EVP_EncryptFinal_ex(context, at + 5 + inner.size(), &moved) == 1);
    MUST(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, at + 5 + inner.size()) == 1);
    EVP_CIPHER_CTX_free(context);
    return out;
  }
  void update() {
    const std::string next = expand("tls13 traffic upd", secret_.size);
    std::memcpy(secret_.bytes.data(), next.data(), next.size());
    sequence_ = 0;
  }

 private:
  std::string expand(std::string_view label, size_t size) const {
    std::string info = {0, static_cast<char>(size), static_cast<char>(label.size())};
    info.append(label).append({'\0', '\1'});
    std::string out(EVP_MAX_MD_SIZE, '\0');
    unsigned made = 0;
    MUST(HMAC(suite_ == 0x1302 ? EVP_sha384() : EVP_sha256(), secret_.bytes.data(),
              static_cast<int>(secret_.size), as_bytes(info).data(), info.size(),
              reinterpret_cast<uint8_t*>(out.data()), &made) != nullptr);
    out.resize(size);
    return out;
  }

  const uint16_t suite_;
  TlsSecret secret_;
  uint64_t sequence_ = 0;
};

// The input, taken piece by piece.
struct Script {
  ByteView left;
  bool empty() const { return left.empty(); }
  uint8_t byte() {
    if (left.empty()) return 0;
    const uint8_t value = left.front();
    left = left.subspan(1);
    return value;
  }
  std::string text(size_t size) {
    std::string out(as_text(left.first(std::min(size, left.size()))));
    left = left.subspan(out.size());
    return out;
  }
};

class Run {
 public:
  explicit Run(uint16_t suite)
      : sealer_(suite, secret_of(suite, 1)),
        server_(TlsRecords::make(suite, secret_of(suite, 1), secret_of(suite, 2), 0)),
        client_(TlsRecords::make(suite, secret_of(suite, 2), secret_of(suite, 1), 0)) {
    MUST(server_ != nullptr && client_ != nullptr);
  }

  void go(Script script) {
    while (!script.empty() && !over_) {
      const uint8_t what = script.byte();
      if (what % 8 < 5)
        seal(script, what);
      else if (what % 8 == 5)
        wire_ += script.text(script.byte());
      else if (what % 8 == 6 && !wire_.empty())
        wire_[script.byte() * size_t{257} % wire_.size()] ^= static_cast<char>(1 + script.byte() % 255);
      else
        answer(script.byte() * size_t{70});
      open(script.byte());
    }
    MUST(sealed_.starts_with(shown_));
  }

 private:
  void seal(Script& script, uint8_t what) {
    std::string inner = script.text(script.byte());
    // Content as long as it may be, and longer.
    if (what % 16 == 0) inner.append(TlsRecords::kPlainMax - 128, 'x');
    const bool update = what % 8 == 3;
    if (update) inner = {24, 0, 0, 1, static_cast<char>(what >= 128)};
    // Not 0: that would be padding, and the byte before it the type.
    const uint8_t type = what % 8 < 2    ? uint8_t{23}
                         : what % 8 == 2 ? std::max<uint8_t>(script.byte(), 1)
                                         : uint8_t{22};
    if (type == 23) sealed_ += inner;
    inner.push_back(static_cast<char>(type));
    if (what % 8 == 1) inner.append(script.byte(), '\0');
    wire_ += sealer_.record(inner);
    if (update) sealer_.update();
  }

  void open(size_t room) {
    room = room * room / 3;  // none to more than a record
    while (!over_) {
      std::string out(room, '\0');
      const MutableBytes in(reinterpret_cast<uint8_t*>(wire_.data()), wire_.size());
      const MutableBytes to(reinterpret_cast<uint8_t*>(out.data()), out.size());
      const bool whole = TlsRecords::whole(in);
      const TlsRecords::Opened got = server_->open(in, to);
      MUST(whole == (got.what != TlsRecords::What::part));
      if (!whole) return;
      MUST(got.used <= wire_.size() && got.plain.size() <= TlsRecords::kPlainMax);
      if (got.what == TlsRecords::What::data) {
        MUST(!got.plain.empty());
        shown_ += as_text(got.plain);
      } else {
        MUST(got.plain.empty());
      }
      over_ = got.what == TlsRecords::What::bad || got.what == TlsRecords::What::end;
      MUST(over_ || got.used > 0);
      wire_.erase(0, got.used);
    }
  }

  // What the server says, in two parts, with the answer to a change of keys before it.
  void answer(size_t size) {
    std::string said(size + 1, 's');
    std::string out(TlsRecords::kPlainMax + 4 * TlsRecords::kOverheadBytes, '\0');
    const MutableBytes to(reinterpret_cast<uint8_t*>(out.data()), out.size());
    size_t used = server_->owes_key_update() ? server_->seal_key_update(to) : 0;
    const std::array<ByteView, 3> all = {as_bytes(said).first(1), {}, as_bytes(said).subspan(1)};
    std::span<const ByteView> parts = all;
    size_t offset = 0;
    const TlsRecords::Sealed sealed = server_->seal(parts, offset, to.subspan(used));
    MUST(sealed.plain == std::min(said.size(), TlsRecords::kPlainMax));
    used += sealed.written;
    std::string heard;
    for (MutableBytes in = to.first(used); !in.empty();) {
      const TlsRecords::Opened got = client_->open(in, {});
      MUST(got.what == TlsRecords::What::data || got.what == TlsRecords::What::nothing);
      heard += as_text(got.plain);
      in = in.subspan(got.used);
    }
    MUST(heard == said.substr(0, sealed.plain));
  }

  Sealer sealer_;
  std::unique_ptr<TlsRecords> server_, client_;
  std::string wire_, sealed_, shown_;
  bool over_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 4096) return 0;
  Run(static_cast<uint16_t>(0x1301 + data[0] % 3)).go({ByteView(data + 1, size - 1)});
  return 0;
}
