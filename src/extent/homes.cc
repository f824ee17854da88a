#include "extent/homes.h"

namespace archipel::extent {

std::optional<Homes> Homes::of(std::span<const uint8_t> homes) {
  if (homes.size() > kRosterMax) return std::nullopt;
  Homes out;
  uint32_t taken = 0;
  for (size_t shard = 0; shard < homes.size(); ++shard) {
    const uint8_t island = homes[shard];
    if (island >= kRosterMax || (taken >> island & 1) != 0) return std::nullopt;
    taken |= 1u << island;
    const int at = static_cast<int>(4 * shard);
    out.nibbles_ = (out.nibbles_ & ~(uint64_t{0xf} << at)) | uint64_t{island} << at;
  }
  return out;
}

int Homes::shard_on(int island, int n) const {
  for (int shard = 0; shard < n; ++shard)
    if ((*this)[shard] == island) return shard;
  return -1;
}

uint32_t Homes::islands_of(uint32_t shards) const {
  if (standard()) return shards;
  uint32_t islands = 0;
  for (int shard = 0; shard < kRosterMax; ++shard)
    if ((shards >> shard & 1) != 0) islands |= 1u << (*this)[shard];
  return islands;
}

uint32_t Homes::shards_of(uint32_t islands, int n) const {
  uint32_t shards = 0;
  for (int shard = 0; shard < n; ++shard)
    if ((islands >> (*this)[shard] & 1) != 0) shards |= 1u << shard;
  return shards;
}

void write_homes(Writer& writer, const Homes& homes, int n) {
  for (int shard = 0; shard < n; ++shard) writer.u8(static_cast<uint8_t>(homes[shard]));
}

bool read_homes(Reader& reader, int n, Homes& homes) {
  ByteView places = reader.raw(static_cast<size_t>(n));
  if (!reader.ok()) return false;
  const std::optional<Homes> read = Homes::of(places);
  if (!read || read->standard()) return false;
  homes = *read;
  return true;
}

}  // namespace archipel::extent
