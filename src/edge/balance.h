// Balancer: the Upstream of a site with origins of its own: chooses between them, asks again elsewhere, hedges, and keeps away from those that fail.
//
//   one request:  place at an origin (pick.h, health.h, limits) -> try (origins.h) -> if it fails and may be repeated, within the budget: the next one
//   meanwhile:    checks of every origin (health_check.h), on the first loop
//
// Any loop of those it was made with. What all loops know about the origins is behind one mutex that is held for the choice and for the verdict, some hundred
// nanoseconds each: hits in the cache never come here.
//
// Errors of fetch(): unavailable: no origin had a place within queue_timeout (or too many waited), or none could be reached; the others are those
// of the last try.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "edge/background.h"
#include "edge/health.h"
#include "edge/origins.h"
#include "edge/pick.h"
#include "edge/policy.h"
#include "edge/upstream.h"

namespace archipel::edge {

struct BalanceParts {
  std::vector<io::Loop*> loops;  // home first: there the checks run
  Connector& connector;
  Clock& clock;
  Random& random;
  Background& background;
};

// An origin as it is now.
struct OriginReport {
  std::string url;
  OriginState state = OriginState::usable;
  double share = 1;            // of what it would get in full health: below 1 while it starts slowly
  int in_flight = 0;           // requests
  double latency_seconds = 0;  // peak-EWMA
  int64_t ejections = 0;
  int64_t checks = 0, checks_failed = 0;
  int64_t retries = 0, hedges = 0;  // requests that came here so
};

// Of the whole pool.
struct BalanceReport {
  std::vector<OriginReport> origins;
  int waiting = 0;             // requests in the queue
  int64_t refused = 0;         // requests that got no place
  int64_t retries_denied = 0;  // for want of budget
  int64_t hedges_denied = 0;
  bool panic = false;
};

struct BalanceCore;  // balance_core.h

class Balancer final : public Upstream {
 public:
  // Home loop, or before loops run. `before`: a pool that this one replaces: what it knew about origins that are in both is kept; others start slowly.
  Balancer(OriginPolicy policy, BalanceParts parts, const Balancer* before = nullptr);
  // Any thread. Checks stop; requests under way go to their end. What belongs to a loop is destroyed there.
  ~Balancer() override;

  io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline deadline) override;

  const BalanceCore& core() const { return *core_; }
  const OriginPolicy& policy() const;
  const OriginStats& stats(size_t origin) const;
  BalanceReport report() const;  // any thread
  // Those that may be asked now. For those who choose themselves, such as peers.h.
  std::vector<Candidate> usable() const;

 private:
  std::shared_ptr<BalanceCore> core_;
};

}  // namespace archipel::edge
