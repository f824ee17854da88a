#include "crypto/short_hash.h"
#include "edge/key.h"

namespace archipel::edge {

Key hash_key(const HashSecret& secret, std::string_view text) {
  crypto::ShortHash hash = crypto::short_hash(secret.bytes, as_bytes(text));
  return {hash.high, hash.low};
}

}  // namespace archipel::edge
