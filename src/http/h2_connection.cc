#include "http/h2_connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/log.h"
#include "http/tallies.h"

namespace archipel::http {
namespace {

// One frame of nghttp2's: a payload and its header.
constexpr size_t kFrameRoom = (16u << 10) + 64;
constexpr size_t kFrameHeader = 9;

metrics::Counter connections{"archipel_http2_connections_total", "Connections that spoke HTTP/2"};
metrics::Counter streams_reset{"archipel_http2_resets_total",
                               "Streams of HTTP/2 that clients gave up before their answer was complete"};
metrics::Counter sent_away{"archipel_http2_sent_away_total",
                           "Connections of HTTP/2 that were ended because of what they did"};

// Resets that a failure on our side, or a client that is merely slow, brings about are not held against it.
bool is_the_clients_fault(uint32_t error_code) {
  return error_code != NGHTTP2_NO_ERROR && error_code != NGHTTP2_INTERNAL_ERROR &&
         error_code != NGHTTP2_CANCEL;
}

}  // namespace

// What nghttp2 tells us. All of them run inside receive() or frame(); none starts a handler or writes.
struct H2Callbacks {
  static H2Connection& of(void* user) { return *static_cast<H2Connection*>(user); }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Connection& c = of(user);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const int32_t id = frame->hd.stream_id;
    if (c.handlers_ + c.ready_.size() >= kH2HandlersMax || c.sent_away_) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
    auto stream = std::make_unique<H2Stream>(c, id);
    nghttp2_session_set_stream_user_data(session, id, stream.get());
    c.streams_.emplace(id, std::move(stream));
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
      return 0;  // trailers are dropped
    H2Stream* stream = of(user).find(frame->hd.stream_id);
    if (stream != nullptr) stream->builder_.add(as_text({name, name_size}), as_text({value, value_size}));
    return 0;
  }

  // A field that nghttp2 would drop as malformed: the request is refused, rather than changed.
  static int bad_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t*, size_t, const uint8_t*,
                        size_t, uint8_t, void* user) {
    H2Stream* stream = of(user).find(frame->hd.stream_id);
    if (stream != nullptr && !stream->head_complete_) stream->builder_.refuse(Refusal::bad_header_value);
    return 0;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Connection& c = of(user);
    H2Stream* stream = c.find(frame->hd.stream_id);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (stream != nullptr && !stream->head_complete_) {
          stream->head_complete_ = true;
          c.ready_.push_back(frame->hd.stream_id);
        }
        break;
      case NGHTTP2_SETTINGS:
        c.greeted_ = true;
        break;
      case NGHTTP2_RST_STREAM:
        if (stream != nullptr && !stream->end_sent_) {
          streams_reset.add();
          if (!c.guard_.reset(c.server_.loop.now())) c.send_away("requests that are given up");
        }
        break;
      default:
        break;
    }
    const bool carries = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (carries && stream != nullptr && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      stream->body_ended_ = true;
      stream->changed_.notify_all();
    }
    return 0;
  }

  static int data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                  void* user) {
    H2Connection& c = of(user);
    H2Stream* stream = c.find(id);
    if (stream == nullptr || stream->done_ || stream->closed_) {
      nghttp2_session_consume_connection(session, size);
      return 0;
    }
    stream->body_.append(reinterpret_cast<const char*>(bytes), size);
    stream->patience_.received += size;
    stream->changed_.notify_all();
    return 0;
  }

  static int stream_closed(nghttp2_session* session, int32_t id, uint32_t, void* user) {
    H2Connection& c = of(user);
    H2Stream* stream = c.find(id);
    if (stream == nullptr) return 0;
    nghttp2_session_set_stream_user_data(session, id, nullptr);
    nghttp2_session_consume_connection(session, stream->body_.size() - stream->body_taken_);
    stream->body_taken_ = stream->body_.size();
    stream->closed_ = true;
    stream->changed_.notify_all();
    // One whose head never became complete, or was not started yet, has no handler.
    const bool waiting = std::erase(c.ready_, id) > 0 || !stream->head_complete_;
    if (stream->done_ || waiting) c.streams_.erase(id);
    return 0;
  }

  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Connection& c = of(user);
    H2Stream* stream = c.find(frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_RST_STREAM && is_the_clients_fault(frame->rst_stream.error_code)) {
      // What the client makes us reset costs as much as what it resets itself.
      if (!c.guard_.reset(c.server_.loop.now())) c.send_away("requests that have to be reset");
    }
    if (stream == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) --stream->heads_queued_;
    if (frame->hd.type == NGHTTP2_DATA) c.guard_.data_sent();
    const bool carries = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (carries && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stream->end_sent_ = true;
    stream->changed_.notify_all();
    return 0;
  }

  // A DATA frame, straight from the body into the buffer that is written.
  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t size,
                       nghttp2_data_source* source, void* user) {
    H2Connection& c = of(user);
    auto& stream = *static_cast<H2Stream*>(source->ptr);
    if (c.out_.size() - c.out_used_ < kFrameHeader + size) return NGHTTP2_ERR_WOULDBLOCK;
    uint8_t* to = c.out_.data() + c.out_used_;
    std::memcpy(to, header, kFrameHeader);
    stream.take_pending(to + kFrameHeader, size);
    c.out_used_ += kFrameHeader + size;
    return 0;
  }

  static nghttp2_session_callbacks* all() {
    static nghttp2_session_callbacks* callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(made, header);
      nghttp2_session_callbacks_set_on_invalid_header_callback(made, bad_header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, frame_received);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, data);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, stream_closed);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, frame_sent);
      nghttp2_session_callbacks_set_send_data_callback(made, send_data);
      return made;
    }();
    return callbacks;
  }

  static nghttp2_option* options() {
    static nghttp2_option* option = [] {
      nghttp2_option* made = nullptr;
      CHECK(nghttp2_option_new(&made) == 0);
      nghttp2_option_set_no_auto_window_update(made, 1);
      nghttp2_option_set_max_outbound_ack(made, 256);
      return made;
    }();
    return option;
  }
};

