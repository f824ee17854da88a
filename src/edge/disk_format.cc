#include "edge/disk_format.h"

#include <algorithm>

#include "crypto/checksum.h"
#include "edge/crc_seal.h"

namespace archipel::edge::disk {
namespace {

constexpr std::string_view kIdentityMagic = "ARCHEDGI";
constexpr std::string_view kRegionMagic = "ARCHEDGR";
constexpr std::string_view kTrailerMagic = "ARCHEDGF";
constexpr uint32_t kRecordMagic = 0x41454352;  // "AECR"
constexpr uint8_t kVersion = 1;
constexpr uint32_t kKindShift = 28;
constexpr size_t kFieldsMax = 1000;  // more than any head holds

uint32_t crc32c(ByteView bytes) {
  crypto::Crc32c crc;
  crc.update(bytes);
  return crc.value();
}

// The bytes before the checksum at the end of `bytes`, if it holds.
std::optional<ByteView> sealed(ByteView bytes, size_t size) {
  if (bytes.size() < size || !has_good_crc(bytes.first(size))) return std::nullopt;
  return bytes.first(size - kCrcBytes);
}

bool only_zeros(Reader& in) {
  ByteView rest = in.raw(in.remaining());
  return std::ranges::all_of(rest, [](uint8_t b) { return b == 0; });
}

bool is_kind(uint8_t kind) {
  return kind >= static_cast<uint8_t>(Kind::entry) && kind <= static_cast<uint8_t>(Kind::gone);
}

}  // namespace

std::string encode_identity(const Identity& identity) {
  std::string out;
  Writer(out).raw(kIdentityMagic).u8(kVersion).raw(identity.id).raw(identity.secret.bytes);
  pad_and_seal(out, 0, 64);
  return out;
}

std::optional<Identity> decode_identity(ByteView bytes) {
  std::optional<ByteView> inside = bytes.size() == 64 ? sealed(bytes, 64) : std::nullopt;
  if (!inside) return std::nullopt;
  Reader in(*inside);
  Identity out;
  if (as_text(in.raw(8)) != kIdentityMagic || in.u8() != kVersion) return std::nullopt;
  in.fixed(out.id);
  in.fixed(out.secret.bytes);
  if (!only_zeros(in)) return std::nullopt;
  return out;
}

std::string encode_region_header(const CacheId& id, uint64_t sequence) {
  std::string out;
  Writer(out).raw(kRegionMagic).u8(kVersion).raw(id).u64(sequence);
  pad_and_seal(out, 0, kRegionHeaderBytes);
  return out;
}

std::optional<uint64_t> decode_region_header(ByteView bytes, const CacheId& id) {
  std::optional<ByteView> inside = sealed(bytes, kRegionHeaderBytes);
  if (!inside) return std::nullopt;
  Reader in(*inside);
  if (as_text(in.raw(8)) != kRegionMagic || in.u8() != kVersion) return std::nullopt;
  if (!std::ranges::equal(in.raw(id.size()), id)) return std::nullopt;
  const uint64_t sequence = in.u64();
  if (sequence == 0 || !only_zeros(in)) return std::nullopt;
  return sequence;
}

void append_record_header(std::string& out, const RecordHeader& header) {
  const size_t from = out.size();
  Writer w(out);
  w.u32(kRecordMagic).u8(static_cast<uint8_t>(header.kind)).u8(0).u16(0).u64(header.sequence);
  w.u64(header.key.high).u64(header.key.low).u64(header.id).u32(header.index);
  w.u32(header.body_bytes)
      .u32(header.meta_bytes)
      .u32(header.payload_crc)
      .u64(header.stamp)
      .u64(header.expires);
  pad_and_seal(out, from, kRecordHeaderBytes);
}

std::optional<RecordHeader> decode_record_header(ByteView bytes) {
  std::optional<ByteView> inside = sealed(bytes, kRecordHeaderBytes);
  if (!inside) return std::nullopt;
  Reader in(*inside);
  RecordHeader out;
  if (in.u32() != kRecordMagic) return std::nullopt;
  const uint8_t kind = in.u8();
  if (!is_kind(kind) || in.u8() != 0 || in.u16() != 0) return std::nullopt;
  out.kind = static_cast<Kind>(kind);
  out.sequence = in.u64();
  out.key.high = in.u64();
  out.key.low = in.u64();
  out.id = in.u64();
  out.index = in.u32();
  out.body_bytes = in.u32();
  out.meta_bytes = in.u32();
  out.payload_crc = in.u32();
  out.stamp = in.u64();
  out.expires = in.u64();
  if (!only_zeros(in) || out.body_bytes > kBodyBytesMax || out.meta_bytes > kMetaBytesMax ||
      out.stamp > kStampMax)
    return std::nullopt;
  return out;
}

uint32_t payload_crc(ByteView body, ByteView meta) {
  crypto::Crc32c crc;
  crc.update(body);
  crc.update(meta);
  return crc.value();
}

std::string encode_footer(const CacheId& id, uint64_t sequence, const std::vector<Item>& items,
                          uint64_t stamp_min, uint64_t stamp_max) {
  std::string out;
  out.reserve(footer_bytes(items.size()));
  Writer w(out);
  for (const Item& item : items)
    w.u64(item.hash)
        .u32(static_cast<uint32_t>(item.kind) << kKindShift | item.unit)
        .u32(item.bytes)
        .u64(item.expires);
  const uint32_t table_crc = crc32c(as_bytes(out));
  const auto table_at = static_cast<uint32_t>(kRegionBytes - footer_bytes(items.size()));
  const size_t from = out.size();
  w.raw(kTrailerMagic).raw(id).u64(sequence).u32(static_cast<uint32_t>(items.size()));
  w.u64(stamp_min).u64(stamp_max).u32(table_crc).u32(table_at);
  pad_and_seal(out, from, kTrailerBytes);
  return out;
}

std::optional<Trailer> decode_trailer(ByteView bytes, const CacheId& id, uint64_t sequence) {
  std::optional<ByteView> inside = sealed(bytes, kTrailerBytes);
  if (!inside) return std::nullopt;
  Reader in(*inside);
  if (as_text(in.raw(8)) != kTrailerMagic) return std::nullopt;
  if (!std::ranges::equal(in.raw(id.size()), id)) return std::nullopt;
  Trailer out;
  out.sequence = in.u64();
  out.items = in.u32();
  out.stamp_min = in.u64();
  out.stamp_max = in.u64();
  out.table_crc = in.u32();
  out.table_at = in.u32();
  constexpr uint32_t kItemsMax = (kRegionBytes - kRegionHeaderBytes - kTrailerBytes) / kItemBytes;
  if (out.sequence != sequence || out.items > kItemsMax || out.stamp_max > kStampMax) return std::nullopt;
  if (out.table_at != kRegionBytes - footer_bytes(out.items)) return std::nullopt;
  return out;
}

std::optional<std::vector<Item>> decode_table(ByteView bytes, const Trailer& trailer) {
  if (bytes.size() != size_t{trailer.items} * kItemBytes || crc32c(bytes) != trailer.table_crc)
    return std::nullopt;
  std::vector<Item> items(trailer.items);
  Reader in(bytes);
  for (Item& item : items) {
    item.hash = in.u64();
    const uint32_t where = in.u32();
    item.bytes = in.u32();
    item.expires = in.u64();
    item.unit = where & ((1u << kKindShift) - 1);
    const auto kind = static_cast<uint8_t>(where >> kKindShift);
    const uint64_t from = uint64_t{item.unit} * kUnit;
    if (!is_kind(kind) || item.bytes < kRecordHeaderBytes || item.bytes > kRecordBytesMax)
      return std::nullopt;
    if (from < kRegionHeaderBytes || from + item.bytes > trailer.table_at) return std::nullopt;
    item.kind = static_cast<Kind>(kind);
  }
  return items;
}

// --- entries

namespace {

enum Flags : uint8_t {
  kHasLength = 1,
  kHasLastModified = 2,
  kRanges = 4,
  kHeuristic = 8,
  kValidateAlways = 16,
  kNeverStale = 32,
};
constexpr uint8_t kAllFlags = 63;

void write_texts(Writer& w, const std::vector<std::string>& texts) {
  w.varint(texts.size());
  for (const std::string& text : texts) w.bytes(text);
}

bool read_texts(Reader& in, size_t count_max, std::vector<std::string>& out) {
  const uint64_t count = in.varint();
  if (!in.ok() || count > count_max) return false;
  for (uint64_t i = 0; i < count && in.ok(); ++i) out.emplace_back(in.bytes());
  return in.ok();
}

}  // namespace

std::string encode_entry(const Entry& entry) {
  // Whoever adds a field to Entry adds it here, and a version of the record's kind.
  static_assert(sizeof(Entry) == 352);
  std::string out;
  out.reserve(512 + entry.h1_head.size() * 2 + entry.key.size());
  Writer w(out);
  const Lifetime& life = entry.lifetime;
  const int flags = (entry.length ? kHasLength : 0) | (entry.last_modified ? kHasLastModified : 0) |
                    (entry.ranges ? kRanges : 0) | (life.heuristic ? kHeuristic : 0) |
                    (life.validate_always ? kValidateAlways : 0) | (life.never_stale ? kNeverStale : 0);
  w.u8(static_cast<uint8_t>(flags)).u64(entry.id).u16(static_cast<uint16_t>(entry.status));
  w.u64(entry.length.value_or(0)).u64(static_cast<uint64_t>(entry.last_modified.value_or(0)));
  for (int64_t number : {life.received, life.age_then, life.fresh, life.while_revalidate, life.if_error})
    w.u64(static_cast<uint64_t>(number));
  w.bytes(entry.key).bytes(entry.site).bytes(entry.etag).bytes(entry.h1_head);
  write_texts(w, entry.tags);
  write_texts(w, entry.groups);
  w.varint(entry.headers.size());
  for (const auto& [name, value] : entry.headers) w.bytes(name).bytes(value);
  return out;
}

std::shared_ptr<Entry> decode_entry(ByteView bytes) {
  Reader in(bytes);
  auto entry = std::make_shared<Entry>();
  const uint8_t flags = in.u8();
  entry->id = in.u64();
  entry->status = in.u16();
  const uint64_t length = in.u64();
  const auto last_modified = static_cast<UnixMs>(in.u64());
  if (flags & kHasLength) entry->length = length;
  if (flags & kHasLastModified) entry->last_modified = last_modified;
  if (length != entry->length.value_or(0) || last_modified != entry->last_modified.value_or(0))
    return nullptr;
  entry->ranges = flags & kRanges;
  Lifetime& life = entry->lifetime;
  for (int64_t* number :
       {&life.received, &life.age_then, &life.fresh, &life.while_revalidate, &life.if_error})
    *number = static_cast<int64_t>(in.u64());
  life.heuristic = flags & kHeuristic;
  life.validate_always = flags & kValidateAlways;
  life.never_stale = flags & kNeverStale;
  entry->key = in.bytes();
  entry->site = in.bytes();
  entry->etag = in.bytes();
  entry->h1_head = in.bytes();
  if ((flags & ~kAllFlags) != 0 || !read_texts(in, kTagsMax, entry->tags)) return nullptr;
  if (!read_texts(in, kFieldsMax, entry->groups)) return nullptr;
  const uint64_t fields = in.varint();
  if (!in.ok() || fields > kFieldsMax) return nullptr;
  for (uint64_t i = 0; i < fields && in.ok(); ++i) {
    std::string name(in.bytes());
    std::string value(in.bytes());
    entry->headers.add(std::move(name), std::move(value));
  }
  if (!in.done()) return nullptr;
  // Not on disk: it is quickly made.
  entry->write_h2_head();
  return entry;
}

std::string encode_variants(const Variants& variants) {
  std::string out;
  Writer w(out);
  w.bytes(variants.key).varint(variants.names.size());
  for (const auto& set : variants.names) write_texts(w, set);
  return out;
}

std::shared_ptr<Variants> decode_variants(ByteView bytes) {
  Reader in(bytes);
  auto out = std::make_shared<Variants>();
  out->key = in.bytes();
  const uint64_t sets = in.varint();
  if (!in.ok() || sets > kVarySetsMax) return nullptr;
  out->names.resize(sets);
  for (auto& set : out->names)
    if (!read_texts(in, kFieldsMax, set)) return nullptr;
  return in.done() ? out : nullptr;
}

uint64_t expires_of(const Entry& entry) {
  if (!entry.etag.empty() || entry.last_modified) return 0;
  const Lifetime& life = entry.lifetime;
  const int64_t extra = life.never_stale ? 0 : std::max(life.while_revalidate, life.if_error);
  // Far beyond any clock: lifetimes are whatever an origin says.
  constexpr int64_t kFar = int64_t{1} << 52;
  const int64_t end = life.received - life.age_then + std::clamp<int64_t>(life.fresh, 0, kFar) +
                      std::clamp<int64_t>(extra, 0, kFar);
  return end <= 0 ? 1 : static_cast<uint64_t>(end);
}

}  // namespace archipel::edge::disk
