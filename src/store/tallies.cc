#include "store/tallies.h"

#include <algorithm>

#include "extent/header.h"
#include "store/keys.h"
#include "store/registry.h"
#include "store/upload_records.h"

namespace archipel::store {
namespace {

using Kind = extent::ExtentRef::Kind;

constexpr uint8_t kFormat = 1;
constexpr size_t kPlacingsMax = 4096;  // in one record: far beyond what a bucket's policies can have been

std::unexpected<Error> corrupt() {
  return fail(
      Code::corrupt,
      "the view holds a damaged record of what lies where; delete the index directory, it will be rebuilt "
      "from the journal",
      "InternalError");
}

uint64_t moved(uint64_t value, int64_t by) {
  if (by >= 0) return value + static_cast<uint64_t>(by);
  return value - std::min(value, static_cast<uint64_t>(-by));
}

void write_placing(Writer& writer, const PlacedAs& as) {
  writer.u8(static_cast<uint8_t>(as.in)).u8(as.n).u8(as.k);
  for (int shard = 0; shard < as.n; ++shard) writer.u8(as.islands[static_cast<size_t>(shard)]);
}

bool read_placing(Reader& reader, PlacedAs& as) {
  const uint8_t in = reader.u8();
  as.in = static_cast<PlacedAs::In>(in);
  as.n = reader.u8();
  as.k = reader.u8();
  if (!reader.ok() || in > 1 || as.n > as.islands.size() || as.k == 0 || as.k > as.n) return false;
  for (int shard = 0; shard < as.n; ++shard) {
    uint8_t& island = as.islands[static_cast<size_t>(shard)];
    island = reader.u8();
    if (island >= as.islands.size()) return false;
  }
  return reader.ok();
}

// Counts streams of records that may name slices.
class Counter {
 public:
  Counter(const index::View& view, Tallies& out) : view_(view), out_(out) {}

  Result<void> version(std::string_view bytes) {
    ASSIGN_OR_RETURN(VersionRecord record, decode_version(bytes));
    TallyChange found;
    for (const Slice& slice : record.slices) found.add(slice);
    found.apply(out_);
    for (const PartRef& part : record.parts)
      RETURN_IF_ERROR(one_part(part_key(*record.part_set, part.number)));
    return {};
  }

  Result<void> upload(const UploadId& id) {
    Result<void> outcome;
    RETURN_IF_ERROR(view_.scan(part_key(id, 1), part_key(id, kPartNumberMax + 1),
                               [&](std::string_view, std::string_view value) {
                                 outcome = part(value);
                                 return outcome.has_value();
                               }));
    return outcome;
  }

 private:
  Result<void> one_part(const std::string& place) {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view_.get(place));
    return bytes ? part(*bytes) : Result<void>();
  }
  Result<void> part(std::string_view bytes) {
    ASSIGN_OR_RETURN(PartRecord record, decode_part(bytes));
    TallyChange found;
    if (record.slice) found.add(*record.slice);
    found.apply(out_);
    return {};
  }

  const index::View& view_;
  Tallies& out_;
};

}  // namespace

PlacedAs placing_of(const extent::ExtentRef& ref) {
  PlacedAs as;
  as.in = ref.kind == Kind::section ? PlacedAs::In::commits : PlacedAs::In::extents;
  as.n = static_cast<uint8_t>(ref.geometry.code.n);
  as.k = static_cast<uint8_t>(ref.geometry.code.k);
  for (uint8_t shard = 0; shard < as.n; ++shard) as.islands[shard] = static_cast<uint8_t>(ref.home(shard));
  return as;
}

PlacedAs placing_of(const Storage& storage) {
  if (!storage.small.empty()) return placing_of(storage.small.front().section);
  CHECK(!storage.extents.empty());
  return placing_of(storage.extents.front().ref);
}

void TallyChange::move(const PlacedAs& as, int64_t streams, int64_t bytes) {
  Change& change = changes_[as];
  change.streams += streams;
  change.bytes += bytes;
}

void TallyChange::move(const Slice& slice, int sign) {
  move(placing_of(slice.storage), sign, sign * static_cast<int64_t>(slice.stream.length));
}

void TallyChange::relocate(const Storage& from, const Storage& to, uint64_t bytes) {
  move(placing_of(from), -1, -static_cast<int64_t>(bytes));
  move(placing_of(to), 1, static_cast<int64_t>(bytes));
}

void TallyChange::drop(const Tallies& all) {
  for (const auto& [as, tally] : all)
    move(as, -static_cast<int64_t>(tally.streams), -static_cast<int64_t>(tally.bytes));
}

void TallyChange::apply(Tallies& to) const {
  for (const auto& [as, change] : changes_) {
    Tally& tally = to[as];
    tally = {moved(tally.streams, change.streams), moved(tally.bytes, change.bytes)};
    if (tally.streams == 0) to.erase(as);
  }
}

void write_tallies(Writer& writer, const Tallies& tallies) {
  writer.varint(tallies.size());
  for (const auto& [as, tally] : tallies) {
    write_placing(writer, as);
    writer.varint(tally.streams).varint(tally.bytes);
  }
}

bool read_tallies(Reader& reader, Tallies& tallies) {
  const uint64_t count = reader.varint();
  if (!reader.ok() || count > kPlacingsMax) return false;
  for (uint64_t i = 0; i < count; ++i) {
    PlacedAs as;
    if (!read_placing(reader, as)) return false;
    if (!tallies.empty() && !(tallies.rbegin()->first < as)) return false;
    Tally& tally = tallies[as];
    tally.streams = reader.varint();
    tally.bytes = reader.varint();
    if (!reader.ok() || tally.streams == 0) return false;
  }
  return true;
}

