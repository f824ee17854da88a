#include "edge/disk.h"

#include <algorithm>

#include "base/log.h"

namespace archipel::edge {
namespace {

using disk::Kind;

constexpr double kBurstSeconds = 1;
constexpr double kBurstBytesMin = 2 << 20;
constexpr Duration kRefusedFor = std::chrono::milliseconds(100);
// A body's buffer may be larger than it by a quarter; beyond that it is copied.
constexpr size_t kWasteShare = 4;

}  // namespace

DiskTier::DiskTier(const Options& options, std::shared_ptr<DiskFiles> files, const disk::CacheId& id,
                   io::Workers& workers, Clock& clock)
    : options_(options),
      files_(std::move(files)),
      id_(id),
      workers_(workers),
      clock_(clock),
      regions_(std::min<uint64_t>(options.bytes / disk::kRegionBytes, DiskIndex::kRegionsMax)),
      budget_(std::max(static_cast<double>(options.write_bytes_per_s) * kBurstSeconds, kBurstBytesMin)),
      budget_at_(clock.now()) {}

void DiskTier::failed(const char* what, const Error& error) {
  // The first, and then ever rarer: a broken disk must not fill the log.
  const uint64_t count = errors_.fetch_add(1) + 1;
  if ((count & (count - 1)) == 0)
    log::warn("edge.disk.failed", {{"while", what}, {"errors", count}, {"reason", error.message}});
}

// --- reading

bool DiskTier::begin_read() {
  if (reads_.fetch_add(1) < kReadsMax) return true;
  reads_.fetch_sub(1);
  return false;
}

DiskTier::Read DiskTier::read(const Key& key, Kind kind, Wait wait) {
  const std::optional<DiskIndex::Place> place = index_.use(key.low);
  if (!place || place->region >= regions_.size()) return {};
  const uint64_t sequence = regions_[place->region].sequence.load();
  const size_t bytes = size_t{place->units} * disk::kUnit;
  if (sequence == 0 || bytes < disk::kRecordHeaderBytes) return {};
  if (wait == Wait::no && (bytes > kAtHandBytesMax || reads_.load() > kAtHandReadsMax))
    return {.record = std::nullopt, .waits = true};
  uint8_t head[disk::kRecordHeaderBytes];
  Buffer rest(bytes - sizeof head);
  DataFile& file = file_of(place->region);
  const uint64_t where = at(place->region) + uint64_t{place->unit} * disk::kUnit;
  if (wait == Wait::no) {
    if (!file.read_at_hand(where, head, rest.span())) return {.record = std::nullopt, .waits = true};
  } else if (Result<void> done = file.read(where, head, rest.span()); !done) {
    failed("reading", done.error());
    return {};
  }
  read_count_.fetch_add(1);
  read_bytes_.fetch_add(bytes);
  std::optional<disk::RecordHeader> header = disk::decode_record_header(head);
  bool good = header && header->sequence == sequence && header->bytes() <= bytes;
  good = good && disk::payload_crc(rest.view().first(header->body_bytes + header->meta_bytes), {}) ==
                     header->payload_crc;
  if (good && (header->kind != kind || header->key != key)) return {};  // another's
  Read out;
  if (good) out.record = record_of(*header, std::move(rest));
  if (out.record) return out;
  // Overwritten while it was read is nobody's fault.
  if (retired_ || regions_[place->region].sequence.load() != sequence) return {};
  corrupt_.fetch_add(1);
  index_.erase_if(key.low, place->region, place->unit);
  log::warn("edge.disk.corrupt",
            {{"region", place->region}, {"unit", place->unit}, {"where", files_->where()}});
  return {};
}

std::optional<DiskTier::Record> DiskTier::record_of(const disk::RecordHeader& header, Buffer bytes) {
  Record out{.header = header, .body = std::move(bytes), .entry = nullptr, .variants = nullptr};
  const ByteView meta = out.body.view().subspan(header.body_bytes, header.meta_bytes);
  if (header.kind == Kind::entry) {
    if ((out.entry = disk::decode_entry(meta)) == nullptr) return std::nullopt;
    out.entry->stamp = header.stamp;
  }
  if (header.kind == Kind::variants && (out.variants = disk::decode_variants(meta)) == nullptr)
    return std::nullopt;
  out.body.resize_within(header.body_bytes);
  if (out.body.capacity() - out.body.size() > out.body.size() / kWasteShare)
    out.body = Buffer::copy_of(out.body.view());
  return out;
}

// --- asking for writes

bool DiskTier::take_budget_locked(size_t bytes) {
  if (options_.write_bytes_per_s == 0) return true;
  const TimePoint now = clock_.now();
  const auto rate = static_cast<double>(options_.write_bytes_per_s);
  budget_ += std::chrono::duration<double>(now - budget_at_).count() * rate;
  budget_ = std::min(budget_, std::max(rate * kBurstSeconds, kBurstBytesMin));
  budget_at_ = now;
  if (budget_ < static_cast<double>(bytes)) return false;
  budget_ -= static_cast<double>(bytes);
  return true;
}

void DiskTier::push_locked(Job job) {
  job.order = ++order_;
  ++waiting_[job.header.key.low].jobs;
  queue_bytes_ += job.bytes;
  queue_.push_back(std::move(job));
  if (std::exchange(writing_, true)) return;
  workers_.submit([self = shared_from_this()] { self->write_some(); });
}

bool DiskTier::enqueue(Job job) {
  const int64_t refused = refused_until_.load(std::memory_order_relaxed);
  if (refused != 0 && clock_.now().time_since_epoch().count() < refused) return false;
  std::lock_guard lock(mutex_);
  if (retired_) return false;
  const bool room = queue_bytes_ + job.bytes <= kQueueBytesMax && broken_until_ <= clock_.now();
  if (room && take_budget_locked(job.bytes)) {
    push_locked(std::move(job));
    return true;
  }
  over_budget_.fetch_add(1);
  refused_until_ = (clock_.now() + kRefusedFor).time_since_epoch().count();
  return false;
}

bool DiskTier::write_entry(const Key& key, EntryRef entry, SliceRef first, uint64_t since) {
  Job job;
  job.header.kind = Kind::entry;
  job.header.key = key;
  job.header.id = entry->id;
  job.header.stamp = since;
  job.header.expires = disk::expires_of(*entry);
  job.bytes = disk::kRecordHeaderBytes + entry->cost() + (first == nullptr ? 0 : first->bytes.size());
  job.entry = std::move(entry);
  job.slice = std::move(first);
  return enqueue(std::move(job));
}

bool DiskTier::write_slice(const Key& key, SliceRef slice) {
  Job job;
  job.header.kind = Kind::slice;
  job.header.key = key;
  job.header.id = slice->entry;
  job.header.index = slice->index;
  job.bytes = disk::kRecordHeaderBytes + slice->bytes.size();
  job.slice = std::move(slice);
  return enqueue(std::move(job));
}

bool DiskTier::write_variants(const Key& key, std::shared_ptr<const Variants> variants) {
  Job job;
  job.header.kind = Kind::variants;
  job.header.key = key;
  job.bytes = disk::kRecordHeaderBytes + variants->key.size() + 256;
  job.variants = std::move(variants);
  return enqueue(std::move(job));
}

bool DiskTier::erase(const Key& key) {
  std::lock_guard lock(mutex_);
  if (retired_) return false;
  const bool had = index_.erase(key.low);
  auto waits = waiting_.find(key.low);
  if (!had && waits == waiting_.end()) return false;
  Job job;
  job.header.kind = Kind::gone;
  job.header.key = key;
  job.bytes = disk::kRecordHeaderBytes;
  push_locked(std::move(job));
  waiting_[key.low].erased = order_;
  return true;
}

void DiskTier::flush() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return !writing_; });
}

void DiskTier::retire() {
  {
    std::lock_guard lock(mutex_);
    retired_ = true;
  }
  flush();
  // Nobody writes any more.
  if (open_ != UINT32_MAX) seal_region();
}

uint64_t DiskTier::stamp_min() const {
  std::lock_guard lock(mutex_);
  uint64_t least = UINT64_MAX;
  for (const Region& region : regions_)
    if (region.sequence.load() != 0) least = std::min(least, region.stamp_min);
  return least;
}

void DiskTier::add_to(CacheStats& stats) const {
  stats.disk_objects += index_.size();
  stats.disk_index_bytes += index_.bytes();
  stats.disk_reads += read_count_.load();
  stats.disk_read_bytes += read_bytes_.load();
  stats.disk_written_bytes += written_bytes_.load();
  stats.disk_over_budget += over_budget_.load();
  stats.disk_corrupt += corrupt_.load();
  stats.disk_errors += errors_.load();
  std::lock_guard lock(mutex_);
  for (const Region& region : regions_)
    if (region.sequence.load() != 0) stats.disk_bytes += disk::kRegionBytes;
  stats.disk_writable = broken_until_ <= clock_.now();
}

}  // namespace archipel::edge
