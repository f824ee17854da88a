#include "crypto/aead.h"

#include <openssl/evp.h>

#include <climits>

#include "crypto/hash.h"

namespace archipel::crypto {
namespace {

const EVP_CIPHER* fetched_cipher() {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CHECK(cipher != nullptr);
  return cipher;
}

detail::CipherContext make_context(const Secret32& key, bool encrypt) {
  detail::CipherContext context(EVP_CIPHER_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_CipherInit_ex2(context.get(), fetched_cipher(), key.view().data(), nullptr, encrypt ? 1 : 0,
                           nullptr) == 1);
  return context;
}

// Starts a message: the IV alone is new, the key schedule stays.
void start(EVP_CIPHER_CTX* context, const Nonce& nonce) {
  CHECK(EVP_CipherInit_ex2(context, nullptr, nullptr, nonce.data(), -1, nullptr) == 1);
}

// Feeds additional data (out == nullptr) or text.
void feed(EVP_CIPHER_CTX* context, ByteView in, uint8_t* out) {
  if (in.empty()) return;
  CHECK(in.size() <= INT_MAX);
  int written = 0;
  CHECK(EVP_CipherUpdate(context, out, &written, in.data(), static_cast<int>(in.size())) == 1);
}

void final_tag(EVP_CIPHER_CTX* context, uint8_t* tag) {
  int written = 0;
  uint8_t none[16];
  CHECK(EVP_EncryptFinal_ex(context, none, &written) == 1 && written == 0);
  CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag) == 1);
}

}  // namespace

void detail::FreeCipher::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);
}

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

Gmac::Gmac(const Secret32& key) : context_(make_context(key, true)) {}

Tag Gmac::tag(const Nonce& nonce, ByteView data) {
  Tag tag;
  start(context_.get(), nonce);
  feed(context_.get(), data, nullptr);
  final_tag(context_.get(), tag.data());
  return tag;
}

bool Gmac::verify(const Nonce& nonce, ByteView data, ByteView tag) {
  Tag expected = this->tag(nonce, data);
  return constant_time_equal(expected, tag);
}

}  // namespace archipel::crypto
