// Attacks on keys: planted and malleated wraps, downgrades, one ciphertext under two keys, and what an error gives away.
#include <openssl/evp.h>

#include "cloud.h"
#include "crypto/aead.h"
#include "crypto/keyring_file.h"
#include "crypto/stream.h"
#include "index/record.h"
#include "store/keys.h"
#include "store/records.h"
#include "store/wrap.h"

namespace archipel::adversary {
namespace {

using crypto::Secret32;

struct Wrapped {
  std::unique_ptr<Random> random = seeded_random(21);
  std::unique_ptr<crypto::Keyring> keys = crypto::Keyring::generate(*random);
  store::VersionId version{1, 2, 3};
  store::KeyScope scope{"tenant", "bucket", version, 0};
  crypto::StreamSealer sealer{*random};
  store::Slice slice;
  Wrapped() {
    slice.stream = sealer.info(1000);
    store::wrap_into(slice, *keys, 7, scope, sealer.data_key(), *random);
  }
};

TEST(Attack, Row01PlantedOrMalleatedWrappedKeys) {
  Wrapped w;
  ASSERT_TRUE(store::unwrap(w.slice, *w.keys, w.scope).has_value());
  for (size_t bit = 0; bit < w.slice.wrapped_key.size() * 8; ++bit) {
    w.slice.wrapped_key[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_FALSE(store::unwrap(w.slice, *w.keys, w.scope)) << "bit " << bit;
    w.slice.wrapped_key[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
  }
  // The right wrap at the wrong place.
  store::VersionId other_version{9};
  const store::KeyScope elsewhere[] = {{"tenant2", "bucket", w.version, 0},
                                       {"tenant", "bucket2", w.version, 0},
                                       {"tenan", "tbucket", w.version, 0},
                                       {"tenant", "bucket", other_version, 0},
                                       {"tenant", "bucket", w.version, 1}};
  for (const store::KeyScope& scope : elsewhere) EXPECT_FALSE(store::unwrap(w.slice, *w.keys, scope));
  auto refused = [&](auto change) {
    store::Slice slice = w.slice;
    change(slice);
    return !store::unwrap(slice, *w.keys, w.scope).has_value();
  };
  EXPECT_TRUE(refused([](store::Slice& s) { s.kek_slot = 8; }));
  EXPECT_TRUE(refused([](store::Slice& s) { s.kek_generation = 2; }));
  EXPECT_TRUE(refused([](store::Slice& s) { s.stream.data_id[0] ^= 1; }));
  EXPECT_TRUE(refused([](store::Slice& s) { s.stream.salt[0] ^= 1; }));
  EXPECT_TRUE(refused([](store::Slice& s) { s.stream.suite = 2; }));
}

// Changes one byte of a version record in the view and reads the object.
io::Task<Result<std::string>> read_changed(Cloud& cloud, std::string key, void (*change)(store::Slice&)) {
  index::Kv& kv = *cloud.journal().kv;
  std::string at = store::object_key(kBucket, key);
  Result<std::optional<std::string>> before = kv.snapshot()->get(at);
  CHECK(before && *before);
  Result<store::VersionRecord> version = store::decode_version(**before);
  CHECK(version.has_value());
  change(version->slices[0]);
  CHECK(kv.write({{at, store::encode(*version)}}).has_value());
  Result<std::string> got = co_await cloud.get(key);
  CHECK(kv.write({{at, **before}}).has_value());
  co_return got;
}

io::Task<bool> one_error(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  void (*const changes[])(store::Slice&) = {[](store::Slice& s) { s.wrapped_key[3] ^= 1; },
                                            [](store::Slice& s) { s.wrapped_key[20] ^= 1; },
                                            [](store::Slice& s) { s.wrapped_key[59] ^= 1; },
                                            [](store::Slice& s) { s.stream.salt[31] ^= 1; },
                                            [](store::Slice& s) { s.stream.commitment[0] ^= 1; },
                                            [](store::Slice& s) { s.stream.data_id[15] ^= 1; },
                                            [](store::Slice& s) { s.kek_slot ^= 1; },
                                            [](store::Slice& s) { s.kek_generation ^= 1; }};
  std::optional<std::string> first;
  for (auto change : changes) {
    for (const char* key : {"small/a", "large/b"}) {
      Result<std::string> got = co_await read_changed(cloud, key, change);
      CO_ASSERT(!got);
      std::string said = got.error().describe() + " / " + got.error().detail;
      if (!first) first = said;
      EXPECT_EQ(said, *first);
    }
  }
  co_return true;
}

TEST(Attack, Row02EveryFailureOfAKeyLooksTheSame) {
  Cloud().run(one_error);
}

TEST(Attack, Row04DowngradesAreRefusedBeforeTheyArePaidFor) {
  // The keyring's cost.
  std::unique_ptr<Random> random = seeded_random(22);
  crypto::KeyringSecrets secrets;
  EXPECT_FALSE(crypto::encode_keyring(secrets, "p", {1, 8}, *random));
  Result<std::string> file = crypto::encode_keyring(secrets, "p", {}, *random);
  ASSERT_TRUE(file.has_value());
  for (size_t at : {15u, 17u}) {  // passes, and the memory's second byte
    std::string weak = *file;
    weak[at] = static_cast<char>(at == 15 ? 1 : 0);
    crypto::KeyringSecrets out;
    Result<void> opened = crypto::decode_keyring(as_bytes(weak), "p", out);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::invalid) << "named, and not the result of paying the cost";
  }
  // Suites of streams and versions of blobs.
  Wrapped w;
  for (uint16_t suite : {uint16_t{0}, uint16_t{2}, uint16_t{0xffff}}) {
    crypto::StreamInfo info = w.slice.stream;
    info.suite = suite;
    auto opener = crypto::StreamOpener::create(info, w.sealer.data_key());
    ASSERT_FALSE(opener);
    EXPECT_EQ(opener.error().code, Code::unsupported);
  }
  index::Header header;
  header.record_bytes = 100;
  index::HeaderBytes bytes = index::encode_header(header);
  ASSERT_TRUE(index::decode_header(bytes).has_value());
  for (int change = 1; change < 256; ++change) {
    index::HeaderBytes other = bytes;
    other[5] = static_cast<uint8_t>(other[5] ^ change);  // the version's low byte
    Result<index::Header> decoded = index::decode_header(other);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, Code::unsupported);
  }
}

// --- one ciphertext that opens under two keys ---

// An element of GF(2^128) as GCM writes it: bit 0 is the most significant bit of the first byte.
using Block = std::array<uint8_t, 16>;

Block operator^(Block a, const Block& b) {
  for (size_t i = 0; i < 16; ++i) a[i] ^= b[i];
  return a;
}

Block multiply(const Block& x, const Block& y) {
  Block z{}, v = y;
  for (size_t bit = 0; bit < 128; ++bit) {
    if ((x[bit / 8] >> (7 - bit % 8) & 1) != 0) z = z ^ v;
    bool carry = (v[15] & 1) != 0;
    for (size_t i = 15; i > 0; --i) v[i] = static_cast<uint8_t>(v[i] >> 1 | v[i - 1] << 7);
    v[0] = static_cast<uint8_t>(v[0] >> 1);
    if (carry) v[0] ^= 0xe1;
  }
  return z;
}

// x^(2^128 - 2)
Block inverse(Block x) {
  Block out{0x80};
  for (int i = 0; i < 127; ++i) {
    x = multiply(x, x);
    out = multiply(out, x);
  }
  return out;
}

Block aes(const Secret32& key, const Block& in) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  Block out;
  int length = 0;
  CHECK(EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), nullptr, key.view().data(), nullptr) == 1);
  EVP_CIPHER_CTX_set_padding(context, 0);
  CHECK(EVP_EncryptUpdate(context, out.data(), &length, in.data(), 16) == 1 && length == 16);
  EVP_CIPHER_CTX_free(context);
  return out;
}

