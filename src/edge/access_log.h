// AccessLog: a line for each request, gathered per loop and written by a worker, so that a slow disk never holds a request up.
//
// Bounded: lines that would take more than AccessLogConfig::buffer_bytes (all loops together) are dropped and counted. A crash loses what was not
// written yet, a quarter of a second at most. Lines of one loop keep their order.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "edge/config.h"
#include "io/sync.h"
#include "io/workers.h"

namespace archipel::edge {

// One request, as it is logged. Views: for the time of the call.
struct AccessRecord {
  UnixMs at_ms = 0;         // when its head was complete
  std::string_view client;  // address
  std::string_view site, method, host, target, version, referer, user_agent;
  std::string_view how;  // Served::How, or what the gate said
  std::string_view origin;
  int status = 0;
  uint64_t body_bytes = 0;
  uint64_t origin_bytes = 0;
  int64_t duration_us = 0;
  bool secure = false, complete = false;
};
// One line with its end, in UTF-8; whatever a client sent is escaped, so that it can forge no line.
std::string format_access(const AccessRecord& record, bool json);

class AccessLog {
 public:
  // `loops`: how many write to it. The references outlive it.
  AccessLog(AccessLogConfig config, size_t loops, io::Workers& workers);
  ~AccessLog();
  // Opens the file. Blocks. io, not_found.
  Result<void> open();
  // The file anew: for those who rotate it. A file that cannot be opened leaves the old one in use.
  Result<void> reopen(const AccessLogConfig& config);
  Result<void> reopen() { return reopen(AccessLogConfig(config_)); }
  bool on() const { return on_; }

  // On the loop with that number. Never waits.
  void append(size_t loop, const AccessRecord& record);
  // Flushes each loop's lines every kFlushInterval; on the home loop, until close(), which writes what is left.
  void start();
  io::Task<void> close();

  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  uint64_t written() const { return written_.load(std::memory_order_relaxed); }

  static constexpr Duration kFlushInterval = std::chrono::milliseconds(250);

 private:
  struct File;
  struct alignas(64) Ring {
    std::mutex mutex;
    std::string lines;
    uint64_t count = 0;
  };
  static io::Task<void> flush_often(AccessLog* self);
  io::Task<void> flush();
  void write_all(const std::string& lines, uint64_t count);

  AccessLogConfig config_;
  io::Workers& workers_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::shared_ptr<File> file_;
  std::mutex file_mutex_;
  std::atomic<bool> on_ = false;
  std::atomic<bool> failing_ = false;
  std::atomic<size_t> waiting_bytes_ = 0;
  std::atomic<uint64_t> dropped_ = 0, written_ = 0;
  bool closing_ = false;
  io::Event wake_;
  io::TaskScope scope_;
};

}  // namespace archipel::edge
