#include "store/versions.h"

#include "store/keys.h"

namespace archipel::store {
namespace {

Result<PlacedVersion> placed(std::string at, std::string bytes, bool current, Depth depth) {
  PlacedVersion out{std::move(at), std::move(bytes), {}, current};
  ASSIGN_OR_RETURN(out.record, decode_version(out.bytes, depth));
  out.record.info.latest = current;
  return out;
}

Result<std::optional<PlacedVersion>> look_at(const index::View& view, std::string at, bool current,
                                             Depth depth) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(at));
  if (!bytes) return std::optional<PlacedVersion>();
  ASSIGN_OR_RETURN(PlacedVersion found, placed(std::move(at), std::move(*bytes), current, depth));
  return std::optional(std::move(found));
}

// Where the null version is, if it is not current.
Result<std::optional<uint64_t>> null_order(const index::View& view, std::string_view bucket,
                                           std::string_view key) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(null_key(bucket, key)));
  if (!bytes) return std::optional<uint64_t>();
  Reader reader(*bytes);
  uint64_t order = reader.u64();
  if (!reader.done())
    return fail(Code::corrupt,
                "the view holds a damaged record of a null version; delete the index directory",
                "InternalError");
  return std::optional(order);
}

}  // namespace

Result<std::optional<PlacedVersion>> find_newest_noncurrent(const index::View& view, std::string_view bucket,
                                                            std::string_view key, Depth depth) {
  std::string at, bytes;
  const std::string from = versions_of(bucket, key);
  RETURN_IF_ERROR(view.scan(from, after_prefix(from), [&](std::string_view place, std::string_view value) {
    at = place;
    bytes = value;
    return false;
  }));
  if (at.empty()) return std::optional<PlacedVersion>();
  ASSIGN_OR_RETURN(PlacedVersion found, placed(std::move(at), std::move(bytes), false, depth));
  return std::optional(std::move(found));
}

Result<std::optional<PlacedVersion>> find_version(const index::View& view, std::string_view bucket,
                                                  std::string_view key, const VersionName& name,
                                                  Depth depth) {
  std::optional<VersionText> wanted;
  if (name) {
    ASSIGN_OR_RETURN(wanted, parse_version(*name));
  }
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> current, look_at(view, object_key(bucket, key), true, depth));
  if (!wanted) {
    if (current) return current;
    ASSIGN_OR_RETURN(std::optional<PlacedVersion> marker, find_newest_noncurrent(view, bucket, key, depth));
    if (marker) marker->record.info.latest = true;
    return marker;
  }
  if (current && wanted->names(current->record)) return current;
  uint64_t order = wanted->order;
  if (wanted->null) {
    ASSIGN_OR_RETURN(std::optional<uint64_t> known, null_order(view, bucket, key));
    if (!known) return std::optional<PlacedVersion>();
    order = *known;
  }
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> found,
                   look_at(view, version_key(bucket, key, order), false, depth));
  if (found && !wanted->names(found->record)) found.reset();
  return found;
}

VersionEdit::VersionEdit(const index::View& view, std::string bucket, BucketRecord record, UnixMs now_ms)
    : name_(std::move(bucket)),
      record_(std::move(record)),
      now_ms_(now_ms),
      staged_(std::make_unique<StagedView>(view)),
      references_(view),
      usage_(view, name_, record_.owner, record_.quota) {}

Result<VersionEdit> VersionEdit::begin(const index::View& view, std::string bucket, std::string owner,
                                       UnixMs now_ms) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(bucket_key(bucket)));
  if (!bytes) return no_such_bucket();
  ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(*bytes));
  if (record.owner != owner) return no_such_bucket();
  return VersionEdit(view, std::move(bucket), std::move(record), now_ms);
}

Result<std::optional<PlacedVersion>> VersionEdit::find(const std::string& key, const VersionName& name,
                                                       Depth depth) const {
  return find_version(*staged_, name_, key, name, depth);
}

Result<void> VersionEdit::check_conditions(const std::string& key, const Conditions& conditions) const {
  if (conditions.empty()) return {};
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> current,
                   look_at(*staged_, object_key(name_, key), true, Depth::listing));
  return check_write_conditions(conditions, current ? &current->record.info : nullptr);
}

