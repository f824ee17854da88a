// Cache: what is stored, in two tiers, and what was purged. Memory: S3-FIFO by bytes. Disk: append-only regions (disk.h), read by workers.
//
// Any thread. find_hot() never waits and is all that a hit in memory costs; the tasks resume on the loop they were awaited on. Nothing that was purged
// is ever returned, nor a body whose checksum fails. Memory and disk are bounded by the config; a full disk or a failing one makes the cache smaller,
// never the service: errors are logged and counted, and found as misses.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "edge/entry.h"
#include "io/task.h"
#include "io/workers.h"

namespace archipel::edge {

struct CacheConfig {
  size_t memory_bytes = 256u << 20;
  std::string disk_dir;                 // empty: no disk tier
  uint64_t disk_bytes = 0;              // of regions; a whole number of them
  uint64_t disk_write_bytes_per_s = 0;  // budget of writes; 0: none
};

struct Found {
  EntryRef entry;
  SliceRef first;              // slice 0, if it is at hand
  bool purged_softly = false;  // to be validated before use
};

class Cache {
 public:
  virtual ~Cache() = default;

  // From memory. `text` is compared with the entry's key. Counts as use.
  virtual Found find_hot(const Key& key, std::string_view text) = 0;
  // Memory, then disk.
  virtual io::Task<Found> find(Key key, std::string text) = 0;
  virtual io::Task<SliceRef> slice(EntryRef entry, uint32_t index) = 0;
  virtual SliceRef slice_hot(const Entry& entry, uint32_t index) = 0;
  // The variants of a primary key; nullptr: none are known.
  virtual std::shared_ptr<const Variants> variants(const Key& key, std::string_view text) = 0;
  virtual void set_variants(const Key& key, std::shared_ptr<const Variants> variants) = 0;

  // Stores or replaces. Slices may come before or after their entry; what no entry owns is evicted first. An entry that replaces another of the same
  // id (a validated response) keeps its slices.
  virtual void put(const Key& key, EntryRef entry) = 0;
  virtual void put_slice(SliceRef slice) = 0;
  virtual void erase(const Key& key) = 0;

  // Purges what was stored until now; effective before they return. Soft: it is validated before its next use, and may be served stale on error.
  virtual void purge_key(std::string_view text, bool soft) = 0;     // all variants of one primary key
  virtual void purge_prefix(std::string_view text, bool soft) = 0;  // all keys whose text begins so
  virtual void purge_tag(std::string_view site, std::string_view tag, bool soft) = 0;
  virtual void purge_group(std::string_view origin, std::string_view group) = 0;  // RFC 9875
  virtual void purge_site(std::string_view site, bool soft) = 0;

  // Flushes what the disk tier holds back. Blocks; for shutdown.
  virtual void close() = 0;
};

std::shared_ptr<Cache> make_cache(const CacheConfig& config, io::Workers& workers, Clock& clock,
                                  Random& random);

}  // namespace archipel::edge
