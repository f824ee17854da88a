// MemoryTier: entries, slices and variants in memory. Shards by key, each with a lock of its own around an S3Fifo (s3fifo.h); what leaves is destroyed
// outside the lock.
//
// Any thread. What is found was held against the newest purges. A hit costs one lock, one place, one node and a look at the entry; it allocates nothing. A shard
// has 64 MiB or more, so that a slice of 1 MiB is a 64th of it: what is larger than that and a little is not stored.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "edge/cache.h"
#include "edge/purges.h"
#include "edge/s3fifo.h"

namespace archipel::edge {

// Told what is used for the second time, once; the tier behind it may want it. Called on the thread that found it, outside locks; does not wait.
class ReuseSink {
 public:
  virtual ~ReuseSink() = default;
  // `key` is the entry's or the slice's. `since`: it was clean of purges up to there.
  virtual void reused_entry(const Key& key, EntryRef entry, SliceRef first, uint64_t since) = 0;
  virtual void reused_slice(const Key& key, SliceRef slice) = 0;
};

class MemoryTier {
 public:
  static constexpr size_t kShardBytesMin = 64u << 20;
  static constexpr size_t kShardsMax = 256;
  static constexpr size_t kAdmissionShare = 64;
  static constexpr size_t kAdmissionSlack =
      16;  // a 16th of that more: what a slice's buffer has behind it, if it comes from the disk

  // `book`, `clock` and `sink` (null: nobody) must outlive it.
  MemoryTier(size_t bytes, const PurgeBook& book, Clock& clock, ReuseSink* sink);

  // As Cache::find_hot(), without slices that lie apart from their entry.
  Found find(const Key& key, std::string_view text);
  SliceRef find_slice(const Key& key, uint64_t id, uint32_t index);
  std::shared_ptr<const Variants> find_variants(const Key& key, std::string_view text);

  // What was under the key before, if it was another response: its slices are nobody's any more. `since`: clean of purges up to there. `on_disk`: it came from
  // there, and need not be offered. False: it is too large, and nothing is under the key now.
  struct Put {
    bool stored = false;
    EntryRef replaced;
  };
  Put put(const Key& key, EntryRef entry, SliceRef first, uint64_t since, bool soft, bool on_disk);
  // put() of what came from disk, unless an entry is there already: then it stays.
  bool put_if_absent(const Key& key, EntryRef entry, SliceRef first, uint64_t since, bool soft);
  bool put_slice(const Key& key, SliceRef slice, bool on_disk);
  void put_variants(const Key& key, std::shared_ptr<const Variants> variants);
  // Gives an entry without body its slice 0, if it still lies under the key.
  void adopt(const Key& key, const Entry& entry, SliceRef first);
  EntryRef erase(const Key& key);
  // If it is still this one.
  void erase_if(const Key& key, const Entry* entry);
  // The id of the entry under the key; 0: there is none.
  uint64_t id_of(const Key& key) const;
  void erase_slice(const Key& key);
  // It was not taken after all: may be offered again.
  void not_taken(const Key& key);

  // Holds every entry against the purges until now, and lets go what was purged. Takes each lock for a moment, again and again: some 100 ns an entry.
  void sweep();

  bool admits(size_t body_bytes) const { return body_bytes <= admitted_bytes_max_; }
  // Bytes that this entry and its body, if it is given, take.
  static size_t cost_of(const Entry& entry, const Slice* first);
  static size_t cost_of(const Slice& slice);

  void add_to(CacheStats& stats) const;
  size_t table_bytes() const;

 private:
  struct alignas(64) Shard {
    explicit Shard(size_t bytes) : fifo(bytes) {}
    mutable std::mutex mutex;
    S3Fifo fifo;
    uint64_t not_stored = 0;
  };

  Shard& shard_of(const Key& key) const { return *shards_[key.high & (shards_.size() - 1)]; }
  Put put_locked(Shard& shard, const Key& key, EntryRef entry, SliceRef first, uint64_t since, bool soft,
                 bool on_disk, S3Fifo::Gone& gone);
  // The entry found under `key` has not been held against the newest purges.
  bool hold_against_purges(const Key& key, Found& found, uint64_t since, uint64_t latest);
  bool sweep_some(Shard& shard, uint32_t& next);
  uint64_t number_of(uint32_t low_bits) const;

  const PurgeBook& book_;
  Clock& clock_;
  ReuseSink* const sink_;
  size_t admitted_bytes_max_ = 0;
  std::vector<std::unique_ptr<Shard>> shards_;
};

// The key of the variants under a primary key: in the same shard.
Key variants_key(const Key& key);

}  // namespace archipel::edge