uint64_t VersionEdit::order_after(const std::optional<PlacedVersion>& newest) const {
  const uint64_t now = static_cast<uint64_t>(std::max<UnixMs>(now_ms_, 0)) * 1000;
  return newest ? std::max(now, newest->record.order + 1) : now;
}

// The current version is the newest, and without one the delete marker that hides the others.
Result<uint64_t> VersionEdit::next_order(const std::string& key,
                                         const std::optional<PlacedVersion>& current) const {
  if (current || record_.versioning == Versioning::never) return order_after(current);
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> newest,
                   find_newest_noncurrent(*staged_, name_, key, Depth::listing));
  return order_after(newest);
}

Result<std::optional<PlacedVersion>> VersionEdit::find_null(
    const std::string& key, const std::optional<PlacedVersion>& current) const {
  if (current && current->record.null) return current;
  if (record_.versioning == Versioning::never) return std::optional<PlacedVersion>();
  ASSIGN_OR_RETURN(std::optional<uint64_t> order, null_order(*staged_, name_, key));
  if (!order) return std::optional<PlacedVersion>();
  return look_at(*staged_, version_key(name_, key, *order), false, Depth::listing);
}

// The end of a version: of its bytes, its place and its count.
Result<void> VersionEdit::drop(const std::string& key, const PlacedVersion& version, bool bypass_governance) {
  // Read whole before anything changes: what cannot be read stays.
  ASSIGN_OR_RETURN(VersionRecord record, decode_version(version.bytes));
  RETURN_IF_ERROR(check_unlocked(record.info.attributes, now_ms_, bypass_governance));
  if (record.part_set) RETURN_IF_ERROR(usage_.drop_set_tallies(*record.part_set));
  for (const Slice& slice : record.slices) usage_.tallies().drop(slice);
  references_.drop_version(record);
  usage_.drop(record.info.size);
  staged_->erase(version.at);
  if (record.null && !version.current) staged_->erase(null_key(name_, key));
  return {};
}

// The current version becomes one of the past.
void VersionEdit::retire(const std::string& key, const PlacedVersion& current) {
  staged_->set(version_key(name_, key, current.record.order), current.bytes);
  staged_->erase(current.at);
  if (!current.record.null) return;
  std::string order;
  Writer(order).u64(current.record.order);
  staged_->set(null_key(name_, key), std::move(order));
}

// What stands where a new version, or a marker, is to be: it is kept, or it is the null version that this one replaces.
Result<void> VersionEdit::make_room(const std::string& key, const std::optional<PlacedVersion>& current) {
  if (record_.versioning != Versioning::enabled) {
    ASSIGN_OR_RETURN(std::optional<PlacedVersion> replaced, find_null(key, current));
    if (replaced) RETURN_IF_ERROR(drop(key, *replaced, false));
    if (replaced && replaced->current) return {};
  }
  if (current) retire(key, *current);
  return {};
}

Result<void> VersionEdit::place(const std::string& key, VersionRecord& version) {
  RETURN_IF_ERROR(check_lockable(version.info.attributes, record_.object_lock));
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> current,
                   look_at(*staged_, object_key(name_, key), true, Depth::listing));
  ASSIGN_OR_RETURN(version.order, next_order(key, current));
  version.null = record_.versioning != Versioning::enabled;
  version.info.version = version_text(version);
  version.info.latest = true;
  RETURN_IF_ERROR(make_room(key, current));
  staged_->set(object_key(name_, key), encode(version));
  usage_.add(version.info.size);
  for (const Slice& slice : version.slices) usage_.tallies().add(slice);
  return {};
}

