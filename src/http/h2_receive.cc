// What a client's frames mean (RFC 9113 §5, §6), one function for each type. None of them starts a handler or writes.
#include <algorithm>

#include "base/log.h"
#include "http/h1_parser.h"
#include "http/h2_connection.h"
#include "http/h2_writer.h"
#include "http/tallies.h"

namespace archipel::http {
namespace {

metrics::Counter streams_reset{"archipel_http2_resets_total",
                               "Streams of HTTP/2 that clients gave up before their answer was complete"};

constexpr size_t kSettingBytes = 6;

void to_builder(void* to, std::string_view name, std::string_view value, uint8_t& note) {
  static_cast<H2RequestBuilder*>(to)->add(name, value, note);
}

// Trailers are dropped; what could not be one is noticed (§8.1).
struct Unwanted {
  const size_t bytes_max;
  size_t bytes = 0;
  bool malformed = false;
  bool too_large() const { return bytes > bytes_max; }
};
void to_nobody(void* to, std::string_view name, std::string_view value, uint8_t& /*note*/) {
  Unwanted& unwanted = *static_cast<Unwanted*>(to);
  // A byte on the wire can mean a field of 4 KiB: past the limit nobody looks at them.
  if (unwanted.too_large()) return;
  unwanted.bytes += name.size() + value.size();
  if (!is_h2_field(name, value) || (is_h2_own(name) && name != "date")) unwanted.malformed = true;
}

}  // namespace

void H2Connection::receive(ByteView bytes) {
  in_batch_ = true;
  if (preface_left_ > 0) {
    const size_t count = std::min(bytes.size(), preface_left_);
    if (!kH2Preface.substr(kH2Preface.size() - preface_left_).starts_with(as_text(bytes.first(count)))) {
      // Not HTTP/2 at all: nobody there reads a GOAWAY.
      log::debug("http2.refused", {{"peer", peer_}, {"reason", "no preface"}});
      broken_ = true;
    }
    preface_left_ -= count;
    bytes = bytes.subspan(count);
  }
  while (!over_ && !broken_) {
    const H2FrameReader::Step step = reader_.next(bytes);
    if (step == H2FrameReader::Step::more) break;
    if (step == H2FrameReader::Step::begin)
      begin_frame();
    else if (step == H2FrameReader::Step::piece)
      data_piece();
    else
      whole_frame();
  }
  if (!broken_ && !over_) start_ready();
  in_batch_ = false;
  pump();
}

// A frame's header: what can be known to be wrong before its payload comes.
void H2Connection::begin_frame() {
  const H2FrameHeader& h = reader_.header();
  if (!greeted_ && (h.type != H2Frame::settings || h.has(kH2Ack)))
    return terminate(H2Error::protocol, "the first frame is not SETTINGS");
  if (h.length > kH2FrameBytesMax) return terminate(H2Error::frame_size, "a frame that is too large");
  if (block_stream_ != 0 && (h.type != H2Frame::continuation || h.stream != block_stream_))
    return terminate(H2Error::protocol, "another frame within a header block");
  switch (h.type) {
    case H2Frame::data:
      return begin_data(h);
    case H2Frame::headers:
    case H2Frame::continuation:
      return begin_block(h);
    case H2Frame::push_promise:
      return terminate(H2Error::protocol, "PUSH_PROMISE from a client");
    case H2Frame::settings:
    case H2Frame::ping:
    case H2Frame::goaway:
    case H2Frame::priority_update:
      if (h.stream != 0) return terminate(H2Error::protocol, "a frame of the connection on a stream");
      break;
    case H2Frame::priority:
    case H2Frame::rst_stream:
      if (h.stream == 0) return terminate(H2Error::protocol, "a frame of a stream on the connection");
      break;
    case H2Frame::window_update:
      break;
    default:
      reader_.skip();  // §4.1
  }
  if (!guard_.noise(server_.loop.now())) send_away("frames that carry nothing");
}

// --- DATA ------------------------------------------------------------------------------------------------------------------------

void H2Connection::begin_data(const H2FrameHeader& h) {
  if (is_idle(h.stream)) return terminate(H2Error::protocol, "DATA on an idle stream");
  if (h.length == 0 && !h.has(kH2EndStream) && !guard_.noise(server_.loop.now()))
    return send_away("frames that carry nothing");
  if (h.has(kH2Padded) && h.length == 0) return terminate(H2Error::frame_size, "DATA without its padding");
  if (!receive_window_.take(h.length))
    return terminate(H2Error::flow_control, "more DATA than the connection's window");
  H2Stream* stream = streams_.find(h.stream);
  if (stream != nullptr && stream->closed_) stream = nullptr;
  if (stream == nullptr && !is_late(h.stream))
    return terminate(H2Error::stream_closed, "DATA on a stream that its client ended");
  data_stream_ = stream == nullptr ? 0 : h.stream;
  if (stream != nullptr && (stream->body_ended_ || !stream->receive_window_.take(h.length))) {
    data_stream_ = 0;
    reset_stream(*stream, stream->body_ended_ ? H2Error::stream_closed : H2Error::flow_control);
  }
  data_left_ = h.length;
  data_padded_ = h.has(kH2Padded);
  reader_.in_pieces();
}

void H2Connection::data_piece() {
  ByteView piece = reader_.payload();
  const bool ended = reader_.ended();
  const H2FrameHeader& h = reader_.header();
  H2Stream* stream = data_stream_ == 0 ? nullptr : streams_.find(data_stream_);
  if (stream != nullptr && stream->closed_) stream = nullptr;
  size_t overhead = 0;
  if (data_padded_ && !piece.empty()) {
    const size_t padding = piece.front();
    piece = piece.subspan(1);
    data_padded_ = false;
    if (padding >= h.length) return terminate(H2Error::protocol, "more padding than frame");
    data_left_ = h.length - 1 - padding;
    overhead = 1;
    if (data_left_ == 0 && !h.has(kH2EndStream) && !guard_.noise(server_.loop.now()))
      return send_away("frames that carry nothing");
  }
  const size_t content = std::min(piece.size(), data_left_);
  data_left_ -= content;
  overhead += piece.size() - content;
  // Nobody holds padding, or what is dropped.
  if (stream == nullptr || stream->done_)
    release(content + overhead);
  else if (overhead > 0)
    release(*stream, overhead);
  if (stream == nullptr) return;
  if (!stream->done_ && content > 0) stream->take_body(piece.first(content));
  const std::optional<uint64_t> announced = stream->builder_.content_length();
  if (announced && stream->patience_.received > *announced) return reset_stream(*stream, H2Error::protocol);
  if (ended && h.has(kH2EndStream)) end_of_body(*stream);
}

// The client's side of the stream is over. `stream` may go with this.
void H2Connection::end_of_body(H2Stream& stream) {
  const std::optional<uint64_t> announced = stream.builder_.content_length();
  stream.body_ended_ = true;
  // §8.1.1: a length that lies makes the request malformed.
  if (!stream.done_ && announced && stream.patience_.received != *announced)
    return reset_stream(stream, H2Error::protocol);
  stream.changed_.notify_all();
  if (stream.end_sent_) close_stream(stream, false);
}

// --- HEADERS and CONTINUATION --------------------------------------------------------------------------------------------------

void H2Connection::begin_block(const H2FrameHeader& h) {
  if (h.type == H2Frame::continuation) {
    if (block_stream_ == 0) return terminate(H2Error::protocol, "CONTINUATION without HEADERS");
    block_bytes_ += kH2FrameHeaderBytes + h.length;
  } else {
    // A number that was passed over is no less wrong than one that never was the client's (§5.1.1).
    if (h.stream % 2 == 0 || skipped_.contains(h.stream))
      return terminate(H2Error::protocol, "HEADERS on a stream that is not the client's to open");
    block_bytes_ = h.length;
    head_since_ = server_.loop.now();
  }
  if (block_bytes_ > H2Guard::kBlockBytesMax) send_away("a header block without end");
}

void H2Connection::on_headers(ByteView payload) {
  const H2FrameHeader& h = reader_.header();
  size_t padding = 0;
  if (h.has(kH2Padded)) {
    if (payload.empty()) return terminate(H2Error::frame_size, "HEADERS without their padding");
    padding = payload.front();
    payload = payload.subspan(1);
  }
  const size_t priority = h.has(kH2HasPriority) ? 5 : 0;
  if (payload.size() < priority) return terminate(H2Error::frame_size, "HEADERS without their priority");
  payload = payload.subspan(priority);
  if (padding > payload.size()) return terminate(H2Error::protocol, "more padding than frame");
  payload = payload.first(payload.size() - padding);
  block_stream_ = h.stream;
  block_flags_ = h.flags;
  if (h.has(kH2EndHeaders))
    on_block(payload);
  else
    block_.assign(as_text(payload));
}

// A header block is complete.
void H2Connection::on_block(ByteView block) {
  const uint32_t id = std::exchange(block_stream_, 0);
  head_since_.reset();
  if (id > highest_) return open_stream(id, block);
  H2Stream* stream = streams_.find(id);
  if (stream != nullptr && !stream->closed_) return on_trailers(*stream, block);
  if (!is_late(id)) return terminate(H2Error::stream_closed, "HEADERS on a stream that its client ended");
  drop_block(block);
}

// Fields that nobody wants change the decoder's table all the same. What they would be as trailers.
H2Error H2Connection::drop_block(ByteView block) {
  Unwanted unwanted{server_.limits.trailer_bytes_max};
  if (!decoder_.decode(block, to_nobody, &unwanted))
    terminate(H2Error::compression, "a header block that does not decode");
  if (unwanted.too_large()) return H2Error::enhance_your_calm;
  return unwanted.malformed ? H2Error::protocol : H2Error::none;
}

void H2Connection::open_stream(uint32_t id, ByteView block) {
  skipped_.opened(id, highest_);
  highest_ = id;
  const bool ended = (block_flags_ & kH2EndStream) != 0;
  if (id > last_served_) {
    drop_block(block);
    return;
  }
  if (open_ >= kH2StreamsMax && settings_known_)
    return terminate(H2Error::protocol, "more streams than it was told");
  if (open_ >= kH2StreamsMax || handlers_ + ready_.size() >= kH2HandlersMax) {
    drop_block(block);
    return refuse_stream(id, ended);
  }
  H2Stream& stream = streams_.add(id, std::make_unique<H2Stream>(*this, id));
  ++open_;
  if (!decoder_.decode(block, to_builder, &stream.builder_))
    return terminate(H2Error::compression, "a header block that does not decode");
  if (!hold(stream)) {
    stream.body_ended_ = ended;
    return reset_stream(stream, H2Error::refused_stream);
  }
  ready_.push_back(id);
  if (ended) end_of_body(stream);
}

// Counts what the request holds until its stream goes. False: there is no room for it.
bool H2Connection::hold(H2Stream& stream) {
  const size_t bytes = H2Memory::kRequestBytes + stream.builder_.bytes();
  if (!server_.h2_memory.admits(held_, bytes)) return false;
  server_.h2_memory.take(bytes);
  held_ += bytes;
  stream.held_ = bytes;
  return true;
}

void H2Connection::on_trailers(H2Stream& stream, ByteView block) {
  const H2Error wrong = drop_block(block);
  if (over_) return;
  if (stream.body_ended_) return reset_stream(stream, H2Error::stream_closed);
  // §8.1: they end the request, and no pseudo-field is among them.
  if (wrong != H2Error::none) return reset_stream(stream, wrong);
  if ((block_flags_ & kH2EndStream) == 0) return reset_stream(stream, H2Error::protocol);
  end_of_body(stream);
}

// --- the others --------------------------------------------------------------------------------------------------------------------

void H2Connection::whole_frame() {
  const H2FrameHeader& h = reader_.header();
  const ByteView payload = reader_.payload();
  switch (h.type) {
    case H2Frame::headers:
      return on_headers(payload);
    case H2Frame::continuation:
      block_.append(as_text(payload));
      if (h.has(kH2EndHeaders)) {
        on_block(as_bytes(block_));
        block_ = {};
      }
      return;
    case H2Frame::settings:
      return on_settings(payload);
    case H2Frame::ping:
      return on_ping(payload);
    case H2Frame::window_update:
      return on_window_update(payload);
    case H2Frame::rst_stream:
      return on_reset();
    case H2Frame::priority:
      // What RFC 7540 meant by it is of no interest any more (§5.3.2).
      if (payload.size() != 5) terminate(H2Error::frame_size, "PRIORITY of another length");
      return;
    case H2Frame::priority_update:
      return on_priority_update(payload);
    case H2Frame::goaway:
      if (payload.size() < 8) return terminate(H2Error::frame_size, "GOAWAY of another length");
      client_leaves_ = true;
      return;
    default:
      return;
  }
}

void H2Connection::on_settings(ByteView payload) {
  if (reader_.header().has(kH2Ack)) {
    if (!payload.empty()) terminate(H2Error::frame_size, "SETTINGS acknowledged with content");
    settings_known_ = true;
    return;
  }
  if (payload.size() % kSettingBytes != 0)
    return terminate(H2Error::frame_size, "SETTINGS of another length");
  if (payload.size() / kSettingBytes > kH2SettingsMax) return send_away("settings without end");
  for (; !payload.empty(); payload = payload.subspan(kSettingBytes)) {
    const auto id = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
    const H2Error wrong = apply_setting(id, read_u32(payload.data() + 2));
    if (wrong != H2Error::none) return terminate(wrong, "a setting out of its range");
  }
  greeted_ = true;
  put_control(H2Frame::settings, kH2Ack, 0, {});
}

// §6.5.2. The client's table and list sizes do not matter: see hpack_encoder.h, and nothing is pushed.
H2Error H2Connection::apply_setting(uint16_t id, uint32_t value) {
  switch (static_cast<H2Setting>(id)) {
    case H2Setting::enable_push:
    case H2Setting::no_rfc7540_priorities:
      return value > 1 ? H2Error::protocol : H2Error::none;
    case H2Setting::max_frame_size:
      return value < kH2FrameBytesMax || value > 0xffffff ? H2Error::protocol : H2Error::none;
    case H2Setting::initial_window_size: {
      if (value > kH2WindowMax) return H2Error::flow_control;
      const int64_t change = int64_t{value} - std::exchange(first_window_, int64_t{value});
      for (const auto& [_, stream] : streams_) {
        if (stream->closed_) continue;
        if (!stream->send_window_.grow(change)) return H2Error::flow_control;
        schedule(*stream);
      }
      return H2Error::none;
    }
    default:
      return H2Error::none;
  }
}

void H2Connection::on_ping(ByteView payload) {
  if (payload.size() != 8) return terminate(H2Error::frame_size, "PING of another length");
  if (!reader_.header().has(kH2Ack)) return put_control(H2Frame::ping, kH2Ack, 0, payload);
  ping_acknowledged(payload);
}

void H2Connection::on_window_update(ByteView payload) {
  const uint32_t id = reader_.header().stream;
  if (payload.size() != 4) return terminate(H2Error::frame_size, "WINDOW_UPDATE of another length");
  const uint32_t by = read_u32(payload.data()) & 0x7fffffff;
  if (id == 0) {
    if (by == 0) return terminate(H2Error::protocol, "WINDOW_UPDATE of 0");
    if (!send_window_.grow(by)) return terminate(H2Error::flow_control, "a window past 2^31-1");
    if (std::exchange(starved_, false))
      for (const auto& [_, stream] : streams_) schedule(*stream);
    return;
  }
  if (is_idle(id)) return terminate(H2Error::protocol, "WINDOW_UPDATE on an idle stream");
  H2Stream* stream = streams_.find(id);
  if (stream == nullptr || stream->closed_) return;
  if (by == 0) return reset_stream(*stream, H2Error::protocol);
  if (!stream->send_window_.grow(by)) return reset_stream(*stream, H2Error::flow_control);
  schedule(*stream);
}

void H2Connection::on_reset() {
  const H2FrameHeader& h = reader_.header();
  if (h.length != 4) return terminate(H2Error::frame_size, "RST_STREAM of another length");
  if (is_idle(h.stream)) return terminate(H2Error::protocol, "RST_STREAM on an idle stream");
  H2Stream* stream = streams_.find(h.stream);
  if (stream == nullptr || stream->closed_) return;
  const bool answered = stream->end_sent_;
  close_stream(*stream, true);
  if (answered) return;
  streams_reset.add();
  if (!guard_.reset(server_.loop.now())) send_away("requests that are given up");
}

void H2Connection::on_priority_update(ByteView payload) {
  if (payload.size() < 4) return terminate(H2Error::frame_size, "PRIORITY_UPDATE of another length");
  H2Stream* stream = streams_.find(read_u32(payload.data()) & 0x7fffffff);
  if (stream == nullptr || stream->closed_) return;
  const bool waited = stream->waits();
  schedule_.remove(*stream);
  stream->urgency = read_urgency(as_text(payload.subspan(4)));
  stream->urgency_known_ = true;
  if (waited) schedule_.add(*stream);
}

}  // namespace archipel::http
