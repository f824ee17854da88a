#include "crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>

#include <algorithm>

namespace archipel::crypto {
namespace {

// Fetching walks OpenSSL's provider tables under a lock: done once, kept for ever (freed by the end of the
// process).
const EVP_MD* fetched(detail::DigestKind kind) {
  static EVP_MD* const algorithms[3] = {
      EVP_MD_fetch(nullptr, "SHA256", nullptr),
      EVP_MD_fetch(nullptr, "SHA1", nullptr),
      EVP_MD_fetch(nullptr, "MD5", nullptr),
  };
  const EVP_MD* algorithm = algorithms[static_cast<int>(kind)];
  CHECK(algorithm != nullptr);
  return algorithm;
}

struct FreeMac {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using MacContext = std::unique_ptr<EVP_MAC_CTX, FreeMac>;

MacContext make_hmac_context() {
  static EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  CHECK(algorithm != nullptr);
  MacContext context(EVP_MAC_CTX_new(algorithm));
  CHECK(context != nullptr);
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                         OSSL_PARAM_construct_end()};
  CHECK(EVP_MAC_CTX_set_params(context.get(), params) == 1);
  return context;
}

}  // namespace

void secure_clear(void* data, size_t size) {
  OPENSSL_cleanse(data, size);
}

Digest32 sha256(ByteView data) {
  static thread_local Sha256 hasher;
  hasher.update(data);
  return hasher.finish();
}

Digest32 blake2b_256(ByteView data) {
  Digest32 out;
  CHECK(crypto_generichash(out.data(), out.size(), data.data(), data.size(), nullptr, 0) == 0);
  return out;
}

Digest32 hmac_sha256(ByteView key, ByteView data) {
  return hmac_sha256(key, {data});
}

Digest32 hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
  // One context per thread: setting the digest costs several times what authenticating a short message does.
  static thread_local MacContext context = make_hmac_context();
  static constexpr Digest32 kZeros{};
  if (key.empty())
    key = kZeros;  // the same HMAC: keys are padded with zeros to the block; OpenSSL wants some key
  CHECK(EVP_MAC_init(context.get(), key.data(), key.size(), nullptr) == 1);
  for (ByteView part : parts)
    if (!part.empty()) CHECK(EVP_MAC_update(context.get(), part.data(), part.size()) == 1);
  Digest32 out;
  size_t size = 0;
  CHECK(EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1 && size == out.size());
  return out;
}

void hkdf_sha256(ByteView ikm, ByteView salt, ByteView info, MutableBytes out) {
  CHECK(out.size() <= size_t{255} * 32);
  Digest32 prk = hmac_sha256(salt, ikm);
  Digest32 block{};
  uint8_t counter = 0;
  for (size_t done = 0; done < out.size();) {
    ByteView previous = counter == 0 ? ByteView{} : ByteView(block);
    ++counter;
    block = hmac_sha256(prk, {previous, info, ByteView(&counter, 1)});
    size_t take = std::min(block.size(), out.size() - done);
    std::copy_n(block.begin(), take, out.begin() + static_cast<ptrdiff_t>(done));
    done += take;
  }
  secure_clear(prk.data(), prk.size());
  secure_clear(block.data(), block.size());
}

Secret32 hkdf_sha256_key(ByteView ikm, ByteView salt, ByteView info) {
  Secret32 key;
  hkdf_sha256(ikm, salt, info, key.mutable_view());
  return key;
}

bool constant_time_equal(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

namespace detail {

void StreamingDigest::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

StreamingDigest::StreamingDigest(DigestKind kind) : kind_(kind), context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_DigestInit_ex2(context_.get(), fetched(kind), nullptr) == 1);
}

void StreamingDigest::update(ByteView data) {
  if (!data.empty()) CHECK(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
}

void StreamingDigest::finish_into(MutableBytes out) {
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context_.get(), out.data(), &size) == 1 && size == out.size());
  CHECK(EVP_DigestInit_ex2(context_.get(), fetched(kind_), nullptr) == 1);
}

}  // namespace detail
}  // namespace archipel::crypto
