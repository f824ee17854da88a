// What an origin's latency is: an average that a bad moment dominates, and percentiles of the last minute. Pure; not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace archipel::edge {

// Peak-EWMA: an answer slower than the average replaces it at once; faster ones pull it down with time constant `decay`. While nothing is heard it
// decays towards 0, so that an origin that was slow once is tried again.
class PeakEwma {
 public:
  explicit PeakEwma(Duration decay) : decay_(decay) {}
  void observe(TimePoint now, Duration latency);
  // Nanoseconds; 0: nothing was heard, or it is long forgotten.
  double value(TimePoint now) const;

 private:
  Duration decay_;
  double value_ = 0;
  TimePoint at_{};
};

// Percentiles of what was observed in the last kSpan to 2 kSpan, within a sixth of the value: a histogram of four buckets per octave.
class LatencyWindow {
 public:
  static constexpr Duration kSpan = std::chrono::seconds(30);
  static constexpr uint32_t kSamplesMin = 20;  // fewer say nothing

  void observe(TimePoint now, Duration latency);
  // The upper end of the bucket that holds the `part` (0 to 1) of all; nullopt: fewer than kSamplesMin.
  std::optional<Duration> percentile(TimePoint now, double part);

 private:
  static constexpr int kOctaves = 21, kPerOctave = 4;  // 64 us to 134 s
  using Counts = std::array<uint32_t, kOctaves * kPerOctave + 1>;
  static size_t bucket_of(Duration latency);
  static Duration bucket_end(size_t bucket);
  void turn(TimePoint now);

  Counts current_{}, previous_{};
  TimePoint since_{};
};

}  // namespace archipel::edge
