#include "recorder.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

#include "crypto/aead.h"

using archipel::ByteView;
using archipel::MutableBytes;
using archipel::crypto::Aead;
using archipel::crypto::Gmac;
using archipel::crypto::Nonce;
using archipel::crypto::Tag;

// The linker sends calls here (--wrap, see CMakeLists.txt): key schedules, seals and tags. Gmac::verify() computes tags over hostile bytes;
// those leave nobody's hands and are not recorded.
int real_init(EVP_CIPHER_CTX*, const EVP_CIPHER*, const unsigned char*, const unsigned char*, int,
              const OSSL_PARAM*) asm("__real_EVP_CipherInit_ex2");
int wrapped_init(EVP_CIPHER_CTX*, const EVP_CIPHER*, const unsigned char*, const unsigned char*, int,
                 const OSSL_PARAM*) asm("__wrap_EVP_CipherInit_ex2");
#define SEAL_SYMBOL                                                                          \
  "_ZN8archipel6crypto4Aead4sealERKSt5arrayIhLm12EESt4spanIKhLm18446744073709551615EES8_S6_" \
  "IhLm18446744073709551615EE"
#define TAG_SYMBOL "_ZN8archipel6crypto4Gmac3tagERKSt5arrayIhLm12EESt4spanIKhLm18446744073709551615EE"
#define VERIFY_SYMBOL \
  "_ZN8archipel6crypto4Gmac6verifyERKSt5arrayIhLm12EESt4spanIKhLm18446744073709551615EES8_"
void real_seal(Aead*, const Nonce&, ByteView, ByteView, MutableBytes) asm("__real_" SEAL_SYMBOL);
void wrapped_seal(Aead*, const Nonce&, ByteView, ByteView, MutableBytes) asm("__wrap_" SEAL_SYMBOL);
Tag real_tag(Gmac*, const Nonce&, ByteView) asm("__real_" TAG_SYMBOL);
Tag wrapped_tag(Gmac*, const Nonce&, ByteView) asm("__wrap_" TAG_SYMBOL);

bool real_verify(Gmac*, const Nonce&, ByteView, ByteView) asm("__real_" VERIFY_SYMBOL);
bool wrapped_verify(Gmac*, const Nonce&, ByteView, ByteView) asm("__wrap_" VERIFY_SYMBOL);

namespace archipel::adversary {
namespace {

constexpr size_t kPairsMax = 4'000'000;  // recorded; a long run does not keep more

std::mutex mutex;
std::unordered_map<const void*, std::string> keys;  // by context
std::unordered_map<std::string, std::string> tags;  // key ‖ nonce -> tag ‖ length
Uniqueness counts;
std::atomic<int> pauses = 0;
thread_local const void* last_context = nullptr;  // that a nonce was set in
thread_local bool verifying = false;

void record(const Nonce& nonce, ByteView tag, size_t length) {
  if (pauses > 0 || verifying) return;
  std::lock_guard lock(mutex);
  std::string pair = keys.at(last_context) + std::string(as_text(nonce));
  std::string message = std::string(as_text(tag)) + std::to_string(length);
  auto found = tags.find(pair);
  if (found != tags.end()) {
    ++(found->second == message ? counts.repeats : counts.reused);
  } else if (tags.size() < kPairsMax) {
    tags.emplace(std::move(pair), std::move(message));
    ++counts.messages;
  }
}

}  // namespace

Uniqueness uniqueness() {
  std::lock_guard lock(mutex);
  return counts;
}

void forget_reuse() {
  std::lock_guard lock(mutex);
  counts.reused = 0;
}

RecorderPause::RecorderPause() {
  ++pauses;
}
RecorderPause::~RecorderPause() {
  --pauses;
}

namespace {

class EndOfRun : public ::testing::Environment {
  void TearDown() override {
    Uniqueness all = uniqueness();
    std::printf("(key, nonce) pairs: %zu messages, %zu times the same bytes again, %zu REUSED\n",
                all.messages, all.repeats, all.reused);
    EXPECT_EQ(all.reused, 0u) << "a nonce was used twice under one key for different bytes";
  }
};
const auto* const kEndOfRun = ::testing::AddGlobalTestEnvironment(new EndOfRun);

TEST(Uniqueness, TheRecorderSeesANonceUsedTwice) {
  crypto::Secret32 key(as_bytes(std::string_view("an example key of 32 bytes......")));
  Aead aead(key);
  Uniqueness before = uniqueness();
  std::string out(20, '\0');
  MutableBytes into(reinterpret_cast<uint8_t*>(out.data()), out.size());
  aead.seal(Nonce{}, {}, as_bytes("abcd"), into);
  aead.seal(Nonce{}, {}, as_bytes("abcd"), into);
  EXPECT_EQ(uniqueness().messages, before.messages + 1);
  EXPECT_EQ(uniqueness().repeats, before.repeats + 1);
  aead.seal(Nonce{}, {}, as_bytes("abce"), into);
  EXPECT_EQ(uniqueness().reused, before.reused + 1);
  Gmac gmac(key);
  Nonce other{};
  other[0] = 1;
  gmac.tag(other, as_bytes("a"));
  gmac.tag(other, as_bytes("b"));
  EXPECT_EQ(uniqueness().reused, before.reused + 2);
  (void)gmac.verify(other, as_bytes("c"), ByteView(Tag{}));
  EXPECT_EQ(uniqueness().reused, before.reused + 2) << "looking at hostile bytes is no use of a nonce";
  forget_reuse();
}

}  // namespace
}  // namespace archipel::adversary

int wrapped_init(EVP_CIPHER_CTX* context, const EVP_CIPHER* cipher, const unsigned char* key,
                 const unsigned char* iv, int encrypt, const OSSL_PARAM* params) {
  using namespace archipel::adversary;
  if (key != nullptr) {
    std::lock_guard lock(mutex);
    keys[context] = std::string(reinterpret_cast<const char*>(key), 32);
  }
  if (iv != nullptr) last_context = context;
  return real_init(context, cipher, key, iv, encrypt, params);
}

void wrapped_seal(Aead* aead, const Nonce& nonce, ByteView aad, ByteView plain, MutableBytes out) {
  const size_t length = plain.size() + aad.size();
  real_seal(aead, nonce, aad, plain, out);
  archipel::adversary::record(nonce, ByteView(out).last(archipel::crypto::kTagBytes), length);
}

Tag wrapped_tag(Gmac* gmac, const Nonce& nonce, ByteView data) {
  Tag tag = real_tag(gmac, nonce, data);
  archipel::adversary::record(nonce, tag, data.size());
  return tag;
}

bool wrapped_verify(Gmac* gmac, const Nonce& nonce, ByteView data, ByteView tag) {
  archipel::adversary::verifying = true;
  bool good = real_verify(gmac, nonce, data, tag);
  archipel::adversary::verifying = false;
  return good;
}
