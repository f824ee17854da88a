// Records: the values of the view, byte by byte in docs/formats/view.md.
//
// Decoders take bytes that came out of the journal, authenticated; they still believe nothing: any length, count or sum that does
// not fit is `corrupt`, never a crash. Pure functions; thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "crypto/stream.h"
#include "index/committer.h"
#include "store/identity_records.h"
#include "store/store.h"
#include "store/tallies.h"

namespace archipel::store {

struct BucketRecord {
  std::string owner;
  UnixMs created_ms = 0;
  Versioning versioning = Versioning::never;
  bool object_lock = false;
  Quota quota = {};
};

// How much a bucket or an account keeps. `limit` is an account's; a bucket's quota is in its own record.
struct UsageRecord {
  Usage used;
  Quota limit = {};
  std::optional<Tallies> tallies = {};  // of a bucket; none: it is older than they are, and who asks counts
};

using VersionId = std::array<uint8_t, 16>;

// A run of whole segments of one stream in one data extent: segment first_segment + i is cell i of the extent. The extents of one stream
// share code and homes.
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

// The parts of a completed upload lie where they were uploaded to: under the id of that upload, each with its own record.
using PartSetId = std::array<uint8_t, 16>;
struct PartRef {
  uint32_t number = 0;  // 1..kPartNumberMax, rising
  uint64_t size = 0;
  std::string checksum;  // raw; of the kind that info.checksum names, or empty
};

// An object, or a delete marker. The bytes of an object are in its slices, which follow each other, or in the parts of its part set; an
// empty object has neither, and a marker never.
struct VersionRecord {
  VersionId version_id{};
  // Rises with every version of a key; 0 in records of format 1. It and the id make the name that clients see, but the null version's.
  uint64_t order = 0;
  bool null = true;
  ObjectInfo info;             // `latest` is not of the record
  std::string key_commitment;  // of the customer's key, if info.encryption says that there is one
  std::vector<Slice> slices;
  std::optional<PartSetId> part_set;
  std::vector<PartRef> parts;  // empty without a part set
};

// What a client calls a version: "null", or order and the first half of its id.
std::string version_text(const VersionRecord& record);
struct VersionText {
  bool null = false;
  uint64_t order = 0;
  std::array<uint8_t, 8> id{};
  bool names(const VersionRecord& record) const {
    if (null || record.null) return null == record.null;
    return order == record.order && std::equal(id.begin(), id.end(), record.version_id.begin());
  }
};
// InvalidArgument: no version can be called so.
Result<VersionText> parse_version(std::string_view text);

// Sealed bytes of segments [first, first + count) of a stream.
uint64_t sealed_bytes(const crypto::StreamInfo& stream, uint64_t first, uint64_t count);
// Plaintext bytes of one segment.
uint32_t segment_bytes(const crypto::StreamInfo& stream, uint64_t segment);

// A bucket or version that format 1 can hold is written in it.
std::string encode(const BucketRecord& record);
Result<BucketRecord> decode_bucket(std::string_view bytes);
std::string encode(const UsageRecord& record);
Result<UsageRecord> decode_usage(std::string_view bytes);
// A document that configures a bucket.
std::string encode_config(std::string_view document);
Result<std::string> decode_config(std::string_view bytes);

// How much of a version a caller needs: listings read neither maps nor slices (of the attributes only owner, retention and hold), HEAD no
// slices and no list of parts. The name that clients see is in info.version.
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
