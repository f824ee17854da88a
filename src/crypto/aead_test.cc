#include "crypto/aead.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace archipel::crypto {
namespace {

Nonce nonce_of(std::string_view text) {
  std::string bytes = unhex(text).value();
  Nonce nonce;
  std::copy(bytes.begin(), bytes.end(), nonce.begin());
  return nonce;
}

// The GCM specification's test cases 14 to 16 (256-bit keys).
const char kKey[] = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const char kNonce[] = "cafebabefacedbaddecaf888";
const char kPlain[] =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
    "b16aedf5aa0de657ba637b39";
const char kAad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const char kSealed[] =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
    "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b";

TEST(Aead, MatchesTheGcmSpecification) {
  Aead zeros(Secret32{});
  std::vector<uint8_t> out(32);
  zeros.seal(Nonce{}, {}, std::array<uint8_t, 16>{}, out);
  EXPECT_EQ(hex(out), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");

  std::string key = unhex(kKey).value(), plain = unhex(kPlain).value(), aad = unhex(kAad).value();
  Aead aead(Secret32{as_bytes(key)});
  for (int round = 0; round < 2; ++round) {  // the context is reused
    out.assign(plain.size() + kTagBytes, 0);
    aead.seal(nonce_of(kNonce), as_bytes(aad), as_bytes(plain), out);
    EXPECT_EQ(hex(out), kSealed);
    std::vector<uint8_t> opened(plain.size());
    ASSERT_TRUE(aead.open(nonce_of(kNonce), as_bytes(aad), out, opened));
    EXPECT_EQ(hex(opened), kPlain);
  }
}

TEST(Aead, RefusesEveryFlippedBitAndLeavesNoPlaintext) {
  auto random = seeded_random(1);
  Aead aead(Secret32{random->bytes<32>()});
  Nonce nonce = random->bytes<12>();
  auto plain = random->bytes<40>(), aad = random->bytes<40>();
  std::vector<uint8_t> sealed(plain.size() + kTagBytes), opened(plain.size());
  aead.seal(nonce, aad, plain, sealed);
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    opened.assign(plain.size(), 0xee);
    EXPECT_FALSE(aead.open(nonce, aad, changed, opened)) << bit;
    EXPECT_EQ(opened, std::vector<uint8_t>(plain.size(), 0));
  }
  for (size_t bit = 0; bit < aad.size() * 8; ++bit) {
    auto changed = aad;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_FALSE(aead.open(nonce, changed, sealed, opened)) << bit;
  }
  for (size_t bit = 0; bit < nonce.size() * 8; ++bit) {
    Nonce changed = nonce;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_FALSE(aead.open(changed, aad, sealed, opened)) << bit;
  }
  EXPECT_TRUE(aead.open(nonce, aad, sealed, opened));  // and a failure does not spoil the context
}

TEST(Aead, SealsAndOpensInPlaceAndWithNothingInside) {
  Aead aead(Secret32{});
  std::vector<uint8_t> buffer(100 + kTagBytes, 7);
  aead.seal(Nonce{}, {}, ByteView(buffer).first(100), buffer);
  ASSERT_TRUE(aead.open(Nonce{}, {}, buffer, MutableBytes(buffer).first(100)));
  EXPECT_EQ(buffer[0], 7);
  EXPECT_EQ(buffer[99], 7);
  Tag empty;
  aead.seal(Nonce{}, as_bytes("aad"), {}, empty);
  EXPECT_TRUE(aead.open(Nonce{}, as_bytes("aad"), empty, {}));
  EXPECT_FALSE(aead.open(Nonce{}, as_bytes("aae"), empty, {}));
}

TEST(Gmac, EqualsTheAeadTagOfNoPlaintextAndRefusesChanges) {
  auto random = seeded_random(2);
  Secret32 key(random->bytes<32>());
  Aead aead(key);
  Gmac gmac(key);
  auto data = random->bytes<333>();
  for (size_t size : {0, 1, 16, 17, 333}) {
    Nonce nonce = random->bytes<12>();
    Tag by_aead;
    aead.seal(nonce, ByteView(data).first(size), {}, by_aead);
    EXPECT_EQ(gmac.tag(nonce, ByteView(data).first(size)), by_aead) << size;
    EXPECT_TRUE(gmac.verify(nonce, ByteView(data).first(size), by_aead));
    by_aead[3] ^= 1;
    EXPECT_FALSE(gmac.verify(nonce, ByteView(data).first(size), by_aead));
    EXPECT_FALSE(gmac.verify(nonce, ByteView(data).first(size), ByteView(by_aead).first(15)));
  }
}

}  // namespace
}  // namespace archipel::crypto
