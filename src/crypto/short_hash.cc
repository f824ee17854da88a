#include "crypto/short_hash.h"

#include <sodium.h>

namespace archipel::crypto {

ShortHash short_hash(const std::array<uint8_t, 16>& key, ByteView data) {
  static_assert(crypto_shorthash_siphashx24_KEYBYTES == 16 && crypto_shorthash_siphashx24_BYTES == 16);
  std::array<uint8_t, 16> out;
  crypto_shorthash_siphashx24(out.data(), data.data(), data.size(), key.data());
  ShortHash hash;
  std::memcpy(&hash.high, out.data(), 8);
  std::memcpy(&hash.low, out.data() + 8, 8);
  return hash;
}

}  // namespace archipel::crypto
