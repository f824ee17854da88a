#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <mutex>

namespace archipel {
namespace {

class SystemRandom final : public Random {
 public:
  void fill(MutableBytes out) override {
    while (!out.empty()) {
      ssize_t n = getrandom(out.data(), out.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      CHECK(n > 0);
      out = out.subspan(static_cast<size_t>(n));
    }
  }
};

// SplitMix64: small, and every seed gives a full-period stream.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  void fill(MutableBytes out) override {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < out.size(); i += 8) {
      uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      z ^= z >> 31;
      std::memcpy(out.data() + i, &z, std::min<size_t>(8, out.size() - i));
    }
  }

 private:
  std::mutex mutex_;
  uint64_t state_;
};

}  // namespace

Random& system_random() {
  static SystemRandom random;
  return random;
}

std::unique_ptr<Random> seeded_random(uint64_t seed) {
  return std::make_unique<SeededRandom>(seed);
}

}  // namespace archipel
