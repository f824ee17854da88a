// Secret32: 32 secret bytes that clear themselves. No formatter, no operator<<, no implicit copy: a secret does not reach a log by accident.
#pragma once

#include <array>
#include <cstring>

#include "base/bytes.h"

namespace archipel::crypto {

void secure_clear(void* data, size_t size);

class Secret32 {
 public:
  Secret32() = default;
  explicit Secret32(ByteView bytes) {
    CHECK(bytes.size() == 32);
    std::memcpy(bytes_.data(), bytes.data(), 32);
  }
  Secret32(Secret32&& other) noexcept : bytes_(other.bytes_) { other.clear(); }
  Secret32& operator=(Secret32&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.clear();
    }
    return *this;
  }
  ~Secret32() { clear(); }
  Secret32 clone() const { return Secret32(view()); }
  ByteView view() const { return bytes_; }
  MutableBytes mutable_view() { return bytes_; }

 private:
  void clear() { secure_clear(bytes_.data(), bytes_.size()); }
  std::array<uint8_t, 32> bytes_{};
};

}  // namespace archipel::crypto