Block ghash(const Block& h, const std::vector<Block>& blocks) {
  Block y{};
  for (const Block& block : blocks) y = multiply(y ^ block, h);
  return y;
}

// Three blocks of ciphertext and one tag that both keys accept, by choosing the second block (Dodis, Grubbs, Ristenpart, Woodage, 2018).
std::string salamander(const Secret32& one, const Secret32& two, const crypto::Nonce& nonce) {
  Block j0{};
  std::copy(nonce.begin(), nonce.end(), j0.begin());
  j0[15] = 1;
  Block h1 = aes(one, {}), h2 = aes(two, {});
  Block length{};
  length[14] = (3 * 128) >> 8;
  length[15] = (3 * 128) & 0xff;
  std::vector<Block> blocks = {{1, 2, 3}, {}, {4, 5, 6}, length};
  Block cube1 = multiply(h1, multiply(h1, h1)),
        cube2 = multiply(h2, multiply(h2, h2));  // what the second block is multiplied by
  Block rest = ghash(h1, blocks) ^ aes(one, j0) ^ ghash(h2, blocks) ^ aes(two, j0);
  blocks[1] = multiply(rest, inverse(cube1 ^ cube2));
  Block tag = ghash(h1, blocks) ^ aes(one, j0);
  std::string out;
  for (size_t i = 0; i < 3; ++i) out += as_text(blocks[i]);
  return out + std::string(as_text(tag));
}

TEST(Attack, Row05OneCiphertextUnderTwoKeys) {
  // The cipher alone accepts both: the attack is real.
  std::unique_ptr<Random> random = seeded_random(23);
  Secret32 one(ByteView(random->bytes<32>())), two(ByteView(random->bytes<32>()));
  crypto::Nonce nonce{};
  nonce[11] = 1;  // segment 0, and the last
  std::string sealed = salamander(one, two, nonce);
  std::string plain1(48, '\0'), plain2(48, '\0');
  auto into = [](std::string& s) { return MutableBytes(reinterpret_cast<uint8_t*>(s.data()), s.size()); };
  ASSERT_TRUE(crypto::Aead(one).open(nonce, {}, as_bytes(sealed), into(plain1)));
  ASSERT_TRUE(crypto::Aead(two).open(nonce, {}, as_bytes(sealed), into(plain2)));
  EXPECT_NE(plain1, plain2);

  // A stream has one key: another is refused before anything is decrypted, whatever the ciphertext would say, and so is a commitment that
  // came along with the other key but not with the wrap.
  crypto::StreamSealer mine(*random), theirs(*random);
  crypto::StreamInfo info = mine.info(48);
  ASSERT_TRUE(crypto::StreamOpener::create(info, mine.data_key()).has_value());
  auto swapped = crypto::StreamOpener::create(info, theirs.data_key());
  ASSERT_FALSE(swapped);
  EXPECT_EQ(swapped.error().code, Code::denied);
  // The case of the S3 client of 2025: key and wrap replaced in what lies beside the object. The salt of the wrap is the stream's.
  Wrapped w;
  store::Slice planted = w.slice;
  store::wrap_into(planted, *w.keys, 7, w.scope, theirs.data_key(), *random);
  Result<Secret32> key = store::unwrap(planted, *w.keys, w.scope);
  ASSERT_TRUE(key.has_value()) << "whoever has the KEK can wrap; the commitment is what stops it";
  EXPECT_FALSE(crypto::StreamOpener::create(planted.stream, *key));
}

}  // namespace
}  // namespace archipel::adversary
