// What the journal knows about its snapshots: where each one lies, which are kept, and what they allow to be deleted
// (protocol §2, docs/formats/snapshot.md). Bytes and keys of the view only; no I/O. Pure functions; thread-safe.
//
// A snapshot is the whole view as of one commit: its keys in order, as one sealed stream, cut into chunks that are data extents of
// their own. A manifest names the chunks; it travels in the view, by a commit, and in the head slots.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/stream.h"
#include "index/committer.h"
#include "index/record.h"

namespace archipel::index {

inline constexpr size_t kSnapshotsKept = 2;
inline constexpr uint32_t kChunkSegmentsMax = 256;        // 16 MiB of plaintext: any entry of the view fits
inline constexpr size_t kSnapshotChunksMax = 128u << 10;  // 2 TiB of view

struct SnapshotManifest {
  uint64_t number = 0;  // rises by one with every snapshot of the realm, from 1
  Applied position;     // the view is as of this commit (or open, seq 0)
  UnixMs created_ms = 0;
  uint64_t entries = 0;
  Digest32 digest{};  // SHA-256 of the chunks' SHA-256 digests, one after the other
  crypto::StreamInfo stream;
  std::array<uint8_t, 60> wrapped_key{};  // of the stream, under the sub-key `index`
  erasure::Code code;
  uint32_t chunk_segments = 0;  // segments of the stream in every chunk but the last, which may hold fewer
  struct Chunk {
    extent::ExtentId id;
    extent::Attempt attempt{};
    uint32_t confirmed = 0;
  };
  std::vector<Chunk> chunks;

  uint64_t chunk_plain_bytes(size_t chunk) const;  // zeros at its end included
  extent::ExtentRef ref(size_t chunk) const;
  std::vector<extent::ExtentRef> refs() const;
  uint64_t sealed_bytes() const;  // of all chunks, before coding
};
// Where a data key's wrap is bound to.
std::string snapshot_wrap_ad(uint64_t number, const crypto::DataId& data_id);

std::string encode_manifest(const SnapshotManifest& manifest);
Result<SnapshotManifest> decode_manifest(ByteView bytes);

// --- keys of the view ---

// The snapshots that are kept, oldest first.
Result<std::vector<SnapshotManifest>> read_snapshots(const Snapshot& view);

// A snapshot that is kept no more: its extents may be deleted once the grace has passed. Its key goes by forget_retired_snapshot().
struct RetiredSnapshot {
  UnixMs retired_ms = 0;
  SnapshotManifest manifest;
};
Result<std::vector<RetiredSnapshot>> read_retired_snapshots(const Snapshot& view);
Mutation forget_retired_snapshot(uint64_t number);

// What the commit changes that makes `manifest` the newest snapshot: older ones than the two last are retired. `view`: as the
// commit's precondition sees it. precondition: it is not newer than those that are kept, or its extents are of an epoch that is closed,
// where nothing says any more that they are in use.
Result<std::vector<Mutation>> adopt_snapshot(const View& view, const SnapshotManifest& manifest,
                                             UnixMs now_ms);

// The position strictly below which commit blobs may go, as far as snapshots matter: that of a snapshot of which a newer one's head slot
// has been on w islands for `delay`, measured up to `journalled_ms`, the highest time journalled so far. It never falls while the view
// goes forward. nullopt: nothing may go. The record at the position itself stays: recovery compares its hash.
Result<std::optional<CommitPosition>> truncation_limit(const Snapshot& view, UnixMs journalled_ms,
                                                       Duration delay);

// What the commit changes that notes that the newest snapshot's head slot is on w islands since `now_ms`. Nothing to note: no mutations.
// Neither of the two kept snapshots was confirmed by all islands that count: nothing to note either, until one comes that is.
// Keeps at most kLimitsWaitingMax such notes: one that comes sooner than a part of `delay` after the last is left out.
inline constexpr int kLimitsWaitingMax = 64;
Result<std::vector<Mutation>> note_head_confirmed(const View& view, uint64_t snapshot_number, UnixMs now_ms,
                                                  Duration delay);

}  // namespace archipel::index
