// What an HTTP/2 connection sends: control frames first, then heads, then bodies by urgency and turn, all into one buffer that leaves in one write.
#include <algorithm>
#include <array>
#include <cstring>

#include "http/h2_connection.h"
#include "http/hpack_encoder.h"
#include "http/tallies.h"

namespace archipel::http {
namespace {

// A part of a body that is smaller than this is not begun at the end of a full buffer.
constexpr size_t kDataBytesMin = 4u << 10;

}  // namespace

// Where the next `bytes` of the buffer are; nullptr if there are not so many.
uint8_t* H2Connection::room(size_t bytes) {
  if (out_.empty()) out_ = server_.h2_pool.take();
  return out_.size() - out_used_ >= bytes ? out_.data() + out_used_ : nullptr;
}

// --- control ---------------------------------------------------------------------------------------------------------------------

void H2Connection::put_control(H2Frame type, uint8_t flags, uint32_t stream, ByteView payload) {
  const size_t size = kH2FrameHeaderBytes + payload.size();
  if (broken_ || left_) return;
  uint8_t* to = control_.empty() ? room(size) : nullptr;
  if (to != nullptr) {
    out_used_ += size;
  } else {
    if (control_.size() + size > kH2ControlBytesMax) {
      // It asks and asks, and reads no answer.
      broken_ = true;
      stream_->close(true);
      return;
    }
    control_.resize(control_.size() + size);
    to = reinterpret_cast<uint8_t*>(control_.data() + control_.size() - size);
  }
  write_h2_header(to, payload.size(), type, flags, stream);
  if (!payload.empty()) std::memcpy(to + kH2FrameHeaderBytes, payload.data(), payload.size());
}

void H2Connection::put_reset(uint32_t id, H2Error error) {
  std::array<uint8_t, 4> payload;
  write_u32(payload.data(), static_cast<uint32_t>(error));
  put_control(H2Frame::rst_stream, 0, id, payload);
}

void H2Connection::put_goaway(H2Error error) {
  std::array<uint8_t, 8> payload;
  write_u32(payload.data(), last_served_);
  write_u32(payload.data() + 4, static_cast<uint32_t>(error));
  put_control(H2Frame::goaway, 0, 0, payload);
}

// Bytes of the client's that nobody holds any more.
void H2Connection::release(size_t bytes) {
  const uint32_t grant = receive_window_.release(bytes);
  if (grant == 0 || over_) return;
  std::array<uint8_t, 4> payload;
  write_u32(payload.data(), grant);
  put_control(H2Frame::window_update, 0, 0, payload);
}

void H2Connection::release(H2Stream& stream, size_t bytes) {
  release(bytes);
  const uint32_t grant = stream.receive_window_.release(bytes);
  if (grant == 0 || over_ || stream.closed_ || stream.body_ended_) return;
  std::array<uint8_t, 4> payload;
  write_u32(payload.data(), grant);
  put_control(H2Frame::window_update, 0, stream.id_, payload);
}

// --- heads -----------------------------------------------------------------------------------------------------------------------

// Where a block of at most `bytes_max` is to be written: in the buffer if it fits there in one frame, else beside it. end_head() follows at once.
uint8_t* H2Connection::begin_head(H2Stream& stream, size_t bytes_max) {
  uint8_t* to = stream.heads_.empty() && bytes_max <= kH2FrameBytesMax ? room(kH2FrameHeaderBytes + bytes_max)
                                                                       : nullptr;
  head_in_place_ = to != nullptr;
  if (head_in_place_) return to + kH2FrameHeaderBytes;
  head_.resize(bytes_max);
  return reinterpret_cast<uint8_t*>(head_.data());
}

void H2Connection::end_head(H2Stream& stream, size_t bytes, bool end_stream) {
  const uint8_t end = end_stream ? kH2EndStream : 0;
  if (head_in_place_) {
    write_h2_header(out_.data() + out_used_, bytes, H2Frame::headers, end | kH2EndHeaders, stream.id_);
    out_used_ += kH2FrameHeaderBytes + bytes;
    if (end_stream) answered(stream);
    return;
  }
  ByteView block = as_bytes(head_).first(bytes);
  for (bool first = true; first || !block.empty(); first = false) {
    const ByteView part = block.first(std::min(block.size(), kH2FrameBytesMax));
    block = block.subspan(part.size());
    std::array<uint8_t, kH2FrameHeaderBytes> header;
    const int flags = (first ? end : 0) | (block.empty() ? kH2EndHeaders : 0);
    write_h2_header(header.data(), part.size(), first ? H2Frame::headers : H2Frame::continuation,
                    static_cast<uint8_t>(flags), stream.id_);
    stream.heads_.append(as_text(header));
    stream.heads_.append(as_text(part));
  }
  head_ = {};
  stream.head_ends_ = end_stream;
  schedule(stream);
}

// Our side of the stream is over.
void H2Connection::answered(H2Stream& stream) {
  stream.end_sent_ = true;
  if (stream.body_ended_) close_stream(stream, false);
}

// --- bodies ----------------------------------------------------------------------------------------------------------------------

// Gives it a turn if it has something that may be sent.
void H2Connection::schedule(H2Stream& stream) {
  if (stream.closed_ || stream.waits() || stream.flushed()) return;
  if (stream.heads_.empty() && stream.pending_ > 0) {
    // Nobody is there any more who could open a window.
    if (half_closed_ && (stream.send_window_.left() <= 0 || send_window_.left() <= 0))
      return close_stream(stream, true);
    if (stream.send_window_.left() <= 0) return;
    if (send_window_.left() <= 0) {
      starved_ = true;
      return;
    }
  }
  if (!std::exchange(stream.urgency_known_, true))
    stream.urgency = read_urgency(stream.request_.headers.get("priority"));
  schedule_.add(stream);
}

// The next frame of a body, which may be its empty end. False: no room.
bool H2Connection::put_data(H2Stream& stream) {
  const int64_t window = std::min(stream.send_window_.left(), send_window_.left());
  if (stream.pending_ > 0 && window <= 0) return true;
  size_t size = static_cast<size_t>(std::min<uint64_t>(stream.pending_, kH2FrameBytesMax));
  if (size > 0) size = static_cast<size_t>(std::min(static_cast<int64_t>(size), window));
  if (out_.empty()) out_ = server_.h2_pool.take();
  const size_t free = out_.size() - out_used_;
  if (free < kH2FrameHeaderBytes + size) {
    if (free < kH2FrameHeaderBytes + kDataBytesMin) return false;
    size = free - kH2FrameHeaderBytes;
  }
  uint8_t* to = out_.data() + out_used_;
  stream.take_pending(to + kH2FrameHeaderBytes, size);
  stream.send_window_.use(size);
  send_window_.use(size);
  const bool end = stream.last_ && stream.pending_ == 0;
  write_h2_header(to, size, H2Frame::data, end ? kH2EndStream : 0, stream.id_);
  out_used_ += kH2FrameHeaderBytes + size;
  guard_.data_sent();
  if (end) answered(stream);
  return true;
}

// A stored response as one run of frames, if all of it may go now and nobody else has a turn before it. False: nothing has happened.
bool H2Connection::put_whole(H2Stream& stream, const StoredResponse& stored, ByteView body) {
  const int64_t window = std::min(stream.send_window_.left(), send_window_.left());
  if (broken_ || over_ || !control_.empty() || schedule_.first() != nullptr ||
      static_cast<int64_t>(body.size()) > window)
    return false;
  size_t head = HpackWriter::kStartBytes + stored.h2_head.size();
  for (const FieldView& field : stored.extra) head += HpackWriter::field_bytes_max(field.name, field.value);
  const size_t frames = 1 + (body.size() + kH2FrameBytesMax - 1) / kH2FrameBytesMax;
  const size_t all = frames * kH2FrameHeaderBytes + head + body.size();
  if (head > kH2FrameBytesMax || all > kH2OutBytes) return false;
  uint8_t* to = room(all);
  if (to == nullptr && !writing_) {
    // Those before it leave, and take up no room any more.
    scope_.spawn(write_out());
    to = broken_ ? nullptr : room(all);
  }
  if (to == nullptr) return false;
  HpackWriter writer(to + kH2FrameHeaderBytes);
  writer.start();
  writer.copy(stored.h2_head);
  for (const FieldView& field : stored.extra) writer.field(field.name, field.value);
  const uint8_t ends = body.empty() ? kH2EndStream : 0;
  write_h2_header(to, writer.size(), H2Frame::headers, ends | kH2EndHeaders, stream.id_);
  to += kH2FrameHeaderBytes + writer.size();
  stream.send_window_.use(body.size());
  send_window_.use(body.size());
  while (!body.empty()) {
    const ByteView piece = body.first(std::min(body.size(), kH2FrameBytesMax));
    body = body.subspan(piece.size());
    write_h2_header(to, piece.size(), H2Frame::data, body.empty() ? kH2EndStream : 0, stream.id_);
    std::memcpy(to + kH2FrameHeaderBytes, piece.data(), piece.size());
    to += kH2FrameHeaderBytes + piece.size();
    guard_.data_sent();
  }
  out_used_ = static_cast<size_t>(to - out_.data());
  answered(stream);
  return true;
}

// What the stream may send in one turn. False: no room.
bool H2Connection::send_of(H2Stream& stream) {
  if (!stream.heads_.empty()) {
    uint8_t* to = room(stream.heads_.size());
    if (to == nullptr) return false;
    std::memcpy(to, stream.heads_.data(), stream.heads_.size());
    out_used_ += stream.heads_.size();
    stream.heads_ = {};
    if (stream.head_ends_) answered(stream);
  }
  const bool fits = stream.end_sent_ || stream.flushed() || put_data(stream);
  if (stream.flushed() || stream.slice_end_ >= stream.pending_ + kWriteSliceBytes)
    stream.changed_.notify_all();
  return fits;
}

// Frames what may be sent now, as far as the buffer goes.
void H2Connection::frame() {
  if (broken_) return;
  if (!control_.empty()) {
    uint8_t* to = room(control_.size());
    if (to == nullptr) return;
    std::memcpy(to, control_.data(), control_.size());
    out_used_ += control_.size();
    control_ = {};
  }
  if (over_) return;
  while (H2Turn* turn = schedule_.first()) {
    H2Stream& stream = H2Stream::of(*turn);
    // Who finds no room keeps its turn: behind the others it would find none again.
    if (!send_of(stream)) break;
    schedule_.remove(stream);
    schedule(stream);
  }
}

// Frames at once, so that handlers go on; writes at once, too, but for a batch of requests that came together: they leave together.
void H2Connection::pump() {
  frame();
  const bool full = out_.size() - out_used_ < kH2FrameHeaderBytes + kH2FrameBytesMax;
  if (out_used_ > 0 && !writing_ && !broken_ && (!in_batch_ || full)) scope_.spawn(write_out());
  if (out_used_ > 0 || writing_) return;
  rest();
  leave_if_over();
}

// An idle connection holds no buffer.
void H2Connection::rest() {
  if (!streams_.empty()) return;
  server_.h2_pool.give(std::exchange(out_, Buffer()));
  server_.h2_pool.give(std::exchange(sending_, Buffer()));
}

io::Task<void> H2Connection::write_out() {
  writing_ = true;
  while (out_used_ > 0) {
    std::swap(out_, sending_);
    std::array<ByteView, 1> parts = {sending_.view().first(std::exchange(out_used_, 0))};
    auto written = co_await stream_->write(parts, server_.loop.now() + server_.limits.body_timeout);
    if (!written) {
      broken_ = true;
      stream_->close(true);
      break;
    }
    sent_total().add(static_cast<int64_t>(parts[0].size()));
    frame();
  }
  writing_ = false;
  written_.notify_all();
  if (out_used_ == 0) rest();
  leave_if_over();
}

}  // namespace archipel::http
