// Cache: what is stored, in two tiers, and what was purged. Memory: S3-FIFO by bytes (memory.h). Disk: append-only regions (disk.h), read and
// written by workers.
//
// Any thread. find_hot() never waits and is all that a hit in memory costs; the tasks resume on the loop they were awaited on. Nothing that was purged
// is ever returned, nor a body whose checksum fails. Memory and disk are bounded by the config; a full disk or a failing one makes the cache smaller,
// never the service: errors are logged and counted, and found as misses.
//
// Purges and fetches. A purge has a number; stamp() is the number of the latest. Whoever fetches a response takes stamp() *before the request is
// sent* and stores it as Entry::stamp: every purge with a higher number that fits the entry holds for it, however late it is stored, so a fetch that
// began before a purge is never found as fresh after it. An entry whose stamp was forgotten (0) is found by nobody after the first purge that fits.
// A validated response (304) is a new Entry with the stamp of its validation.
//
// What goes to disk: what is used a second time in memory; and what is too large for memory (more than 1/64 of a shard), the second time it is put.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "edge/entry.h"
#include "edge/purges_heard.h"
#include "io/task.h"
#include "io/workers.h"

namespace archipel::edge {

class DiskFiles;

struct CacheConfig {
  size_t memory_bytes = 256u << 20;
  std::string disk_dir;     // empty: no disk tier. Created if absent; refused if it holds what is not ours
  uint64_t disk_bytes = 0;  // of regions; a whole number of them
  uint64_t disk_write_bytes_per_s = 0;  // budget of writes; 0: none
};

struct Found {
  EntryRef entry;
  SliceRef first;              // slice 0, if it is at hand
  bool purged_softly = false;  // to be validated before use
  // What varies under this key, if that is known, with or without an entry.
  std::shared_ptr<const Variants> variants;
};

struct CacheStats {
  uint64_t memory_bytes = 0, memory_entries = 0, memory_slices = 0;
  uint64_t memory_evicted = 0;     // entries and slices, since the start
  uint64_t memory_not_stored = 0;  // too large for memory
  uint64_t purges = 0;             // numbers of purges that are kept
  uint64_t disk_bytes = 0;         // of regions that hold something
  uint64_t disk_objects = 0;       // entries, slices and variants
  uint64_t disk_index_bytes = 0;   // memory of the index
  uint64_t disk_reads = 0, disk_read_bytes = 0, disk_written_bytes = 0;
  uint64_t disk_over_budget = 0;  // not written for want of budget
  uint64_t disk_corrupt = 0;      // records that failed their checksum
  uint64_t disk_errors = 0;       // reads and writes that failed
  bool disk_writable = false;
};

// As /metrics shows them: archipel_edge_cache_….
std::string metrics_text(const CacheStats& stats);

class Cache {
 public:
  virtual ~Cache() = default;

  // The keyed hash of a key's text: SipHash-2-4-128 under this cache's secret. About 100 ns.
  virtual Key key_of(std::string_view text) const = 0;
  // For Entry::id; never given twice, not even after a restart.
  virtual uint64_t new_id() = 0;
  // For Entry::stamp; see above. One atomic load.
  virtual uint64_t stamp() const = 0;

  // From memory. `text` is compared with the entry's key. Counts as use. No allocation.
  virtual Found find_hot(const Key& key, std::string_view text) = 0;
  // Memory, then disk: what of it is in the page cache and small is read at once, the rest on a worker.
  virtual io::Task<Found> find(Key key, std::string text) = 0;
  virtual io::Task<SliceRef> slice(EntryRef entry, uint32_t index) = 0;
  virtual SliceRef slice_hot(const Entry& entry, uint32_t index) = 0;
  // The variants of a primary key, from memory (find() asks the disk, too); nullptr: none are known.
  virtual std::shared_ptr<const Variants> variants(const Key& key, std::string_view text) = 0;
  virtual void set_variants(const Key& key, std::shared_ptr<const Variants> variants) = 0;

