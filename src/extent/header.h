// The 128-byte header of a data extent's shard blob. It lets a person with the keyring tell what a blob is; readers check it against the
// ExtentRef and never believe it. Commit blobs have their own header (the journal's).
//
// Layout, big-endian: magic "ARCHIPXT" ‖ major u8 = 1 ‖ minor u8 = 0 ‖ suite u16 ‖ kind u8 ‖ n u8 ‖ k u8 ‖ matrix u8 ‖ shard u32 ‖ cell bytes u32 ‖
// length u64 ‖ epoch u64 ‖ counter u64 ‖ attempt[16] ‖ zeros[48] ‖ GMAC[16] (cells.h, cell 2^64-1) over the 112 bytes before it.
// All 128 bytes are then XORed with HKDF-SHA256(sub-key "cells/default", no salt, "archipel/1 mask" ‖ name), so that the blob looks random. The
// repair number is only in the name: the header's bytes under the tag never change for one (attempt, shard).
#pragma once

#include <array>
#include <string>

#include "extent/cells.h"
#include "extent/extent.h"

namespace archipel::extent {

inline constexpr size_t kShardHeaderBytes = 128;
using ShardHeader = std::array<uint8_t, kShardHeaderBytes>;

// Writes the masked header of `shard` into `out` (kShardHeaderBytes, CHECK).
void write_shard_header(const CellKeys& keys, CellTagger& tagger, const ExtentRef& ref, int shard,
                        const std::string& name, MutableBytes out);

// unsupported for an unknown major version, corrupt for anything that differs from what `ref` demands.
Result<void> check_shard_header(const CellKeys& keys, const ExtentRef& ref, int shard,
                                const std::string& name, ByteView stored);

}  // namespace archipel::extent
