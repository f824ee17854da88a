// What a Balancer, its requests and its checks share. Internal to balance*.cc.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "edge/balance.h"
#include "edge/budget.h"
#include "edge/latency.h"
#include "edge/pick.h"
#include "io/sync.h"

namespace archipel::edge {

using OriginSet = uint64_t;  // by number; kOriginsMax is 64

// A request that waits for a place at any origin.
struct PlaceWaiter {
  explicit PlaceWaiter(io::Loop& l) : loop(l) {}
  io::Loop& loop;
  io::Event event;
  bool woken = false;  // its loop only
};

struct BalanceCore {
  struct Origin {
    explicit Origin(Duration decay) : latency(decay) {}
    double weight = 1;
    int in_flight = 0;
    PeakEwma latency;
    LatencyWindow window;
    OriginState told = OriginState::usable;  // in the log
    int64_t checks = 0, checks_failed = 0, retries = 0, hedges = 0;
  };
  struct OfLoop {
    io::Loop* loop;
    std::vector<std::shared_ptr<OriginPool>> pools;
  };

  BalanceCore(OriginPolicy p, BalanceParts b, const Balancer* before);
  ~BalanceCore();  // any thread
  void adopt(const Balancer& before);
  std::vector<std::shared_ptr<OriginPool>>& pools_here();

  // An origin with room, and one more request in flight there. `elsewhere`: only one that is usable and not among `tried`.
  std::optional<size_t> place(TimePoint now, OriginSet tried, std::string_view hash_key, bool elsewhere);
  void release(size_t origin);
  void wake_next();
  void count_retry(size_t origin);
  // How a try went: for the latencies and the health.
  void judge(size_t origin, const Result<std::unique_ptr<Fetch>>& out, const Attempt& attempt,
             TimePoint began, TimePoint now);
  void failed_later(size_t origin, TimePoint now);  // within the body
  void checked(size_t origin, bool ok, TimePoint now, std::string_view why);
  // When a request that was sent to this origin now is worth a second one.
  std::optional<Duration> hedge_after(size_t origin, TimePoint now);

  const OriginPolicy policy;
  const BalanceParts parts;
  std::vector<std::shared_ptr<OriginStats>> stats;
  std::vector<OfLoop> loops;

  mutable std::mutex mutex;
  std::vector<Origin> origins;
  Picker picker;
  HealthBook health;
  Budget retries, hedges;
  std::deque<std::shared_ptr<PlaceWaiter>> queue;
  int64_t refused = 0, retries_denied = 0, hedges_denied = 0;
  std::vector<Candidate> candidates;  // of place(); kept for its memory

  // Home loop.
  void close();
  // Until the next check: the interval, give or take a tenth; less while checks contradict the verdict.
  Duration next_check(size_t origin);
  bool closed = false;
  io::Event bell;                   // rings when it closes
  std::vector<io::Stream*> checks;  // by origin: the check's connection

 private:
  void tell(size_t origin, TimePoint now, std::string_view why);
  void collect(TimePoint now, OriginSet without, bool only_usable);
};

// One request under way at an origin: a place there, which is given back when it goes. Any loop.
class Place {
 public:
  Place(std::shared_ptr<BalanceCore> core, size_t origin) : core_(std::move(core)), origin_(origin) {}
  Place(Place&& other) noexcept = default;
  Place& operator=(Place&&) = delete;
  ~Place() {
    if (core_ != nullptr) core_->release(origin_);
  }
  size_t origin() const { return origin_; }
  BalanceCore& core() const { return *core_; }

 private:
  std::shared_ptr<BalanceCore> core_;
  size_t origin_;
};

// Asks each origin now and then, until the pool closes. Home loop. (health_check.cc)
io::Task<void> watch_origin(std::shared_ptr<BalanceCore> core, size_t origin);

}  // namespace archipel::edge
