// PRF: names and tokens that look random to everyone without the key. HMAC-SHA256 under a sub-key of the
// keyring.
#pragma once

#include "crypto/hash.h"

namespace archipel::crypto {

// HMAC-SHA256(key, parts one after the other). Parts are of fixed widths, or length-prefixed by the caller
// (see hmac_sha256). Thread-safe.
template <class... Parts>
Digest32 prf(const Secret32& key, const Parts&... parts) {
  return hmac_sha256(key.view(), {ByteView(parts)...});
}

}  // namespace archipel::crypto
