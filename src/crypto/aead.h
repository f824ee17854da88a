// AES-256-GCM with a key schedule that is set once: Aead seals and opens, Gmac only authenticates.
//
// A nonce must never be used twice under one key for different bytes: the caller's rule, not checked here.
// Neither class is thread-safe. Source: NIST SP 800-38D. 12-byte nonces and 16-byte tags only.
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

class Aead {
 public:
  // What the object will be used for; the other half of the work of setting the key is then spared.
  enum class Use { seal, open, both };
  explicit Aead(const Secret32& key, Use use = Use::both);
  // out = ciphertext ‖ tag; out.size() == plain.size() + 16 (CHECK). plain and out may overlap only if they
  // start at the same address.
  void seal(const Nonce& nonce, ByteView aad, ByteView plain, MutableBytes out);
  // False if the tag fails; out is then zeros. sealed.size() >= 16 and out.size() == sealed.size() - 16
  // (CHECK). Overlap as for seal.
  [[nodiscard]] bool open(const Nonce& nonce, ByteView aad, ByteView sealed, MutableBytes out);

 private:
  detail::CipherContext sealing_, opening_;
};

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
