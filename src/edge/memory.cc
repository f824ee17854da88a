#include "edge/memory.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace archipel::edge {
namespace {

using Kind = S3Fifo::Kind;
using Node = S3Fifo::Node;

constexpr uint32_t kSweepStep = 512;  // nodes under one lock
// A slice, the shared pointer's count, and the pieces' own costs.
constexpr size_t kSliceExtra = sizeof(Slice) + 48;
// The count of a shared pointer.
constexpr size_t kSharedExtra = 16;
// Held with its count.
constexpr size_t kHeldExtra = 64;

// Fresh no more, not to be served stale, and the origin could not say that it is still good.
bool useless(const Node& node, UnixMs now) {
  if (node.kind != Kind::entry || node.entry == nullptr) return false;
  const Entry& entry = *node.entry;
  if (!entry.etag.empty() || entry.last_modified) return false;
  const Lifetime& life = entry.lifetime;
  const int64_t extra = life.never_stale ? 0 : std::max(life.while_revalidate, life.if_error);
  return now - life.received + life.age_then > life.fresh + extra;
}

size_t cost_of(const Variants& variants) {
  size_t all = S3Fifo::kOverhead + sizeof(Variants) + variants.key.capacity() + kSharedExtra;
  for (const auto& set : variants.names)
    for (const std::string& name : set) all += sizeof(std::string) * 2 + name.capacity();
  return all;
}

using Gone = S3Fifo::Gone;
using Held = S3Fifo::Held;

std::shared_ptr<const Held> held_of(const Node& node) {
  return std::static_pointer_cast<const Held>(node.payload);
}

// What was held goes to `gone`.
void hold(Node& node, EntryRef entry, SliceRef first, Gone& gone) {
  node.entry = entry.get();
  node.text = entry->key.data();
  gone.push_back(
      std::exchange(node.payload, std::make_shared<const Held>(std::move(entry), std::move(first))));
}

}  // namespace

Key variants_key(const Key& key) {
  return {key.high, ~key.low};
}

size_t MemoryTier::cost_of(const Slice& slice) {
  return S3Fifo::kOverhead + kSliceExtra + slice.bytes.capacity();
}

size_t MemoryTier::cost_of(const Entry& entry, const Slice* first) {
  return S3Fifo::kOverhead + kHeldExtra + entry.cost() +
         (first == nullptr ? 0 : kSliceExtra + first->bytes.capacity());
}

MemoryTier::MemoryTier(size_t bytes, const PurgeBook& book, Clock& clock, ReuseSink* sink)
    : book_(book), clock_(clock), sink_(sink) {
  const size_t count = std::bit_floor(std::clamp<size_t>(bytes / kShardBytesMin, 1, kShardsMax));
  admitted_bytes_max_ = bytes / count / kAdmissionShare;
  admitted_bytes_max_ += admitted_bytes_max_ / kAdmissionSlack;
  for (size_t i = 0; i < count; ++i) shards_.push_back(std::make_unique<Shard>(bytes / count));
}

// `checked` holds the low half of a number that is at most latest().
uint64_t MemoryTier::number_of(uint32_t low_bits) const {
  const uint64_t latest = book_.latest();
  return latest - static_cast<uint32_t>(static_cast<uint32_t>(latest) - low_bits);
}

Found MemoryTier::find(const Key& key, std::string_view text) {
  Found found;
  std::shared_ptr<const Held> held;
  uint32_t checked = 0;
  bool offer = false, varied = true;
  {
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    const uint32_t index = shard.fifo.find(key);
    if (index != S3Fifo::kNone) {
      Node& node = shard.fifo.at(index);
      // All three are elsewhere in memory: the ways there are gone at once.
      __builtin_prefetch(node.payload.get());
      __builtin_prefetch(node.entry);
      __builtin_prefetch(node.text);
      shard.fifo.use(node);
      held = held_of(node);
      found.purged_softly = node.soft;
      checked = node.checked;
      varied = node.varied;
      if (!node.offered && !node.soft && sink_ != nullptr) node.offered = offer = true;
    }
    if (varied) {
      const uint32_t other = shard.fifo.find(variants_key(key));
      if (other != S3Fifo::kNone) {
        Node& node = shard.fifo.at(other);
        shard.fifo.use(node);
        found.variants = std::static_pointer_cast<const Variants>(node.payload);
      }
    }
  }
  if (found.variants != nullptr && found.variants->key != text) found.variants = nullptr;
  if (held == nullptr || held->entry->key != text) return found;
  found.entry = EntryRef(held, held->entry.get());
  if (held->first != nullptr) found.first = SliceRef(std::move(held), held->first.get());
  const uint64_t latest = book_.latest();
  if (static_cast<uint32_t>(latest) != checked &&
      !hold_against_purges(key, found, number_of(checked), latest)) {
    found.entry = nullptr;
    found.first = nullptr;
    found.purged_softly = false;
    return found;
  }
  if (offer && !found.purged_softly) sink_->reused_entry(key, found.entry, found.first, latest);
  return found;
}

