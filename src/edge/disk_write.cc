// The writer of the disk tier: one thread at a time, a worker's.
#include <algorithm>

#include "base/log.h"
#include "edge/disk.h"

namespace archipel::edge {
namespace {

using disk::Kind;

constexpr size_t kBatchBytes = 1u << 20;
// Then other work of the workers has its turn.
constexpr size_t kTurnBytes = 8u << 20;
// What is written again when a region is emptied: a quarter, so that each turn around the disk makes room.
constexpr size_t kKeptBytesMax = disk::kRegionBytes / 4;
constexpr Duration kBrokenFor = std::chrono::seconds(10);

uint32_t units_of(size_t bytes) {
  return static_cast<uint32_t>((bytes + disk::kUnit - 1) / disk::kUnit);
}

}  // namespace

void DiskTier::write_some() {
  size_t done = 0;
  for (;;) {
    Job job;
    {
      std::lock_guard lock(mutex_);
      if (queue_.empty()) break;
      if (done > kTurnBytes) {
        workers_.submit([self = shared_from_this()] { self->write_some(); });
        return;
      }
      job = std::move(queue_.front());
      queue_.pop_front();
      queue_bytes_ -= job.bytes;
      if (broken_until_ > clock_.now()) {
        give_up_locked(job.header.kind, job.header.key);
        continue;
      }
      pay_owed_locked();
    }
    done += job.bytes;
    write_job(job);
  }
  flush_batch();
  std::lock_guard lock(mutex_);
  if (!queue_.empty()) {
    workers_.submit([self = shared_from_this()] { self->write_some(); });
    return;
  }
  writing_ = false;
  idle_.notify_all();
}

// What waits for nothing under this hash any more.
void DiskTier::settle_locked(uint64_t hash) {
  auto waits = waiting_.find(hash);
  if (waits != waiting_.end() && --waits->second.jobs == 0) waiting_.erase(waits);
}

void DiskTier::give_up_locked(Kind kind, const Key& key) {
  if (kind == Kind::gone && owed_.size() < kOwedMax) owed_.push_back(key);
  settle_locked(key.low);
}

void DiskTier::pay_owed_locked() {
  for (; !owed_.empty(); owed_.pop_front()) {
    // Stored again meanwhile: that record says it, too.
    if (index_.find(owed_.front().low) || waiting_.contains(owed_.front().low)) continue;
    Job job;
    job.header.kind = Kind::gone;
    job.header.key = owed_.front();
    job.bytes = disk::kRecordHeaderBytes;
    push_locked(std::move(job));
  }
}

void DiskTier::write_job(Job& job) {
  ByteView body = job.slice != nullptr ? job.slice->bytes.view() : job.body.view();
  if (job.entry != nullptr) job.meta = disk::encode_entry(*job.entry);
  if (job.variants != nullptr) job.meta = disk::encode_variants(*job.variants);
  disk::RecordHeader header = job.header;
  header.body_bytes = static_cast<uint32_t>(body.size());
  header.meta_bytes = static_cast<uint32_t>(job.meta.size());
  const bool sane = body.size() <= disk::kBodyBytesMax && job.meta.size() <= disk::kMetaBytesMax &&
                    header.units() <= DiskIndex::kUnitsMax;
  if (!sane || !make_room(header.units())) {
    std::lock_guard lock(mutex_);
    give_up_locked(header.kind, header.key);
    return;
  }
  header.sequence = regions_[open_].sequence.load();
  header.payload_crc = disk::payload_crc(body, as_bytes(job.meta));
  const uint32_t unit = next_unit_ + units_of(batch_.bytes.size());
  disk::append_record_header(batch_.bytes, header);
  batch_.bytes.append(as_text(body)).append(job.meta);
  batch_.bytes.resize(size_t{units_of(batch_.bytes.size())} * disk::kUnit, '\0');
  batch_.items.push_back({header.key.low, header.kind, unit, header.bytes(), header.expires});
  batch_.orders.push_back(job.order);
  batch_.keys.push_back(header.key);
  if (header.kind == Kind::entry) {
    batch_.stamp_min = std::min(batch_.stamp_min, header.stamp);
    batch_.stamp_max = std::max(batch_.stamp_max, header.stamp);
  }
  if (batch_.bytes.size() >= kBatchBytes) flush_batch();
}

bool DiskTier::fits(uint32_t units) const {
  const size_t used = size_t{next_unit_} * disk::kUnit + batch_.bytes.size() + size_t{units} * disk::kUnit;
  return used + disk::footer_bytes(items_.size() + batch_.items.size() + 1) <= disk::kRegionBytes;
}

// An open region with room for so much; what was kept of the one before is written first.
bool DiskTier::make_room(uint32_t units) {
  if (open_ != UINT32_MAX && fits(units)) return true;
  flush_batch();
  if (open_ != UINT32_MAX && fits(units)) return true;
  if (open_ != UINT32_MAX) seal_region();
  if (!open_region()) return false;
  while (!kept_.empty()) {
    Job job = std::move(kept_.front());
    kept_.pop_front();
    write_job(job);
    if (open_ == UINT32_MAX) return false;
  }
  return fits(units);
}

void DiskTier::flush_batch() {
  if (batch_.items.empty()) return;
  const uint64_t where = at(open_) + uint64_t{next_unit_} * disk::kUnit;
  Result<void> done = file_of(open_).write(where, as_bytes(batch_.bytes));
  if (!done) {
    failed("writing", done.error());
    drop_batch();
    // Nobody knows what is there now: nothing is written behind it.
    seal_region();
    return;
  }
  written_bytes_.fetch_add(batch_.bytes.size());
  next_unit_ += units_of(batch_.bytes.size());
  open_stamp_min_ = std::min(open_stamp_min_, batch_.stamp_min);
  open_stamp_max_ = std::max(open_stamp_max_, batch_.stamp_max);
  {
    std::lock_guard lock(mutex_);
    regions_[open_].stamp_min = open_stamp_min_;
    for (size_t i = 0; i < batch_.items.size(); ++i) {
      const disk::Item& item = batch_.items[i];
      auto waits = waiting_.find(item.hash);
      if (item.kind != Kind::gone && waits != waiting_.end() && batch_.orders[i] > waits->second.erased)
        index_.put(item.hash, {open_, item.unit, units_of(item.bytes)});
      settle_locked(item.hash);
    }
  }
  items_.insert(items_.end(), batch_.items.begin(), batch_.items.end());
  batch_ = Batch();
}

void DiskTier::drop_batch() {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < batch_.items.size(); ++i) give_up_locked(batch_.items[i].kind, batch_.keys[i]);
  broken_until_ = clock_.now() + kBrokenFor;
  batch_ = Batch();
}

