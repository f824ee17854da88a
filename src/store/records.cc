#include "store/records.h"

#include "crypto/aead.h"

namespace archipel::store {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint8_t kFormatVersioned = 2;  // of buckets and versions
constexpr uint8_t kFormatTallied = 2;    // of usage
constexpr uint8_t kKindObject = 1;
constexpr uint8_t kKindMarker = 2;
constexpr uint8_t kFlagNull = 1;
constexpr uint8_t kStorageSmall = 1;
constexpr uint8_t kStorageExtents = 2;
constexpr uint8_t kStorageExtentsWithHomes = 3;
constexpr uint8_t kRefDataWithHomes = 2;  // beside the kinds of ExtentRef

// Limits of decoding: no count is believed before there are bytes enough for it.
constexpr size_t kNameBytesMax = 1024;
constexpr size_t kValueBytesMax = 16u << 10;
constexpr uint64_t kMapEntriesMax = 1024;
constexpr uint64_t kSlicesMax = 10'000;     // parts of a multipart upload (S3)
constexpr uint64_t kSmallLocationsMax = 4;  // of one intent
constexpr size_t kAclBytesMax = 256u << 10;
constexpr size_t kChecksumBytesMax = 64;
constexpr uint64_t kExtentsMax = 1u << 16;  // 5 GiB in extents of 1 MiB are 5,120

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(Code::corrupt,
              "the view holds a damaged " + std::string(what) +
                  " record; delete the index directory, it will be rebuilt from the journal",
              "InternalError");
}

// A record of a later format than `known` is not damaged: a later program wrote it.
Result<void> check_format(uint8_t format, uint8_t known, std::string_view what) {
  if (format >= kFormat && format <= known) return {};
  return fail(Code::unsupported,
              "the view holds a " + std::string(what) + " record of format " + std::to_string(format) +
                  ", which this program does not know; use the program that wrote it",
              "InternalError");
}

void write_small(Writer& writer, const std::vector<index::SmallLocation>& small) {
  writer.u8(kStorageSmall).varint(small.size());
  for (const index::SmallLocation& location : small) {
    write_ref(writer, location.section);
    writer.varint(location.offset).varint(location.length);
  }
}

bool read_small(Reader& reader, std::vector<index::SmallLocation>& small) {
  uint64_t count = reader.varint();
  if (!reader.ok() || count == 0 || count > kSmallLocationsMax) return false;
  for (uint64_t i = 0; i < count; ++i) {
    index::SmallLocation& location = small.emplace_back();
    if (!read_ref(reader, location.section)) return false;
    location.offset = reader.varint();
    location.length = reader.varint();
    uint64_t end = location.section.geometry.length;
    if (!reader.ok() || location.length > extent::kSegmentSealed || location.offset > end ||
        location.length > end - location.offset)
      return false;
  }
  return true;
}

// Extents of one stream share their code, homes and cell size; base and open are 0 in data extents; first segments add up.
void write_extents(Writer& writer, const std::vector<ExtentRun>& extents) {
  const extent::Geometry& common = extents.front().ref.geometry;
  const extent::Homes& homes = extents.front().ref.homes;
  writer.u8(homes.standard() ? kStorageExtents : kStorageExtentsWithHomes)
      .u8(static_cast<uint8_t>(common.code.n))
      .u8(static_cast<uint8_t>(common.code.k));
  if (!homes.standard()) extent::write_homes(writer, homes, common.code.n);
  writer.varint(common.cell_bytes);
  writer.varint(extents.size());
  for (const ExtentRun& run : extents) {
    CHECK(run.ref.kind == extent::ExtentRef::Kind::data);
    CHECK(run.ref.geometry.code == common.code && run.ref.geometry.cell_bytes == common.cell_bytes);
    CHECK(run.ref.homes == homes);
    writer.varint(run.ref.id.epoch).varint(run.ref.id.counter).raw(ByteView(run.ref.attempt));
    writer.varint(run.ref.geometry.length).varint(run.ref.confirmed).varint(run.segments);
  }
}

