// ToldLog: what an edge tells the others (purge_relay.h): numbered records, the last of them in memory, and in a file if there is a directory for them, so that
// what was not told yet is told after a restart, whatever ended the process. docs/formats/edge-told.md
//
//   this process        add(): the next number, in memory ── a worker appends ──> "told"
//                       sync(): on the disk when it returns
//   the next start      attach(): reads it, goes on with its numbers under an id of its own, and names the ids before (EarlierStart)
//
// The file is written whole at each start and whenever as much was appended as is kept; a record whose writing was cut short was promised to nobody. If the file
// is damaged, or what was kept does not reach back far enough, nobody is left in doubt: read() says that something is lost, to all who cannot have heard it.
//
// Any thread. Bounded: kRecordsMax, kBytesMax; older records are forgotten.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "edge/disk_files.h"
#include "edge/purges_heard.h"
#include "io/workers.h"

namespace archipel::edge {

// The bytes. Pure functions.
namespace told {

inline constexpr size_t kRecordBytesMax = 128u << 10;

struct State {
  uint64_t id = 0;                // of the start that wrote it
  std::vector<EarlierStart> was;  // at most PurgesHeard::kEarlierMax
  uint64_t before = 0;  // number of the last record that is not kept; the first of `records` has the next
  std::deque<std::string> records;
  uint64_t latest() const { return before + records.size(); }
  bool operator==(const State&) const = default;
};
std::string encode(const State& state);
void append_record(std::string& out, uint64_t number, std::string_view record);
// corrupt: what was told is not known; unsupported: another version wrote it. An end that was cut off while it was written is no damage.
Result<State> decode(ByteView bytes);

}  // namespace told

class ToldLog {
 public:
  static constexpr size_t kRecordsMax = size_t{1} << 16, kBytesMax = 16u << 20;
  static constexpr const char* kName = "told";

  explicit ToldLog(Random& random) { state_.id = random.u64(); }
  ~ToldLog() { release(); }
  ToldLog(const ToldLog&) = delete;
  ToldLog& operator=(const ToldLog&) = delete;

  // Keeps it in `files` from now on. Blocks. exists: another process has the directory; if nothing was added yet, its records are known from now on, and it is
  // to be tried again: then what was added there meanwhile is added here, too. Others: there will be no file. `workers` lives until release().
  Result<void> attach(std::shared_ptr<DiskFiles> files, io::Workers& workers);
  bool attached() const;
  // Writes what waits, and nothing from then on; another process may have the directory. Blocks.
  void release();

  uint64_t id() const;
  std::vector<EarlierStart> was() const;
  uint64_t latest() const;

  // Its number. Does not block; a worker writes it.
  uint64_t add(std::string record);
  // io, unavailable: it may be lost if this process ends before all have heard. Blocks: on a worker.
  Result<void> sync(uint64_t number);

  struct Run {
    uint64_t first = 1;
    bool lost = false;  // what came before `first`, and behind `after`, is not known any more
    std::vector<std::string> records;
  };
  // The records behind number `after`: at least one, if there is one.
  Run read(uint64_t after, size_t records_max, size_t bytes_max) const;

 private:
  bool is_fresh() const;
  void push_locked(std::string record);
  void forget_all_locked();
  void adopt_locked(told::State&& before, bool still_running);
  void take_later_locked(told::State&& later);
  // Holding file_mutex_.
  Result<void> write_what_waits();
  Result<void> write_anew();
  void write_often();

  mutable std::mutex mutex_;
  told::State state_;
  size_t bytes_ = 0;            // of state_.records
  std::optional<uint64_t> of_;  // id of the process beside whose records were read
  std::string waiting_;         // encoded, to be appended
  bool anew_ = false, writing_ = false, open_ = false;
  std::condition_variable written_;

  std::mutex file_mutex_;  // before mutex_
  std::shared_ptr<DiskFiles> files_;
  std::unique_ptr<DiskLock> lock_;
  std::unique_ptr<LogFile> file_;
  io::Workers* workers_ = nullptr;
  uint64_t appended_to_ = 0, synced_to_ = 0;
  size_t appended_records_ = 0, appended_bytes_ = 0;
};

}  // namespace archipel::edge
