// WorkItem: one blob per island to be verified and, if need be, rebuilt, described so that the `cells` sub-key is enough to do it.
//
// Names, headers of journal blobs and the digest of a record need other keys: whoever holds the keyring computes them and writes them down
// here. So scrub and repair can run in a process that can decrypt nothing (tests/cells_only).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "crypto/hash.h"
#include "extent/extent.h"
#include "extent/header.h"

namespace archipel::extent {

// What lies before the cells of a journal blob.
struct JournalRecord {
  std::vector<ShardHeader> headers;  // by shard, as stored
  uint32_t bytes = 0;                // of the sealed record, which is the same on every island
  crypto::Digest32 digest{};         // BLAKE2b of it
};

struct WorkItem {
  // kind data: n shards with headers of this module. kind section: n journal blobs (commit, open or claim); geometry.length 0 if they hold no
  // cells, `base` where the cells begin or the blob ends.
  ExtentRef ref;
  std::vector<island::BlobName> names;  // by shard: where it lies
  // By shard: where a shard goes whose present name holds wrong bytes (its repair number is one more). Empty for journal blobs, whose names
  // have no such number. The name it has: it is replaced in place, like those, because its readers know no exceptions (a snapshot's chunks).
  std::vector<island::BlobName> next_names;
  using Record = JournalRecord;
  std::optional<Record> record;  // kind section

  int n() const { return ref.geometry.code.n; }
  bool journal() const { return record.has_value(); }
  bool in_place(int shard) const {
    const auto i = static_cast<size_t>(shard);
    return journal() || next_names[i] == names[i];
  }
  // Of the whole blob of this shard.
  uint64_t blob_bytes(int shard) const { return first_cell_offset() + ref.geometry.shard_bytes(shard); }
  uint64_t first_cell_offset() const { return journal() ? uint64_t{ref.base} : uint64_t{kShardHeaderBytes}; }
  // "extent 3/17" or "commit 3/17" for messages: ids tell nothing of what is stored.
  std::string describe() const;
};

// The geometry is admitted, every list has n entries, lengths agree, journal blobs have standard homes. A name is 40 lower-case hex digits.
Result<void> check_work_item(const WorkItem& item);

// u8 1 (format) ‖ ref (kind u8, epoch u64, counter u64, attempt[16], n u8, k u8, cell bytes u32, length u64, base u32, open[8]) ‖ with format 2, which
// says that a data extent's homes are not standard: n homes u8 ‖ n names as 20 raw bytes ‖ u8 0, 1 or 2: 0 nothing more; 1: n next names; 2: record bytes u32, digest[32], n headers of 128.
std::string encode_work_item(const WorkItem& item);
// corrupt for whatever check_work_item() or the layout refuses; whatever the bytes are, never a crash.
Result<WorkItem> decode_work_item(ByteView bytes);

}  // namespace archipel::extent
