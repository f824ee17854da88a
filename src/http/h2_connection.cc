// The life of an HTTP/2 connection and of the requests on it.
#include "http/h2_connection.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "http/tallies.h"

namespace archipel::http {
namespace {

metrics::Counter connections{"archipel_http2_connections_total", "Connections that spoke HTTP/2"};
metrics::Counter sent_away{"archipel_http2_sent_away_total",
                           "Connections of HTTP/2 that were ended because of what they did"};

// What our PINGs carry; any eight bytes.
constexpr std::string_view kLeavePing = "leaving.", kFarewellPing = "farewell";

// Resets that a failure on our side, or a client that is merely slow, brings about are not held against it.
bool is_the_clients_fault(H2Error error) {
  return error != H2Error::none && error != H2Error::internal && error != H2Error::cancel;
}

void append_setting(std::string& out, H2Setting id, uint32_t value) {
  Writer(out).u16(static_cast<uint16_t>(id)).u32(value);
}

}  // namespace

H2Connection::H2Connection(ServerState& server, std::unique_ptr<io::Stream> stream)
    : server_(server),
      stream_(std::move(stream)),
      peer_(stream_->peer()),
      secure_(stream_->secure()),
      guard_(server.loop.now()),
      active_at_(server.loop.now()),
      heard_at_(active_at_) {
  server_.connections.insert(this);
}

H2Connection::~H2Connection() {
  server_.connections.erase(this);
  if (timer_ != 0) server_.loop.cancel(timer_);
  if (leave_timer_ != 0) server_.loop.cancel(leave_timer_);
}

// Our half of §3.4.
void H2Connection::greet() {
  const Limits& limits = server_.limits;
  const auto list_max = static_cast<uint32_t>(
      std::min<size_t>(limits.request_line_bytes_max + limits.header_bytes_max, UINT32_MAX));
  std::string settings;
  append_setting(settings, H2Setting::max_concurrent_streams, kH2StreamsMax);
  append_setting(settings, H2Setting::initial_window_size, kH2StreamWindow);
  append_setting(settings, H2Setting::max_header_list_size, list_max);
  append_setting(settings, H2Setting::no_rfc7540_priorities, 1);
  put_control(H2Frame::settings, 0, 0, as_bytes(settings));
  std::array<uint8_t, 4> more;
  write_u32(more.data(), kH2ConnectionWindow - kH2WindowAtFirst);
  put_control(H2Frame::window_update, 0, 0, more);
}

io::Task<void> H2Connection::run() {
  connections.add();
  greet();
  arm();
  if (server_.draining) drain();
  pump();
  bool ended_by_peer = false;
  while (!broken_ && !over_ && !ended_by_peer) {
    bool more = co_await hear();
    ended_by_peer = !more;
  }
  if (half_closed_ && !broken_ && !over_ && !left_) co_await answer_the_rest();
  // What is still under way has nobody to go to.
  for (const auto& [id, stream] : streams_) {
    stream->reset_ = stream->reset_ || !stream->closed_;
    stream->closed_ = true;
    schedule_.remove(*stream);
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

// Takes in what comes next. False: nothing comes any more.
io::Task<bool> H2Connection::hear() {
  auto readable = co_await stream_->wait_readable(kNoDeadline);
  if (!readable) co_return false;
  Buffer in = server_.pool.take();
  // What was readable may have been nothing for us, such as a change of TLS keys: that ends no request. tick() ends who is silent.
  auto got = co_await stream_->read(in.span(), kNoDeadline);
  const size_t size = got ? *got : 0;
  if (size > 0) {
    received_total().add(static_cast<int64_t>(size));
    heard_at_ = server_.loop.now();
    receive(in.view().first(size));
  }
  server_.pool.give(std::move(in));
  half_closed_ = got && size == 0;
  co_return size > 0;
}

// The client has ended its side, as one may that has asked for all it wants: what it asked for whole, it gets. As long as that takes, but not longer than a drain would let it.
io::Task<void> H2Connection::answer_the_rest() {
  head_since_.reset();
  std::vector<uint32_t> cut;
  for (const auto& [id, stream] : streams_)
    if (!stream->body_ended_) cut.push_back(id);
  for (uint32_t id : cut) {
    H2Stream* stream = streams_.find(id);
    if (stream != nullptr) close_stream(*stream, true);
  }
  // Nobody opens a window any more.
  std::vector<uint32_t> starved;
  for (const auto& [id, stream] : streams_)
    if (!stream->closed_ && !stream->flushed() && !stream->waits()) starved.push_back(id);
  for (uint32_t id : starved) {
    H2Stream* stream = streams_.find(id);
    if (stream != nullptr) close_stream(*stream, true);
  }
  const Deadline deadline = server_.loop.now() + server_.limits.drain_timeout;
  pump();
  while (!broken_ && !over_ && !left_) {
    bool in_time = co_await progress_.wait(deadline);
    if (!in_time) break;
  }
}

void H2Connection::start_ready() {
  std::vector<uint32_t> ready = std::exchange(ready_, {});
  for (uint32_t id : ready) {
    H2Stream* stream = streams_.find(id);
    if (stream == nullptr) continue;
    ++handlers_;
    stream->started_ = true;
    serve(*stream);
  }
  ready.clear();
  if (ready_.empty()) ready_ = std::move(ready);  // keeps the room
}

// `stream` may go with this: what is answered at once needs no task.
void H2Connection::serve(H2Stream& stream) {
  H2RequestBuilder& builder = stream.builder_;
  stream.refusal_ = builder.finish();
  stream.request_.peer = peer_;
  stream.request_.secure = secure_;
  stream.length_ = builder.content_length();
  if (stream.body_ended_ && !stream.length_) stream.length_ = stream.body_.size();
  stream.continue_pending_ = builder.expect_continue() && !stream.body_ended_;
  if (stream.refusal_) return scope_.spawn(refuse(stream));
  requests_total().add();
  std::optional<io::Task<void>> rest;
  if (server_.answer_now && stream.body_ended_ && stream.length_ == 0u && server_.answer_now(stream, rest)) {
    if (!rest) return finished(stream);
  } else {
    rest.emplace(server_.handler(stream));
  }
  scope_.spawn(see_through(stream, *std::move(rest)));
}

io::Task<void> H2Connection::refuse(H2Stream& stream) {
  refused_total(*stream.refusal_).add();
  const RefusalInfo& why = info(*stream.refusal_);
  Page page = server_.make_page(why.status, why.text);
  auto answered = co_await stream.respond(std::move(page.response), std::move(page.body));
  if (!answered) stream.write_error_ = answered.error();
  if (stream.phase_ != H2Stream::Phase::complete) co_await stream.settle();
  finished(stream);
}

io::Task<void> H2Connection::see_through(H2Stream& stream, io::Task<void> handling) {
  co_await std::move(handling);
  if (stream.phase_ != H2Stream::Phase::complete) co_await stream.settle();
  finished(stream);
}

// The handler's task is over; `stream` goes with this.
void H2Connection::finished(H2Stream& stream) {
  --handlers_;
  active_at_ = server_.loop.now();
  stream.done_ = true;
  release(stream.drop_body());
  if (stream.closed_)
    streams_.erase(stream.id_);
  else  // The answer is complete and nobody reads the rest of the request (RFC 9113 §8.1), or there is none.
    reset_stream(stream, stream.end_sent_ ? H2Error::none : H2Error::internal);
  // Behind a batch there is one for all.
  if (!in_batch_) pump();
}

// The stream is over for the protocol. It goes with this unless its handler runs.
void H2Connection::close_stream(H2Stream& stream, bool reset) {
  if (stream.closed_) return;
  stream.closed_ = true;
  stream.reset_ = reset;
  --open_;
  schedule_.remove(stream);
  // A request that is whole may still be read.
  if (reset) release(stream.drop_body());
  stream.heads_.clear();
  stream.changed_.notify_all();
  if (stream.done_ || !stream.started_) streams_.erase(stream.id_);
}

void H2Connection::reset_stream(H2Stream& stream, H2Error error) {
  if (stream.closed_) return;
  put_reset(stream.id_, error);
  if (!stream.body_ended_) graces_.add(stream.id_);
  close_stream(stream, true);
  count_reset(error);
}

// A stream that never was one of ours.
void H2Connection::refuse_stream(uint32_t id, bool ended) {
  put_reset(id, H2Error::refused_stream);
  if (!ended) graces_.add(id);
  count_reset(H2Error::refused_stream);
}

// What the client makes us reset costs as much as what it resets itself.
void H2Connection::count_reset(H2Error error) {
  if (is_the_clients_fault(error) && !guard_.reset(server_.loop.now()))
    send_away("requests that have to be reset");
}

// --- ends ------------------------------------------------------------------------------------------------------------------------

// The client does what nobody has to bear.
void H2Connection::send_away(const char* why) {
  if (std::exchange(sent_away_, true)) return;
  sent_away.add();
  log::info("http2.sent_away", {{"peer", peer_}, {"reason", why}});
  terminate(H2Error::enhance_your_calm, why);
}

// §5.4.1: an error of the connection. run() sees it through.
void H2Connection::terminate(H2Error error, const char* why) {
  if (std::exchange(over_, true)) return;
  log::debug("http2.refused", {{"peer", peer_}, {"reason", why}});
  last_served_ = std::min(last_served_, highest_);
  put_goaway(error);
}

// §6.8, in two steps: what is on its way to us when the client hears of it is still taken. The second follows when the client has answered a PING behind the first, or does not
// answer it in time.
void H2Connection::drain() {
  if (over_ || left_ || std::exchange(leaving_, true)) return;
  if (half_closed_ || client_leaves_) return say_last();
  put_goaway(H2Error::none);
  put_control(H2Frame::ping, 0, 0, as_bytes(kLeavePing));
  leave_timer_ = server_.loop.run_at(server_.loop.now() + kH2RoundTripMax, [this] {
    leave_timer_ = 0;
    say_last();
  });
  pump();
}

// Streams behind the last that was begun are the client's to repeat elsewhere.
void H2Connection::say_last() {
  if (over_ || std::exchange(said_last_, true)) return;
  last_served_ = std::min(last_served_, highest_);
  put_goaway(H2Error::none);
  pump();
}

// The client has read all that we sent before the PING.
void H2Connection::ping_acknowledged(ByteView payload) {
  if (as_text(payload) == kLeavePing && leaving_) return say_last();
  if (as_text(payload) != kFarewellPing || !farewell_) return;
  if (left_)
    stream_->close(false);
  else
    farewell_ = false;  // more was sent behind it
}

// After a GOAWAY of either side: when the last stream is answered and all is written, the connection ends. What a client had sent before it knew is read and
// dropped: closing on it would make the kernel send RST, which may destroy the GOAWAY on its way (see read_out()). A client that acknowledges a PING behind
// everything has everything, and need not be waited for any longer.
void H2Connection::leave_if_over() {
  if (half_closed_) progress_.notify_all();
  if (broken_ || in_batch_ || left_ || !(said_last_ || client_leaves_ || half_closed_)) return;
  if (!streams_.empty() || handlers_ > 0 || writing_ || out_used_ > 0 || !control_.empty()) return;
  if (!half_closed_ && !std::exchange(farewell_, true)) {
    put_control(H2Frame::ping, 0, 0, as_bytes(kFarewellPing));
    return pump();
  }
  left_ = true;
  left_at_ = heard_at_ = server_.loop.now();
  last_served_ = std::min(last_served_, highest_);
  stream_->shutdown_write();
  if (timer_ != 0) server_.loop.cancel(std::exchange(timer_, 0));
  if (!half_closed_) arm_farewell();
}

// Who is silent is not waited for; who still sends may be reading a long answer, slowly.
void H2Connection::arm_farewell() {
  const TimePoint until = std::min(heard_at_ + kH2FarewellMax, left_at_ + server_.limits.body_timeout);
  if (until <= server_.loop.now()) return stream_->close(false);
  timer_ = server_.loop.run_at(until, [this] {
    timer_ = 0;
    arm_farewell();
  });
}

void H2Connection::abort(bool reset) {
  stream_->close(reset);
  if (!half_closed_) return;
  broken_ = true;  // nobody reads, who would see it
  progress_.notify_all();
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
  const bool slow_head = head_since_ && now - *head_since_ >= limits.header_timeout;
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