bool read_extents(Reader& reader, bool with_homes, std::vector<ExtentRun>& extents) {
  extent::Geometry common;
  extent::Homes homes;
  common.code.n = reader.u8();
  common.code.k = reader.u8();
  if (with_homes && !extent::read_homes(reader, common.code.n, homes)) return false;
  uint64_t cell_bytes = reader.varint();
  uint64_t count = reader.varint();
  if (!reader.ok() || cell_bytes > UINT32_MAX || count == 0 || count > kExtentsMax) return false;
  common.cell_bytes = static_cast<uint32_t>(cell_bytes);
  uint64_t first_segment = 0;
  for (uint64_t i = 0; i < count; ++i) {
    ExtentRun& run = extents.emplace_back();
    run.ref.geometry = common;
    run.ref.homes = homes;
    run.ref.id.epoch = reader.varint();
    run.ref.id.counter = reader.varint();
    reader.fixed(run.ref.attempt);
    run.ref.geometry.length = reader.varint();
    uint64_t confirmed = reader.varint();
    run.segments = reader.varint();
    run.first_segment = first_segment;
    if (!reader.ok() || confirmed > UINT32_MAX || !extent::check_geometry(run.ref.geometry)) return false;
    if (run.segments == 0 || run.segments != run.ref.geometry.cells()) return false;
    run.ref.confirmed = static_cast<uint32_t>(confirmed);
    first_segment += run.segments;
  }
  return true;
}

void write_storage(Writer& writer, const Storage& storage) {
  CHECK(storage.small.empty() != storage.extents.empty());
  if (!storage.small.empty())
    write_small(writer, storage.small);
  else
    write_extents(writer, storage.extents);
}

bool read_storage(Reader& reader, Storage& storage) {
  switch (reader.u8()) {
    case kStorageSmall:
      return read_small(reader, storage.small);
    case kStorageExtents:
      return read_extents(reader, false, storage.extents);
    case kStorageExtentsWithHomes:
      return read_extents(reader, true, storage.extents);
    default:
      return false;
  }
}

// The storage holds exactly the stream's segments.
bool covers(const Slice& slice) {
  const crypto::StreamInfo& stream = slice.stream;
  if (stream.length == 0 || stream.length > kObjectBytesMax) return false;
  if (stream.segments != (stream.length + extent::kSegmentPlain - 1) / extent::kSegmentPlain) return false;
  if (!slice.storage.small.empty()) {
    if (slice.storage.small.size() != stream.segments) return false;
    for (uint64_t i = 0; i < stream.segments; ++i)
      if (slice.storage.small[i].length != sealed_bytes(stream, i, 1)) return false;
    return true;
  }
  uint64_t next = 0;
  for (const ExtentRun& run : slice.storage.extents) {
    if (run.segments > stream.segments - next) return false;
    if (run.ref.geometry.cell_bytes != extent::kSegmentSealed) return false;
    if (run.ref.geometry.length != sealed_bytes(stream, next, run.segments)) return false;
    next += run.segments;
  }
  return next == stream.segments;
}

}  // namespace

void write_slice(Writer& writer, const Slice& slice) {
  const crypto::StreamInfo& stream = slice.stream;
  writer.raw(ByteView(stream.data_id)).raw(ByteView(stream.salt)).raw(ByteView(stream.commitment));
  writer.varint(stream.suite).varint(stream.length).varint(stream.segments);
  writer.raw(ByteView(slice.wrapped_key)).varint(slice.kek_slot).varint(slice.kek_generation);
  write_storage(writer, slice.storage);
}

bool read_slice(Reader& reader, Slice& slice) {
  crypto::StreamInfo& stream = slice.stream;
  reader.fixed(stream.data_id);
  reader.fixed(stream.salt);
  reader.fixed(stream.commitment);
  uint64_t suite = reader.varint();
  stream.length = reader.varint();
  stream.segments = reader.varint();
  reader.fixed(slice.wrapped_key);
  uint64_t slot = reader.varint();
  uint64_t generation = reader.varint();
  if (!reader.ok() || suite != crypto::kSuiteAes256Gcm || slot >= crypto::kKekSlots ||
      generation > UINT32_MAX)
    return false;
  stream.suite = static_cast<uint16_t>(suite);
  slice.kek_slot = static_cast<uint32_t>(slot);
  slice.kek_generation = static_cast<uint32_t>(generation);
  return read_storage(reader, slice.storage) && covers(slice);
}

