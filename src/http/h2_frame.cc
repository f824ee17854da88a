#include "http/h2_frame.h"

#include <algorithm>

namespace archipel::http {

void write_u32(uint8_t* to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value >> 24);
  to[1] = static_cast<uint8_t>(value >> 16);
  to[2] = static_cast<uint8_t>(value >> 8);
  to[3] = static_cast<uint8_t>(value);
}

uint32_t read_u32(const uint8_t* from) {
  return uint32_t{from[0]} << 24 | uint32_t{from[1]} << 16 | uint32_t{from[2]} << 8 | from[3];
}

void write_h2_header(uint8_t* to, size_t length, H2Frame type, uint8_t flags, uint32_t stream) {
  CHECK(length <= kH2FrameBytesMax);
  to[0] = static_cast<uint8_t>(length >> 16);
  to[1] = static_cast<uint8_t>(length >> 8);
  to[2] = static_cast<uint8_t>(length);
  to[3] = static_cast<uint8_t>(type);
  to[4] = flags;
  write_u32(to + 5, stream);
}

bool H2FrameReader::take_header(ByteView& in) {
  const uint8_t* from = in.data();
  if (have_ == 0 && in.size() >= kH2FrameHeaderBytes) {
    in = in.subspan(kH2FrameHeaderBytes);
  } else {
    const size_t count = std::min(in.size(), kH2FrameHeaderBytes - have_);
    std::copy_n(in.data(), count, begun_.data() + have_);
    have_ = static_cast<uint8_t>(have_ + count);
    in = in.subspan(count);
    if (have_ < kH2FrameHeaderBytes) return false;
    have_ = 0;
    from = begun_.data();
  }
  header_.length = uint32_t{from[0]} << 16 | uint32_t{from[1]} << 8 | from[2];
  header_.type = static_cast<H2Frame>(from[3]);
  header_.flags = from[4];
  header_.stream = read_u32(from + 5) & 0x7fffffff;
  left_ = header_.length;
  return true;
}

bool H2FrameReader::take_whole(ByteView& in) {
  const size_t count = std::min(left_, in.size());
  const bool in_one = gathered_.empty() && count == left_;
  if (!in_one) gathered_.append(as_text(in.first(count)));
  payload_ = in_one ? in.first(count) : as_bytes(gathered_);
  in = in.subspan(count);
  left_ -= count;
  return left_ == 0;
}

H2FrameReader::Step H2FrameReader::next(ByteView& in) {
  if (mode_ == Mode::skip) {
    const size_t count = std::min(left_, in.size());
    in = in.subspan(count);
    left_ -= count;
    if (left_ > 0) return Step::more;
    mode_ = Mode::header;
  }
  if (mode_ == Mode::header) {
    if (!gathered_.empty()) gathered_.clear();
    if (gathered_.capacity() > kKeptBytes) gathered_.shrink_to_fit();
    if (!take_header(in)) return Step::more;
    mode_ = Mode::whole;
    return Step::begin;
  }
  if (mode_ == Mode::whole) {
    if (!take_whole(in)) return Step::more;
    mode_ = Mode::header;
    return Step::frame;
  }
  const size_t count = std::min(left_, in.size());
  if (count == 0 && left_ > 0) return Step::more;
  payload_ = in.first(count);
  in = in.subspan(count);
  left_ -= count;
  if (left_ == 0) mode_ = Mode::header;
  return Step::piece;
}

}  // namespace archipel::http
