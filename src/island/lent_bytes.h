// LentBytes: a caller's memory, lent to a call that may outlive the caller's patience. Internal to src/island.
#pragma once

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace archipel::island {

// The reader copies piece by piece; after withdraw() it gets nothing any more and the memory may go. Thread-safe.
class LentBytes {
 public:
  explicit LentBytes(std::span<const ByteView> parts) : parts_(parts.begin(), parts.end()) {
    for (ByteView part : parts) size_ += part.size();
  }
  LentBytes(const LentBytes&) = delete;
  LentBytes& operator=(const LentBytes&) = delete;

  size_t size() const { return size_; }  // of all parts

  // The next bytes, at most into.size(): how many; 0 at the end, nullopt once withdrawn.
  std::optional<size_t> next(std::span<uint8_t> into) {
    std::lock_guard lock(mutex_);
    if (withdrawn_) return std::nullopt;
    size_t filled = 0;
    while (filled < into.size() && part_ < parts_.size()) {
      ByteView left = parts_[part_].subspan(offset_);
      size_t n = std::min(left.size(), into.size() - filled);
      if (n > 0) std::memcpy(into.data() + filled, left.data(), n);
      filled += n;
      offset_ += n;
      if (offset_ < parts_[part_].size()) continue;
      ++part_;
      offset_ = 0;
    }
    return filled;
  }

  void withdraw() {
    std::lock_guard lock(mutex_);
    withdrawn_ = true;
    parts_.clear();
  }

 private:
  std::mutex mutex_;  // held for one piece's copy
  std::vector<ByteView> parts_;
  size_t size_ = 0;
  size_t part_ = 0, offset_ = 0;
  bool withdrawn_ = false;
};

}  // namespace archipel::island
