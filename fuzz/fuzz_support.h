// What fuzz targets share: a keyring that never changes, and a check that ends the run.
#pragma once

#include <cstdlib>

#include "base/random.h"
#include "crypto/keyring.h"

namespace archipel::fuzz {

// The same keys in every run, so that seeds stay valid.
inline const crypto::Keyring& keys() {
  static const std::unique_ptr<crypto::Keyring> kept = [] {
    std::unique_ptr<Random> random = seeded_random(20261122);
    return crypto::Keyring::generate(*random);
  }();
  return *kept;
}

inline const std::string kIsland = "aws-ireland";
inline const std::string kName = "00112233445566778899aabbccddeeff00112233";

}  // namespace archipel::fuzz

// A property that does not hold is a crash to libFuzzer, and to the replay in the unit tests.
#define MUST(...)                                      \
  do {                                                 \
    if (!static_cast<bool>(__VA_ARGS__)) std::abort(); \
  } while (false)
