// Random: the source of every unpredictable byte. An interface, so that a simulation can seed it.
#pragma once

#include <array>

#include "base/bytes.h"

namespace archipel {

class Random {
 public:
  virtual ~Random() = default;
  // Fills `out`. Thread-safe. Aborts the process if the system has no randomness to give: there is no safe way on.
  virtual void fill(MutableBytes out) = 0;

  template <size_t N>
  std::array<uint8_t, N> bytes() {
    std::array<uint8_t, N> out;
    fill(out);
    return out;
  }
  uint64_t u64() {
    uint64_t v;
    fill({reinterpret_cast<uint8_t*>(&v), sizeof v});
    return v;
  }
};

// getrandom(2); fit for keys.
Random& system_random();

// Deterministic stream from a seed, for tests and simulation only; not for keys. Thread-safe.
std::unique_ptr<Random> seeded_random(uint64_t seed);

}  // namespace archipel
