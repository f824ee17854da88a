// Records of multipart uploads and of the part sets that completed objects are made of (docs/formats/view.md).
//
//   p/<bucket> NUL <object key> NUL <upload id 16>   an upload under way
//   q/<upload id 16><u16 0>                          its part set: how many parts, and what it was completed to
//   q/<upload id 16><part number u16>                a part
//   z/<upload id 16>                                 parts of this set are to be dropped (part_sets.h)
//
// An upload id is also the id of its part set: a completed version names it. Decoders believe nothing, as records.h. Pure functions; thread-safe.
#pragma once

#include <optional>

#include "crypto/hash.h"
#include "store/records.h"

namespace archipel::store {

inline constexpr std::string_view kUploadPrefix = "p/";
inline constexpr std::string_view kPartPrefix = "q/";
inline constexpr std::string_view kDropPrefix = "z/";

using UploadId = std::array<uint8_t, 16>;  // u64 milliseconds big-endian ‖ 8 random bytes

struct UploadRecord {
  UnixMs initiated_ms = 0;
  std::string initiator;
  StringMap headers, metadata;
  Attributes attributes;
  Checksum::Kind checksum = Checksum::Kind::none;
  bool composite = false;
  Encryption::Kind encryption = Encryption::Kind::none;
  std::string encryption_data;  // SSE-C: the commitment (sse.h)
};

struct PartRecord {
  UnixMs modified_ms = 0;
  std::array<uint8_t, 16> md5{};
  Checksum checksum;
  uint64_t size = 0;
  std::optional<Slice> slice;  // none: the part is empty
};

// What a completed upload became.
struct CompletedSet {
  std::string bucket, key;
  VersionId version_id{};
  uint64_t order = 0;  // of that version
  crypto::Digest32
      request{};  // of the parts as the client listed them: the same request again gets the same answer
};

// What is known of all parts of a set together, so that nothing has to count them.
struct PartSetRecord {
  uint64_t changes =
      0;  // rises with every part that is written: who read the parts can tell that they are as they were
  uint32_t parts = 0;  // of an upload under way all; of a completed one those of the object
  uint64_t bytes = 0;
  std::optional<CompletedSet> completed;
  // Whose tallies the streams of the same parts are in, and which; nothing of sets that are older than tallies.
  std::string bucket = {};
  std::optional<Tallies> tallies = {};
};

// Parts that nothing refers to any more: all of a set, and the set with them; or those that Complete left out.
struct DropRecord {
  std::vector<uint32_t> numbers;  // rising; empty: all
};

std::string uploads_prefix(std::string_view bucket);
std::string upload_key(std::string_view bucket, std::string_view key, const UploadId& id);
struct UploadPlace {
  std::string_view key;
  UploadId id;
};
// What a view key that starts with uploads_prefix(bucket) of `prefix_bytes` names; nothing if it does not end as it must.
std::optional<UploadPlace> upload_place_of(std::string_view view_key, size_t prefix_bytes);

std::string part_key(const UploadId& id, uint32_t number);  // 0: the set
inline std::string part_set_key(const UploadId& id) {
  return part_key(id, 0);
}
// The number that a key under q/ ends with; nothing if it is no such key.
std::optional<uint32_t> part_number_of(std::string_view view_key);
std::string drop_key(const UploadId& id);
std::optional<UploadId> drop_of(std::string_view view_key);

// 32 hexadecimal digits, as clients see it; nothing else is an id.
std::string upload_text(const UploadId& id);
std::optional<UploadId> parse_upload_id(std::string_view text);

std::string encode(const UploadRecord& record);
Result<UploadRecord> decode_upload(std::string_view bytes);
std::string encode(const PartRecord& record);
// `with_slice` false: without it, for listings.
Result<PartRecord> decode_part(std::string_view bytes, bool with_slice = true);
std::string encode(const PartSetRecord& record);
Result<PartSetRecord> decode_part_set(std::string_view bytes);
std::string encode(const DropRecord& record);
Result<DropRecord> decode_drop(std::string_view bytes);

}  // namespace archipel::store