void write_map(Writer& writer, const StringMap& map) {
  writer.varint(map.size());
  for (const auto& [name, value] : map) writer.bytes(name).bytes(value);
}

bool read_map(Reader& reader, StringMap& map) {
  uint64_t count = reader.varint();
  if (!reader.ok() || count > kMapEntriesMax) return false;
  for (uint64_t i = 0; i < count; ++i) {
    std::string_view name = reader.bytes(kNameBytesMax * 2);
    std::string_view value = reader.bytes(kValueBytesMax);
    if (!reader.ok()) return false;
    map.emplace_hint(map.end(), name, value);
  }
  return true;
}

void write_ref(Writer& writer, const extent::ExtentRef& ref) {
  const bool homes = !ref.homes.standard();
  CHECK(!homes || ref.kind == extent::ExtentRef::Kind::data);
  writer.u8(homes ? kRefDataWithHomes : static_cast<uint8_t>(ref.kind))
      .varint(ref.id.epoch)
      .varint(ref.id.counter)
      .raw(ByteView(ref.attempt));
  writer.u8(static_cast<uint8_t>(ref.geometry.code.n)).u8(static_cast<uint8_t>(ref.geometry.code.k));
  writer.varint(ref.geometry.cell_bytes).varint(ref.geometry.length).varint(ref.confirmed).varint(ref.base);
  if (ref.kind == extent::ExtentRef::Kind::section) writer.raw(ByteView(ref.open));
  if (homes) extent::write_homes(writer, ref.homes, ref.geometry.code.n);
}

bool read_ref(Reader& reader, extent::ExtentRef& ref) {
  uint8_t kind = reader.u8();
  if (kind > kRefDataWithHomes) return false;
  ref.kind =
      kind == kRefDataWithHomes ? extent::ExtentRef::Kind::data : static_cast<extent::ExtentRef::Kind>(kind);
  ref.id.epoch = reader.varint();
  ref.id.counter = reader.varint();
  reader.fixed(ref.attempt);
  ref.geometry.code.n = reader.u8();
  ref.geometry.code.k = reader.u8();
  uint64_t cell_bytes = reader.varint();
  ref.geometry.length = reader.varint();
  uint64_t confirmed = reader.varint();
  uint64_t base = reader.varint();
  if (ref.kind == extent::ExtentRef::Kind::section) reader.fixed(ref.open);
  if (kind == kRefDataWithHomes && !extent::read_homes(reader, ref.geometry.code.n, ref.homes)) return false;
  if (!reader.ok() || cell_bytes > UINT32_MAX || confirmed > UINT32_MAX || base > UINT32_MAX) return false;
  ref.geometry.cell_bytes = static_cast<uint32_t>(cell_bytes);
  ref.confirmed = static_cast<uint32_t>(confirmed);
  ref.base = static_cast<uint32_t>(base);
  return extent::check_geometry(ref.geometry).has_value();
}

uint32_t segment_bytes(const crypto::StreamInfo& stream, uint64_t segment) {
  uint64_t start = segment * extent::kSegmentPlain;
  return start >= stream.length
             ? 0
             : static_cast<uint32_t>(std::min<uint64_t>(extent::kSegmentPlain, stream.length - start));
}

uint64_t sealed_bytes(const crypto::StreamInfo& stream, uint64_t first, uint64_t count) {
  uint64_t start = std::min(first * extent::kSegmentPlain, stream.length);
  uint64_t end = std::min((first + count) * extent::kSegmentPlain, stream.length);
  return end - start + count * extent::kTagBytes;
}

