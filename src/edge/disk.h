// DiskTier: what was used twice, in append-only regions of 16 MiB. One writer at a time appends records, a batch by one write; a full region is sealed by a table
// of what is in it; when all regions are full the oldest is emptied, and what was used since it was written there is written again.
//
// Bodies are read into memory and verified there, never sent from their file: sendfile gives a socket the very pages of the file. A region that is written anew
// would change them in front of a slow client, and what was verified once may be read from the device again when it is sent.
//
// Any thread; calls that block say so and belong on a worker. Nothing is given out that fails its checksum, belongs to another key, or was overwritten meanwhile.
// A kill -9 loses what was not written yet, no more: the index is read back from the tables, and from the records themselves for the region that was
// open. Errors of the device are logged and counted; they are misses to the caller. What is erased is erased on the disk, too, by a record that says so.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "edge/cache.h"
#include "edge/disk_files.h"
#include "edge/disk_format.h"
#include "edge/disk_index.h"
#include "io/workers.h"

namespace archipel::edge {

class DiskTier : public std::enable_shared_from_this<DiskTier> {
 public:
  static constexpr size_t kQueueBytesMax = 32u << 20;  // of what waits to be written
  static constexpr int kReadsMax = 256;                // under way; more are misses
  // What is read at once if it is at hand: larger records would keep a loop from its other connections for longer than waking a worker takes.
  static constexpr size_t kAtHandBytesMax = 256u << 10;
  // With more reads than this under way nobody tries what is at hand: asking a device for more could wait for its queue.
  static constexpr int kAtHandReadsMax = 64;
  static constexpr uint64_t kRegionsPerFile = 64;
  static constexpr uint64_t kRegionsMin = 4;
  static constexpr size_t kOwedMax = size_t{1} << 16;

  struct Options {
    uint64_t bytes = 0;
    uint64_t write_bytes_per_s = 0;  // 0: no budget
  };
  // Reads what is there: blocks. `files` holds the lock. unavailable: there is not room for kRegionsMin regions. io.
  static Result<std::shared_ptr<DiskTier>> open(const Options& options, std::shared_ptr<DiskFiles> files,
                                                const disk::CacheId& id, io::Workers& workers, Clock& clock);

  // --- reading

  struct Record {
    disk::RecordHeader header;
    Buffer body;  // as large as body and meta were; its visible part is the body
    std::shared_ptr<Entry> entry;
    std::shared_ptr<Variants> variants;
  };
  // Whether a read blocks until the device answers, or does only what the page cache has at hand.
  enum class Wait : uint8_t { no, yes };
  // Verified whole, or nothing: it is not there, or not to be had. waits: nothing is known yet, and read() with Wait::yes finds out.
  struct Read {
    std::optional<Record> record;
    bool waits = false;
  };
  Read read(const Key& key, disk::Kind kind, Wait wait);
  bool may_have(const Key& key) const {
    return !retired_.load(std::memory_order_relaxed) && index_.find(key.low).has_value();
  }
  // A place among those who read; false: there are too many.
  bool begin_read();
  void end_read() { reads_.fetch_sub(1); }

  // --- writing. These do not block; a worker does the work.

  // False: there is no room in the queue, or no budget for it.
  bool write_entry(const Key& key, EntryRef entry, SliceRef first, uint64_t since);
  bool write_slice(const Key& key, SliceRef slice);
  bool write_variants(const Key& key, std::shared_ptr<const Variants> variants);
  // Whether there was something, or was about to be.
  bool erase(const Key& key);

  // Waits until all that was asked for is written. Blocks.
  void flush();
  // From now on nothing is stored and nothing is found; what was asked for is written, and the open region sealed. Another process may have the files when
  // it returns. Blocks.
  void retire();
  // Purges up to this number concern nothing that is stored.
  uint64_t stamp_min() const;
  // The highest that was found at the start.
  uint64_t stamp_max() const { return stamp_max_at_start_; }
  void add_to(CacheStats& stats) const;

