#include "crypto/short_hash.h"

#include <gtest/gtest.h>

#include <string>

namespace archipel::crypto {
namespace {

std::string published(size_t length) {
  std::array<uint8_t, 16> key;
  std::string in;
  for (size_t i = 0; i < 16; ++i) key[i] = static_cast<uint8_t>(i);
  for (size_t i = 0; i < length; ++i) in.push_back(static_cast<char>(i));
  ShortHash hash = short_hash(key, as_bytes(in));
  uint8_t out[16];
  std::memcpy(out, &hash.high, 8);
  std::memcpy(out + 8, &hash.low, 8);
  return hex(out);
}

// vectors_sip128 of the reference implementation: key 00 01 … 0f, input 00 01 … (n - 1).
TEST(ShortHash, MatchesPublishedVectors) {
  EXPECT_EQ(published(0), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(published(1), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(published(2), "8177228da4a45dc7fca38bdef60affe4");
  EXPECT_EQ(published(3), "9c70b60c5267a94e5f33b6b02985ed51");
}

TEST(ShortHash, DependsOnTheKey) {
  std::array<uint8_t, 16> a{}, b{};
  b[15] = 1;
  EXPECT_NE(short_hash(a, as_bytes("text")), short_hash(b, as_bytes("text")));
  EXPECT_EQ(short_hash(a, as_bytes("text")), short_hash(a, as_bytes("text")));
}

}  // namespace
}  // namespace archipel::crypto
