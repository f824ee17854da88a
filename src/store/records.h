// Records: the values of the view, byte by byte in docs/formats/view.md.
//
// Decoders take bytes that came out of the journal, authenticated; they still believe nothing: any length, count or sum that does
// not fit is `corrupt`, never a crash. Pure functions; thread-safe.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "crypto/stream.h"
#include "index/committer.h"
#include "store/store.h"

namespace archipel::store {

struct BucketRecord {
  std::string owner;
  UnixMs created_ms = 0;
};

using VersionId = std::array<uint8_t, 16>;

// A run of whole segments of one stream in one data extent: segment first_segment + i is cell i of the extent.
struct ExtentRun {
  extent::ExtentRef ref;
  uint64_t first_segment = 0;
  uint64_t segments = 0;
};

// Where a stream's sealed segments lie: one location per segment (small bodies), or runs that follow each other. Exactly one is
// not empty; both are only for a slice that is still being written.
struct Storage {
  std::vector<index::SmallLocation> small;
  std::vector<ExtentRun> extents;
};

// One stream of a version, with the data key wrapped for that version.
struct Slice {
  crypto::StreamInfo stream;
  std::array<uint8_t, 60> wrapped_key{};
  uint32_t kek_slot = 0;
  uint32_t kek_generation = 1;
  Storage storage;
};

// An object. The slices follow each other; an empty object has none.
struct VersionRecord {
  VersionId version_id{};
  ObjectInfo info;
  std::vector<Slice> slices;
};

// Sealed bytes of segments [first, first + count) of a stream.
uint64_t sealed_bytes(const crypto::StreamInfo& stream, uint64_t first, uint64_t count);
// Plaintext bytes of one segment.
uint32_t segment_bytes(const crypto::StreamInfo& stream, uint64_t segment);

std::string encode(const BucketRecord& record);
Result<BucketRecord> decode_bucket(std::string_view bytes);

// Without the access key, which is the view's key. The secret is sealed under the keyring's sub-key "accounts" and bound to the rest
// of the record: who reads the view's files learns no secret, and who changes them or moves a record makes it `corrupt`.
std::string encode(const Account& account, const crypto::Keyring& keys, Random& random);
Result<Account> decode_account(std::string_view bytes, std::string access_key, const crypto::Keyring& keys);

// How much of a version a caller needs: listings read neither maps nor slices, HEAD no slices.
enum class Depth { listing, info, all };
std::string encode(const VersionRecord& record);
Result<VersionRecord> decode_version(std::string_view bytes, Depth depth = Depth::all);

// An ExtentRef as every record here holds it. read_ref: false if it cannot be one.
void write_ref(Writer& writer, const extent::ExtentRef& ref);
bool read_ref(Reader& reader, extent::ExtentRef& ref);

// A slice, and a map of names and values, as every record here holds them. read_…: false if it cannot be one.
void write_slice(Writer& writer, const Slice& slice);
bool read_slice(Reader& reader, Slice& slice);
using StringMap = std::map<std::string, std::string>;
void write_map(Writer& writer, const StringMap& map);
bool read_map(Reader& reader, StringMap& map);

std::string encode_count(uint64_t count);
Result<uint64_t> decode_count(std::string_view bytes);

}  // namespace archipel::store
