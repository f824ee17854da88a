// Gmac: AES-256-GCM over no plaintext, with a key schedule that is set once. It authenticates, and can decrypt nothing: who only scrubs and
// repairs links this and not crypto/aead.h.
//
// A nonce must never be used twice under one key for different bytes: the caller's rule, not checked here. Not thread-safe.
// Source: NIST SP 800-38D. 12-byte nonces and 16-byte tags only.
#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"
#include "crypto/secret.h"

struct evp_cipher_ctx_st;

namespace archipel::crypto {

inline constexpr size_t kNonceBytes = 12;
inline constexpr size_t kTagBytes = 16;
using Nonce = std::array<uint8_t, kNonceBytes>;
using Tag = std::array<uint8_t, kTagBytes>;

namespace detail {
struct FreeCipher {
  void operator()(evp_cipher_ctx_st* context) const;
};
using CipherContext = std::unique_ptr<evp_cipher_ctx_st, FreeCipher>;
}  // namespace detail

// AES-256-GCM over no plaintext: the tag of additional data alone. About three times as fast as EVP_MAC's
// GMAC set up per message.
class Gmac {
 public:
  explicit Gmac(const Secret32& key);
  Tag tag(const Nonce& nonce, ByteView data);
  // Constant time in the comparison.
  [[nodiscard]] bool verify(const Nonce& nonce, ByteView data, ByteView tag);

 private:
  detail::CipherContext context_;
};

}  // namespace archipel::crypto
