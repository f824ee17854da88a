#include "store/upload_records.h"

#include "store/keys.h"

namespace archipel::store {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint8_t kTalliedFormat = 2;  // of part sets
constexpr size_t kNameBytesMax = 1024;
constexpr size_t kAclBytesMax = 64u << 10;
constexpr size_t kEncryptionDataBytesMax = 1024;
constexpr size_t kChecksumBytesMax = 64;

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(Code::corrupt,
              "the view holds a damaged " + std::string(what) +
                  " record; delete the index directory, it will be rebuilt from the journal",
              "InternalError");
}

Result<void> check_format(uint8_t format, std::string_view what) {
  if (format == kFormat) return {};
  return fail(Code::unsupported,
              "the view holds a " + std::string(what) + " record of format " + std::to_string(format) +
                  ", which this program does not know; use the program that wrote it",
              "InternalError");
}

template <class Enum>
bool read_enum(Reader& reader, Enum& out, Enum last) {
  uint8_t value = reader.u8();
  if (!reader.ok() || value > static_cast<uint8_t>(last)) return false;
  out = static_cast<Enum>(value);
  return true;
}

bool read_flag(Reader& reader, bool& out) {
  uint8_t value = reader.u8();
  out = value == 1;
  return reader.ok() && value <= 1;
}

void write_attributes(Writer& writer, const Attributes& attributes) {
  writer.bytes(attributes.owner);
  write_map(writer, attributes.tags);
  writer.bytes(attributes.acl)
      .u8(static_cast<uint8_t>(attributes.retention.mode))
      .u64(static_cast<uint64_t>(attributes.retention.until_ms))
      .u8(attributes.legal_hold ? 1 : 0);
}

bool read_attributes(Reader& reader, Attributes& attributes) {
  attributes.owner = reader.bytes(kNameBytesMax);
  if (!reader.ok() || !read_map(reader, attributes.tags)) return false;
  attributes.acl = reader.bytes(kAclBytesMax);
  if (!read_enum(reader, attributes.retention.mode, Retention::Mode::compliance)) return false;
  attributes.retention.until_ms = static_cast<UnixMs>(reader.u64());
  return read_flag(reader, attributes.legal_hold);
}

}  // namespace

std::string uploads_prefix(std::string_view bucket) {
  std::string out(kUploadPrefix);
  out.append(bucket).push_back('\0');
  return out;
}

std::string upload_key(std::string_view bucket, std::string_view key, const UploadId& id) {
  std::string out = uploads_prefix(bucket);
  out.append(key).push_back('\0');
  out.append(as_text(id));
  return out;
}

std::optional<UploadPlace> upload_place_of(std::string_view view_key, size_t prefix_bytes) {
  UploadPlace place;
  if (view_key.size() < prefix_bytes + 2 + place.id.size()) return std::nullopt;
  size_t end = view_key.size() - place.id.size() - 1;
  if (view_key[end] != '\0') return std::nullopt;
  place.key = view_key.substr(prefix_bytes, end - prefix_bytes);
  std::copy_n(view_key.end() - static_cast<ptrdiff_t>(place.id.size()), place.id.size(), place.id.begin());
  return place;
}

std::string part_key(const UploadId& id, uint32_t number) {
  std::string out(kPartPrefix);
  Writer(out).raw(ByteView(id)).u16(static_cast<uint16_t>(number));
  return out;
}

std::optional<uint32_t> part_number_of(std::string_view view_key) {
  if (!view_key.starts_with(kPartPrefix) || view_key.size() != kPartPrefix.size() + sizeof(UploadId) + 2)
    return std::nullopt;
  return Reader(view_key.substr(view_key.size() - 2)).u16();
}

std::string drop_key(const UploadId& id) {
  return std::string(kDropPrefix).append(as_text(id));
}

std::optional<UploadId> drop_of(std::string_view view_key) {
  UploadId id{};
  if (!view_key.starts_with(kDropPrefix) || view_key.size() != kDropPrefix.size() + id.size())
    return std::nullopt;
  std::copy_n(view_key.begin() + static_cast<ptrdiff_t>(kDropPrefix.size()), id.size(), id.begin());
  return id;
}

std::string upload_text(const UploadId& id) {
  return hex(id);
}

std::optional<UploadId> parse_upload_id(std::string_view text) {
  UploadId id{};
  if (text.size() != 2 * id.size()) return std::nullopt;
  std::optional<std::string> raw = unhex(text);
  if (!raw || hex(as_bytes(*raw)) != text) return std::nullopt;
  std::copy_n(raw->begin(), id.size(), id.begin());
  return id;
}

std::string encode(const UploadRecord& record) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormat).u64(static_cast<uint64_t>(record.initiated_ms)).bytes(record.initiator);
  write_map(writer, record.headers);
  write_map(writer, record.metadata);
  write_attributes(writer, record.attributes);
  writer.u8(static_cast<uint8_t>(record.checksum)).u8(record.composite ? 1 : 0);
  writer.u8(static_cast<uint8_t>(record.encryption)).bytes(record.encryption_data);
  return out;
}

