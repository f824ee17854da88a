#include "index/blob_set.h"

#include <algorithm>

namespace archipel::index {
namespace {

constexpr Duration kRetryPauseFirst = std::chrono::milliseconds(100);
constexpr Duration kRetryPauseMax = std::chrono::seconds(2);

}  // namespace

Targets Targets::of(const extent::Placement& all, uint32_t shard_mask) {
  Targets out;
  auto placement = std::make_shared<extent::Placement>();
  for (size_t i = 0; i < all.islands.size(); ++i) {
    if ((shard_mask >> i & 1) == 0) continue;
    placement->islands.push_back(all.islands[i]);
    out.shards.push_back(static_cast<int>(i));
  }
  out.placement = std::move(placement);
  return out;
}

uint32_t Targets::shard_mask(uint32_t placement_mask) const {
  uint32_t mask = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    if (placement_mask >> i & 1) mask |= 1u << shards[i];
  }
  return mask;
}

std::vector<extent::Fanout::Blob> BlobSet::blobs(const std::vector<int>& shards) const {
  std::vector<extent::Fanout::Blob> out;
  for (int shard : shards) {
    const size_t i = static_cast<size_t>(shard);
    extent::Fanout::Blob blob{names[i], {ByteView(headers[i]), sealed.bytes.view()}};
    if (!coded.shards.empty() && !coded.shards[i].empty()) blob.parts.push_back(coded.shards[i]);
    out.push_back(std::move(blob));
  }
  return out;
}

size_t BlobSet::bytes() const {
  size_t total = names.size() * (kHeaderBytes + sealed.bytes.size());
  for (ByteView shard : coded.shards) total += shard.size();
  return total;
}

std::string blob_name(const crypto::Keyring& keys, const std::string& island_id, BlobKind kind,
                      uint64_t epoch, const OpenBits& open, uint64_t seq) {
  if (kind == BlobKind::open) return extent::open_name(keys, island_id, epoch);
  if (kind == BlobKind::claim) return extent::claim_name(keys, island_id, epoch);
  return extent::commit_blob_name(keys, island_id, epoch, open, seq);
}

extent::ExtentRef section_ref(const Header& header, const OpenBits& open) {
  extent::ExtentRef ref;
  ref.kind = extent::ExtentRef::Kind::section;
  ref.id = {header.epoch, header.seq};
  ref.attempt = header.attempt;
  ref.geometry = header.section;
  ref.confirmed = (1u << header.section.code.n) - 1;
  ref.base = static_cast<uint32_t>(kHeaderBytes) + header.record_bytes;
  ref.open = open;
  return ref;
}

Result<std::shared_ptr<const BlobSet>> make_blob_set(const crypto::Keyring& keys, const erasure::Coder& coder,
                                                     const extent::Placement& placement, const OpenBits& open,
                                                     Sealed sealed, ByteView section) {
  auto set = std::make_shared<BlobSet>();
  const Header& header = sealed.header;
  CHECK(section.size() == header.section.length);
  if (!section.empty()) {
    ASSIGN_OR_RETURN(set->coded, extent::encode_section(keys, coder, section_ref(header, open), section));
    CHECK(set->coded.shards.size() == placement.islands.size());
  }
  for (const auto& island : placement.islands) {
    set->names.push_back(blob_name(keys, island->id(), header.kind, header.epoch, open, header.seq));
    set->headers.push_back(masked_header(keys, island->id(), set->names.back(), header));
  }
  set->sealed = std::move(sealed);
  return set;
}

io::Task<Result<uint32_t>> put_until_confirmed(extent::Fanout& fanout, io::Loop& home,
                                               std::shared_ptr<const BlobSet> set, Targets targets,
                                               extent::AckRule rule) {
  const Deadline deadline = home.now() + rule.hard_deadline;
  Duration pause = kRetryPauseFirst;
  for (;;) {
    std::vector<extent::Fanout::Blob> blobs = set->blobs(targets.shards);
    Result<uint32_t> mask = co_await fanout.put(targets.placement, std::move(blobs), set, rule);
    if (mask) co_return targets.shard_mask(*mask);
    TimePoint again = home.now() + pause;
    if (again >= deadline) co_return fail(mask.error());
    co_await io::sleep_until(again);
    rule.hard_deadline = deadline - home.now();
    pause = std::min(pause * 2, kRetryPauseMax);
  }
}

}  // namespace archipel::index
