// Lifecycle: acts on buckets' lifecycle rules in the background.
//
// A round lists what the rules of each bucket may concern, page by page with a pause after each, and removes what is due in bulk, under the
// condition that it is still what was judged: an object that was written again in between stays. An expired current version goes as a
// client's DELETE would let it go: for good where versions are not kept, else behind a delete marker. Object Lock holds whoever asks, so
// what is retained stays, and is looked at again in the next round. A bucket whose rules cannot be read keeps everything.
//
// Home loop. All timing through Loop and Clock. Memory: a page of a listing and what of it is due. Cost: a listing of the rules' prefixes a
// round, one read for each version that only its tags keep, one commit for up to 1,000 removals.
// Source: the S3 user guide, "Managing the lifecycle of objects".
#pragma once

#include <functional>
#include <memory>

#include "io/loop.h"
#include "store/lifecycle_rules.h"
#include "store/store.h"

namespace archipel::store {

struct LifecycleOptions {
  Duration interval = std::chrono::hours(1);            // between two rounds
  Duration page_pause = std::chrono::milliseconds(20);  // after each page of a listing: others go first
  size_t page = 1000;                                   // versions or uploads looked at together (1..1000)
  LifecycleDay day = {};
};

struct LifecycleParts {
  LifecycleOptions options;
  Store& store;
  // The rules of a bucket; absent: it has none. An error: they cannot be read.
  std::function<Result<std::optional<LifecycleRules>>(const BucketInfo&)> rules;
  std::function<bool()> may_write;  // false: the round waits for another time
  io::Loop& home;
  Clock& clock;
};

class Lifecycle {
 public:
  // Since it was made.
  struct Counts {
    uint64_t expired = 0;     // current versions
    uint64_t noncurrent = 0;  // noncurrent versions and markers, removed for good
    uint64_t markers = 0;     // delete markers with nothing behind them
    uint64_t aborted = 0;     // uploads
    uint64_t changed = 0;     // due, but not any more what was judged
    uint64_t held = 0;        // due, and retained by Object Lock
    uint64_t failed = 0;      // removals, pages and buckets that ended with another error
    uint64_t looked_at = 0;   // versions and uploads
  };
  virtual ~Lifecycle() = default;
  // Rounds in the background from now on. Home loop.
  virtual void start() = 0;
  // One round over all buckets. Not beside start(). Errors: the buckets cannot be listed; what fails in one bucket is counted, and the others go on.
  virtual io::Task<Result<void>> run_once() = 0;
  // Ends soon whatever is under way. Home loop; must have finished before it is destroyed (CHECK in TaskScope).
  virtual io::Task<void> close() = 0;
  virtual const Counts& counts() const = 0;
};
std::unique_ptr<Lifecycle> make_lifecycle(LifecycleParts parts);

}  // namespace archipel::store