Result<void> VersionEdit::check_item(const DeleteItem& item, const PlacedVersion& judged) const {
  const ObjectInfo& info = judged.record.info;
  auto refused = [](std::string_view which) {
    return fail(Code::precondition, "the version is not as the request asks: " + std::string(which),
                "PreconditionFailed");
  };
  RETURN_IF_ERROR(check_copy_conditions(item.conditions, info));
  if (item.if_size && *item.if_size != info.size) return refused("its size");
  if (item.if_modified_ms && *item.if_modified_ms / 1000 != info.modified_ms / 1000)
    return refused("its time");
  if (item.if_is && (item.if_is->version != info.version || item.if_is->modified_ms != info.modified_ms))
    return refused("it is another");
  if (item.only == DeleteItem::Only::any) return {};
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> latest, find(item.key, std::nullopt, Depth::listing));
  const bool is_latest = latest && latest->at == judged.at;
  if (item.only == DeleteItem::Only::noncurrent)
    return is_latest ? refused("it is the latest") : Result<void>();
  size_t others = 0;
  const std::string from = versions_of(name_, item.key);
  RETURN_IF_ERROR(staged_->scan(from, after_prefix(from),
                                [&](std::string_view, std::string_view) { return ++others < 2; }));
  if (!is_latest || !info.delete_marker || others > 1) return refused("it is not a marker without versions");
  return {};
}

Result<void> VersionEdit::remove(const DeleteItem& item, bool bypass_governance, const VersionId& marker_id,
                                 const std::string& owner, DeleteOutcome& outcome) {
  RETURN_IF_ERROR(check_object_key(item.key));
  if (item.version) return remove_named(item, bypass_governance, outcome);
  return remove_latest(item, marker_id, owner, bypass_governance, outcome);
}

Result<void> VersionEdit::remove_latest(const DeleteItem& item, const VersionId& marker_id,
                                        const std::string& owner, bool bypass_governance,
                                        DeleteOutcome& outcome) {
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> latest, find(item.key, std::nullopt, Depth::listing));
  if (latest) RETURN_IF_ERROR(check_item(item, *latest));
  if (!latest && item.if_is)
    return fail(Code::precondition, "the version is not there any more", "PreconditionFailed");
  if (record_.versioning == Versioning::never) {
    if (latest) RETURN_IF_ERROR(drop(item.key, *latest, bypass_governance));
    return {};
  }
  VersionRecord marker;
  marker.version_id = marker_id;
  marker.order = order_after(latest);
  marker.null = record_.versioning != Versioning::enabled;
  marker.info.delete_marker = true;
  marker.info.modified_ms = now_ms_;
  marker.info.attributes.owner = owner;
  std::optional<PlacedVersion> current;
  if (latest && latest->current) current = std::move(latest);
  RETURN_IF_ERROR(make_room(item.key, current));
  staged_->set(version_key(name_, item.key, marker.order), encode(marker));
  if (marker.null) {
    std::string order;
    Writer(order).u64(marker.order);
    staged_->set(null_key(name_, item.key), std::move(order));
  }
  usage_.add_marker();
  outcome.delete_marker = true;
  outcome.marker_version = version_text(marker);
  return {};
}

Result<void> VersionEdit::remove_named(const DeleteItem& item, bool bypass_governance,
                                       DeleteOutcome& outcome) {
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> found, find(item.key, item.version, Depth::listing));
  if (!found) return {};
  RETURN_IF_ERROR(check_item(item, *found));
  RETURN_IF_ERROR(drop(item.key, *found, bypass_governance));
  if (found->record.info.delete_marker) {
    outcome.delete_marker = true;
    outcome.marker_version = found->record.info.version;
  }
  if (broken_) broken_ = promote(item.key);
  return broken_;
}

// A key without a current version has its newest back, if that is an object.
Result<void> VersionEdit::promote(const std::string& key) {
  std::string place = object_key(name_, key);
  ASSIGN_OR_RETURN(std::optional<std::string> current, staged_->get(place));
  if (current || record_.versioning == Versioning::never) return {};
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> newest,
                   find_newest_noncurrent(*staged_, name_, key, Depth::listing));
  if (!newest || newest->record.info.delete_marker) return {};
  staged_->erase(newest->at);
  if (newest->record.null) staged_->erase(null_key(name_, key));
  staged_->set(std::move(place), std::move(newest->bytes));
  return {};
}

Result<void> VersionEdit::finish(std::vector<index::Mutation>& out) {
  RETURN_IF_ERROR(broken_);
  RETURN_IF_ERROR(references_.finish(now_ms_, out));
  RETURN_IF_ERROR(usage_.finish(out));
  staged_->take(out);
  return {};
}

}  // namespace archipel::store