// --- the life of a connection ------------------------------------------------------------------------------------------------

H2Connection::H2Connection(ServerState& server, std::unique_ptr<io::Stream> stream)
    : server_(server),
      stream_(std::move(stream)),
      peer_(stream_->peer()),
      secure_(stream_->secure()),
      guard_(server.loop.now()),
      active_at_(server.loop.now()) {
  server_.connections.insert(this);
}

H2Connection::~H2Connection() {
  server_.connections.erase(this);
  if (timer_ != 0) server_.loop.cancel(timer_);
  nghttp2_session_del(session_);
}

H2Stream* H2Connection::find(int32_t id) {
  auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

// Was the client's stream skipped when a later one was opened? Clients do not do that; a few are remembered.
bool H2Connection::passed_over(int32_t id) {
  constexpr size_t kRangesMax = 8;
  for (auto [first, last] : skipped_)
    if (id >= first && id <= last) return true;
  if (id <= highest_ || id % 2 == 0) return false;
  if (id > highest_ + 2 && skipped_.size() < kRangesMax) skipped_.emplace_back(highest_ + 1, id - 1);
  highest_ = id;
  return false;
}

bool H2Connection::open_session() {
  if (nghttp2_session_server_new2(&session_, H2Callbacks::all(), this, H2Callbacks::options()) != 0)
    return false;
  const auto list_max = static_cast<uint32_t>(
      std::min<size_t>(server_.limits.request_line_bytes_max + server_.limits.header_bytes_max, UINT32_MAX));
  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kH2StreamsMax},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kH2StreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, list_max},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  return nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0 &&
         nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                               static_cast<int32_t>(kH2ConnectionWindow)) == 0;
}