bool MemoryTier::hold_against_purges(const Key& key, Found& found, uint64_t since, uint64_t latest) {
  const Verdict verdict = book_.judge(*found.entry, since);
  if (verdict == Verdict::hard) {
    erase_if(key, found.entry.get());
    return false;
  }
  found.purged_softly |= verdict == Verdict::soft;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t index = shard.fifo.find(key);
  if (index == S3Fifo::kNone) return true;
  Node& node = shard.fifo.at(index);
  if (node.entry != found.entry.get()) return true;
  node.checked = static_cast<uint32_t>(latest);
  node.soft = found.purged_softly;
  return true;
}

SliceRef MemoryTier::find_slice(const Key& key, uint64_t id, uint32_t index) {
  SliceRef slice;
  bool offer = false;
  {
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    const uint32_t at = shard.fifo.find(key);
    if (at == S3Fifo::kNone) return nullptr;
    Node& node = shard.fifo.at(at);
    if (node.kind != Kind::slice) return nullptr;
    shard.fifo.use(node);
    slice = std::static_pointer_cast<const Slice>(node.payload);
    if (!node.offered && sink_ != nullptr) node.offered = offer = true;
  }
  if (slice->entry != id || slice->index != index) return nullptr;
  if (offer) sink_->reused_slice(key, slice);
  return slice;
}

std::shared_ptr<const Variants> MemoryTier::find_variants(const Key& key, std::string_view text) {
  std::shared_ptr<const Variants> variants;
  {
    Shard& shard = shard_of(key);
    std::lock_guard lock(shard.mutex);
    const uint32_t index = shard.fifo.find(variants_key(key));
    if (index == S3Fifo::kNone) return nullptr;
    Node& node = shard.fifo.at(index);
    shard.fifo.use(node);
    variants = std::static_pointer_cast<const Variants>(node.payload);
  }
  return variants->key == text ? variants : nullptr;
}

MemoryTier::Put MemoryTier::put(const Key& key, EntryRef entry, SliceRef first, uint64_t since, bool soft,
                                bool on_disk) {
  Gone gone;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  return put_locked(shard, key, std::move(entry), std::move(first), since, soft, on_disk, gone);
}

bool MemoryTier::put_if_absent(const Key& key, EntryRef entry, SliceRef first, uint64_t since, bool soft) {
  Gone gone;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  if (shard.fifo.find(key) != S3Fifo::kNone) return false;
  return put_locked(shard, key, std::move(entry), std::move(first), since, soft, true, gone).stored;
}

MemoryTier::Put MemoryTier::put_locked(Shard& shard, const Key& key, EntryRef entry, SliceRef first,
                                       uint64_t since, bool soft, bool on_disk, Gone& gone) {
  Put out;
  const UnixMs now = clock_.unix_ms();
  const uint32_t old = shard.fifo.find(key);
  if (old != S3Fifo::kNone) {
    const Node& node = shard.fifo.at(old);
    const bool same = node.entry->id == entry->id;
    if (!same) out.replaced = held_of(node)->entry;
    if (same && first == nullptr) first = held_of(node)->first;
    // A validated response is not written again: the copy on the disk will be validated, too, when it comes back.
    on_disk |= same && node.offered;
  }
  if (!admits(entry->cost()) || (first != nullptr && !admits(first->bytes.capacity()))) {
    ++shard.not_stored;
    if (old != S3Fifo::kNone) shard.fifo.erase(old, gone);
    return out;
  }
  const size_t cost = cost_of(*entry, first.get());
  const uint32_t index =
      old != S3Fifo::kNone ? old : shard.fifo.insert(key, Kind::entry, cost, gone, useless, now);
  if (index == S3Fifo::kNone) return out;
  Node& node = shard.fifo.at(index);
  hold(node, std::move(entry), std::move(first), gone);
  node.checked = static_cast<uint32_t>(since);
  node.soft = soft;
  node.offered = on_disk;
  node.varied = shard.fifo.find(variants_key(key)) != S3Fifo::kNone;
  out.stored = true;
  if (old != S3Fifo::kNone) shard.fifo.resize(old, cost, gone, useless, now);
  return out;
}

uint64_t MemoryTier::id_of(const Key& key) const {
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t index = shard.fifo.find(key);
  return index == S3Fifo::kNone ? 0 : shard.fifo.at(index).entry->id;
}

