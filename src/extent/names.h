// Names of blobs on islands. Every name is 40 lower-case hex digits: the first 20 bytes of HMAC-SHA256 under
// the sub-key "names/<island id>", so the listings of two islands cannot be joined and nobody without the
// keyring can compute a name.
//
// What is hashed: the length of a label (u8), the label, then fixed-width big-endian fields; so no two kinds
// can collide.
//   "extent"  epoch u64, counter u64, attempt[16], place u32, repair u32     a data extent's shard
//   "commit"  epoch u64, open[8], seq u64                                    a commit blob
//   "claim"   epoch u64                                                      the claim of an epoch number
//   "open"    epoch u64                                                      an epoch-open
//   "head"    slot u32                                                       overwritable: head slots 0 and 1
//   "lease"   (nothing)                                                      overwritable: the writer's lease
// docs/formats/extent.md. Pure functions of their arguments; thread-safe.
#pragma once

#include <array>
#include <string>

#include "crypto/keyring.h"
#include "island/island.h"

namespace archipel::extent {

// The random bits of an epoch's open: record names contain them, so that a void open's records are never
// mistaken.
using OpenBits = std::array<uint8_t, 8>;

inline constexpr int kHeadSlots = 2;

island::BlobName commit_blob_name(const crypto::Keyring& keys, const std::string& island_id, uint64_t epoch,
                                  const OpenBits& open, uint64_t seq);
island::BlobName claim_name(const crypto::Keyring& keys, const std::string& island_id, uint64_t epoch);
island::BlobName open_name(const crypto::Keyring& keys, const std::string& island_id, uint64_t epoch);
island::BlobName head_slot_name(const crypto::Keyring& keys, const std::string& island_id,
                                int slot);  // 0 or 1 (CHECK)
island::BlobName lease_name(const crypto::Keyring& keys, const std::string& island_id);

}  // namespace archipel::extent
