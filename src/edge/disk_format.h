// Bytes of the disk tier: regions, records, footers, the identity file, entries and variants. Pure functions over bytes that may be anybody's; every
// decoder checks lengths and checksums, and refuses rather than guesses. docs/formats/edge-disk.md
//
// A region: header (64 bytes), records one after the other, each at a multiple of 64; when it is full, a table of them and a trailer in its last 64 bytes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "edge/entry.h"
#include "edge/key.h"

namespace archipel::edge::disk {

inline constexpr uint32_t kRegionBytes = 16u << 20;
inline constexpr uint32_t kUnit = 64;  // records begin at multiples of it
inline constexpr uint32_t kRegionHeaderBytes = 64;
inline constexpr uint32_t kRecordHeaderBytes = 96;
inline constexpr uint32_t kItemBytes = 24;
inline constexpr uint32_t kTrailerBytes = 64;
inline constexpr uint32_t kMetaBytesMax = 512u << 10;
inline constexpr uint32_t kBodyBytesMax = static_cast<uint32_t>(kSliceBytes);
// No number of a purge is as high: one that is would make the numbers after it start from 0, and purges without effect.
inline constexpr uint64_t kStampMax = uint64_t{1} << 62;
inline constexpr uint32_t kRecordBytesMax = kRecordHeaderBytes + kBodyBytesMax + kMetaBytesMax;

using CacheId = std::array<uint8_t, 16>;

// Of a directory: made once, with it.
struct Identity {
  CacheId id{};
  HashSecret secret;
  bool operator==(const Identity& other) const {
    return id == other.id && secret.bytes == other.secret.bytes;
  }
};
std::string encode_identity(const Identity& identity);
std::optional<Identity> decode_identity(ByteView bytes);

// `sequence` counts the regions that were begun; 0 is none.
std::string encode_region_header(const CacheId& id, uint64_t sequence);
// The sequence; nothing if it is not a header of this cache.
std::optional<uint64_t> decode_region_header(ByteView bytes, const CacheId& id);

enum class Kind : uint8_t { entry = 1, slice = 2, variants = 3, gone = 4 };

struct RecordHeader {
  Kind kind = Kind::entry;
  uint64_t sequence = 0;  // of the region
  Key key;
  uint64_t id = 0;     // of the entry
  uint32_t index = 0;  // of the slice
  uint32_t body_bytes = 0, meta_bytes = 0;
  uint64_t stamp = 0;        // clean of purges up to there
  uint64_t expires = 0;      // ms since 1970 when it is of no use any more; 0: not known
  uint32_t payload_crc = 0;  // CRC-32C of body and meta
  uint32_t bytes() const { return kRecordHeaderBytes + body_bytes + meta_bytes; }
  uint32_t units() const { return (bytes() + kUnit - 1) / kUnit; }
  bool operator==(const RecordHeader&) const = default;
};
// kRecordHeaderBytes of them.
void append_record_header(std::string& out, const RecordHeader& header);
std::optional<RecordHeader> decode_record_header(ByteView bytes);
uint32_t payload_crc(ByteView body, ByteView meta);

// What the table of a region says of one record.
struct Item {
  uint64_t hash = 0;  // Key::low
  Kind kind = Kind::entry;
  uint32_t unit = 0;   // where it begins in the region
  uint32_t bytes = 0;  // RecordHeader::bytes()
  uint64_t expires = 0;
  bool operator==(const Item&) const = default;
};
struct Trailer {
  uint64_t sequence = 0;
  uint32_t items = 0, table_at = 0;  // in bytes from the region's beginning
  uint64_t stamp_min = 0, stamp_max = 0;
  uint32_t table_crc = 0;
};
// The table and the trailer, as they end a region: the trailer is the region's end.
std::string encode_footer(const CacheId& id, uint64_t sequence, const std::vector<Item>& items,
                          uint64_t stamp_min, uint64_t stamp_max);
inline constexpr uint32_t footer_bytes(size_t items) {
  return static_cast<uint32_t>(items) * kItemBytes + kTrailerBytes;
}
std::optional<Trailer> decode_trailer(ByteView bytes, const CacheId& id, uint64_t sequence);
std::optional<std::vector<Item>> decode_table(ByteView bytes, const Trailer& trailer);

std::string encode_entry(const Entry& entry);
// Without a stamp: the record's header has it. nullptr: damaged.
std::shared_ptr<Entry> decode_entry(ByteView bytes);
std::string encode_variants(const Variants& variants);
std::shared_ptr<Variants> decode_variants(ByteView bytes);
// When nothing can be done with it any more; 0: it can be validated, or it is not known.
uint64_t expires_of(const Entry& entry);

}  // namespace archipel::edge::disk
