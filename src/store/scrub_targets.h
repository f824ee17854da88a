// Scrub targets: everything that islands should hold, in one order, computed from the view and never listed from an island.
//
//   claims and opens of every epoch; commit blobs that have not been truncated, and older ones whose section holds live bytes; the chunks of
//   the kept snapshots; live data extents
//
// What is small and needed first after a loss comes first. Places in this order (ScrubPosition) stay valid while things come and go.
#pragma once

#include <functional>

#include "index/chain_reader.h"
#include "store/collector.h"
#include "store/repair_records.h"

namespace archipel::store {

struct ScrubTarget {
  enum class Kind : uint8_t { claim = 0, open = 1, commit = 2, snapshot = 3, extent = 4 };
  Kind kind = Kind::claim;
  uint64_t epoch = 0, number = 0;  // number: a commit's seq, an extent's counter
  index::OpenBits open{};          // of a commit's epoch
  extent::ExtentRef ref;           // of extents and snapshots' chunks

  ScrubPosition position() const { return {static_cast<uint8_t>(kind), epoch, number}; }
  bool journal() const { return kind <= Kind::commit; }
  // The ledger lists what is missing of it.
  bool listed() const { return kind >= Kind::commit; }
  // Commits and extents: the same as in the registry.
  ExtentKey key() const {
    return {journal() ? extent::ExtentRef::Kind::section : extent::ExtentRef::Kind::data, {epoch, number}};
  }
  // Shards of an extent by the islands they lie on, and the islands of some shards: bit per place of the roster. A journal blob's shard i lies on
  // island i.
  uint32_t shards_of(uint32_t islands) const {
    return journal() ? islands : ref.homes.shards_of(islands, ref.geometry.code.n);
  }
  uint32_t islands_of(uint32_t shards) const { return journal() ? shards : ref.homes.islands_of(shards); }
  // An island that should hold something of it.
  bool lies_on(int island) const { return shards_of(1u << island) != 0; }
  int home(int shard) const { return journal() ? shard : ref.home(shard); }
  index::ChainReader::Name name() const;
  std::string describe() const;  // "extent 3/17"
};

// What a moment's targets are computed from. The references must outlive it; `snapshots` may be empty.
struct TargetView {
  std::shared_ptr<const index::Snapshot> view;
  const SnapshotHooks& snapshots;
  UnixMs now_ms = 0;
};

// Targets at or after `from`, in order, until `visit` returns false. Blocks: on a worker. Cost: linear in what is visited, and in the epochs.
Result<void> scan_targets(const TargetView& at, const ScrubPosition& from,
                          const std::function<bool(const ScrubTarget&)>& visit);

// Whether `target` should still be there, in the newest view. Blocks.
Result<bool> still_wanted(const TargetView& at, const ScrubTarget& target);

// The commit, live extent or snapshot's chunk of this key; nothing if it is not wanted any more. Blocks.
Result<std::optional<ScrubTarget>> find_target(const TargetView& at, const ExtentKey& key);

// An island that joined empty in an epoch after the first: nothing of the epochs before `joined_epoch` is there but what was rebuilt.
struct JoinedLate {
  int island = 0;  // place in the roster
  island::Incarnation incarnation{};
  uint64_t joined_epoch = 0;
  UnixMs joined_ms = 0;
};
// By the rosters of all epochs; islands that are lost now are left out. Blocks.
Result<std::vector<JoinedLate>> joined_late(const index::Snapshot& snapshot);
// Islands that had no marker when the last epoch opened: a mask by place in the roster. Blocks.
Result<uint32_t> lost_islands(const index::Snapshot& snapshot);

}  // namespace archipel::store
