#include "edge/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace archipel::edge {
namespace {

constexpr int64_t kFirstNs = 64'000;  // the first bucket ends here

}  // namespace

void PeakEwma::observe(TimePoint now, Duration latency) {
  const double sample = static_cast<double>(std::max<int64_t>(latency.count(), 1));
  const double past = value(now);
  if (past == 0 || sample > past) {
    value_ = sample;
  } else {
    // value() has decayed the past towards 0 already; what is missing to the average is the sample's part.
    const double kept = value_ == 0 ? 0 : past / value_;
    value_ = past + sample * (1 - kept);
  }
  at_ = std::max(at_, now);
}

double PeakEwma::value(TimePoint now) const {
  if (value_ == 0 || now <= at_) return value_;
  const double passed = static_cast<double>((now - at_).count()), tau = static_cast<double>(decay_.count());
  const double decayed = value_ * std::exp(-passed / tau);
  return decayed < 1 ? 0 : decayed;
}

size_t LatencyWindow::bucket_of(Duration latency) {
  if (latency.count() < kFirstNs) return 0;
  const auto steps = static_cast<uint64_t>(latency.count() / kFirstNs);  // >= 1
  const int octave = static_cast<int>(std::bit_width(steps)) - 1;
  if (octave >= kOctaves) return kOctaves * kPerOctave;
  const auto base = static_cast<uint64_t>(kFirstNs) << octave;
  const auto part = (static_cast<uint64_t>(latency.count()) - base) * kPerOctave / base;
  return 1 + static_cast<size_t>(octave) * kPerOctave +
         static_cast<size_t>(std::min<uint64_t>(part, kPerOctave - 1));
}

Duration LatencyWindow::bucket_end(size_t bucket) {
  if (bucket == 0) return Duration(kFirstNs);
  const size_t octave = (bucket - 1) / kPerOctave, part = (bucket - 1) % kPerOctave;
  const int64_t base = kFirstNs << octave;
  return Duration(base + base / kPerOctave * static_cast<int64_t>(part + 1));
}

void LatencyWindow::turn(TimePoint now) {
  if (now < since_ + kSpan) return;
  previous_ = now < since_ + 2 * kSpan ? current_ : Counts{};
  current_ = {};
  since_ = now;
}

void LatencyWindow::observe(TimePoint now, Duration latency) {
  turn(now);
  ++current_[std::min(bucket_of(latency), current_.size() - 1)];
}

std::optional<Duration> LatencyWindow::percentile(TimePoint now, double part) {
  turn(now);
  uint64_t total = 0;
  for (size_t i = 0; i < current_.size(); ++i) total += current_[i] + previous_[i];
  if (total < kSamplesMin) return std::nullopt;
  const auto wanted = static_cast<uint64_t>(std::ceil(static_cast<double>(total) * part));
  uint64_t seen = 0;
  for (size_t i = 0; i < current_.size(); ++i) {
    seen += current_[i] + previous_[i];
    if (seen >= wanted) return bucket_end(i);
  }
  return bucket_end(current_.size() - 1);
}

}  // namespace archipel::edge