std::string encode(const BucketRecord& record) {
  std::string out;
  Writer writer(out);
  const Quota& quota = record.quota;
  const bool plain = record.versioning == Versioning::never && !record.object_lock && quota.bytes == 0 &&
                     quota.versions == 0;
  writer.u8(plain ? kFormat : kFormatVersioned)
      .bytes(record.owner)
      .u64(static_cast<uint64_t>(record.created_ms));
  if (plain) return out;
  writer.u8(static_cast<uint8_t>(record.versioning)).u8(record.object_lock ? 1 : 0);
  writer.varint(quota.bytes).varint(quota.versions);
  return out;
}

Result<BucketRecord> decode_bucket(std::string_view bytes) {
  Reader reader(bytes);
  BucketRecord record;
  uint8_t format = reader.u8();
  if (reader.ok()) RETURN_IF_ERROR(check_format(format, kFormatVersioned, "bucket"));
  record.owner = reader.bytes(kNameBytesMax);
  record.created_ms = static_cast<UnixMs>(reader.u64());
  if (format == kFormatVersioned) {
    uint8_t versioning = reader.u8();
    uint8_t object_lock = reader.u8();
    record.quota = {reader.varint(), reader.varint()};
    const bool fits = versioning <= static_cast<uint8_t>(Versioning::suspended) && object_lock <= 1;
    record.versioning = static_cast<Versioning>(versioning);
    record.object_lock = object_lock == 1;
    const bool something =
        versioning != 0 || record.object_lock || record.quota.bytes != 0 || record.quota.versions != 0;
    if (!fits || !something || (record.object_lock && record.versioning != Versioning::enabled))
      return corrupt("bucket");
  }
  if (!reader.done()) return corrupt("bucket");
  return record;
}

std::string encode(const UsageRecord& record) {
  std::string out;
  Writer writer(out);
  writer.u8(record.tallies ? kFormatTallied : kFormat)
      .varint(record.used.bytes)
      .varint(record.used.versions)
      .varint(record.limit.bytes)
      .varint(record.limit.versions);
  if (record.tallies) write_tallies(writer, *record.tallies);
  return out;
}

Result<UsageRecord> decode_usage(std::string_view bytes) {
  Reader reader(bytes);
  UsageRecord record;
  uint8_t format = reader.u8();
  if (reader.ok() && format != kFormatTallied) RETURN_IF_ERROR(check_format(format, kFormat, "usage"));
  record.used = {reader.varint(), reader.varint()};
  record.limit = {reader.varint(), reader.varint()};
  if (format == kFormatTallied && !read_tallies(reader, record.tallies.emplace())) return corrupt("usage");
  if (!reader.done()) return corrupt("usage");
  return record;
}

std::string encode_config(std::string_view document) {
  std::string out;
  Writer(out).u8(kFormat).bytes(document);
  return out;
}

Result<std::string> decode_config(std::string_view bytes) {
  Reader reader(bytes);
  uint8_t format = reader.u8();
  if (reader.ok()) RETURN_IF_ERROR(check_format(format, kFormat, "bucket configuration"));
  std::string document(reader.bytes(kBucketConfigBytesMax));
  if (!reader.done()) return corrupt("bucket configuration");
  return document;
}

std::string version_text(const VersionRecord& record) {
  if (record.null) return "null";
  std::string raw;
  Writer(raw).u64(record.order).raw(ByteView(record.version_id).first(8));
  return hex(as_bytes(raw));
}

Result<VersionText> parse_version(std::string_view text) {
  VersionText out;
  out.null = text == "null";
  if (out.null) return out;
  std::optional<std::string> raw = text.size() == 32 ? unhex(text) : std::nullopt;
  // What is not written as version_text() writes it is not its name.
  if (!raw || hex(as_bytes(*raw)) != text)
    return fail(Code::invalid, "no version has an id like this", "InvalidArgument");
  Reader reader(*raw);
  out.order = reader.u64();
  reader.fixed(out.id);
  return out;
}

