#include "store/part_sets.h"

#include <algorithm>

#include "store/keys.h"
#include "store/references.h"
#include "store/uploads.h"

namespace archipel::store {
namespace {

// Of one commit. The extents that a part's record names take about four times as much of the commit as of the record.
constexpr size_t kDropPartsMax = 1000;
constexpr size_t kDropBytesMax = 512u << 10;

struct Room {
  size_t parts = kDropPartsMax, bytes = kDropBytesMax;
  bool take(size_t size) {
    if (parts == 0 || bytes < size) return false;
    --parts;
    bytes -= size;
    return true;
  }
};

// The parts of one set that are to go and are there, as far as there is room.
Result<void> find_parts(const index::Snapshot& view, const DropRecord& drop, Room& room, DropPage::Set& set) {
  set.last = true;
  auto visit = [&](std::string_view key, std::string_view value, std::string*) {
    const uint32_t number = part_number_of(key).value_or(0);
    const bool goes = drop.numbers.empty() || std::ranges::binary_search(drop.numbers, number);
    if (!goes) return true;
    if (!room.take(value.size())) return set.last = false;
    set.numbers.push_back(number);
    return true;
  };
  return view.scan(part_key(set.id, 1), part_key(set.id, kPartNumberMax + 1), visit);
}

}  // namespace

index::Mutation drop_set(const UploadId& id, std::vector<uint32_t> numbers) {
  return {drop_key(id), encode(DropRecord{std::move(numbers)})};
}

Result<void> drop_open_set(const UploadId& id, const index::View& view, UsageChange* usage,
                           std::vector<index::Mutation>& out) {
  std::string place = part_set_key(id);
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(place));
  if (!bytes) return {};
  ASSIGN_OR_RETURN(PartSetRecord set, decode_part_set(*bytes));
  if (usage) {
    usage->drop(set.bytes, set.parts);
    if (set.tallies) usage->tallies().drop(*set.tallies);
  }
  if (set.parts == 0)
    out.push_back({std::move(place), std::nullopt});
  else
    out.push_back(drop_set(id));
  return {};
}

Result<void> drop_bucket_uploads(const std::string& bucket, const index::View& view,
                                 std::vector<index::Mutation>& out) {
  std::string prefix = uploads_prefix(bucket);
  std::vector<std::pair<std::string, UploadId>> uploads;
  auto visit = [&](std::string_view key, std::string_view) {
    std::optional<UploadPlace> place = upload_place_of(key, prefix.size());
    if (place) uploads.emplace_back(key, place->id);
    return uploads.size() <= kBucketUploadsMax;
  };
  RETURN_IF_ERROR(view.scan(prefix, after_prefix(prefix), visit));
  if (uploads.size() > kBucketUploadsMax)
    return fail(Code::precondition,
                "the bucket has more than 1,000 multipart uploads under way; abort them first",
                "BucketNotEmpty");
  for (auto& [key, id] : uploads) {
    RETURN_IF_ERROR(drop_open_set(id, view, nullptr, out));
    out.push_back({std::move(key), std::nullopt});
  }
  return {};
}

Result<DropPage> find_drops(const index::Snapshot& view, const std::string& from) {
  DropPage page;
  Room room;
  Result<void> outcome;
  auto visit = [&](std::string_view key, std::string_view value, std::string*) {
    std::optional<UploadId> id = drop_of(key);
    Result<DropRecord> drop = decode_drop(value);
    if (!id || !drop) {
      outcome = drop ? fail(Code::corrupt, "the view holds a damaged drop key", "InternalError")
                     : fail(drop.error());
      return false;
    }
    // A set without parts takes room too.
    if (!room.take(0)) {
      page.next = std::string(key);
      return false;
    }
    DropPage::Set& set = page.sets.emplace_back();
    set.id = *id;
    set.value = value;
    outcome = find_parts(view, *drop, room, set);
    if (outcome && !set.last) page.next = std::string(key);
    return outcome && set.last;
  };
  RETURN_IF_ERROR(view.scan(from, after_prefix(std::string(kDropPrefix)), visit));
  RETURN_IF_ERROR(outcome);
  return page;
}

std::string after_drop(const UploadId& id) {
  return drop_key(id).append(1, '\0');
}

Result<void> build_drops(const std::vector<DropPage::Set>& sets, UnixMs now_ms, const index::View& view,
                         std::vector<index::Mutation>& out, size_t& dropped) {
  dropped = 0;
  References references(view);
  for (const DropPage::Set& set : sets) {
    std::string drop = drop_key(set.id);
    ASSIGN_OR_RETURN(std::optional<std::string> now, view.get(drop));
    if (now != set.value) continue;
    ASSIGN_OR_RETURN(DropRecord record, decode_drop(*now));
    for (uint32_t number : set.numbers) {
      std::string place = part_key(set.id, number);
      ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(place));
      if (!bytes) continue;
      ASSIGN_OR_RETURN(PartRecord part, decode_part(*bytes));
      if (part.slice) references.drop(*part.slice);
      out.push_back({std::move(place), std::nullopt});
      ++dropped;
    }
    if (!set.last) continue;
    out.push_back({std::move(drop), std::nullopt});
    if (record.numbers.empty()) out.push_back({part_set_key(set.id), std::nullopt});
  }
  return references.finish(now_ms, out);
}

Result<ByteRange> range_of_part(const VersionRecord& version, uint32_t number) {
  if (!version.part_set && number == 1) return ByteRange{0, version.info.size};
  uint64_t first = 0;
  for (const PartRef& part : version.parts) {
    if (part.number == number) return ByteRange{first, part.size};
    first += part.size;
  }
  return fail(Code::invalid, "the object has no part of this number", "InvalidPart");
}

Result<ObjectParts> read_object_parts(const index::Snapshot& view, const VersionRecord& version,
                                      uint32_t after, size_t max_parts) {
  ObjectParts out;
  out.total = version.info.parts;
  max_parts = std::min(max_parts, kListKeysMax);
  for (const PartRef& ref : version.parts) {
    if (ref.number <= after) continue;
    if (out.parts.size() == max_parts) {
      out.truncated = true;
      break;
    }
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(part_key(*version.part_set, ref.number)));
    if (!bytes)
      return fail(Code::corrupt, "a part of an object is not in the view; delete the index directory",
                  "InternalError");
    ASSIGN_OR_RETURN(PartRecord part, decode_part(*bytes, false));
    out.parts.push_back(part_info(ref.number, part));
  }
  return out;
}

}  // namespace archipel::store
