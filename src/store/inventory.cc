#include "store/inventory.h"

#include "index/record.h"
#include "store/keys.h"
#include "store/repair_records.h"
#include "store/scrub_targets.h"
#include "store/staged_view.h"
#include "store/usage.h"

namespace archipel::store {
namespace {

uint32_t all_shards(const PlacedAs& as) {
  return (1u << as.n) - 1;
}

Result<StoreInventory::Bucket> read_bucket(const index::View& view, std::string name) {
  StoreInventory::Bucket out;
  ASSIGN_OR_RETURN(std::optional<std::string> document, view.get(config_key(name, kPlacementDocument)));
  if (document) {
    ASSIGN_OR_RETURN(std::string inner, decode_config(*document));
    ASSIGN_OR_RETURN(out.placement, decode_bucket_placement(inner));
  }
  ASSIGN_OR_RETURN(std::optional<UsageRecord> usage, read_usage(view, bucket_usage_key(name)));
  if (usage && usage->tallies) {
    out.tallies = std::move(*usage->tallies);
  } else {
    ASSIGN_OR_RETURN(out.tallies, count_tallies(view, name));
  }
  out.name = std::move(name);
  return out;
}

// Extents that lack shards: their placings lack them somewhere.
Result<void> subtract_debts(const index::Snapshot& snapshot, StoreInventory& out) {
  Result<void> outcome;
  auto on_exception = [&](const ExtentKey& key, const ExceptionRecord& record) {
    if (record.since_ms == 0 || !outcome) return;
    Result<std::optional<std::string>> bytes = snapshot.get(live_key(key));
    if (bytes && !*bytes) return;  // doomed
    Result<LiveRecord> live = bytes ? decode_live(**bytes) : fail(bytes.error());
    if (!live) {
      outcome = fail(live.error());
      return;
    }
    auto placing = out.placings.find(placing_of(live->ref));
    if (placing != out.placings.end()) placing->second.confirmed &= record.now.confirmed;
  };
  RETURN_IF_ERROR(scan_exceptions(snapshot, on_exception));
  RETURN_IF_ERROR(outcome);
  uint32_t journal = ~0u;
  RETURN_IF_ERROR(index::scan_debts(
      snapshot, [&](const index::Record::Confirmed& debt, UnixMs) { journal &= debt.mask; }));
  for (auto& [as, total] : out.placings)
    if (as.in == PlacedAs::In::commits) total.confirmed &= journal;
  return {};
}

// Islands that are lost, or came back empty and are not whole again: what was written before they joined may not be there.
Result<uint32_t> empty_islands(const index::Snapshot& snapshot) {
  ASSIGN_OR_RETURN(uint32_t empty, lost_islands(snapshot));
  ASSIGN_OR_RETURN(std::vector<JoinedLate> late, joined_late(snapshot));
  for (const JoinedLate& who : late) {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, snapshot.get(rebuild_key(who.island)));
    if (bytes) {
      ASSIGN_OR_RETURN(RebuildRecord record, decode_rebuild(*bytes));
      if (record.done && record.incarnation == who.incarnation) continue;
    }
    empty |= 1u << who.island;
  }
  return empty;
}

Result<void> subtract_empty(const index::Snapshot& snapshot, StoreInventory& out) {
  ASSIGN_OR_RETURN(out.empty, empty_islands(snapshot));
  for (auto& [as, total] : out.placings)
    for (int shard = 0; shard < as.n; ++shard)
      if ((out.empty >> as.islands[static_cast<size_t>(shard)] & 1) != 0) total.confirmed &= ~(1u << shard);
  return {};
}

}  // namespace

Result<StoreInventory> read_inventory(const index::Snapshot& snapshot) {
  StoreInventory out;
  SnapshotView view(snapshot);
  std::vector<std::string> names;
  RETURN_IF_ERROR(view.scan(kBucketPrefix, after_prefix(std::string(kBucketPrefix)),
                            [&](std::string_view key, std::string_view) {
                              names.emplace_back(key.substr(kBucketPrefix.size()));
                              return true;
                            }));
  for (std::string& name : names) {
    ASSIGN_OR_RETURN(StoreInventory::Bucket bucket, read_bucket(view, std::move(name)));
    out.buckets.push_back(std::move(bucket));
  }
  ASSIGN_OR_RETURN(ExtentTallies extents, read_extent_tallies(snapshot));
  for (const auto& [as, tally] : extents) out.placings[as] = {tally, all_shards(as)};
  RETURN_IF_ERROR(subtract_debts(snapshot, out));
  RETURN_IF_ERROR(subtract_empty(snapshot, out));
  return out;
}

}  // namespace archipel::store
