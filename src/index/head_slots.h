// Head slots: two overwritable blobs on every island that say how far the journal was and where its snapshots lie, so that a start
// without DIR need not begin at the realm's first day (protocol §2, docs/formats/snapshot.md).
//
// A slot is a hint. It is sealed under the keyring, so what it says was true once; an island may show an older one, or none. Whoever
// reads slots takes the highest and then looks upwards by computed names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/chain_reader.h"
#include "index/snapshot_manifest.h"

namespace archipel::index {

inline constexpr size_t kSlotBytesMax = 16u << 20;

struct HeadSlot {
  uint64_t number = 0;  // rises with every write; written to slot number % 2
  Applied position;     // acknowledged when the slot was written
  UnixMs written_ms = 0;
  uint64_t journal_bytes = 0;  // records and sections since the newest snapshot, or since the realm began
  erasure::Code code;
  int w = 0;
  std::vector<RosterEntry> roster;          // of the position's epoch
  std::vector<SnapshotManifest> snapshots;  // newest first, at most kSnapshotsKept

  int slot() const { return static_cast<int>(number % extent::kHeadSlots); }
  // Later in the journal, or written later at the same place.
  bool newer_than(const HeadSlot& other) const;
};

// The slot as it lies under `name`, which is an island's head_slot_name(): salt[32] ‖ sealed, padded. limit if it is longer than
// kSlotBytesMax.
Result<std::string> seal_head_slot(const crypto::Keyring& keys, Random& random, const std::string& name,
                                   const HeadSlot& slot);
// corrupt: it is not one, or was altered; unsupported: of a later version.
Result<HeadSlot> open_head_slot(const crypto::Keyring& keys, const std::string& name, ByteView bytes);

// What the islands' slots say.
struct SlotsSeen {
  std::optional<HeadSlot> best;
  std::vector<std::string> wrong;  // islands with a slot that does not open; said in the log too
  std::vector<std::string>
      old;  // islands whose newest slot is more than two writes behind the best, or that have none
};
// Asks every island that is present for both of its slots. Never fails: no slots, no hint. On `home`.
io::Task<SlotsSeen> read_head_slots(const crypto::Keyring& keys, const extent::Placement& placement,
                                    const std::vector<IslandSeen>& seen, io::Workers& workers,
                                    io::Loop& home);

// Overwrites slot.slot() on all islands; returns the mask of those that confirmed by `deadline`. On `home`.
io::Task<uint32_t> write_head_slot(const crypto::Keyring& keys, const extent::Placement& placement,
                                   const HeadSlot& slot, io::Workers& workers, io::Loop& home, Random& random,
                                   Deadline deadline);

}  // namespace archipel::index