Result<UploadRecord> decode_upload(std::string_view bytes) {
  Reader reader(bytes);
  UploadRecord record;
  if (reader.remaining() > 0) RETURN_IF_ERROR(check_format(reader.u8(), "upload"));
  record.initiated_ms = static_cast<UnixMs>(reader.u64());
  record.initiator = reader.bytes(kNameBytesMax);
  bool good = reader.ok() && read_map(reader, record.headers) && read_map(reader, record.metadata) &&
              read_attributes(reader, record.attributes) &&
              read_enum(reader, record.checksum, Checksum::Kind::sha256) &&
              read_flag(reader, record.composite) &&
              read_enum(reader, record.encryption, Encryption::Kind::sse_kms);
  if (!good) return corrupt("upload");
  record.encryption_data = reader.bytes(kEncryptionDataBytesMax);
  if (!reader.done()) return corrupt("upload");
  return record;
}

std::string encode(const PartRecord& record) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormat).u64(static_cast<uint64_t>(record.modified_ms)).raw(ByteView(record.md5));
  writer.u8(static_cast<uint8_t>(record.checksum.kind)).bytes(record.checksum.value);
  writer.varint(record.size);
  if (record.slice) write_slice(writer, *record.slice);
  return out;
}

Result<PartRecord> decode_part(std::string_view bytes, bool with_slice) {
  Reader reader(bytes);
  PartRecord record;
  if (reader.remaining() > 0) RETURN_IF_ERROR(check_format(reader.u8(), "part"));
  record.modified_ms = static_cast<UnixMs>(reader.u64());
  reader.fixed(record.md5);
  if (!reader.ok() || !read_enum(reader, record.checksum.kind, Checksum::Kind::sha256))
    return corrupt("part");
  record.checksum.value = reader.bytes(kChecksumBytesMax);
  record.size = reader.varint();
  if (!reader.ok()) return corrupt("part");
  if (!with_slice) return record;
  if (record.size > 0 &&
      (!read_slice(reader, record.slice.emplace()) || record.slice->stream.length != record.size))
    return corrupt("part");
  if (!reader.done()) return corrupt("part");
  return record;
}

std::string encode(const PartSetRecord& record) {
  std::string out;
  Writer writer(out);
  writer.u8(record.tallies ? kTalliedFormat : kFormat).u8(record.completed ? 1 : 0).varint(record.changes);
  writer.varint(record.parts).varint(record.bytes);
  if (record.tallies) {
    writer.bytes(record.bucket);
    write_tallies(writer, *record.tallies);
  }
  if (!record.completed) return out;
  const CompletedSet& completed = *record.completed;
  writer.bytes(completed.bucket)
      .bytes(completed.key)
      .raw(ByteView(completed.version_id))
      .u64(completed.order)
      .raw(ByteView(completed.request));
  return out;
}

Result<PartSetRecord> decode_part_set(std::string_view bytes) {
  Reader reader(bytes);
  PartSetRecord record;
  const uint8_t format = reader.u8();
  const bool tallied = format == kTalliedFormat;
  if (reader.ok() && !tallied) RETURN_IF_ERROR(check_format(format, "part set"));
  bool completed = false;
  if (!read_flag(reader, completed)) return corrupt("part set");
  record.changes = reader.varint();
  uint64_t parts = reader.varint();
  record.bytes = reader.varint();
  if (!reader.ok() || parts > kPartNumberMax) return corrupt("part set");
  record.parts = static_cast<uint32_t>(parts);
  if (tallied) {
    record.bucket = reader.bytes(kNameBytesMax);
    if (!read_tallies(reader, record.tallies.emplace())) return corrupt("part set");
  }
  if (completed) {
    CompletedSet& of = record.completed.emplace();
    of.bucket = reader.bytes(kNameBytesMax);
    of.key = reader.bytes(kNameBytesMax);
    reader.fixed(of.version_id);
    of.order = reader.u64();
    reader.fixed(of.request);
  }
  if (!reader.done()) return corrupt("part set");
  return record;
}

std::string encode(const DropRecord& record) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormat).varint(record.numbers.size());
  for (uint32_t number : record.numbers) writer.u16(static_cast<uint16_t>(number));
  return out;
}

Result<DropRecord> decode_drop(std::string_view bytes) {
  Reader reader(bytes);
  DropRecord record;
  if (reader.remaining() > 0) RETURN_IF_ERROR(check_format(reader.u8(), "drop"));
  uint64_t count = reader.varint();
  if (!reader.ok() || count > kPartNumberMax) return corrupt("drop");
  uint32_t last = 0;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    uint32_t number = reader.u16();
    if (number <= last || number > kPartNumberMax) return corrupt("drop");
    record.numbers.push_back(last = number);
  }
  if (!reader.done()) return corrupt("drop");
  return record;
}

}  // namespace archipel::store
