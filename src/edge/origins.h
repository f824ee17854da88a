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

// How a try went, also when it succeeded.
struct Attempt {
  bool may_retry =
      false;  // the origin has not acted on the request, or acting twice is harmless; and none of its body was used up
  Duration to_head{-1};  // from the first byte sent to the whole head; negative: none came
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
  // `attempt` is filled in before it returns. Errors are Upstream::fetch()'s; `unavailable` also when connections_max are in use until the deadline.
  // `request` outlives the call, its body the Fetch.
  virtual io::Task<Result<std::unique_ptr<Fetch>>> fetch(const FetchRequest& request, Deadline deadline,
                                                         Attempt& attempt) = 0;
  // Idle connections are closed. Those in use end with their requests.
  virtual void close_idle() = 0;
};
// `policy` is copied. The others outlive it; a Fetch may outlive it.
std::shared_ptr<OriginPool> make_origin_pool(io::Loop& loop, const OriginAddress& origin,
                                             const OriginPolicy& policy, Connector& connector, Clock& clock,
                                             std::shared_ptr<OriginStats> stats);

// Asks the origins in turn, each request beginning with the next; goes on to another while `may_retry`. Serves any of `loops`.
class Origins final : public Upstream {
 public:
  Origins(OriginPolicy policy, std::vector<io::Loop*> loops, Connector& connector, Clock& clock);
  ~Origins() override;  // any thread; what belongs to a loop is destroyed there
  io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline deadline) override;
  const OriginPolicy& policy() const { return policy_; }
  const OriginStats& stats(size_t origin) const { return *stats_[origin]; }

 private:
  struct OfLoop {
    io::Loop* loop;
    std::vector<std::shared_ptr<OriginPool>> pools;
  };
  std::vector<std::shared_ptr<OriginPool>>& pools_here();

  const OriginPolicy policy_;
  std::vector<std::shared_ptr<OriginStats>> stats_;
  std::vector<OfLoop> loops_;
  std::atomic<uint32_t> next_ = 0;
};

// A request that has the same effect twice (RFC 9110 §9.2.2).
bool is_idempotent(std::string_view method);

}  // namespace archipel::edge
