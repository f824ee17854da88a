#include "crypto/gmac.h"

#include <openssl/evp.h>

#include <climits>

#include "crypto/gcm.h"
#include "crypto/hash.h"

namespace archipel::crypto {
namespace gcm {
namespace {

const EVP_CIPHER* fetched_cipher() {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CHECK(cipher != nullptr);
  return cipher;
}

}  // namespace

detail::CipherContext make_context(const Secret32& key, bool encrypt) {
  detail::CipherContext context(EVP_CIPHER_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_CipherInit_ex2(context.get(), fetched_cipher(), key.view().data(), nullptr, encrypt ? 1 : 0,
                           nullptr) == 1);
  return context;
}

void start(EVP_CIPHER_CTX* context, const Nonce& nonce) {
  CHECK(EVP_CipherInit_ex2(context, nullptr, nullptr, nonce.data(), -1, nullptr) == 1);
}

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

}  // namespace gcm

using namespace gcm;

void detail::FreeCipher::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);
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
