// Budget: how many extra requests (retries, hedges) the last ten seconds allow. When everything fails, retries stay a fixed part of the load instead
// of multiplying it. Pure; not thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace archipel::edge {

class Budget {
 public:
  static constexpr int kSeconds = 10;

  // `part`: of the requests. `least`: a second, whatever the requests.
  Budget(double part, double least) : part_(part), least_(least) {}
  void request(TimePoint now);
  // Takes one if there is one.
  bool take(TimePoint now);

 private:
  struct Second {
    int64_t number = -1;
    uint32_t requests = 0, taken = 0;
  };
  Second& second(TimePoint now);

  const double part_, least_;
  std::array<Second, kSeconds> seconds_{};
};

}  // namespace archipel::edge