io::Task<void> H2Connection::run() {
  connections.add();
  if (!open_session()) co_return;
  arm();
  if (server_.draining) drain();
  pump();
  bool ended_by_peer = false;
  while (!broken_ && !sent_away_ && nghttp2_session_want_read(session_) != 0) {
    auto readable = co_await stream_->wait_readable(kNoDeadline);
    ended_by_peer = true;
    if (!readable) break;
    Buffer in = server_.pool.take();
    auto got = co_await stream_->read(in.span(), server_.loop.now() + server_.limits.header_timeout);
    const size_t size = got ? *got : 0;
    if (size > 0) {
      ended_by_peer = false;
      received_total().add(static_cast<int64_t>(size));
      receive(in.view().first(size));
    }
    server_.pool.give(std::move(in));
    if (size == 0) break;
  }
  // What is still under way has nobody to go to.
  for (auto& [id, stream] : streams_) {
    stream->closed_ = true;
    stream->changed_.notify_all();
  }
  ready_.clear();
  if (!ended_by_peer && !broken_) {
    // The connection ends now, whatever handlers wait for.
    pump();
    while (writing_) co_await written_.wait();
    if (!broken_) co_await read_out(server_, *stream_);
  }
  stream_->close(sent_away_);
  co_await scope_.join();
  streams_.clear();
}

void H2Connection::receive(ByteView bytes) {
  in_batch_ = true;
  frames_.scan(bytes, [this](const H2FrameHeader& header) { judge(header); });
  const ssize_t taken = nghttp2_session_mem_recv(session_, bytes.data(), bytes.size());
  if (taken < 0) {
    log::debug("http2.refused", {{"peer", peer_}, {"reason", nghttp2_strerror(static_cast<int>(taken))}});
    // Flooded, out of memory, or not HTTP/2 at all: there is no state left to say GOAWAY from.
    broken_ = true;
  }
  if (!broken_ && !sent_away_) start_ready();
  in_batch_ = false;
  pump();
}

// Every frame as it begins, those that nghttp2 passes over in silence included.
void H2Connection::judge(const H2FrameHeader& header) {
  const TimePoint now = server_.loop.now();
  bool fine = true;
  switch (header.type) {
    case NGHTTP2_HEADERS:
      block_bytes_ = header.length;
      block_since_ = now;
      block_end_ = (header.flags & NGHTTP2_FLAG_END_HEADERS) != 0 ? header.end : UINT64_MAX;
      // nghttp2 ignores a stream that was passed over (RFC 9113 §5.1.1): it cannot tell it from one that is over.
      if (passed_over(static_cast<int32_t>(header.stream)))
        nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
      break;
    case NGHTTP2_CONTINUATION:
      block_bytes_ += header.length + kFrameHeader;
      if ((header.flags & NGHTTP2_FLAG_END_HEADERS) != 0) block_end_ = header.end;
      break;
    case NGHTTP2_DATA:
      if (header.length == 0 && (header.flags & NGHTTP2_FLAG_END_STREAM) == 0) fine = guard_.noise(now);
      break;
    case NGHTTP2_PRIORITY:
      // What it says is of no interest, and so nghttp2 does not look at it.
      fine = guard_.noise(now);
      if (header.stream == 0) nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
      break;
    default:
      fine = guard_.noise(now);
  }
  if (!fine) send_away("frames that carry nothing");
  if (block_bytes_ > H2Guard::kBlockBytesMax) send_away("a header block without end");
}

void H2Connection::start_ready() {
  std::vector<int32_t> ready = std::exchange(ready_, {});
  for (int32_t id : ready) {
    H2Stream* stream = find(id);
    if (stream == nullptr) continue;
    ++handlers_;
    scope_.spawn(serve(*stream));
  }
}

io::Task<void> H2Connection::serve(H2Stream& stream) {
  H2RequestBuilder& builder = stream.builder_;
  stream.refusal_ = builder.finish(stream.request_);
  stream.request_.peer = peer_;
  stream.request_.secure = secure_;
  stream.length_ = builder.content_length();
  if (stream.body_ended_ && !stream.length_) stream.length_ = stream.body_.size();
  stream.continue_pending_ = builder.expect_continue() && !stream.body_ended_;
  if (stream.refusal_) {
    refused_total(*stream.refusal_).add();
    const RefusalInfo& why = info(*stream.refusal_);
    Page page = server_.make_page(why.status, why.text);
    auto answered = co_await stream.respond(std::move(page.response), std::move(page.body));
    if (!answered) stream.write_error_ = answered.error();
  } else {
    requests_total().add();
    io::Task<void> handling = server_.handler(stream);
    co_await std::move(handling);
  }
  co_await stream.settle();
  finished(stream);
}

