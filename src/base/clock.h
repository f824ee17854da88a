// Time as the rest of the code sees it: interfaces and plain types, so that a simulation can own time.
#pragma once

#include <chrono>
#include <cstdint>

namespace archipel {

using Duration = std::chrono::nanoseconds;
// Monotonic; comparable within one process only. Deadlines are absolute and flow downwards.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using Deadline = TimePoint;
inline constexpr Deadline kNoDeadline = TimePoint::max();

// Wall-clock time in milliseconds since the Unix epoch (UTC).
using UnixMs = int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() = 0;   // monotonic; thread-safe
  virtual UnixMs unix_ms() = 0;  // may step; never used to order data; thread-safe
};

Clock& system_clock();

}  // namespace archipel
