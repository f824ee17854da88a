#include "crypto/aead.h"

#include <openssl/evp.h>

#include "crypto/gcm.h"

namespace archipel::crypto {

using namespace gcm;

Aead::Aead(const Secret32& key, Use use) {
  if (use != Use::open) sealing_ = make_context(key, true);
  if (use != Use::seal) opening_ = make_context(key, false);
}

void Aead::seal(const Nonce& nonce, ByteView aad, ByteView plain, MutableBytes out) {
  CHECK(sealing_ != nullptr && out.size() == plain.size() + kTagBytes);
  start(sealing_.get(), nonce);
  feed(sealing_.get(), aad, nullptr);
  feed(sealing_.get(), plain, out.data());
  final_tag(sealing_.get(), out.data() + plain.size());
}

bool Aead::open(const Nonce& nonce, ByteView aad, ByteView sealed, MutableBytes out) {
  CHECK(opening_ != nullptr && sealed.size() >= kTagBytes && out.size() == sealed.size() - kTagBytes);
  EVP_CIPHER_CTX* context = opening_.get();
  Tag tag;  // a copy: OpenSSL takes the expected tag as a mutable pointer
  std::memcpy(tag.data(), sealed.data() + out.size(), kTagBytes);
  start(context, nonce);
  CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1);
  feed(context, aad, nullptr);
  feed(context, sealed.first(out.size()), out.data());
  int written = 0;
  uint8_t none[16];
  if (EVP_DecryptFinal_ex(context, none, &written) == 1) return true;
  if (!out.empty()) std::memset(out.data(), 0, out.size());
  return false;
}

}  // namespace archipel::crypto
