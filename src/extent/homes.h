// Homes: which island of the roster holds each shard of an extent. A value, 8 bytes: four bits a shard, shard 0 in the lowest.
//
// The roster is the list of a realm's islands, at most 16, in the order the journal knows. An extent of a placement class lies on some of them;
// what the journal itself writes (commits, snapshots) lies on all, shard i on island i. An island holds at most one shard of an extent, so a
// shard's name (extent/names.h) says the island's place in the roster: names of what was never referred to follow from the id alone.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"

namespace archipel::extent {

inline constexpr int kRosterMax = 16;

class Homes {
 public:
  // Shard i on island i.
  constexpr Homes() = default;
  // homes[i] of shard i: distinct, 0..15, at most 16. Nothing otherwise.
  static std::optional<Homes> of(std::span<const uint8_t> homes);

  // Island of shard 0..15.
  constexpr int operator[](int shard) const { return static_cast<int>(nibbles_ >> (4 * shard) & 0xf); }
  constexpr bool standard() const { return nibbles_ == kStandard; }
  // Of the first n shards: bit per island.
  uint32_t mask(int n) const { return islands_of((1u << n) - 1); }
  // The shard below n that lies on this island; -1 if none does.
  int shard_on(int island, int n) const;
  // The islands of some shards, and which of the first n shards lie on some islands: bit per island, bit per shard.
  uint32_t islands_of(uint32_t shards) const;
  uint32_t shards_of(uint32_t islands, int n) const;
  constexpr bool operator==(const Homes&) const = default;

 private:
  static constexpr uint64_t kStandard = 0xfedcba9876543210u;
  uint64_t nibbles_ = kStandard;
};

// n bytes, a place each: how homes are written wherever they are not standard, for what is standard has a form without them. read_homes: false
// unless they are n different places below kRosterMax, and not the standard ones.
void write_homes(Writer& writer, const Homes& homes, int n);
bool read_homes(Reader& reader, int n, Homes& homes);

}  // namespace archipel::extent
