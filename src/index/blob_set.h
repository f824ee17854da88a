// One journal blob as it goes to all islands: the same sealed record everywhere, a masked header and a run of cells for each.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "extent/extent.h"
#include "index/record.h"
#include "io/loop.h"

namespace archipel::index {

// The islands that a blob goes to: some or all of the shards, in shard order.
struct Targets {
  std::shared_ptr<const extent::Placement> placement;  // of the chosen shards only
  std::vector<int> shards;                             // placement->islands[i] holds shard shards[i]

  static Targets of(const extent::Placement& all, uint32_t shard_mask);
  // The mask over all n shards of a mask over placement->islands.
  uint32_t shard_mask(uint32_t placement_mask) const;
};

// Immutable once made, shared with puts that are still under way.
struct BlobSet {
  Sealed sealed;
  extent::CodedExtent coded;         // shards: empty without a section
  std::vector<std::string> names;    // by shard
  std::vector<HeaderBytes> headers;  // by shard, masked

  std::vector<extent::Fanout::Blob> blobs(const std::vector<int>& shards) const;
  size_t bytes() const;  // over all shards
};

// The name of a blob on one island.
std::string blob_name(const crypto::Keyring& keys, const std::string& island_id, BlobKind kind,
                      uint64_t epoch, const OpenBits& open, uint64_t seq);

// Where a commit's data section lies; confirmed is all ones, a hint to readers.
extent::ExtentRef section_ref(const Header& header, const OpenBits& open);

// Codes `section` (header.section.length bytes) and masks the headers. Deterministic: made again from what was read, it is the same
// byte for byte. CPU-bound: on a worker. `open` is ignored for opens and claims.
Result<std::shared_ptr<const BlobSet>> make_blob_set(const crypto::Keyring& keys, const erasure::Coder& coder,
                                                     const extent::Placement& placement, const OpenBits& open,
                                                     Sealed sealed, ByteView section);

// Puts the set on `targets` until rule.w of them confirm, the same bytes again and again after failures; returns the mask over shards.
// unavailable after rule.hard_deadline. On `home` (the current loop).
io::Task<Result<uint32_t>> put_until_confirmed(extent::Fanout& fanout, io::Loop& home,
                                               std::shared_ptr<const BlobSet> set, Targets targets,
                                               extent::AckRule rule);

}  // namespace archipel::index
