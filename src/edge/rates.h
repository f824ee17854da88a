// Rates: token buckets of clients, in a table of fixed size. Any thread.
//
// A client that does not fit replaces the one of its set whose bucket is fullest: who is near its limit is remembered, who asks seldom may be
// forgotten, which gives it a full bucket. So a flood of addresses costs memory nothing, and lets nobody past its own limit for long.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace archipel::edge {

class Rates {
 public:
  Rates(size_t clients_max, Random& random);
  // Takes one token of the bucket `what` (client, site and kind of limit). False: there is none; `wait_s` says when there will be.
  bool take(std::string_view what, double rate, double burst, TimePoint now, int& wait_s);

 private:
  static constexpr size_t kWays = 8;
  struct Bucket {
    uint64_t high = 0, low = 0;  // of the keyed hash of `what`; 0, 0: free
    double tokens = 0;
    double burst = 0;
    TimePoint at{};
  };
  struct alignas(64) Set {
    std::mutex mutex;
    Bucket ways[kWays];
  };
  std::array<uint8_t, 16> secret_;
  std::unique_ptr<Set[]> sets_;
  size_t count_;
};

}  // namespace archipel::edge
