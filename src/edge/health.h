// HealthBook: which origins of a pool may be asked, by what checks and requests met. A pure state machine: results and times come in, verdicts come
// out. Not thread-safe.
//
//   usable     the normal state
//   unhealthy  `fall` checks in a row failed; until `rise` in a row succeed
//   ejected    requests failed in a row, or far more often than the others'; for a while, longer each time
//
// What becomes usable again does so slowly (ramp()). When hardly anybody is left, everybody is asked (panic()).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "edge/balance_policy.h"

namespace archipel::edge {

enum class OriginState { usable, ejected, unhealthy };
std::string_view to_string(OriginState state);

class HealthBook {
 public:
  static constexpr Duration kOutlierSpan = std::chrono::seconds(10);  // success rates are compared so often
  static constexpr int kOutlierRequestsMin = 50;  // of an origin within a span; fewer say nothing
  static constexpr size_t kOutlierOriginsMin =
      3;  // with that many requests; between two nobody knows which is odd
  static constexpr double kOutlierFactor = 1.9;  // deviations below the others' mean …
  static constexpr double kOutlierGapMin = 0.1;  // … and so much below it

  HealthBook(const HealthPolicy& policy, Duration slow_start, size_t origins);

  // A check succeeded or failed. The very first one decides alone: nothing speaks against it.
  void checked(size_t origin, bool ok, TimePoint now);
  // A request did: a failure is no response, a broken one, or one that says that the server failed.
  void answered(size_t origin, bool ok, TimePoint now);
  // The origin is new in a pool that serves already: it starts slowly.
  void joined(size_t origin, TimePoint now);
  // What another book (of a pool that this one replaces) knew about an origin.
  void adopt(size_t origin, const HealthBook& other, size_t other_origin);

  OriginState state(size_t origin, TimePoint now) const;
  // Its last checks contradict the verdict on it.
  bool in_doubt(size_t origin) const { return origins_[origin].checks_in_row > 0; }
  // Too few are usable: all are to be asked.
  bool panic(TimePoint now) const;
  // The part of its share that an origin gets: kRampMin to 1.
  double ramp(size_t origin, TimePoint now) const;
  int64_t ejections(size_t origin) const { return origins_[origin].ejections; }

  static constexpr double kRampMin = 0.1;

 private:
  struct Origin {
    bool checked = false, checks_ok = true;
    int checks_in_row = 0;    // that contradict checks_ok
    int failures_in_row = 0;  // of requests
    int severity = 0;         // ejections not yet forgotten
    int64_t ejections = 0;
    TimePoint ejected_until{}, forgiven_at{};
    TimePoint usable_since{};  // of the slow start; the zero: long ago
    uint32_t span_ok = 0, span_all = 0;
  };
  bool ejected(const Origin& o, TimePoint now) const { return now < o.ejected_until; }
  bool eject(Origin& o, TimePoint now);
  void compare(TimePoint now);

  HealthPolicy policy_;
  Duration slow_start_;
  std::vector<Origin> origins_;
  TimePoint span_began_{};
};

}  // namespace archipel::edge