void DiskTier::seal_region() {
  const std::string footer =
      disk::encode_footer(id_, regions_[open_].sequence.load(), items_, open_stamp_min_, open_stamp_max_);
  Result<void> done = file_of(open_).write(at(open_) + disk::kRegionBytes - footer.size(), as_bytes(footer));
  // Without it the records themselves are read at the next start.
  if (!done) failed("sealing a region", done.error());
  open_ = UINT32_MAX;
  items_.clear();
}

uint32_t DiskTier::region_to_use() {
  uint32_t oldest = 0;
  for (uint32_t i = 0; i < regions_.size(); ++i) {
    if (regions_[i].sequence.load() == 0) return i;
    if (regions_[i].sequence.load() < regions_[oldest].sequence.load()) oldest = i;
  }
  return oldest;
}

bool DiskTier::open_region() {
  const uint32_t region = region_to_use();
  if (regions_[region].sequence.load() != 0) empty_region(region);
  const uint64_t sequence = ++last_sequence_;
  Result<void> done = file_of(region).write(at(region), as_bytes(disk::encode_region_header(id_, sequence)));
  if (!done) {
    failed("opening a region", done.error());
    std::lock_guard lock(mutex_);
    broken_until_ = clock_.now() + kBrokenFor;
    for (const Job& job : kept_) settle_locked(job.header.key.low);
    kept_.clear();
    return false;
  }
  open_ = region;
  next_unit_ = disk::kRegionHeaderBytes / disk::kUnit;
  open_stamp_min_ = UINT64_MAX;
  open_stamp_max_ = 0;
  std::lock_guard lock(mutex_);
  regions_[region].stamp_min = UINT64_MAX;
  regions_[region].sequence = sequence;
  return true;
}

void DiskTier::empty_region(uint32_t region) {
  disk::Trailer trailer;
  std::optional<std::vector<disk::Item>> items =
      read_table(region, regions_[region].sequence.load(), trailer);
  if (items) {
    keep_used(region, *items);
    for (const disk::Item& item : *items) index_.erase_if(item.hash, region, item.unit);
  } else {
    index_.erase_region(region);
  }
  // Who still reads there finds another sequence.
  regions_[region].sequence = 0;
}

void DiskTier::keep_used(uint32_t region, const std::vector<disk::Item>& items) {
  const auto now = static_cast<uint64_t>(clock_.unix_ms());
  const uint64_t sequence = regions_[region].sequence.load();
  size_t bytes = 0;
  for (const disk::Item& item : items) {
    if (item.kind == Kind::gone || !index_.used(item.hash)) continue;
    if (bytes + item.bytes > kKeptBytesMax || (item.expires != 0 && item.expires < now)) continue;
    const DiskIndex::Place place{region, item.unit, units_of(item.bytes)};
    if (index_.find(item.hash) != place) continue;
    uint8_t head[disk::kRecordHeaderBytes];
    Job job;
    job.body = Buffer(item.bytes - sizeof head);
    const uint64_t where = at(region) + uint64_t{item.unit} * disk::kUnit;
    if (!file_of(region).read(where, head, job.body.span())) continue;
    std::optional<disk::RecordHeader> header = disk::decode_record_header(head);
    if (!header || header->sequence != sequence || header->bytes() != item.bytes) continue;
    const ByteView body = job.body.view().first(header->body_bytes),
                   meta = job.body.view().subspan(body.size());
    if (disk::payload_crc(body, meta) != header->payload_crc) {
      corrupt_.fetch_add(1);
      continue;
    }
    job.header = *header;
    job.meta = as_text(meta);
    job.body.resize_within(header->body_bytes);
    std::lock_guard lock(mutex_);
    if (index_.find(item.hash) != place) continue;  // erased meanwhile
    job.order = ++order_;
    ++waiting_[item.hash].jobs;
    bytes += item.bytes;
    kept_.push_back(std::move(job));
  }
}

}  // namespace archipel::edge
