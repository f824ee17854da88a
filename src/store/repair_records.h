// What repair keeps in the view (docs/formats/view.md). Bytes only; pure functions; thread-safe.
//
//   f/<kind u8><epoch u64><counter u64>   an extent that is not as its references say: shards unconfirmed, or repaired since
//   s/<shard u8>                          how far the rebuilding of an island is that came back empty
#pragma once

#include <optional>
#include <string>

#include "extent/repair_table.h"
#include "store/registry.h"

namespace archipel::store {

// Written by the commit that first refers to a data extent of which not all shards were confirmed, and by every repair of one. Goes with the
// extent. Shards that `now.confirmed` lacks are repair debt.
struct ExceptionRecord {
  UnixMs since_ms = 0;  // since when shards are missing; 0 if none are
  extent::RepairException now;
};
std::string exception_key(const ExtentKey& key);
std::string encode(const ExceptionRecord& record);
Result<ExceptionRecord> decode_exception(std::string_view bytes);
// The record for a reference that some commit makes for the first time; nothing if all shards are confirmed, or it is not known which.
std::optional<ExceptionRecord> exception_of(const extent::ExtentRef& ref, UnixMs now_ms);
// All of them. Blocks: on a worker.
Result<void> scan_exceptions(const index::Snapshot& snapshot,
                             const std::function<void(const ExtentKey&, const ExceptionRecord&)>& visit);

// Where scrub and rebuilding are: a place in the order in which they visit things (scrub_targets.h).
struct ScrubPosition {
  uint8_t kind = 0;
  uint64_t epoch = 0, number = 0;
  auto operator<=>(const ScrubPosition&) const = default;
};

// Of the island of one shard, in its present incarnation.
struct RebuildRecord {
  island::Incarnation incarnation{};
  bool done = false;   // everything of the epochs before it joined is there
  ScrubPosition next;  // what comes next, if it is not
};
std::string rebuild_key(int shard);
std::string encode(const RebuildRecord& record);
Result<RebuildRecord> decode_rebuild(std::string_view bytes);
// Shards whose islands, in the incarnations `now`, came back empty once and hold everything again: a mask. For JournalOptions::rebuilt.
Result<uint32_t> rebuilt_shards(const index::Snapshot& snapshot, const std::vector<island::Incarnation>& now);

}  // namespace archipel::store
