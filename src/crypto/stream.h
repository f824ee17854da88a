// Streams and segments: one sealed PUT body. A fresh data key and salt per attempt; 64 KiB segments under AES-256-GCM in STREAM form.
//
// K_seg      = HKDF-SHA256(data key, salt, "archipel/1 segment" ‖ suite)
// commitment = HKDF-SHA256(data key, salt, "archipel/1 commit"  ‖ suite), 32 bytes, compared (constant time) before any decryption
// nonce      = 0^3 ‖ segment index (u64 big-endian) ‖ final (1 byte);  AAD is empty: binding is by key and by the index's slice list
#pragma once

#include <array>
#include <memory>

#include "base/random.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace archipel::crypto {

inline constexpr uint16_t kSuiteAes256Gcm = 1;
using DataId = std::array<uint8_t, 16>;

// What the index keeps of a stream, beside its wrapped key.
struct StreamInfo {
  DataId data_id{};
  std::array<uint8_t, 32> salt{}, commitment{};
  uint16_t suite = kSuiteAes256Gcm;
  uint64_t length = 0;    // plaintext bytes
  uint64_t segments = 0;  // ceil(length / 65536); 0 for an empty stream
};

// Seals one stream. Not thread-safe; may move between threads between calls.
class StreamSealer {
 public:
  explicit StreamSealer(Random& random);  // draws data id, data key and salt
  ~StreamSealer();
  // Seals segment `index` (each index once, CHECK: increasing): out = ciphertext ‖ 16-byte tag, out.size() == plain.size() + 16.
  // Every segment but the final one has exactly 65,536 bytes (CHECK). `plain` and `out` may overlap only if they start at the same address.
  void seal(uint64_t index, bool final, ByteView plain, MutableBytes out);
  // length and segments are filled in by the caller of finish().
  StreamInfo info(uint64_t length) const;
  const Secret32& data_key() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Opens segments of one stream, in any order. Not thread-safe.
class StreamOpener {
 public:
  // denied if the commitment does not match the key.
  static Result<std::unique_ptr<StreamOpener>> create(const StreamInfo& info, const Secret32& data_key);
  ~StreamOpener();
  // out.size() == sealed.size() - 16. `final` follows from info: index + 1 == segments. corrupt if the tag fails; out is then cleared.
  Result<void> open(uint64_t index, ByteView sealed, MutableBytes out);

 private:
  StreamOpener();
  struct State;
  std::unique_ptr<State> state_;
};

// Wraps a data key under a KEK: 12-byte random nonce ‖ AES-256-GCM(key derived from the KEK and the stream's salt; AAD) = 60 bytes.
// `ad` binds purpose, tenant, bucket, version or upload id, part, data id, generation and suite (protocol §3): the caller encodes it.
std::array<uint8_t, 60> wrap_key(const Secret32& kek, const Secret32& data_key, ByteView salt, ByteView ad,
                                 Random& random);
// denied (one opaque error) if anything does not match.
Result<Secret32> unwrap_key(const Secret32& kek, ByteView wrapped, ByteView salt, ByteView ad);

}  // namespace archipel::crypto