namespace {

// Nothing but what the first format has room for.
bool is_plain(const VersionRecord& record) {
  const ObjectInfo& info = record.info;
  const Attributes& a = info.attributes;
  return record.null && record.order == 0 && !info.delete_marker && !info.checksum.composite &&
         info.parts == 0 && info.encryption.kind == Encryption::Kind::none && a.tags.empty() &&
         a.acl.empty() && a.owner.empty() && a.retention.mode == Retention::Mode::none && !a.legal_hold &&
         !record.part_set;
}

void write_slices(Writer& writer, const std::vector<Slice>& slices) {
  writer.varint(slices.size());
  for (const Slice& slice : slices) write_slice(writer, slice);
}

std::string encode_plain(const VersionRecord& record) {
  std::string out;
  Writer writer(out);
  const ObjectInfo& info = record.info;
  writer.u8(kFormat).u8(kKindObject).raw(ByteView(record.version_id));
  writer.u64(static_cast<uint64_t>(info.modified_ms)).varint(info.size).bytes(info.etag);
  writer.u8(static_cast<uint8_t>(info.checksum.kind)).bytes(info.checksum.value);
  write_map(writer, info.headers);
  write_map(writer, info.metadata);
  write_slices(writer, record.slices);
  return out;
}

bool read_flag(Reader& reader, bool& flag) {
  uint8_t value = reader.u8();
  flag = value == 1;
  return reader.ok() && value <= 1;
}

// What both formats begin with, after the kind; the second has the type of the checksum too.
bool read_common(Reader& reader, bool with_type, VersionRecord& record) {
  reader.fixed(record.version_id);
  record.info.modified_ms = static_cast<UnixMs>(reader.u64());
  record.info.size = reader.varint();
  record.info.etag = reader.bytes(kNameBytesMax);
  uint8_t checksum = reader.u8();
  if (with_type && !read_flag(reader, record.info.checksum.composite)) return false;
  record.info.checksum.value = reader.bytes(kChecksumBytesMax);
  if (!reader.ok() || checksum > static_cast<uint8_t>(Checksum::Kind::sha256)) return false;
  record.info.checksum.kind = static_cast<Checksum::Kind>(checksum);
  return true;
}

// Retention and hold are read whole or the record is damaged: what cannot be read protects.
bool read_second(Reader& reader, VersionRecord& record) {
  ObjectInfo& info = record.info;
  record.order = reader.u64();
  uint8_t flags = reader.u8();
  uint64_t parts = reader.varint();
  uint8_t encryption = reader.u8();
  info.encryption.name = reader.bytes(kNameBytesMax);
  record.key_commitment = reader.bytes(kChecksumBytesMax);
  info.attributes.owner = reader.bytes(kNameBytesMax);
  uint8_t mode = reader.u8();
  info.attributes.retention.until_ms = static_cast<UnixMs>(reader.u64());
  if (!read_flag(reader, info.attributes.legal_hold)) return false;
  if (flags > kFlagNull || parts > kPartNumberMax ||
      encryption > static_cast<uint8_t>(Encryption::Kind::sse_kms) ||
      mode > static_cast<uint8_t>(Retention::Mode::compliance))
    return false;
  record.null = flags == kFlagNull;
  info.parts = static_cast<uint32_t>(parts);
  info.encryption.kind = static_cast<Encryption::Kind>(encryption);
  info.attributes.retention.mode = static_cast<Retention::Mode>(mode);
  return true;
}

bool read_maps(Reader& reader, bool second, ObjectInfo& info) {
  if (!read_map(reader, info.headers) || !read_map(reader, info.metadata)) return false;
  if (!second) return true;
  if (!read_map(reader, info.attributes.tags)) return false;
  info.attributes.acl = reader.bytes(kAclBytesMax);
  return reader.ok();
}

// `size` is what the parts add up to.
bool read_parts(Reader& reader, VersionRecord& record, uint64_t& size) {
  std::string_view id = reader.bytes(sizeof(PartSetId));
  if (!reader.ok()) return false;
  if (id.empty()) return true;
  if (id.size() != sizeof(PartSetId) || record.info.parts == 0) return false;
  std::memcpy(record.part_set.emplace().data(), id.data(), id.size());
  record.parts.reserve(std::min<size_t>(record.info.parts, reader.remaining()));
  for (uint32_t i = 0; i < record.info.parts; ++i) {
    PartRef& part = record.parts.emplace_back();
    part.number = reader.u16();
    part.size = reader.varint();
    part.checksum = reader.bytes(kChecksumBytesMax);
    const uint32_t before = i == 0 ? 0 : record.parts[i - 1].number;
    if (!reader.ok() || part.number <= before || part.number > kPartNumberMax || part.size > kObjectBytesMax)
      return false;
    size += part.size;
  }
  return true;
}

bool read_bytes_of(Reader& reader, bool second, VersionRecord& record) {
  uint64_t count = reader.varint();
  if (!reader.ok() || count > kSlicesMax) return false;
  uint64_t size = 0;
  for (uint64_t i = 0; i < count; ++i) {
    if (!read_slice(reader, record.slices.emplace_back())) return false;
    size += record.slices.back().stream.length;
  }
  if (second && !read_parts(reader, record, size)) return false;
  const bool one_kind = record.slices.empty() || !record.part_set;
  const bool marker_is_bare = !record.info.delete_marker || (record.slices.empty() && !record.part_set);
  return reader.done() && one_kind && marker_is_bare && size == record.info.size;
}

}  // namespace

