// Frames of HTTP/2 (RFC 9113 §4, §6): their numbers, a reader that takes bytes in any pieces, and what puts headers in front of payloads. No I/O.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace archipel::http {

inline constexpr size_t kH2FrameHeaderBytes = 9;
// The largest payload: SETTINGS_MAX_FRAME_SIZE is left at its first value, and no client may take less.
inline constexpr size_t kH2FrameBytesMax = 16u << 10;

enum class H2Frame : uint8_t {
  data = 0,
  headers = 1,
  priority = 2,
  rst_stream = 3,
  settings = 4,
  push_promise = 5,
  ping = 6,
  goaway = 7,
  window_update = 8,
  continuation = 9,
  priority_update = 16,  // RFC 9218 §7.1
};

inline constexpr uint8_t kH2EndStream = 0x1, kH2Ack = 0x1, kH2EndHeaders = 0x4, kH2Padded = 0x8,
                         kH2HasPriority = 0x20;

enum class H2Error : uint32_t {  // §7
  none = 0,
  protocol = 1,
  internal = 2,
  flow_control = 3,
  settings_timeout = 4,
  stream_closed = 5,
  frame_size = 6,
  refused_stream = 7,
  cancel = 8,
  compression = 9,
  connect = 10,
  enhance_your_calm = 11,
};

enum class H2Setting : uint16_t {  // §6.5.2, RFC 9218 §2.1
  header_table_size = 1,
  enable_push = 2,
  max_concurrent_streams = 3,
  initial_window_size = 4,
  max_frame_size = 5,
  max_header_list_size = 6,
  no_rfc7540_priorities = 9,
};

struct H2FrameHeader {
  uint32_t length = 0, stream = 0;  // the reserved bit is dropped
  H2Frame type = H2Frame::data;     // or any other number
  uint8_t flags = 0;
  bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

// Writes the 9 bytes of a header to `to`.
void write_h2_header(uint8_t* to, size_t length, H2Frame type, uint8_t flags, uint32_t stream);
// Big-endian, 4 bytes.
void write_u32(uint8_t* to, uint32_t value);
uint32_t read_u32(const uint8_t* from);

// Where frames begin and what is in them, whatever the pieces they come in. Holds at most one payload that came in pieces; the caller refuses
// lengths that are too large in Step::begin, before anything of the payload is taken.
class H2FrameReader {
 public:
  enum class Step {
    more,  // `in` is used up
    begin,  // header() is a frame's; its payload follows, as a whole unless in_pieces() or skip() is called now
    piece,  // payload() is the next of it; the last if ended()
    frame,  // payload() is all of it
  };
  // Takes from `in` what belongs to one step. payload() lives until the next call, and as long as the bytes of `in`.
  Step next(ByteView& in);

  const H2FrameHeader& header() const { return header_; }
  ByteView payload() const { return payload_; }
  void in_pieces() { mode_ = Mode::pieces; }
  void skip() { mode_ = Mode::skip; }
  bool ended() const { return left_ == 0; }

 private:
  enum class Mode : uint8_t { header, whole, pieces, skip };
  bool take_header(ByteView& in);
  bool take_whole(ByteView& in);

  // A payload in pieces that was longer than this gives its memory back.
  static constexpr size_t kKeptBytes = 1024;

  Mode mode_ = Mode::header;
  uint8_t have_ = 0;  // of begun_
  std::array<uint8_t, kH2FrameHeaderBytes> begun_{};
  H2FrameHeader header_;
  size_t left_ = 0;  // of the payload
  ByteView payload_;
  std::string gathered_;
};

}  // namespace archipel::http
