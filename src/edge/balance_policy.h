// How a site's origins are shared out, watched and asked again: the values of [site.balance], [site.health] and [site.retry]. Part of OriginPolicy.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"

namespace archipel::edge {

// Which origin gets a request. Sticky sessions are not offered: what one origin remembers is lost with it.
enum class Algorithm {
  ewma,            // of two at random, the one with the lower peak-EWMA latency times requests under way
  round_robin,     // in turn, by weight, smoothly: a a b a rather than a a a b
  least_requests,  // the fewest requests under way for its weight
  hash,  // by the cache key: each has its own, as long as none holds more than its share times hash_bound
};

struct BalancePolicy {
  Algorithm algorithm = Algorithm::ewma;
  std::vector<double> weights;  // one for each origin; empty: all 1
  double hash_bound = 1.25;     // of the mean load; what is beyond goes to the next in the key's order
  Duration decay = std::chrono::seconds(10);  // of the latency's average
  Duration slow_start = std::chrono::seconds(
      10);  // an origin that joins or recovers gets its full share after this long; 0: at once
  int requests_max = 1024;  // under way at one origin, over all loops
  int queue_max = 256;      // requests that wait for a place at any; more are refused at once
  Duration queue_timeout = std::chrono::seconds(1);  // how long they wait
  Duration whole_timeout{0};  // from the request to the last byte of the response; 0: none
  bool operator==(const BalancePolicy&) const = default;
};

struct HealthPolicy {
  // Active: each origin is asked. Empty path: it is not.
  std::string path;
  std::string method = "GET";
  std::string host;                             // in the Host field; empty: host_header, or the origin's own
  int status_min = 200, status_max = 399;       // what a healthy one answers
  Duration interval = std::chrono::seconds(5);  // between two checks, give or take a tenth
  Duration timeout = std::chrono::seconds(2);   // of one
  int rise = 2, fall = 3;                       // checks in a row that change the verdict
  // Passive: what requests met.
  int failures = 5;                              // in a row (no response, or 5xx) that eject; 0: never
  Duration ejection = std::chrono::seconds(10);  // the first; each further one is longer by this
  Duration ejection_max = std::chrono::minutes(5);
  double ejected_max = 0.5;  // of the origins, at most
  bool outliers = true;      // eject also whose success rate is far below the others'
  // When no larger part of the origins than this is usable, all of them are used: a verdict that condemns nearly everybody is probably wrong,
  // and the few that are left would fall too.
  double panic = 0.1;
  bool operator==(const HealthPolicy&) const = default;
};

struct RetryPolicy {
  int tries = 3;            // of one request, at most, each at another origin while there is one
  double budget = 0.2;      // retries may be so large a part of the requests of the last 10 s …
  double budget_min = 3;    // … or so many a second, whichever is more
  Duration try_timeout{0};  // to the head of the response, of all but the last try; 0: none
  std::vector<int> statuses = {502, 503,
                               504};  // answers that are asked for again elsewhere; the last one is passed on
  bool hedge = true;                  // ask a second origin when the first takes longer than its p95
  double hedge_budget = 0.05;         // hedges, as a part of the requests of the last 10 s
  Duration hedge_min = std::chrono::milliseconds(20);  // never sooner
  bool operator==(const RetryPolicy&) const = default;
};

}  // namespace archipel::edge
