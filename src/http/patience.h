// Patience: how long a client may let us wait for its body. Internal to src/http.
#pragma once

#include <algorithm>

#include "http/limits.h"

namespace archipel::http {

// Not past body_timeout without a byte, and on the whole not slower than body_rate_min. Only the time spent waiting for it counts: a server that is slow to take
// the bytes is not the client's fault.
struct Patience {
  Duration waited{0};
  uint64_t received = 0;

  Duration left(const Limits& limits) const {
    if (limits.body_rate_min == 0) return limits.body_timeout;
    const Duration allowed =
        limits.body_rate_grace +
        std::chrono::milliseconds(received / (uint64_t{limits.body_rate_min}) * 1000 +
                                  received % limits.body_rate_min * 1000 / limits.body_rate_min);
    return std::min(limits.body_timeout, std::max(allowed - waited, Duration{0}));
  }
};

}  // namespace archipel::http
