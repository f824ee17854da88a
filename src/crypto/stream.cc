#include "crypto/stream.h"

#include <algorithm>

#include "crypto/aead.h"
#include "crypto/hash.h"

namespace archipel::crypto {
namespace {

constexpr uint64_t kSegmentPlain = 65'536;

uint64_t segments_of(uint64_t length) {
  return length / kSegmentPlain + (length % kSegmentPlain != 0 ? 1 : 0);
}

std::string label(std::string_view purpose, uint16_t suite) {
  std::string info;
  Writer(info).raw(purpose).u16(suite);
  return info;
}

Secret32 random_secret(Random& random) {
  Secret32 secret;
  random.fill(secret.mutable_view());
  return secret;
}

Secret32 segment_key(const Secret32& data_key, ByteView salt, uint16_t suite) {
  return hkdf_sha256_key(data_key.view(), salt, as_bytes(label("archipel/1 segment", suite)));
}

std::array<uint8_t, 32> commitment_of(const Secret32& data_key, ByteView salt, uint16_t suite) {
  std::array<uint8_t, 32> out;
  hkdf_sha256(data_key.view(), salt, as_bytes(label("archipel/1 commit", suite)), out);
  return out;
}

Nonce segment_nonce(uint64_t index, bool final) {
  Nonce nonce{};
  for (size_t i = 0; i < 8; ++i) nonce[3 + i] = static_cast<uint8_t>(index >> (56 - 8 * i));
  nonce[11] = final ? 1 : 0;
  return nonce;
}

}  // namespace

struct StreamSealer::State {
  explicit State(Random& random)
      : data_id(random.bytes<16>()),
        data_key(random_secret(random)),
        salt(random.bytes<32>()),
        aead(segment_key(data_key, salt, kSuiteAes256Gcm), Aead::Use::seal) {}

  DataId data_id;
  Secret32 data_key;
  std::array<uint8_t, 32> salt;
  Aead aead;
  uint64_t next_index = 0;
  bool finished = false;
};

StreamSealer::StreamSealer(Random& random) : state_(std::make_unique<State>(random)) {}
StreamSealer::~StreamSealer() = default;

void StreamSealer::seal(uint64_t index, bool final, ByteView plain, MutableBytes out) {
  State& s = *state_;
  // A nonce used twice would give away both segments: these stay checked in every build.
  CHECK(index >= s.next_index && !s.finished);
  CHECK(final ? !plain.empty() && plain.size() <= kSegmentPlain : plain.size() == kSegmentPlain);
  s.next_index = index + 1;
  s.finished = final;
  s.aead.seal(segment_nonce(index, final), {}, plain, out);
}

StreamInfo StreamSealer::info(uint64_t length) const {
  const State& s = *state_;
  return {.data_id = s.data_id,
          .salt = s.salt,
          .commitment = commitment_of(s.data_key, s.salt, kSuiteAes256Gcm),
          .suite = kSuiteAes256Gcm,
          .length = length,
          .segments = segments_of(length)};
}

const Secret32& StreamSealer::data_key() const {
  return state_->data_key;
}

struct StreamOpener::State {
  State(const StreamInfo& info, const Secret32& key)
      : aead(key, Aead::Use::open), length(info.length), segments(info.segments) {}
  Aead aead;
  uint64_t length, segments;
};

StreamOpener::StreamOpener() = default;
StreamOpener::~StreamOpener() = default;

Result<std::unique_ptr<StreamOpener>> StreamOpener::create(const StreamInfo& info, const Secret32& data_key) {
  if (info.suite != kSuiteAes256Gcm)
    return fail(Code::unsupported, "the stream is sealed with suite " + std::to_string(info.suite) +
                                       ", which this version does not know; a newer version is needed");
  if (info.segments != segments_of(info.length))
    return fail(Code::corrupt,
                "the stream's length and number of segments in the index contradict each other");
  if (!constant_time_equal(commitment_of(data_key, info.salt, info.suite), info.commitment))
    return fail(Code::denied, "a data key cannot be unwrapped");
  std::unique_ptr<StreamOpener> opener(new StreamOpener());
  opener->state_ = std::make_unique<State>(info, segment_key(data_key, info.salt, info.suite));
  return opener;
}

Result<void> StreamOpener::open(uint64_t index, ByteView sealed, MutableBytes out) {
  State& s = *state_;
  bool final = index + 1 == s.segments;
  bool good = index < s.segments;
  if (good) {
    uint64_t plain_bytes = final ? s.length - index * kSegmentPlain : kSegmentPlain;
    good = sealed.size() == plain_bytes + kTagBytes;
  }
  if (good) good = s.aead.open(segment_nonce(index, final), {}, sealed, out);
  if (good) return {};
  if (!out.empty()) std::memset(out.data(), 0, out.size());
  return fail(Code::corrupt, "segment " + std::to_string(index) + " of a stream fails verification");
}

std::array<uint8_t, 60> wrap_key(const Secret32& kek, const Secret32& data_key, ByteView salt, ByteView ad,
                                 Random& random) {
  Nonce nonce = random.bytes<kNonceBytes>();
  std::array<uint8_t, 60> out;
  std::copy(nonce.begin(), nonce.end(), out.begin());
  Aead aead(hkdf_sha256_key(kek.view(), salt, as_bytes("archipel/1 wrap")), Aead::Use::seal);
  aead.seal(nonce, ad, data_key.view(), MutableBytes(out).subspan(kNonceBytes));
  return out;
}

Result<Secret32> unwrap_key(const Secret32& kek, ByteView wrapped, ByteView salt, ByteView ad) {
  Secret32 data_key;
  bool good = wrapped.size() == 60;
  if (good) {
    Nonce nonce;
    std::copy_n(wrapped.begin(), kNonceBytes, nonce.begin());
    Aead aead(hkdf_sha256_key(kek.view(), salt, as_bytes("archipel/1 wrap")), Aead::Use::open);
    good = aead.open(nonce, ad, wrapped.subspan(kNonceBytes), data_key.mutable_view());
  }
  if (!good) return fail(Code::denied, "a data key cannot be unwrapped");
  return data_key;
}

}  // namespace archipel::crypto
