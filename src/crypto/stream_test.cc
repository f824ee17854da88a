#include "crypto/stream.h"

#include <gtest/gtest.h>

#include <vector>

#include "crypto/hash.h"

namespace archipel::crypto {
namespace {

constexpr size_t kPlain = 65'536, kSealed = 65'552;

// Hands out 0, 1, 2, …: for golden vectors.
class CountingRandom : public Random {
 public:
  void fill(MutableBytes out) override {
    for (uint8_t& byte : out) byte = next_++;
  }

 private:
  uint8_t next_ = 0;
};

struct Sealed {
  StreamInfo info;
  Secret32 key;
  std::vector<std::vector<uint8_t>> segments;
};

std::vector<uint8_t> body_of(size_t size, uint64_t seed) {
  std::vector<uint8_t> body(size);
  seeded_random(seed)->fill(body);
  return body;
}

Sealed seal_all(ByteView body, Random& random) {
  StreamSealer sealer(random);
  Sealed out{sealer.info(body.size()), sealer.data_key().clone(), {}};
  for (uint64_t i = 0; i < out.info.segments; ++i) {
    ByteView plain = body.subspan(i * kPlain, std::min(kPlain, body.size() - i * kPlain));
    out.segments.emplace_back(plain.size() + 16);
    sealer.seal(i, i + 1 == out.info.segments, plain, out.segments.back());
  }
  return out;
}

Result<std::vector<uint8_t>> open_all(const Sealed& sealed) {
  ASSIGN_OR_RETURN(auto opener, StreamOpener::create(sealed.info, sealed.key));
  std::vector<uint8_t> body;
  for (uint64_t i = 0; i < sealed.segments.size(); ++i) {
    std::vector<uint8_t> plain(sealed.segments[i].size() - 16);
    RETURN_IF_ERROR(opener->open(i, sealed.segments[i], plain));
    body.insert(body.end(), plain.begin(), plain.end());
  }
  return body;
}

TEST(Stream, GivesBackEveryLengthAroundSegmentBoundaries) {
  auto random = seeded_random(3);
  for (size_t size :
       {size_t{0}, size_t{1}, kPlain - 1, kPlain, kPlain + 1, 2 * kPlain, 3 * kPlain - 16, 3 * kPlain + 5}) {
    auto body = body_of(size, size);
    Sealed sealed = seal_all(body, *random);
    EXPECT_EQ(sealed.segments.size(), (size + kPlain - 1) / kPlain);
    auto opened = open_all(sealed);
    ASSERT_TRUE(opened) << opened.error().describe();
    EXPECT_EQ(*opened, body) << size;
  }
}

TEST(Stream, MatchesGoldenVector) {
  CountingRandom random;
  Sealed sealed = seal_all(as_bytes("a small object"), random);
  EXPECT_EQ(hex(sealed.info.data_id), "000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(hex(sealed.key.view()), "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f");
  EXPECT_EQ(hex(sealed.info.salt), "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f");
  EXPECT_EQ(hex(sealed.info.commitment), "004abaff3f3f2b1a94ada02bef3570f420e97c728398cc9f45c06b0273cf0b05");
  EXPECT_EQ(hex(sealed.segments[0]), "55d7f4d21e83cf72d5cb23d84414c45aa63e64120fc0abf202e05632d83f");
}

TEST(Stream, NeverSealsTheSameBytesTheSameWay) {
  auto random = seeded_random(4);
  auto body = body_of(100, 1);
  Sealed a = seal_all(body, *random), b = seal_all(body, *random);
  EXPECT_NE(a.segments[0], b.segments[0]);
  EXPECT_NE(a.info.commitment, b.info.commitment);
  EXPECT_NE(a.info.data_id, b.info.data_id);
}

TEST(Stream, RefusesFlippedSwappedCutAndForeignSegments) {
  auto random = seeded_random(5);
  auto body = body_of(3 * kPlain + 1000, 2);
  const Sealed sealed = seal_all(body, *random), other = seal_all(body, *random);
  auto opener = StreamOpener::create(sealed.info, sealed.key).value();
  std::vector<uint8_t> out;
  auto refused = [&](uint64_t index, ByteView segment) {
    out.assign(segment.size() < 16 ? 0 : segment.size() - 16, 0xee);
    auto opened = opener->open(index, segment, out);
    if (opened) return false;
    EXPECT_EQ(opened.error().code, Code::corrupt);
    EXPECT_EQ(out, std::vector<uint8_t>(out.size(), 0));
    return true;
  };
  for (uint64_t i = 0; i < 4; ++i) ASSERT_FALSE(refused(i, sealed.segments[i]));
  for (uint64_t i = 0; i < 4; ++i)  // every other place
    for (uint64_t j = 0; j < 4; ++j)
      if (i != j) EXPECT_TRUE(refused(j, sealed.segments[i])) << i << " at " << j;
  EXPECT_TRUE(refused(1, other.segments[1]));
  EXPECT_TRUE(refused(4, sealed.segments[3]));
  EXPECT_TRUE(refused(UINT64_MAX, sealed.segments[3]));

  auto last = sealed.segments[3];
  for (size_t bit = 0; bit < last.size() * 8; bit += 61) {
    auto changed = last;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_TRUE(refused(3, changed)) << bit;
  }
  for (size_t size : {size_t{0}, size_t{15}, size_t{16}, last.size() - 1, last.size() + 1}) {
    auto changed = last;
    changed.resize(size);
    EXPECT_TRUE(refused(3, changed)) << size;
  }
}

TEST(Stream, RefusesAShorterOrLongerStreamMadeOfGoodSegments) {
  // Cutting whole segments off, or claiming more, moves the final flag: it is in the nonce.
  auto random = seeded_random(6);
  Sealed sealed = seal_all(body_of(3 * kPlain, 3), *random);
  for (uint64_t segments : {2u, 4u}) {
    StreamInfo info = sealed.info;
    info.segments = segments;
    info.length = segments * kPlain;
    auto opener = StreamOpener::create(info, sealed.key).value();
    std::vector<uint8_t> out(kPlain);
    EXPECT_TRUE(opener->open(0, sealed.segments[0], out));
    uint64_t moved = std::min<uint64_t>(segments, 3) - 1;
    EXPECT_FALSE(opener->open(moved, sealed.segments[moved], out)) << segments;
  }
}

TEST(Stream, RefusesAKeyThatDoesNotMatchTheCommitmentBeforeDecrypting) {
  auto random = seeded_random(7);
  Sealed sealed = seal_all(body_of(10, 4), *random);
  Secret32 wrong(random->bytes<32>());
  auto code_of = [](const StreamInfo& info, const Secret32& key) {
    auto opener = StreamOpener::create(info, key);
    return opener ? Code::internal : opener.error().code;
  };
  EXPECT_EQ(code_of(sealed.info, wrong), Code::denied);
  StreamInfo info = sealed.info;
  info.commitment[31] ^= 1;
  EXPECT_EQ(code_of(info, sealed.key), Code::denied);
  info = sealed.info;
  info.salt[0] ^= 1;
  EXPECT_EQ(code_of(info, sealed.key), Code::denied);
  info = sealed.info;
  info.suite = 2;
  EXPECT_EQ(code_of(info, sealed.key), Code::unsupported);
  info = sealed.info;
  info.segments = 2;
  EXPECT_EQ(code_of(info, sealed.key), Code::corrupt);
}

TEST(StreamDeathTest, StopsRatherThanReusingANonce) {
  auto random = seeded_random(8);
  std::vector<uint8_t> plain(kPlain), out(kSealed);
  StreamSealer sealer(*random);
  sealer.seal(0, false, plain, out);
  EXPECT_DEATH(sealer.seal(0, false, plain, out), "next_index");
  EXPECT_DEATH(sealer.seal(1, false, ByteView(plain).first(10), MutableBytes(out).first(26)), "plain");
  sealer.seal(1, true, plain, out);
  EXPECT_DEATH(sealer.seal(2, true, plain, out), "finished");
}

TEST(Wrap, GivesTheKeyBackOnlyUnderTheSameKekSaltAndContext) {
  auto random = seeded_random(9);
  Secret32 kek(random->bytes<32>()), other(random->bytes<32>()), key(random->bytes<32>());
  auto salt = random->bytes<32>(), other_salt = random->bytes<32>();
  auto wrapped = wrap_key(kek, key, salt, as_bytes("context"), *random);
  auto opened = unwrap_key(kek, wrapped, salt, as_bytes("context"));
  ASSERT_TRUE(opened);
  EXPECT_EQ(hex(opened->view()), hex(key.view()));
  auto refused = [](const Result<Secret32>& result) {
    return !result && result.error().code == Code::denied &&
           result.error().message == "a data key cannot be unwrapped";
  };
  EXPECT_TRUE(refused(unwrap_key(other, wrapped, salt, as_bytes("context"))));
  EXPECT_TRUE(refused(unwrap_key(kek, wrapped, other_salt, as_bytes("context"))));
  EXPECT_TRUE(refused(unwrap_key(kek, wrapped, salt, as_bytes("contexu"))));
  EXPECT_TRUE(refused(unwrap_key(kek, ByteView(wrapped).first(59), salt, as_bytes("context"))));
  EXPECT_TRUE(refused(unwrap_key(kek, {}, salt, as_bytes("context"))));
  for (size_t bit = 0; bit < wrapped.size() * 8; ++bit) {
    auto changed = wrapped;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_TRUE(refused(unwrap_key(kek, changed, salt, as_bytes("context")))) << bit;
  }
  EXPECT_NE(wrapped, wrap_key(kek, key, salt, as_bytes("context"), *random));
}

TEST(Wrap, MatchesGoldenVector) {
  CountingRandom random;
  Secret32 kek(random.bytes<32>()), key(random.bytes<32>());
  auto salt = random.bytes<32>();
  EXPECT_EQ(hex(wrap_key(kek, key, salt, as_bytes("context"), random)),
            "606162636465666768696a6bf565a5a899f7adf2f0e6ee1ca4cc53f72b2dc168992ba5f1e70db992fc300d7961f50b62"
            "d8c7794271ea17ef6877185f");
}

}  // namespace
}  // namespace archipel::crypto
