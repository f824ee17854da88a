#include "store/repair_records.h"

#include "store/keys.h"

namespace archipel::store {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint64_t kShardsMax = 32;

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(Code::corrupt,
              "the view holds a damaged " + std::string(what) +
                  " record; delete the index directory, it will be rebuilt from the journal",
              "InternalError");
}

}  // namespace

std::string exception_key(const ExtentKey& key) {
  std::string out(kExceptionPrefix);
  Writer(out).u8(static_cast<uint8_t>(key.kind)).u64(key.id.epoch).u64(key.id.counter);
  return out;
}

std::string encode(const ExceptionRecord& record) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormat).u64(static_cast<uint64_t>(record.since_ms)).u32(record.now.confirmed);
  writer.varint(record.now.repairs.size());
  for (uint32_t repair : record.now.repairs) writer.varint(repair);
  return out;
}

Result<ExceptionRecord> decode_exception(std::string_view bytes) {
  Reader reader(bytes);
  ExceptionRecord record;
  const uint8_t format = reader.u8();
  record.since_ms = static_cast<UnixMs>(reader.u64());
  record.now.confirmed = reader.u32();
  const uint64_t count = reader.varint();
  if (!reader.ok() || format != kFormat || count > kShardsMax) return corrupt("repair");
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t repair = reader.varint();
    if (!reader.ok() || repair > UINT32_MAX) return corrupt("repair");
    record.now.repairs.push_back(static_cast<uint32_t>(repair));
  }
  if (!reader.done()) return corrupt("repair");
  return record;
}

std::optional<ExceptionRecord> exception_of(const extent::ExtentRef& ref, UnixMs now_ms) {
  if (ref.kind != extent::ExtentRef::Kind::data || ref.confirmed == 0 || ref.confirmed == ref.all_shards())
    return std::nullopt;
  return ExceptionRecord{now_ms, {ref.confirmed, {}}};
}

Result<void> scan_exceptions(const index::Snapshot& snapshot,
                             const std::function<void(const ExtentKey&, const ExceptionRecord&)>& visit) {
  Result<void> outcome;
  auto on_record = [&](std::string_view view_key, std::string_view value, std::string*) {
    std::optional<ExtentKey> key = extent_of(view_key);
    Result<ExceptionRecord> record = decode_exception(value);
    if (!key || !record) {
      outcome = corrupt("repair");
      return false;
    }
    visit(*key, *record);
    return true;
  };
  const std::string from(kExceptionPrefix);
  RETURN_IF_ERROR(snapshot.scan(from, after_prefix(from), on_record));
  return outcome;
}

std::string rebuild_key(int shard) {
  std::string out(kRebuildPrefix);
  Writer(out).u8(static_cast<uint8_t>(shard));
  return out;
}

std::string encode(const RebuildRecord& record) {
  std::string out;
  Writer(out)
      .u8(kFormat)
      .raw(ByteView(record.incarnation))
      .u8(record.done ? 1 : 0)
      .u8(record.next.kind)
      .u64(record.next.epoch)
      .u64(record.next.number);
  return out;
}

Result<RebuildRecord> decode_rebuild(std::string_view bytes) {
  Reader reader(bytes);
  RebuildRecord record;
  const uint8_t format = reader.u8();
  reader.fixed(record.incarnation);
  const uint8_t done = reader.u8();
  record.done = done == 1;
  record.next.kind = reader.u8();
  record.next.epoch = reader.u64();
  record.next.number = reader.u64();
  if (format != kFormat || done > 1 || !reader.done()) return corrupt("rebuild");
  return record;
}

Result<uint32_t> rebuilt_shards(const index::Snapshot& snapshot,
                                const std::vector<island::Incarnation>& now) {
  uint32_t mask = 0;
  for (size_t i = 0; i < now.size(); ++i) {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, snapshot.get(rebuild_key(static_cast<int>(i))));
    if (!bytes) continue;
    ASSIGN_OR_RETURN(RebuildRecord record, decode_rebuild(*bytes));
    if (record.done && record.incarnation == now[i]) mask |= 1u << i;
  }
  return mask;
}

}  // namespace archipel::store
