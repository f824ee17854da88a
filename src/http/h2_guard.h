// H2Guard: how much of what costs us and brings nobody anything one HTTP/2 connection may do. No I/O, no clock of its own.
//
// A bucket each for streams that are given up (by either side: Rapid Reset, CVE-2023-44487, and resets that the server is made to send, CVE-2025-8671) and for
// frames that carry nothing (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown types). Who empties one is sent away.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace archipel::http {

class H2Guard {
 public:
  // A browser that leaves a page gives up all its streams at once, and may do so again; nobody does it thirty times a second for long.
  static constexpr int64_t kResetsBurst = 500, kResetsPerSecond = 30;
  // A client acknowledges every DATA frame with two window updates at most: those are earned (data_sent).
  static constexpr int64_t kNoiseBurst = 1000, kNoisePerSecond = 50;
  static constexpr int64_t kNoisePerData = 4;
  // Bytes of one header block on the wire, with its CONTINUATION frames (CVE-2024-27316).
  static constexpr size_t kBlockBytesMax = 64u << 10;

  explicit H2Guard(TimePoint now) : since_(now) {}

  // False: too much.
  [[nodiscard]] bool reset(TimePoint now) {
    refill(now);
    return --resets_ >= 0;
  }
  [[nodiscard]] bool noise(TimePoint now) {
    refill(now);
    return --noise_ >= 0;
  }
  void data_sent() { noise_ = std::min(noise_ + kNoisePerData, kNoiseBurst); }

 private:
  void refill(TimePoint now) {
    const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now - since_).count();
    if (seconds <= 0) return;
    since_ += std::chrono::seconds(seconds);
    resets_ = std::min(resets_ + std::min(seconds, kResetsBurst) * kResetsPerSecond, kResetsBurst);
    noise_ = std::min(noise_ + std::min(seconds, kNoiseBurst) * kNoisePerSecond, kNoiseBurst);
  }

  TimePoint since_;
  int64_t resets_ = kResetsBurst, noise_ = kNoiseBurst;
};

}  // namespace archipel::http
