#include "store/usage.h"

#include "store/keys.h"
#include "store/upload_records.h"

namespace archipel::store {
namespace {

// A counter that would fall below zero has miscounted; the journal is not stopped for it.
uint64_t moved(uint64_t value, int64_t by) {
  if (by >= 0) return value + static_cast<uint64_t>(by);
  return value - std::min(value, static_cast<uint64_t>(-by));
}

// Versions under one prefix of the view.
Result<void> count_under(const index::View& view, const std::string& prefix, Usage& usage) {
  Result<void> outcome;
  auto visit = [&](std::string_view, std::string_view value) {
    Result<VersionRecord> version = decode_version(value, Depth::listing);
    if (!version) {
      outcome = fail(version.error());
      return false;
    }
    usage.bytes += version->info.size;
    ++usage.versions;
    return true;
  };
  RETURN_IF_ERROR(view.scan(prefix, after_prefix(prefix), visit));
  return outcome;
}

// Parts of a bucket's uploads under way, which their sets have counted.
Result<void> count_parts(const index::View& view, const std::string& bucket, Usage& usage) {
  const std::string prefix = uploads_prefix(bucket);
  std::vector<UploadId> uploads;
  RETURN_IF_ERROR(view.scan(prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
    if (std::optional<UploadPlace> place = upload_place_of(key, prefix.size())) uploads.push_back(place->id);
    return true;
  }));
  for (const UploadId& id : uploads) {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(part_set_key(id)));
    if (!bytes) continue;
    ASSIGN_OR_RETURN(PartSetRecord set, decode_part_set(*bytes));
    usage.bytes += set.bytes;
    usage.versions += set.parts;
  }
  return {};
}

}  // namespace

Result<void> UsageChange::check(const Usage& after, const Quota& limit, std::string_view whose) const {
  if (!checked_) return {};
  const bool bytes = limit.bytes > 0 && bytes_ > 0 && after.bytes > limit.bytes;
  const bool versions = limit.versions > 0 && versions_ > 0 && after.versions > limit.versions;
  if (!bytes && !versions) return {};
  return fail(
      Code::denied,
      "the quota of the " + std::string(whose) + " is used up: at most " +
          (bytes ? std::to_string(limit.bytes) + " bytes" : std::to_string(limit.versions) + " versions"),
      "QuotaExceeded");
}

Result<void> UsageChange::apply(std::string key, const Quota* bucket_quota,
                                std::vector<index::Mutation>& out) const {
  ASSIGN_OR_RETURN(std::optional<UsageRecord> record, read_usage(view_, key));
  if (!record) return {};
  record->used = {moved(record->used.bytes, bytes_), moved(record->used.versions, versions_)};
  if (bucket_quota && record->tallies) tallies_.apply(*record->tallies);
  RETURN_IF_ERROR(
      check(record->used, bucket_quota ? *bucket_quota : record->limit, bucket_quota ? "bucket" : "account"));
  out.push_back({std::move(key), encode(*record)});
  return {};
}

Result<void> UsageChange::finish(std::vector<index::Mutation>& out) const {
  if (counts_nothing() && tallies_.empty()) return {};
  RETURN_IF_ERROR(apply(bucket_usage_key(bucket_), &quota_, out));
  if (counts_nothing()) return {};
  return apply(owner_usage_key(owner_), nullptr, out);
}

Result<void> UsageChange::drop_set_tallies(const std::array<uint8_t, 16>& set) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view_.get(part_set_key(set)));
  if (!bytes) return {};
  ASSIGN_OR_RETURN(PartSetRecord record, decode_part_set(*bytes));
  if (record.tallies) tallies_.drop(*record.tallies);
  return {};
}

Result<std::optional<UsageRecord>> read_usage(const index::View& view, std::string_view usage_key) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(usage_key));
  if (!bytes) return std::optional<UsageRecord>();
  ASSIGN_OR_RETURN(UsageRecord record, decode_usage(*bytes));
  return std::optional(record);
}

Result<Usage> count_usage(const index::View& view, const std::string& bucket) {
  Usage usage;
  RETURN_IF_ERROR(count_under(view, objects_prefix(bucket), usage));
  RETURN_IF_ERROR(count_under(view, versions_prefix(bucket), usage));
  RETURN_IF_ERROR(count_parts(view, bucket, usage));
  return usage;
}

Result<Usage> count_owner_usage(const index::View& view, const std::string& owner) {
  const std::string from = owner_prefix(owner);
  std::vector<std::string> buckets;
  RETURN_IF_ERROR(view.scan(from, after_prefix(from), [&](std::string_view key, std::string_view) {
    buckets.emplace_back(key.substr(from.size()));
    return true;
  }));
  Usage sum;
  for (const std::string& bucket : buckets) {
    ASSIGN_OR_RETURN(Usage usage, count_usage(view, bucket));
    sum.bytes += usage.bytes;
    sum.versions += usage.versions;
  }
  return sum;
}

}  // namespace archipel::store
