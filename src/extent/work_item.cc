#include "extent/work_item.h"

namespace archipel::extent {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint8_t kFormatWithHomes = 2;
constexpr size_t kNameBytes = 20, kNameDigits = 2 * kNameBytes;
enum More : uint8_t { nothing_more = 0, next_names_follow = 1, record_follows = 2 };

bool good_name(const island::BlobName& name) {
  return name.size() == kNameDigits && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void write_names(Writer& writer, const std::vector<island::BlobName>& names) {
  for (const island::BlobName& name : names) writer.raw(unhex(name).value_or(std::string(kNameBytes, '\0')));
}

std::vector<island::BlobName> read_names(Reader& reader, int n) {
  std::vector<island::BlobName> names;
  for (int i = 0; i < n && reader.ok(); ++i) names.push_back(hex(reader.raw(kNameBytes)));
  return names;
}

std::unexpected<Error> bad(std::string_view what) {
  return fail(Code::corrupt, "a work item for scrub is damaged: " + std::string(what));
}

}  // namespace

std::string WorkItem::describe() const {
  return (ref.kind == ExtentRef::Kind::data ? "extent " : "commit ") + std::to_string(ref.id.epoch) + "/" +
         std::to_string(ref.id.counter);
}

Result<void> check_work_item(const WorkItem& item) {
  RETURN_IF_ERROR(check_geometry(item.ref.geometry));
  const auto n = static_cast<size_t>(item.n());
  if (item.names.size() != n) return bad("it does not name a blob for every island");
  for (const island::BlobName& name : item.names)
    if (!good_name(name)) return bad("a name is not one");
  for (const island::BlobName& name : item.next_names)
    if (!good_name(name)) return bad("a name is not one");
  if ((item.ref.kind == ExtentRef::Kind::data) == item.journal()) return bad("kind and record disagree");
  if (item.journal() && !item.ref.homes.standard()) return bad("a journal blob lies where none does");
  if (!item.journal()) {
    if (item.next_names.size() != n || item.ref.geometry.length == 0) return bad("it says too little");
    return {};
  }
  if (!item.next_names.empty() || item.record->headers.size() != n) return bad("it does not fit n islands");
  if (item.ref.base != kShardHeaderBytes + uint64_t{item.record->bytes}) return bad("its lengths disagree");
  if (item.ref.base > island::kBlobBytesMax) return bad("it is too long");
  return {};
}

std::string encode_work_item(const WorkItem& item) {
  CHECK(check_work_item(item).has_value());
  std::string out;
  Writer writer(out);
  const ExtentRef& ref = item.ref;
  const bool homes = !ref.homes.standard();
  writer.u8(homes ? kFormatWithHomes : kFormat)
      .u8(static_cast<uint8_t>(ref.kind))
      .u64(ref.id.epoch)
      .u64(ref.id.counter);
  writer.raw(ByteView(ref.attempt));
  writer.u8(static_cast<uint8_t>(ref.geometry.code.n)).u8(static_cast<uint8_t>(ref.geometry.code.k));
  writer.u32(ref.geometry.cell_bytes).u64(ref.geometry.length).u32(ref.base).raw(ByteView(ref.open));
  if (homes) write_homes(writer, ref.homes, ref.geometry.code.n);
  write_names(writer, item.names);
  if (item.journal()) {
    writer.u8(record_follows).u32(item.record->bytes).raw(ByteView(item.record->digest));
    for (const ShardHeader& header : item.record->headers) writer.raw(ByteView(header));
  } else {
    writer.u8(next_names_follow);
    write_names(writer, item.next_names);
  }
  return out;
}

Result<WorkItem> decode_work_item(ByteView bytes) {
  Reader reader(bytes);
  WorkItem item;
  ExtentRef& ref = item.ref;
  const uint8_t format = reader.u8(), kind = reader.u8();
  if (!reader.ok() || format < kFormat || format > kFormatWithHomes ||
      kind > static_cast<uint8_t>(ExtentRef::Kind::section))
    return bad("its format is not known");
  ref.kind = static_cast<ExtentRef::Kind>(kind);
  ref.id.epoch = reader.u64();
  ref.id.counter = reader.u64();
  reader.fixed(ref.attempt);
  ref.geometry.code.n = reader.u8();
  ref.geometry.code.k = reader.u8();
  ref.geometry.cell_bytes = reader.u32();
  ref.geometry.length = reader.u64();
  ref.base = reader.u32();
  reader.fixed(ref.open);
  if (!reader.ok()) return bad("it is cut short");
  RETURN_IF_ERROR(check_geometry(ref.geometry));
  if (format == kFormatWithHomes && !read_homes(reader, ref.geometry.code.n, ref.homes))
    return bad("its islands are not a list of different ones");
  item.names = read_names(reader, item.n());
  const uint8_t more = reader.u8();
  if (more == next_names_follow) {
    item.next_names = read_names(reader, item.n());
  } else if (more == record_follows) {
    item.record.emplace();
    item.record->bytes = reader.u32();
    reader.fixed(item.record->digest);
    for (int i = 0; i < item.n() && reader.ok(); ++i) reader.fixed(item.record->headers.emplace_back());
  }
  if (!reader.done()) return bad("its length is wrong");
  RETURN_IF_ERROR(check_work_item(item));
  return item;
}

}  // namespace archipel::extent
