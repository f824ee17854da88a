// H2FrameScan: where the frames of an HTTP/2 connection begin (RFC 9113 §4.1), whatever is in them. No I/O.
//
// nghttp2 says nothing of frames that it ignores, and those cost time, too.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace archipel::http {

struct H2FrameHeader {
  uint32_t length = 0, stream = 0;
  uint8_t type = 0, flags = 0;
  uint64_t end = 0;  // the offset behind its payload in all that was received
};

class H2FrameScan {
 public:
  static constexpr size_t kHeaderBytes = 9;
  // The first `skip` bytes are no frames.
  explicit H2FrameScan(uint64_t skip) : next_(skip) {}

  // Calls `found` for each frame whose header is complete with these bytes.
  template <class F>
  void scan(ByteView bytes, F found) {
    const uint64_t end = received_ + bytes.size();
    while (next_ < end) {
      // The header may come in pieces.
      if (next_ > received_) {
        bytes = bytes.subspan(static_cast<size_t>(next_ - received_));
        received_ = next_;
      }
      const size_t count = std::min(bytes.size(), kHeaderBytes - have_);
      std::copy_n(bytes.data(), count, header_.data() + have_);
      have_ += count;
      received_ += count;
      next_ = received_;
      bytes = bytes.subspan(count);
      if (have_ < kHeaderBytes) break;
      have_ = 0;
      H2FrameHeader h;
      h.length = uint32_t{header_[0]} << 16 | uint32_t{header_[1]} << 8 | header_[2];
      h.type = header_[3];
      h.flags = header_[4];
      h.stream = (uint32_t{header_[5]} & 0x7f) << 24 | uint32_t{header_[6]} << 16 |
                 uint32_t{header_[7]} << 8 | header_[8];
      next_ = h.end = received_ + h.length;
      found(h);
    }
    received_ = end;
  }
  uint64_t received() const { return received_; }

 private:
  uint64_t received_ = 0, next_;  // offsets
  std::array<uint8_t, kHeaderBytes> header_{};
  size_t have_ = 0;
};

}  // namespace archipel::http
