// AccessLog: records of requests on their way to the buckets that want them.
//
// append() keeps a record in memory; a background round puts what has gathered as objects into the target buckets. Best effort, as in S3: at
// most `bytes_max` wait at a time, what does not fit is dropped and counted, and a crash loses what had not been delivered. Whether a record
// may go where it should is asked when it is delivered: a target that is gone, has changed hands or forbids it loses its records.
//
// append(): any thread. The rest: home loop.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/metrics.h"
#include "base/random.h"
#include "door/s3/logging.h"
#include "io/loop.h"
#include "io/sync.h"
#include "store/store.h"

namespace archipel::door::s3 {

struct AccessLogOptions {
  Duration interval = std::chrono::minutes(5);  // from a record to its delivery, at most, while all goes well
  size_t object_bytes = 4u << 20;               // so much for one target is delivered at once
  size_t bytes_max = 32u << 20;                 // of all records that wait
  size_t targets_max = 1024;                    // pairs of source and name of a log object
  std::string region = "archipel-1";
};

class AccessLog {
 public:
  // The references must outlive it. `may_write`: false: delivery waits for another time.
  AccessLog(AccessLogOptions options, store::Store& store, io::Loop& home, Clock& clock, Random& random,
            std::function<bool()> may_write);
  ~AccessLog();

  // `line` with its newline.
  void append(const LoggingTarget& to, const store::BucketInfo& source, std::string line, UnixMs at_ms);

  void start();
  // Delivers all that waits. What cannot be put now waits on, and is dropped if it was refused.
  io::Task<void> deliver();
  // Delivers once more, and ends. While the store still takes puts.
  io::Task<void> close();

 private:
  struct Batch {
    LoggingTarget to;
    store::BucketInfo source;
    UnixMs first_ms = 0;
    std::string lines;
  };
  static io::Task<void> rounds(AccessLog* self);
  io::Task<bool> deliver_batch(const Batch& batch);
  void drop(const Batch& batch);

  const AccessLogOptions options_;
  store::Store& store_;
  io::Loop& home_;
  Clock& clock_;
  Random& random_;
  const std::function<bool()> may_write_;

  std::mutex mutex_;
  std::map<std::string, Batch> waiting_;  // by source, target and day
  size_t bytes_ = 0;                      // of them, and of those being delivered
  bool woken_ = false;

  bool stop_ = false;
  io::Event wake_;
  io::TaskScope scope_;
  metrics::Counter records_, dropped_, objects_;
  metrics::Gauge waiting_bytes_;
};

}  // namespace archipel::door::s3
