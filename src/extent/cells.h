// Cell tags: GMAC under a key that decrypts nothing (protocol §3). Scrub and repair need only these.
//
// cell key = HKDF-SHA256(sub-key "cells/default", salt = attempt, info), info = "archipel/1 cell" ‖ suite u16 ‖ kind u8 ‖ epoch u64 ‖ counter u64 ‖
//            matrix u8 ‖ k u8 ‖ n u8 ‖ cell bytes u32 ‖ extent length u64
// nonce    = shard u32 ‖ cell u64, big-endian; the cell's number is its stripe; the shard header is cell 2^64-1.
//
// So a tag holds for one place of one attempt of one extent of one geometry only: a cell that was moved, swapped, cut from another extent or
// kept from an older attempt fails. docs/formats/extent.md.
#pragma once

#include "crypto/gmac.h"
#include "extent/cell_keys.h"
#include "extent/extent.h"

namespace archipel::extent {

inline constexpr uint64_t kHeaderCell = ~uint64_t{0};

// The tags of one extent. Not thread-safe: one per job; making one costs a few microseconds.
class CellTagger {
 public:
  CellTagger(const CellKeys& keys, const ExtentRef& ref);
  crypto::Tag tag(int shard, uint64_t cell, ByteView bytes);
  // `stored` = cell ‖ tag. False if shorter than a tag.
  [[nodiscard]] bool verify(int shard, uint64_t cell, ByteView stored);

 private:
  crypto::Gmac gmac_;
};

}  // namespace archipel::extent
