#include "store/compaction_plan.h"

#include <algorithm>
#include <span>

#include "store/keys.h"
#include "store/usage.h"

namespace archipel::store {
namespace {

using Kind = extent::ExtentRef::Kind;

constexpr size_t kVisitedMax = 50'000;  // records of one call: some tens of milliseconds of a worker

// What deleting the extent frees, before coding: with a section goes the record before it, which lies whole on every island.
uint64_t held_bytes(const extent::ExtentRef& ref) {
  if (ref.kind == Kind::data) return ref.geometry.length;
  return ref.geometry.length + uint64_t{ref.base} * static_cast<uint64_t>(ref.geometry.code.k);
}

bool worth_emptying(const LiveRecord& record, const CandidateRule& rule) {
  const extent::ExtentRef& ref = record.ref;
  if (ref.kind == Kind::section) {
    if (!rule.limit || !(index::CommitPosition{ref.id.epoch, ref.id.counter} < *rule.limit)) return false;
  }
  return record.live_bytes * 100 < held_bytes(ref) * static_cast<uint64_t>(rule.live_percent_max);
}

// True if the stream lies in packed small segments of which any is in a candidate.
bool touches(const Storage& storage, const std::set<ExtentKey>& extents) {
  return std::ranges::any_of(
      storage.small, [&](const index::SmallLocation& at) { return extents.contains(key_of(at.section)); });
}

bool same_place(const index::SmallLocation& a, const index::SmallLocation& b) {
  return key_of(a.section) == key_of(b.section) && a.offset == b.offset && a.length == b.length;
}

bool same_places(const Storage& a, const Storage& b) {
  return std::ranges::equal(a.small, b.small, same_place) && a.extents.empty() && b.extents.empty();
}

// A record that may name slices, to look at and to write again with its slices elsewhere.
class SliceRecord {
 public:
  static Result<SliceRecord> decode(std::string_view key, std::string_view value) {
    SliceRecord record;
    if (!key.starts_with(kPartPrefix)) {
      ASSIGN_OR_RETURN(record.version_, decode_version(value));
    } else if (part_number_of(key).value_or(0) != 0) {
      ASSIGN_OR_RETURN(record.part_, decode_part(value));
    }
    return record;
  }

  std::span<Slice> slices() {
    if (version_) return version_->slices;
    if (part_ && part_->slice) return {&*part_->slice, 1};
    return {};
  }
  std::string encoded() const { return version_ ? encode(*version_) : encode(*part_); }

 private:
  std::optional<VersionRecord> version_;
  std::optional<PartRecord> part_;
};

// What moving streams changes in the tallies of buckets, and of the part sets that the streams are of.
class MovedTallies {
 public:
  explicit MovedTallies(const index::View& view) : view_(view) {}

  // `key`: of a version or part that names the stream.
  Result<void> move(std::string_view key, const Storage& from, const Storage& to, uint64_t bytes) {
    if (key.starts_with(kPartPrefix)) return move_part(key, from, to, bytes);
    std::string_view name = key.substr(kObjectPrefix.size());
    buckets_[std::string(name.substr(0, name.find('\0')))].relocate(from, to, bytes);
    return {};
  }

  Result<void> finish(std::vector<index::Mutation>& out) const {
    for (const auto& [bucket, change] : buckets_) {
      std::string key = bucket_usage_key(bucket);
      ASSIGN_OR_RETURN(std::optional<UsageRecord> record, read_usage(view_, key));
      if (!record || !record->tallies) continue;
      change.apply(*record->tallies);
      out.push_back({std::move(key), encode(*record)});
    }
    for (const auto& [id, set] : sets_) out.push_back({part_set_key(id), encode(set)});
    return {};
  }

 private:
  // A part that is about to be dropped is in no tallies any more.
  Result<void> move_part(std::string_view key, const Storage& from, const Storage& to, uint64_t bytes) {
    UploadId id{};
    Reader reader(key.substr(kPartPrefix.size()));
    reader.fixed(id);
    ASSIGN_OR_RETURN(std::optional<std::string> drop_bytes, view_.get(drop_key(id)));
    if (drop_bytes) {
      ASSIGN_OR_RETURN(DropRecord drop, decode_drop(*drop_bytes));
      if (drop.numbers.empty() || std::ranges::binary_search(drop.numbers, part_number_of(key).value_or(0)))
        return {};
    }
    auto found = sets_.find(id);
    if (found == sets_.end()) {
      ASSIGN_OR_RETURN(std::optional<std::string> set_bytes, view_.get(part_set_key(id)));
      if (!set_bytes) return {};
      ASSIGN_OR_RETURN(PartSetRecord set, decode_part_set(*set_bytes));
      if (!set.tallies) return {};
      found = sets_.emplace(id, std::move(set)).first;
    }
    TallyChange change;
    change.relocate(from, to, bytes);
    change.apply(*found->second.tallies);
    buckets_[found->second.bucket].relocate(from, to, bytes);
    return {};
  }

