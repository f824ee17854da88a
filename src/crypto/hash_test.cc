#include "crypto/hash.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "crypto/prf.h"

namespace archipel::crypto {
namespace {

std::string from_hex(std::string_view text) {
  return unhex(text).value();
}
std::string times(char c, size_t n) {
  return std::string(n, c);
}

TEST(Hash, MatchesPublishedVectors) {
  EXPECT_EQ(hex(sha256(as_bytes(""))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha1 sha1;
  sha1.update(as_bytes("abc"));
  EXPECT_EQ(hex(sha1.finish()), "a9993e364706816aba3e25717850c26c9cd0d89d");
  Md5 md5;
  EXPECT_EQ(hex(md5.finish()), "d41d8cd98f00b204e9800998ecf8427e");
  md5.update(as_bytes("message digest"));
  EXPECT_EQ(hex(md5.finish()), "f96b697d7cb7938d525a2f31aaf161d0");
  // BLAKE2b with 32 bytes of output over "abc".
  EXPECT_EQ(hex(blake2b_256(as_bytes("abc"))),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

TEST(Hash, StreamsInPiecesAndStartsAnewAfterFinish) {
  std::string text(100'000, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  Sha256 hasher;
  for (int round = 0; round < 2; ++round) {
    for (size_t at = 0, step = 1; at < text.size(); at += step, step = step * 2 + 1)
      hasher.update(as_bytes(text).subspan(at, std::min(step, text.size() - at)));
    EXPECT_EQ(hasher.finish(), sha256(as_bytes(text)));
  }
  Sha256 other;
  other.update(as_bytes("ab"));
  Sha256 moved = std::move(other);
  moved.update(as_bytes("c"));
  EXPECT_EQ(moved.finish(), sha256(as_bytes("abc")));
}

TEST(Hmac, MatchesRfc4231) {
  EXPECT_EQ(hex(hmac_sha256(as_bytes(times('\x0b', 20)), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(as_bytes(times('\xaa', 20)), as_bytes(times('\xdd', 50)))),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(hex(hmac_sha256(as_bytes(times('\xaa', 131)),
                            as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  // No key at all: the same as a block of zeros (RFC 2104).
  EXPECT_EQ(hex(hmac_sha256({}, ByteView{})),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Hmac, PartsGiveTheSameAsTheirConcatenationOnEveryThread) {
  Digest32 expected = hmac_sha256(as_bytes("key"), as_bytes("one two"));
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        EXPECT_EQ(hmac_sha256(as_bytes("key"), {as_bytes("one"), ByteView{}, as_bytes(" two")}), expected);
    });
  for (auto& thread : threads) thread.join();
  Secret32 key(as_bytes(times('k', 32)));
  EXPECT_EQ(prf(key, as_bytes("a"), as_bytes("b")), hmac_sha256(key.view(), as_bytes("ab")));
}

TEST(Hkdf, MatchesRfc5869) {
  auto derive = [](const std::string& ikm, const std::string& salt, const std::string& info, size_t size) {
    std::string out(size, 0);
    hkdf_sha256(as_bytes(ikm), as_bytes(salt), as_bytes(info),
                {reinterpret_cast<uint8_t*>(out.data()), size});
    return hex(as_bytes(out));
  };
  EXPECT_EQ(
      derive(times('\x0b', 22), from_hex("000102030405060708090a0b0c"), from_hex("f0f1f2f3f4f5f6f7f8f9"), 42),
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  std::string ikm, salt, info;
  for (int i = 0; i < 80; ++i) {
    ikm += static_cast<char>(i);
    salt += static_cast<char>(0x60 + i);
    info += static_cast<char>(0xb0 + i);
  }
  EXPECT_EQ(derive(ikm, salt, info, 82),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f"
            "09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
  EXPECT_EQ(derive(times('\x0b', 22), "", "", 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(ConstantTimeEqual, ComparesContentsAndSizes) {
  EXPECT_TRUE(constant_time_equal({}, {}));
  EXPECT_TRUE(constant_time_equal(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("ab")));
}

TEST(SecureClear, LeavesZerosAndMovesEmptyTheSource) {
  Secret32 a(as_bytes(times('s', 32)));
  Secret32 b = std::move(a);
  EXPECT_EQ(as_text(b.view()), times('s', 32));
  EXPECT_EQ(as_text(a.view()), times('\0', 32));  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(as_text(b.clone().view()), times('s', 32));
}

}  // namespace
}  // namespace archipel::crypto