Result<Tallies> count_tallies(const index::View& view, const std::string& bucket) {
  Tallies out;
  Counter counter(view, out);
  Result<void> outcome;
  for (const std::string& prefix : {objects_prefix(bucket), versions_prefix(bucket)}) {
    RETURN_IF_ERROR(view.scan(prefix, after_prefix(prefix), [&](std::string_view, std::string_view value) {
      outcome = counter.version(value);
      return outcome.has_value();
    }));
    RETURN_IF_ERROR(outcome);
  }
  const std::string uploads = uploads_prefix(bucket);
  std::vector<UploadId> ids;
  RETURN_IF_ERROR(view.scan(uploads, after_prefix(uploads), [&](std::string_view key, std::string_view) {
    if (std::optional<UploadPlace> place = upload_place_of(key, uploads.size())) ids.push_back(place->id);
    return true;
  }));
  for (const UploadId& id : ids) RETURN_IF_ERROR(counter.upload(id));
  return out;
}

uint64_t stored_bytes_of(const extent::ExtentRef& ref) {
  const int n = ref.geometry.code.n;
  const uint64_t head = ref.kind == Kind::section ? ref.base : extent::kShardHeaderBytes;
  uint64_t sum = head * static_cast<uint64_t>(n);
  for (int shard = 0; shard < n; ++shard) sum += ref.geometry.shard_bytes(shard);
  return sum;
}

std::string extent_tally_key(const PlacedAs& as) {
  std::string out(kExtentTallyPrefix);
  Writer writer(out);
  if (as.n > 0) write_placing(writer, as);
  return out;
}

std::string encode(const ExtentTally& tally) {
  std::string out;
  Writer(out).u8(kFormat).varint(tally.extents).varint(tally.stored_bytes);
  return out;
}

Result<ExtentTally> decode_extent_tally(std::string_view bytes) {
  Reader reader(bytes);
  ExtentTally tally;
  const uint8_t format = reader.u8();
  tally.extents = reader.varint();
  tally.stored_bytes = reader.varint();
  if (format != kFormat || !reader.done()) return corrupt();
  return tally;
}

Result<void> begin_extent_tallies(const index::View& view, std::vector<index::Mutation>& out) {
  std::string begun = extent_tally_key({});
  ASSIGN_OR_RETURN(std::optional<std::string> known, view.get(begun));
  if (known) return {};
  bool any = false;
  const std::string live(kLivePrefix);
  RETURN_IF_ERROR(view.scan(live, after_prefix(live), [&](std::string_view, std::string_view) {
    any = true;
    return false;
  }));
  if (!any) out.push_back({std::move(begun), encode(ExtentTally())});
  return {};
}

void ExtentTallyChange::change(const extent::ExtentRef& ref, int sign) {
  Change& change = changes_[placing_of(ref)];
  change.extents += sign;
  change.stored_bytes += sign * static_cast<int64_t>(stored_bytes_of(ref));
}

Result<void> ExtentTallyChange::finish(const index::View& view, std::vector<index::Mutation>& out) const {
  if (changes_.empty()) return {};
  ASSIGN_OR_RETURN(std::optional<std::string> begun, view.get(extent_tally_key({})));
  if (!begun) return {};
  for (const auto& [as, change] : changes_) {
    if (change.extents == 0 && change.stored_bytes == 0) continue;
    std::string key = extent_tally_key(as);
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(key));
    ExtentTally tally;
    if (bytes) {
      ASSIGN_OR_RETURN(tally, decode_extent_tally(*bytes));
    }
    tally = {moved(tally.extents, change.extents), moved(tally.stored_bytes, change.stored_bytes)};
    if (tally.extents > 0)
      out.push_back({std::move(key), encode(tally)});
    else if (bytes)
      out.push_back({std::move(key), std::nullopt});
  }
  return {};
}

Result<ExtentTallies> count_extents(const index::Snapshot& snapshot) {
  ExtentTallies out;
  RETURN_IF_ERROR(scan_live(snapshot, {}, [&](const ExtentKey&, const LiveRecord& record) {
    ExtentTally& tally = out[placing_of(record.ref)];
    tally.extents += 1;
    tally.stored_bytes += stored_bytes_of(record.ref);
    return true;
  }));
  return out;
}

Result<ExtentTallies> read_extent_tallies(const index::Snapshot& snapshot) {
  ASSIGN_OR_RETURN(std::optional<std::string> begun, snapshot.get(extent_tally_key({})));
  if (!begun) return count_extents(snapshot);
  ExtentTallies out;
  Result<void> outcome;
  const std::string prefix(kExtentTallyPrefix);
  RETURN_IF_ERROR(snapshot.scan(prefix, after_prefix(prefix),
                                [&](std::string_view key, std::string_view value, std::string*) {
                                  Reader reader(key.substr(prefix.size()));
                                  PlacedAs as;
                                  if (reader.done()) return true;
                                  Result<ExtentTally> tally = decode_extent_tally(value);
                                  if (!tally || !read_placing(reader, as) || !reader.done())
                                    outcome = corrupt();
                                  else
                                    out[as] = *tally;
                                  return outcome.has_value();
                                }));
  RETURN_IF_ERROR(outcome);
  return out;
}

}  // namespace archipel::store
