// Origins: connections to a site's origins, kept and bounded; and the plainest Upstream over them, which asks one after another.
//
// OriginPool: one origin as one loop sees it. fetch() is one try at it: on a kept connection if there is one that still stands, else on a new one.
// Whoever chooses between origins (below, or a balancer) calls it and reads from the outcome whether another may be asked.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "edge/policy.h"
#include "edge/upstream.h"
#include "http/client.h"
#include "http/limits.h"
#include "io/loop.h"

namespace archipel::edge {

// Opens connections: to a name or an address, TLS included. One for all loops; connect() is called on the loop that the stream is for.
class Connector {
 public:
  virtual ~Connector() = default;
  virtual io::Task<Result<std::unique_ptr<io::Stream>>> connect(const OriginAddress& origin,
                                                                const OriginPolicy& policy,
                                                                Deadline deadline) = 0;
};

// One try, and how it went.
struct Attempt {
  // Before: where interim responses go; null: they are dropped.
  InterimSink* interim = nullptr;
  Deadline whole = kNoDeadline;  // for the last byte of the response

  // After. Another may be asked: the origin has not acted on the request, or acting twice is harmless; and none of its body was used up.
  bool may_retry = false;
  Duration to_head{-1};  // from the first byte sent to the whole head; negative: none came

  // Meanwhile, on the loop of the try: gives it up. fetch() then returns `cancelled`, soon if it waits for the origin, and within
  // connect_timeout if it is still connecting.
  void cancel() {
    cancelled = true;
    if (stream != nullptr) stream->close(true);
  }
  bool cancelled = false;
  io::Stream* stream = nullptr;  // the pool's, while the request is on it
};

// Counters of one origin, over all loops.
struct OriginStats {
  std::atomic<int64_t> requests = 0, failures = 0, connects = 0, connect_failures = 0, reused = 0, active = 0,
                       idle = 0;
  static constexpr int kBuckets = 12;
  static const int64_t kBucketEndsUs[kBuckets];  // of the histogram of to_head; the last bucket has no end
  std::atomic<int64_t> latency[kBuckets + 1] = {};
  std::atomic<int64_t> latency_sum_us = 0;
  void observe(Duration to_head);
};

class OriginPool {
 public:
  virtual ~OriginPool() = default;  // on its loop
  // Errors are Upstream::fetch()'s; `unavailable` with detail "full" when connections_max are in use until the deadline, `cancelled` with detail "client"
  // when the request's body could not be read. request.interim is not used: attempt.interim is. `request` and `attempt` outlive the call, the request's
  // body the Fetch.
  virtual io::Task<Result<std::unique_ptr<Fetch>>> fetch(const FetchRequest& request, Deadline deadline,
                                                         Attempt& attempt) = 0;
  // Idle connections are closed. Those in use end with their requests.
  virtual void close_idle() = 0;
};
// `policy` is copied. The others outlive it; a Fetch may outlive it.
std::shared_ptr<OriginPool> make_origin_pool(io::Loop& loop, const OriginAddress& origin,
                                             const OriginPolicy& policy, Connector& connector, Clock& clock,
                                             std::shared_ptr<OriginStats> stats);

// A request that has the same effect twice (RFC 9110 §9.2.2).
bool is_idempotent(std::string_view method);

}  // namespace archipel::edge
