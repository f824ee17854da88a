#include "extent/prf.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>

namespace archipel::extent {

std::array<uint8_t, 32> hmac_sha256(ByteView key, ByteView message) {
  std::array<uint8_t, 32> out;
  unsigned size = 0;
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(), message.size(),
             out.data(), &size) != nullptr);
  CHECK(size == out.size());
  return out;
}

crypto::Secret32 hkdf_sha256(ByteView key, ByteView salt, ByteView info) {
  static constexpr std::array<uint8_t, 32> kNoSalt{};
  std::array<uint8_t, 32> pseudo_random_key = hmac_sha256(salt.empty() ? ByteView(kNoSalt) : salt, key);
  std::string block(as_text(info));
  block.push_back('\x01');  // T(1) alone covers 32 bytes
  std::array<uint8_t, 32> output = hmac_sha256(pseudo_random_key, as_bytes(block));
  crypto::Secret32 secret{ByteView(output)};
  crypto::secure_clear(pseudo_random_key.data(), pseudo_random_key.size());
  crypto::secure_clear(output.data(), output.size());
  return secret;
}

}  // namespace archipel::extent
