// AES-256-GCM with a key schedule that is set once. What only authenticates: crypto/gmac.h.
//
// A nonce must never be used twice under one key for different bytes: the caller's rule, not checked here.
// Not thread-safe. Source: NIST SP 800-38D. 12-byte nonces and 16-byte tags only.
#pragma once

#include "crypto/gmac.h"

namespace archipel::crypto {

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

}  // namespace archipel::crypto
