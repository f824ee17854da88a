// The start of the disk tier: what the regions hold.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "edge/disk.h"

namespace archipel::edge {
namespace {
using disk::Kind;
}  // namespace

Result<std::shared_ptr<DiskTier>> DiskTier::open(const Options& options, std::shared_ptr<DiskFiles> files,
                                                 const disk::CacheId& id, io::Workers& workers,
                                                 Clock& clock) {
  if (options.bytes / disk::kRegionBytes < kRegionsMin)
    return fail(Code::invalid, fmt::format("a disk tier has {} MiB or more, not {} bytes",
                                           kRegionsMin * disk::kRegionBytes >> 20, options.bytes));
  std::shared_ptr<DiskTier> tier(new DiskTier(options, std::move(files), id, workers, clock));
  RETURN_IF_ERROR(tier->open_files());
  tier->recover();
  return tier;
}

Result<void> DiskTier::open_files() {
  uint64_t regions = 0;
  while (regions < regions_.size()) {
    const uint64_t wanted = std::min<uint64_t>(kRegionsPerFile, regions_.size() - regions);
    const std::string name = fmt::format("data.{:05}", regions / kRegionsPerFile);
    uint64_t count = wanted;
    auto file = files_->open_data(name, count * disk::kRegionBytes);
    while (!file && file.error().code == Code::unavailable && count / 2 >= kRegionsMin) {
      count /= 2;
      file = files_->open_data(name, count * disk::kRegionBytes);
    }
    if (!file && regions < kRegionsMin) return fail(file.error());
    if (!file) failed("making room", file.error());
    if (file) {
      data_.push_back(std::move(*file));
      regions += count;
    }
    if (!file || count < wanted) break;
  }
  if (regions < regions_.size()) {
    log::warn("edge.disk.smaller", {{"where", files_->where()},
                                    {"wanted_bytes", regions_.size() * disk::kRegionBytes},
                                    {"bytes", regions * disk::kRegionBytes}});
    regions_ = std::vector<Region>(regions);
  }
  return {};
}

std::optional<std::vector<disk::Item>> DiskTier::read_table(uint32_t region, uint64_t sequence,
                                                            disk::Trailer& trailer) {
  uint8_t end[disk::kTrailerBytes];
  const uint64_t from = at(region);
  if (!file_of(region).read(from + disk::kRegionBytes - sizeof end, end, {})) return std::nullopt;
  std::optional<disk::Trailer> found = disk::decode_trailer(end, id_, sequence);
  if (!found) return std::nullopt;
  Buffer table(size_t{found->items} * disk::kItemBytes);
  if (!table.empty() && !file_of(region).read(from + found->table_at, table.span(), {})) return std::nullopt;
  trailer = *found;
  return disk::decode_table(table.view(), trailer);
}

std::optional<DiskTier::Recovered> DiskTier::look_at(uint32_t region) {
  uint8_t head[disk::kRegionHeaderBytes];
  Result<void> done = file_of(region).read(at(region), head, {});
  if (!done) {
    failed("reading a region's header", done.error());
    return std::nullopt;
  }
  std::optional<uint64_t> sequence = disk::decode_region_header(head, id_);
  if (!sequence) return std::nullopt;
  Recovered out;
  out.region = region;
  out.sequence = *sequence;
  disk::Trailer trailer;
  if (auto items = read_table(region, *sequence, trailer)) {
    out.items = std::move(*items);
    out.stamp_min = trailer.stamp_min;
    out.stamp_max = trailer.stamp_max;
    out.sealed = true;
  } else {
    scan_records(out);
  }
  return out;
}

// Up to the first that is not whole.
void DiskTier::scan_records(Recovered& found) {
  Buffer bytes(disk::kRegionBytes);
  Result<void> done = file_of(found.region).read(at(found.region), bytes.span(), {});
  if (!done) return failed("reading a region", done.error());
  const ByteView all = bytes.view();
  for (size_t from = disk::kRegionHeaderBytes; from + disk::kRecordHeaderBytes <= all.size();) {
    std::optional<disk::RecordHeader> header = disk::decode_record_header(all.subspan(from));
    if (!header || header->sequence != found.sequence || from + header->bytes() > all.size()) return;
    const ByteView body = all.subspan(from + disk::kRecordHeaderBytes, header->body_bytes);
    const ByteView meta = all.subspan(from + disk::kRecordHeaderBytes + body.size(), header->meta_bytes);
    if (disk::payload_crc(body, meta) != header->payload_crc) return;
    found.items.push_back({header->key.low, header->kind, static_cast<uint32_t>(from / disk::kUnit),
                           header->bytes(), header->expires});
    if (header->kind == Kind::entry) {
      found.stamp_min = std::min(found.stamp_min, header->stamp);
      found.stamp_max = std::max(found.stamp_max, header->stamp);
    }
    from += size_t{header->units()} * disk::kUnit;
  }
}

void DiskTier::recover() {
  std::vector<Recovered> all;
  for (uint32_t i = 0; i < regions_.size(); ++i)
    if (auto found = look_at(i)) all.push_back(std::move(*found));
  std::ranges::sort(all, {}, &Recovered::sequence);
  const auto now = static_cast<uint64_t>(clock_.unix_ms());
  for (Recovered& found : all) {
    last_sequence_ = std::max(last_sequence_, found.sequence);
    if (found.items.empty()) continue;  // free
    Region& region = regions_[found.region];
    region.sequence = found.sequence;
    region.stamp_min = found.stamp_min;
    stamp_max_at_start_ = std::max(stamp_max_at_start_, found.stamp_max);
    for (const disk::Item& item : found.items) {
      const bool over = item.expires != 0 && item.expires < now;
      const uint32_t units = (item.bytes + disk::kUnit - 1) / disk::kUnit;
      if (item.kind == Kind::gone || over || units > DiskIndex::kUnitsMax)
        index_.erase(item.hash);
      else
        index_.put(item.hash, {found.region, item.unit, units});
    }
    if (found.sealed) continue;
    // Nothing is written behind what was found: older records of the same region may lie there.
    open_ = found.region;
    items_ = std::move(found.items);
    open_stamp_min_ = found.stamp_min;
    open_stamp_max_ = found.stamp_max;
    if (uint64_t{items_.back().unit} * disk::kUnit + items_.back().bytes +
            disk::footer_bytes(items_.size()) <=
        disk::kRegionBytes)
      seal_region();
    open_ = UINT32_MAX;
    items_.clear();
  }
  log::info("edge.disk.opened", {{"where", files_->where()},
                                 {"bytes", regions_.size() * disk::kRegionBytes},
                                 {"regions_used", all.size()},
                                 {"objects", index_.size()}});
}

}  // namespace archipel::edge