std::string encode(const VersionRecord& record) {
  if (is_plain(record)) return encode_plain(record);
  std::string out;
  Writer writer(out);
  const ObjectInfo& info = record.info;
  const Attributes& a = info.attributes;
  CHECK(record.part_set ? record.parts.size() == info.parts : record.parts.empty());
  writer.u8(kFormatVersioned).u8(info.delete_marker ? kKindMarker : kKindObject);
  writer.raw(ByteView(record.version_id)).u64(static_cast<uint64_t>(info.modified_ms));
  writer.varint(info.size).bytes(info.etag);
  writer.u8(static_cast<uint8_t>(info.checksum.kind)).u8(info.checksum.composite ? 1 : 0);
  writer.bytes(info.checksum.value).u64(record.order).u8(record.null ? kFlagNull : 0).varint(info.parts);
  writer.u8(static_cast<uint8_t>(info.encryption.kind))
      .bytes(info.encryption.name)
      .bytes(record.key_commitment);
  writer.bytes(a.owner).u8(static_cast<uint8_t>(a.retention.mode));
  writer.u64(static_cast<uint64_t>(a.retention.until_ms)).u8(a.legal_hold ? 1 : 0);
  write_map(writer, info.headers);
  write_map(writer, info.metadata);
  write_map(writer, a.tags);
  writer.bytes(a.acl);
  write_slices(writer, record.slices);
  writer.bytes(record.part_set ? ByteView(*record.part_set) : ByteView());
  for (const PartRef& part : record.parts)
    writer.u16(static_cast<uint16_t>(part.number)).varint(part.size).bytes(part.checksum);
  return out;
}

Result<VersionRecord> decode_version(std::string_view bytes, Depth depth) {
  Reader reader(bytes);
  VersionRecord record;
  uint8_t format = reader.u8();
  if (reader.ok()) RETURN_IF_ERROR(check_format(format, kFormatVersioned, "version"));
  const bool second = format == kFormatVersioned;
  uint8_t kind = reader.u8();
  record.info.delete_marker = second && kind == kKindMarker;
  if ((kind != kKindObject && !record.info.delete_marker) || !read_common(reader, second, record) ||
      (second && !read_second(reader, record)))
    return corrupt("version");
  record.info.version = version_text(record);
  if (depth == Depth::listing) return record;
  if (!read_maps(reader, second, record.info)) return corrupt("version");
  if (depth == Depth::info) return record;
  if (!read_bytes_of(reader, second, record)) return corrupt("version");
  return record;
}

std::string encode_count(uint64_t count) {
  std::string out;
  Writer(out).varint(count);
  return out;
}

Result<uint64_t> decode_count(std::string_view bytes) {
  Reader reader(bytes);
  uint64_t count = reader.varint();
  if (!reader.done()) return corrupt("counter");
  return count;
}

}  // namespace archipel::store
