// Every (key, nonce) that seals or tags in this process, seen by wrapping the two functions at link time: no pair may ever serve two
// different messages. The same message again is fine: retries and repairs send the same bytes.
#pragma once

#include <cstddef>

namespace archipel::adversary {

struct Uniqueness {
  size_t messages = 0;  // different ones
  size_t repeats = 0;   // the same bytes again
  size_t reused = 0;    // a violation
};
Uniqueness uniqueness();
void forget_reuse();  // for the recorder's own test

// Nothing is recorded while one lives: for tests that live through the same randomness twice on purpose.
class RecorderPause {
 public:
  RecorderPause();
  ~RecorderPause();
};

}  // namespace archipel::adversary