// The handler's task is over; `stream` may go with this.
void H2Connection::finished(H2Stream& stream) {
  --handlers_;
  active_at_ = server_.loop.now();
  stream.done_ = true;
  const size_t unread = stream.body_.size() - stream.body_taken_;
  stream.body_taken_ = stream.body_.size();
  if (stream.closed_) {
    streams_.erase(stream.id_);
  } else {
    nghttp2_session_consume_connection(session_, unread);
    // The answer is complete and nobody reads the rest of the request (RFC 9113 §8.1).
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_,
                              stream.end_sent_ ? NGHTTP2_NO_ERROR : NGHTTP2_INTERNAL_ERROR);
  }
  pump();
}

// --- output ----------------------------------------------------------------------------------------------------------------------

// Frames what may be sent now, as far as the buffer goes.
void H2Connection::frame() {
  if (broken_ || nghttp2_session_want_write(session_) == 0) return;
  if (out_.empty()) out_ = Buffer(kH2OutBytes);
  while (out_.size() - out_used_ >= kFrameRoom) {
    const uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) broken_ = true;
    if (size <= 0) break;
    CHECK(static_cast<size_t>(size) <= out_.size() - out_used_);
    std::memcpy(out_.data() + out_used_, bytes, static_cast<size_t>(size));
    out_used_ += static_cast<size_t>(size);
  }
}

// Frames at once, so that handlers go on; writes at once, too, but for a batch of requests that came together: they leave together.
void H2Connection::pump() {
  frame();
  const bool full = out_.size() - out_used_ < kFrameRoom;
  if (out_used_ > 0 && !writing_ && (!in_batch_ || full)) scope_.spawn(write_out());
  if (out_used_ == 0 && !writing_) leave_if_over();
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
  if (streams_.empty()) {
    // An idle connection holds no buffer.
    out_ = Buffer();
    sending_ = Buffer();
  }
  leave_if_over();
}

// --- ends ------------------------------------------------------------------------------------------------------------------------

// The client does what nobody has to bear.
void H2Connection::send_away(const char* why) {
  if (std::exchange(sent_away_, true)) return;
  sent_away.add();
  log::info("http2.sent_away", {{"peer", peer_}, {"reason", why}});
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

void H2Connection::drain() {
  if (session_ == nullptr || std::exchange(leaving_, true)) return;
  if (streams_.empty())
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  else
    // Streams behind the last that was begun are the client's to repeat elsewhere (RFC 9113 §6.8).
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                          NGHTTP2_NO_ERROR, nullptr, 0);
  pump();
}

// After a GOAWAY of ours: when the last stream is answered and all is written, run() is woken.
void H2Connection::leave_if_over() {
  if (broken_ || !leaving_ || !streams_.empty() || handlers_ > 0 || out_used_ > 0) return;
  stream_->close(false);
}

void H2Connection::arm() {
  const Duration period = std::min(server_.limits.header_timeout, server_.limits.idle_timeout);
  timer_ = server_.loop.run_at(server_.loop.now() + period, [this] {
    timer_ = 0;
    tick();
  });
}

// Now and then: has the connection been idle for too long, or does a head not come to its end?
void H2Connection::tick() {
  const TimePoint now = server_.loop.now();
  const Limits& limits = server_.limits;
  const bool slow_head = frames_.received() < block_end_ && now - block_since_ >= limits.header_timeout;
  const bool slow_greeting = !greeted_ && now - active_at_ >= limits.header_timeout;
  if (slow_head || slow_greeting) {
    refused_total(Refusal::header_timeout).add();
    stream_->close(true);
    return;
  }
  arm();
  if (streams_.empty() && handlers_ == 0 && now - active_at_ >= limits.idle_timeout) drain();
}

}  // namespace archipel::http