bool MemoryTier::put_slice(const Key& key, SliceRef slice, bool on_disk) {
  Gone gone;
  const UnixMs now = clock_.unix_ms();
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t old = shard.fifo.find(key);
  if (old != S3Fifo::kNone) shard.fifo.erase(old, gone);
  const size_t cost = cost_of(*slice);
  const uint32_t index = admits(slice->bytes.capacity())
                             ? shard.fifo.insert(key, Kind::slice, cost, gone, useless, now)
                             : S3Fifo::kNone;
  if (index == S3Fifo::kNone) {
    ++shard.not_stored;
    return false;
  }
  Node& node = shard.fifo.at(index);
  node.payload = std::move(slice);
  node.offered = on_disk;
  return true;
}

void MemoryTier::put_variants(const Key& key, std::shared_ptr<const Variants> variants) {
  Gone gone;
  const UnixMs now = clock_.unix_ms();
  const Key name = variants_key(key);
  const size_t cost = edge::cost_of(*variants);
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t old = shard.fifo.find(name);
  const uint32_t index =
      old != S3Fifo::kNone ? old : shard.fifo.insert(name, Kind::variants, cost, gone, useless, now);
  if (index == S3Fifo::kNone) return;
  Node& node = shard.fifo.at(index);
  gone.push_back(std::exchange(node.payload, std::move(variants)));
  if (old != S3Fifo::kNone) shard.fifo.resize(old, cost, gone, useless, now);
  const uint32_t entry = shard.fifo.find(key);
  if (entry != S3Fifo::kNone) shard.fifo.at(entry).varied = true;
}

void MemoryTier::adopt(const Key& key, const Entry& entry, SliceRef first) {
  Gone gone;
  const UnixMs now = clock_.unix_ms();
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t index = shard.fifo.find(key);
  if (index == S3Fifo::kNone) return;
  Node& node = shard.fifo.at(index);
  std::shared_ptr<const Held> held = held_of(node);
  if (held->entry->id != entry.id || held->first != nullptr) return;
  const size_t cost = cost_of(*held->entry, first.get());
  hold(node, held->entry, std::move(first), gone);
  shard.fifo.resize(index, cost, gone, useless, now);
}

EntryRef MemoryTier::erase(const Key& key) {
  Gone gone;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t index = shard.fifo.find(key);
  if (index == S3Fifo::kNone) return nullptr;
  EntryRef entry = held_of(shard.fifo.at(index))->entry;
  shard.fifo.erase(index, gone);
  return entry;
}

void MemoryTier::erase_slice(const Key& key) {
  Gone gone;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t index = shard.fifo.find(key);
  if (index != S3Fifo::kNone) shard.fifo.erase(index, gone);
}

void MemoryTier::erase_if(const Key& key, const Entry* entry) {
  Gone gone;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t index = shard.fifo.find(key);
  if (index != S3Fifo::kNone && shard.fifo.at(index).entry == entry) shard.fifo.erase(index, gone);
}

void MemoryTier::not_taken(const Key& key) {
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const uint32_t index = shard.fifo.find(key);
  if (index != S3Fifo::kNone) shard.fifo.at(index).offered = false;
}

bool MemoryTier::sweep_some(Shard& shard, uint32_t& next) {
  Gone gone;
  const uint64_t latest = book_.latest();
  std::lock_guard lock(shard.mutex);
  const uint32_t end = shard.fifo.extent();
  for (uint32_t step = 0; step < kSweepStep && next < end; ++step, ++next) {
    Node& node = shard.fifo.at(next);
    if (node.queue == S3Fifo::Queue::free || node.kind != Kind::entry) continue;
    if (node.checked == static_cast<uint32_t>(latest)) continue;
    const Verdict verdict = book_.judge(*node.entry, number_of(node.checked));
    if (verdict == Verdict::hard) {
      shard.fifo.erase(next, gone);
      continue;
    }
    node.soft = node.soft || verdict == Verdict::soft;
    node.checked = static_cast<uint32_t>(latest);
  }
  return next < end;
}

void MemoryTier::sweep() {
  for (const auto& shard : shards_)
    for (uint32_t next = 0; sweep_some(*shard, next);) {
    }
}

void MemoryTier::add_to(CacheStats& stats) const {
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard->mutex);
    stats.memory_bytes += shard->fifo.bytes();
    stats.memory_entries += shard->fifo.nodes(Kind::entry);
    stats.memory_slices += shard->fifo.nodes(Kind::slice);
    stats.memory_evicted += shard->fifo.evicted();
    stats.memory_not_stored += shard->not_stored;
  }
}

size_t MemoryTier::table_bytes() const {
  size_t all = 0;
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard->mutex);
    all += shard->fifo.table_bytes();
  }
  return all;
}

}  // namespace archipel::edge
