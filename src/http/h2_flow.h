// Flow control of HTTP/2 (RFC 9113 §5.2, §6.9), each direction of a stream or of the connection. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace archipel::http {

inline constexpr int64_t kH2WindowMax = 0x7fffffff;
inline constexpr uint32_t kH2WindowAtFirst = 65'535;

// What the peer lets us send.
class H2SendWindow {
 public:
  explicit H2SendWindow(int64_t size = kH2WindowAtFirst) : left_(size) {}
  // May be negative: SETTINGS can take back what was granted (§6.9.2).
  int64_t left() const { return left_; }
  // False: past 2^31-1. `by` is negative when SETTINGS make it smaller.
  [[nodiscard]] bool grow(int64_t by) {
    left_ += by;
    return left_ <= kH2WindowMax;
  }
  void use(size_t bytes) { left_ -= static_cast<int64_t>(bytes); }

 private:
  int64_t left_;
};

// What we let the peer send: `size` bytes that nobody has taken yet.
class H2ReceiveWindow {
 public:
  explicit H2ReceiveWindow(uint32_t size) : size_(size), left_(size) {}
  // False: it sent more than it was granted.
  [[nodiscard]] bool take(size_t bytes) {
    if (bytes > left_) return false;
    left_ -= static_cast<uint32_t>(bytes);
    return true;
  }
  // `bytes` of what came are no longer held. How much is to be granted now: half a window at once, so that updates are few; 0: nothing yet.
  [[nodiscard]] uint32_t release(size_t bytes) {
    released_ += static_cast<uint32_t>(bytes);
    if (released_ < size_ / 2) return 0;
    left_ += released_;
    return std::exchange(released_, 0);
  }

 private:
  const uint32_t size_;
  uint32_t left_, released_ = 0;
};

}  // namespace archipel::http