  const index::View& view_;
  std::map<std::string, TallyChange> buckets_;
  std::map<UploadId, PartSetRecord> sets_;
};

}  // namespace

Result<std::optional<ExtentKey>> add_candidates(const index::Snapshot& view, const ExtentKey& from,
                                                const CandidateRule& rule, Candidates& out) {
  std::optional<ExtentKey> next;
  size_t visited = 0;
  auto look = [&](const ExtentKey& key, const LiveRecord& record) {
    if (++visited > kVisitedMax) {
      next = key;
      return false;
    }
    const uint64_t held = held_bytes(record.ref);
    ++out.totals.live_extents;
    out.totals.live_bytes += record.live_bytes;
    out.totals.held_bytes += held;
    if (out.live_bytes + record.live_bytes <= rule.bytes_max && worth_emptying(record, rule)) {
      out.extents.insert(key);
      out.live_bytes += record.live_bytes;
      out.garbage_bytes += held - record.live_bytes;
    }
    return true;
  };
  RETURN_IF_ERROR(scan_live(view, from, look));
  return next;
}

uint64_t Moving::bytes() const {
  uint64_t sum = 0;
  for (const index::SmallLocation& at : from.small) sum += at.length;
  return sum;
}

Result<std::optional<std::string>> add_moving(const index::Snapshot& view, const std::string& from,
                                              const Candidates& candidates, MovingStreams& out) {
  std::optional<std::string> next;
  Result<void> outcome;
  size_t visited = 0;
  auto look = [&](std::string_view key, std::string_view value, std::string*) {
    if (++visited > kVisitedMax) {
      next = std::string(key);
      return false;
    }
    Result<SliceRecord> record = SliceRecord::decode(key, value);
    if (!record) {
      outcome = fail(record.error());
      return false;
    }
    for (const Slice& slice : record->slices()) {
      if (!touches(slice.storage, candidates.extents)) continue;
      const crypto::DataId& id = slice.stream.data_id;
      auto found = out.streams.find(id);
      // A stream that is begun is kept with all its versions; beyond the limit no other is begun.
      if (found == out.streams.end()) {
        if (out.kept_bytes > kPassBytesMax) continue;
        found = out.streams.emplace(id, Moving{id, slice.storage, {}}).first;
      }
      Moving& moving = found->second;
      if (moving.stays()) continue;
      moving.version_bytes += key.size() + value.size();
      out.kept_bytes += key.size() + value.size();
      moving.versions.push_back({std::string(key), std::string(value)});
      if (!moving.stays()) continue;
      out.kept_bytes -= moving.version_bytes;
      moving.versions = {};
    }
    return true;
  };
  RETURN_IF_ERROR(view.scan(from, after_prefix(from.substr(0, kObjectPrefix.size())), look));
  RETURN_IF_ERROR(outcome);
  return next;
}

// One per record: a version may hold several of the streams.
Result<void> build_relocation(const Relocation& relocation, const index::View& view,
                              std::vector<index::Mutation>& out, size_t& moved) {
  moved = 0;
  std::map<std::string, SliceRecord> changed;
  LiveBytes live(view);
  MovedTallies tallies(view);
  for (size_t i = 0; i < relocation.streams.size(); ++i) {
    const Moving& moving = relocation.streams[i];
    // Copies that were made since are not among these versions, but they are counted.
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(reference_key(moving.data_id)));
    uint64_t references = 1;
    if (bytes) {
      ASSIGN_OR_RETURN(uint64_t others, decode_count(*bytes));
      references += others;
    }
    bool as_read = references == moving.versions.size();
    for (size_t v = 0; as_read && v < moving.versions.size(); ++v) {
      ASSIGN_OR_RETURN(std::optional<std::string> value, view.get(moving.versions[v].key));
      as_read = value == moving.versions[v].value;
    }
    if (!as_read) continue;
    ++moved;
    Storage to;
    to.small = relocation.to[i];
    live.drop(moving.from);
    live.add(to);
    for (const Moving::Version& version : moving.versions) {
      auto at = changed.find(version.key);
      if (at == changed.end()) {
        ASSIGN_OR_RETURN(SliceRecord record, SliceRecord::decode(version.key, version.value));
        at = changed.emplace(version.key, std::move(record)).first;
      }
      for (Slice& slice : at->second.slices()) {
        if (slice.stream.data_id != moving.data_id || !same_places(slice.storage, moving.from)) continue;
        slice.storage = to;
        RETURN_IF_ERROR(tallies.move(version.key, moving.from, to, slice.stream.length));
      }
    }
  }
  if (changed.empty()) return fail(Code::precondition, "what was to be moved has changed meanwhile");
  RETURN_IF_ERROR(live.finish(relocation.now_ms, out));
  RETURN_IF_ERROR(tallies.finish(out));
  for (auto& [key, record] : changed) out.push_back({key, record.encoded()});
  return {};
}

}  // namespace archipel::store