  // Stores or replaces. A body of one slice is best given with its entry, and its buffer best as large as the body: its capacity is what it costs. Slices
  // may come before or after their entry; what no entry owns is evicted in time. An entry that replaces another of the same id (a validated response)
  // keeps its slices. Entries that are too large for memory are put before their slices.
  virtual void put(const Key& key, EntryRef entry, SliceRef first = nullptr) = 0;
  virtual void put_slice(SliceRef slice) = 0;
  virtual void erase(const Key& key) = 0;

  // Purges what was stored until now, or is being fetched. Effective in this process when the call returns; durable, so that neither kill -9 nor a
  // crash of the machine undoes it, when the task has finished. io, unavailable: it is effective, but may be undone by a restart, because the log of purges
  // could not be written. Soft: it is validated before its next use, and may be served stale on error. Cost: O(1), and each entry's next find looks
  // at its site, key, tags, groups and prefixes again.
  virtual io::Task<Result<void>> purge_key(std::string text,
                                           bool soft) = 0;  // all variants of one primary key
  virtual io::Task<Result<void>> purge_prefix(std::string text,
                                              bool soft) = 0;  // all keys whose text begins so
  virtual io::Task<Result<void>> purge_tag(std::string site, std::string tag, bool soft) = 0;
  virtual io::Task<Result<void>> purge_group(std::string origin, std::string group) = 0;  // RFC 9875
  virtual io::Task<Result<void>> purge_site(std::string site, bool soft) = 0;
  // purge_key(text, hard) for RFC 9111 §4.4, without waiting for the disk: a crash of the machine may undo it.
  virtual void invalidate(std::string_view text) = 0;
  // purge_tag(), or without a tag purge_site(), in the same way. `tag` in lower case.
  virtual void invalidate_all(std::string_view site, std::string_view tag, bool soft) = 0;

  // How far other edges were heard (purges_heard.h): kept with the purges, so that it is known after a restart if and only if all that they told is. What is said
  // must be in effect here, and the tasks of its purges ended. Does not wait for the disk.
  virtual void keep_heard(const std::vector<HeardMark>& heard) = 0;
  virtual std::vector<HeardMark> heard() const = 0;

  virtual CacheStats stats() const = 0;
  // Hands the disk tier's directory to another process: what is held back is written, then nothing is read from it, written to it or locked in it any
  // more; purges are not durable from then on. Blocks. In a cache without a disk tier it does nothing.
  virtual void release_disk() = 0;
  // Of a cache made by make_cache_beside(): takes the directory over, with what is stored in it and all that was purged in the process that had it. exists: it
  // still has it, try again. Other errors: there will be no disk tier. Blocks; one call at a time.
  virtual Result<void> attach_disk() = 0;
  // Flushes what the disk tier holds back. Blocks; for shutdown, when no task is under way any more.
  virtual void close() = 0;
};

// Blocks: it reads the footers of the disk tier's regions. Without a usable disk it is a cache in memory, and says so in the log. `workers`, `clock` and `random`
// must outlive it.
std::shared_ptr<Cache> make_cache(const CacheConfig& config, io::Workers& workers, Clock& clock,
                                  Random& random);
// Beside a process that still uses the disk tier's directory, and is about to end (a predecessor whose sockets were taken over): a cache in memory, until
// attach_disk(). Until then no purge is durable. Without a disk tier in the config, or without one that can be read there, the same as make_cache().
std::shared_ptr<Cache> make_cache_beside(const CacheConfig& config, io::Workers& workers, Clock& clock,
                                         Random& random);
std::shared_ptr<Cache> make_cache_beside(const CacheConfig& config, std::shared_ptr<DiskFiles> files,
                                         io::Workers& workers, Clock& clock, Random& random);
// With the files of its disk tier given (disk_files.h); null: none.
std::shared_ptr<Cache> make_cache(const CacheConfig& config, std::shared_ptr<DiskFiles> files,
                                  io::Workers& workers, Clock& clock, Random& random);

// "scheme://host:port" of a key's text, as purge_group() compares it; empty if there is none.
std::string_view origin_of(std::string_view key_text);

}  // namespace archipel::edge
