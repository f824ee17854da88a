#include "store/registry.h"

#include "store/keys.h"
#include "store/repair_records.h"
#include "store/tallies.h"

namespace archipel::store {
namespace {

using Kind = extent::ExtentRef::Kind;

constexpr uint8_t kFormat = 1;
constexpr size_t kExtentKeyBytes = 2 + 1 + 8 + 8;

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(Code::corrupt,
              "the view holds a damaged " + std::string(what) +
                  " record; delete the index directory, it will be rebuilt from the journal",
              "InternalError");
}

std::string extent_key(std::string_view prefix, const ExtentKey& key) {
  std::string out(prefix);
  Writer(out).u8(static_cast<uint8_t>(key.kind)).u64(key.id.epoch).u64(key.id.counter);
  return out;
}

}  // namespace

std::string live_key(const ExtentKey& key) {
  return extent_key(kLivePrefix, key);
}

std::string doomed_key(const ExtentKey& key) {
  return extent_key(kDoomedPrefix, key);
}

std::optional<ExtentKey> extent_of(std::string_view view_key) {
  if (view_key.size() != kExtentKeyBytes) return std::nullopt;
  Reader reader(view_key.substr(2));
  ExtentKey key;
  uint8_t kind = reader.u8();
  if (kind > static_cast<uint8_t>(Kind::section)) return std::nullopt;
  key.kind = static_cast<Kind>(kind);
  key.id.epoch = reader.u64();
  key.id.counter = reader.u64();
  return key;
}

std::string epoch_swept_key(uint64_t epoch) {
  std::string out(kCollectPrefix);
  Writer(out).raw("epoch/").u64(epoch);
  return out;
}

std::string encode(const LiveRecord& record) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormat).varint(record.live_bytes);
  write_ref(writer, record.ref);
  return out;
}

Result<LiveRecord> decode_live(std::string_view bytes) {
  Reader reader(bytes);
  LiveRecord record;
  uint8_t format = reader.u8();
  record.live_bytes = reader.varint();
  if (format != kFormat || !read_ref(reader, record.ref) || !reader.done() || record.live_bytes == 0 ||
      record.live_bytes > record.ref.geometry.length)
    return corrupt("live-extent");
  return record;
}

std::string encode(const DoomedRecord& record) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormat)
      .u8(static_cast<uint8_t>(record.stage))
      .u64(static_cast<uint64_t>(record.since_ms))
      .u32(record.left);
  write_ref(writer, record.ref);
  return out;
}

Result<DoomedRecord> decode_doomed(std::string_view bytes) {
  Reader reader(bytes);
  DoomedRecord record;
  uint8_t format = reader.u8();
  uint8_t stage = reader.u8();
  record.since_ms = static_cast<UnixMs>(reader.u64());
  record.left = reader.u32();
  if (format != kFormat || stage > static_cast<uint8_t>(DoomedRecord::Stage::deleted) ||
      !read_ref(reader, record.ref) || !reader.done() || (record.left & ~record.ref.all_shards()) != 0)
    return corrupt("doomed-extent");
  record.stage = static_cast<DoomedRecord::Stage>(stage);
  return record;
}

DoomedRecord doomed_now(const extent::ExtentRef& ref, UnixMs now_ms) {
  return {DoomedRecord::Stage::doomed, now_ms, ref.all_shards(), ref};
}

Result<void> scan_live(const index::Snapshot& snapshot, const ExtentKey& from,
                       const std::function<bool(const ExtentKey&, const LiveRecord&)>& visit) {
  Result<void> outcome;
  auto on_record = [&](std::string_view view_key, std::string_view value, std::string*) {
    std::optional<ExtentKey> key = extent_of(view_key);
    Result<LiveRecord> record = decode_live(value);
    if (key && record) return visit(*key, *record);
    outcome = corrupt("live-extent");
    return false;
  };
  RETURN_IF_ERROR(snapshot.scan(live_key(from), after_prefix(std::string(kLivePrefix)), on_record));
  return outcome;
}

void LiveBytes::change(const extent::ExtentRef& ref, uint64_t bytes, int sign) {
  Change& change = changes_[key_of(ref)];
  change.delta += sign * static_cast<int64_t>(bytes);
  change.added = change.added || sign > 0;
  change.ref = ref;
}

void LiveBytes::change(const Storage& storage, int sign) {
  for (const index::SmallLocation& location : storage.small) change(location.section, location.length, sign);
  for (const ExtentRun& run : storage.extents) change(run.ref, run.ref.geometry.length, sign);
}

// An upload that outlived the epoch of its extents, by so much that they count as garbage already.
Result<void> LiveBytes::check_not_swept() const {
  uint64_t checked = 0;
  for (const auto& [key, change] : changes_) {
    if (key.kind != Kind::data || !change.added || key.id.epoch == checked) continue;
    checked = key.id.epoch;
    ASSIGN_OR_RETURN(std::optional<std::string> swept, view_.get(epoch_swept_key(checked)));
    if (swept)
      return fail(Code::unavailable, "the upload was interrupted when islands did not answer; send it again",
                  "SlowDown");
  }
  return {};
}

Result<void> LiveBytes::finish(UnixMs now_ms, std::vector<index::Mutation>& out) const {
  RETURN_IF_ERROR(check_not_swept());
  ExtentTallyChange tallies;
  for (const auto& [key, change] : changes_) {
    if (change.delta == 0) continue;
    std::string place = live_key(key);
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view_.get(place));
    LiveRecord record{0, change.ref};
    if (bytes) {
      ASSIGN_OR_RETURN(record, decode_live(*bytes));
    }
    int64_t live = static_cast<int64_t>(record.live_bytes) + change.delta;
    if (live < 0 || live > static_cast<int64_t>(record.ref.geometry.length)) return corrupt("live-extent");
    // Earlier intents of this very commit may have filled its section and emptied it again.
    if (!bytes && key.kind == Kind::section) {
      std::string doomed = doomed_key(key);
      ASSIGN_OR_RETURN(std::optional<std::string> before, view_.get(doomed));
      if (before) out.push_back({std::move(doomed), std::nullopt});
    }
    // Repair debt from the first day: its age counts from here.
    std::optional<ExceptionRecord> exception = exception_of(record.ref, now_ms);
    if (!bytes && live > 0 && exception) out.push_back({exception_key(key), encode(*exception)});
    if (bytes.has_value() != (live > 0)) tallies.change(record.ref, live > 0 ? 1 : -1);
    if (live > 0) {
      record.live_bytes = static_cast<uint64_t>(live);
      out.push_back({std::move(place), encode(record)});
    } else {
      out.push_back({std::move(place), std::nullopt});
      out.push_back({doomed_key(key), encode(doomed_now(record.ref, now_ms))});
    }
  }
  return tallies.finish(view_, out);
}

}  // namespace archipel::store
