// OpenSSL discourages SHA256_Update and its kin since 3.0 in favour of EVP; why they are used all the same: ShortSha256 below.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sodium.h>

#include <algorithm>
#include <array>

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

// SHA-256 of short messages. A request derives half a dozen keys and names from messages of one or two blocks, and EVP's ways around
// the hash (allocations, locks, parameters) take four times as long as the blocks themselves.
class ShortSha256 {
 public:
  ShortSha256() { CHECK(SHA256_Init(&state_) == 1); }
  ~ShortSha256() { OPENSSL_cleanse(&state_, sizeof state_); }
  ShortSha256(const ShortSha256&) = delete;
  ShortSha256& operator=(const ShortSha256&) = delete;

  void update(ByteView data) {
    if (!data.empty()) CHECK(SHA256_Update(&state_, data.data(), data.size()) == 1);
  }
  void finish_into(uint8_t* out) { CHECK(SHA256_Final(out, &state_) == 1); }

 private:
  SHA256_CTX state_;
};

constexpr size_t kHmacBlock = 64;

}  // namespace

void secure_clear(void* data, size_t size) {
  OPENSSL_cleanse(data, size);
}

Digest32 sha256(ByteView data) {
  ShortSha256 hasher;
  hasher.update(data);
  Digest32 out;
  hasher.finish_into(out.data());
  return out;
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
  // RFC 2104 §2: H(K ^ opad, H(K ^ ipad, text)); a longer key is hashed first.
  std::array<uint8_t, kHmacBlock> pad{};
  if (key.size() > pad.size()) {
    Digest32 shorter = sha256(key);
    std::copy(shorter.begin(), shorter.end(), pad.begin());
    secure_clear(shorter.data(), shorter.size());
  } else {
    std::copy(key.begin(), key.end(), pad.begin());
  }
  for (uint8_t& byte : pad) byte ^= 0x36;
  Digest32 out;
  {
    ShortSha256 inner;
    inner.update(pad);
    for (ByteView part : parts) inner.update(part);
    inner.finish_into(out.data());
  }
  for (uint8_t& byte : pad) byte ^= 0x36 ^ 0x5c;
  ShortSha256 outer;
  outer.update(pad);
  outer.update(out);
  outer.finish_into(out.data());
  secure_clear(pad.data(), pad.size());
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