 private:
  struct Region {
    std::atomic<uint64_t> sequence{0};  // 0: nothing is in it
    uint64_t stamp_min = UINT64_MAX;
    uint64_t items = 0;
    bool sealed = false;
  };
  struct Job {
    disk::RecordHeader header;
    EntryRef entry;
    SliceRef slice;
    std::shared_ptr<const Variants> variants;
    uint64_t order = 0;
    size_t bytes = 0;
    std::string meta;  // written again: as it was
    Buffer body;
  };
  // What waits, or is being written, under one hash.
  struct Waiting {
    uint32_t jobs = 0;
    uint64_t erased = 0;  // jobs of a lower order have no effect
  };
  // One run of records in the open region that a single write puts there.
  struct Batch {
    std::string bytes;
    std::vector<disk::Item> items;
    std::vector<uint64_t> orders;  // of each item
    std::vector<Key> keys;
    uint64_t stamp_min = UINT64_MAX, stamp_max = 0;
  };

  DiskTier(const Options& options, std::shared_ptr<DiskFiles> files, const disk::CacheId& id,
           io::Workers& workers, Clock& clock);

  // disk.cc: reading and asking for writes
  DataFile& file_of(uint32_t region) { return *data_[region / kRegionsPerFile]; }
  static uint64_t at(uint32_t region) { return region % kRegionsPerFile * disk::kRegionBytes; }
  static std::optional<Record> record_of(const disk::RecordHeader& header, Buffer bytes);
  void failed(const char* what, const Error& error);
  bool enqueue(Job job);
  void push_locked(Job job);
  bool take_budget_locked(size_t bytes);

  // disk_recover.cc
  Result<void> open_files();
  void recover();
  struct Recovered {
    uint64_t sequence = 0;
    uint32_t region = 0;
    std::vector<disk::Item> items;
    uint64_t stamp_min = UINT64_MAX, stamp_max = 0;
    bool sealed = false;
  };
  std::optional<Recovered> look_at(uint32_t region);
  void scan_records(Recovered& found);
  std::optional<std::vector<disk::Item>> read_table(uint32_t region, uint64_t sequence,
                                                    disk::Trailer& trailer);

  // disk_write.cc: one thread at a time, the writer
  void write_some();
  void write_job(Job& job);
  bool make_room(uint32_t units);
  bool fits(uint32_t units) const;
  void flush_batch();
  void drop_batch();
  void give_up_locked(disk::Kind kind, const Key& key);
  void pay_owed_locked();
  bool open_region();
  void seal_region();
  uint32_t region_to_use();
  void empty_region(uint32_t region);
  void keep_used(uint32_t region, const std::vector<disk::Item>& items);
  void settle_locked(uint64_t hash);

  const Options options_;
  const std::shared_ptr<DiskFiles> files_;
  const disk::CacheId id_;
  io::Workers& workers_;
  Clock& clock_;
  std::vector<std::unique_ptr<DataFile>> data_;
  std::vector<Region> regions_;
  DiskIndex index_;
  uint64_t stamp_max_at_start_ = 0;
  std::atomic<int> reads_{0};
  std::atomic<bool> retired_{false};
  std::atomic<uint64_t> read_count_{0}, read_bytes_{0}, written_bytes_{0}, over_budget_{0}, corrupt_{0},
      errors_{0};

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<Job> queue_;
  size_t queue_bytes_ = 0;
  uint64_t order_ = 0;
  bool writing_ = false;
  std::unordered_map<uint64_t, Waiting> waiting_;
  // Erased while the disk took no writes: to be said as soon as it does, or the next start would find them. At most kOwedMax; more are found again.
  std::deque<Key> owed_;
  double budget_ = 0;
  TimePoint budget_at_{};
  TimePoint broken_until_{};               // writes failed: none before
  std::atomic<int64_t> refused_until_{0};  // of the steady clock, ns: no use to ask before

  // The writer's.
  uint32_t open_ = UINT32_MAX;  // region
  uint32_t next_unit_ = 0;      // the batch begins there
  std::vector<disk::Item> items_;
  uint64_t open_stamp_min_ = UINT64_MAX, open_stamp_max_ = 0;
  uint64_t last_sequence_ = 0;
  Batch batch_;
  std::deque<Job> kept_;
};

}  // namespace archipel::edge
