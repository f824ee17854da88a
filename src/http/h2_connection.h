// H2Connection: one HTTP/2 connection on its loop (RFC 9113), from its preface to GOAWAY. Internal to src/http: handlers see an H2Stream as an Exchange.
//
// Flow of bytes: run() reads; receive() takes frames apart (h2_receive.cc); heads that are complete become streams, whose handlers run when everything that was read is
// understood; what they answer is framed into one buffer (h2_output.cc), which leaves in one write for all of them. Bounds: kH2StreamsMax streams and kH2HandlersMax handlers,
// kH2ConnectionWindow bytes of unread bodies, two output buffers, kH2ControlBytesMax of answers to frames, and what H2Guard allows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/connection.h"
#include "http/h2_flow.h"
#include "http/h2_frame.h"
#include "http/h2_guard.h"
#include "http/h2_request.h"
#include "http/h2_schedule.h"
#include "http/h2_streams.h"
#include "http/hpack_decoder.h"
#include "http/now.h"
#include "http/patience.h"
#include "http/server.h"
#include "io/sync.h"

namespace archipel::http {

inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr uint32_t kH2StreamsMax = 128;  // open at once, as the client is told
inline constexpr size_t kH2HandlersMax =
    2 * kH2StreamsMax;                                   // running, those whose client has given up included
inline constexpr uint32_t kH2StreamWindow = 256u << 10;  // of a request's body that its handler has not read
inline constexpr uint32_t kH2ConnectionWindow = 1u << 20;  // of all of them
inline constexpr size_t kH2HeadBytesMax = 48u << 10;       // of a response
inline constexpr size_t kH2ControlBytesMax = 32u << 10;    // acknowledgements and the like that wait for room
inline constexpr size_t kH2SettingsMax = 32;               // in one frame
// How long a client may take to acknowledge a PING before it counts as one that does not: one that reads, acknowledges at once.
inline constexpr Duration kH2RoundTripMax = std::chrono::seconds(1);
inline constexpr Duration kH2FarewellMax = std::chrono::seconds(2);

class H2Connection;

// One request and its response.
class H2Stream final : public NowExchange, private H2Turn {
 public:
  H2Stream(H2Connection& connection, uint32_t id);
  ~H2Stream() override;

  // Streams come and go with every request, and are too large for the quick lists of allocators: a thread keeps the memory of some for the next.
  static void* operator new(size_t size);
  static void operator delete(void* memory);

  const Request& request() const override { return request_; }
  std::optional<uint64_t> body_length() const override { return length_; }
  io::Task<Result<size_t>> read_body(MutableBytes out) override;
  io::Task<Result<void>> respond(Response response, std::string body) override;
  io::Task<Result<void>> start(Response response, std::optional<uint64_t> length) override;
  io::Task<Result<void>> write(ByteView bytes) override;
  io::Task<Result<void>> finish() override;
  io::Task<Result<void>> respond_stored(const StoredResponse& stored,
                                        std::span<const ByteView> body) override;
  io::Task<Result<void>> start_stored(const StoredResponse& stored) override;
  // Whole or not at all: what finds no room at once is respond_stored()'s.
  Now respond_stored_now(const StoredResponse& stored, ByteView body) override;
  io::Task<Result<void>> finish_stored() override;
  io::Task<Result<void>> interim(int status, Headers headers) override;
  void end_now() override;
  bool responded() const override { return phase_ != Phase::waiting; }

 private:
  friend class H2Connection;
  enum class Phase { waiting, streaming, complete };

  struct Head;
  static H2Stream& of(H2Turn& turn) { return static_cast<H2Stream&>(turn); }
  Result<void> submit(const Head& head, std::optional<uint64_t> length, bool whole_at_once);
  Result<void> send_interim(int status, const Headers& headers);
  void take_body(ByteView bytes);
  size_t drop_body();
  void queue(std::span<const ByteView> parts);
  void take_pending(uint8_t* to, size_t size);
  bool has_something_to_send() const { return !heads_.empty() || pending_ > 0 || (last_ && !end_sent_); }
  bool flushed() const { return !has_something_to_send(); }
  io::Task<Result<void>> flush();
  io::Task<void> settle();
  void give_up(H2Error error);
  std::unexpected<Error> gone() const;

  H2Connection& connection_;
  const uint32_t id_;
  size_t held_ = 0;  // in H2Memory

  // The request.
  std::unique_ptr<Request> request_space_;
  Request& request_ = *request_space_;
  H2RequestBuilder builder_;
  std::optional<Refusal> refusal_;
  std::optional<uint64_t> length_ = 0;
  std::string body_;  // received and not read, from body_taken_ on
  size_t body_taken_ = 0;
  H2ReceiveWindow receive_window_{kH2StreamWindow};
  Patience patience_;
  bool body_ended_ = false, continue_pending_ = false;
  std::optional<Error> body_error_;

  // The response.
  Phase phase_ = Phase::waiting;
  bool body_allowed_ = true;
  std::optional<uint64_t> announced_;
  uint64_t written_ = 0;
  std::string heads_;                // framed, for which there was no room
  bool head_ends_ = false;           // the stream, with the last of them
  std::span<const ByteView> parts_;  // to be framed, the first from part_offset_ on
  ByteView one_part_;                // what parts_ spans when it is write()'s
  size_t part_offset_ = 0;
  uint64_t pending_ = 0;  // bytes of parts_
  bool last_ = false;     // nothing comes behind parts_
  bool end_sent_ = false;
  H2SendWindow send_window_;
  uint64_t slice_end_ = 0;  // pending_ when the last kWriteSliceBytes began
  bool urgency_known_ = false;
  std::optional<Error> write_error_;

  bool started_ = false;  // its handler
  bool closed_ = false;   // for the protocol: ended by both sides, or reset by either
  bool reset_ = false;    // the latter
  bool done_ = false;     // the handler has finished
  io::Event changed_;
};

class H2Connection final : public Served {
 public:
  H2Connection(ServerState& server, std::unique_ptr<io::Stream> stream);
  ~H2Connection() override;

  // Serves requests until the connection ends.
  io::Task<void> run();
  void announce_drain() override { drain(); }
  void drain() override;
  void abort(bool reset) override;

  // Memory for what is to be sent. 0 at rest.
  size_t held_bytes() const { return out_.size() + sending_.size(); }

 private:
  friend class H2Stream;

  // What comes in: h2_receive.cc
  void receive(ByteView bytes);
  void begin_frame();
  void begin_data(const H2FrameHeader& header);
  void begin_block(const H2FrameHeader& header);
  void data_piece();
  void end_of_body(H2Stream& stream);
  void whole_frame();
  void on_headers(ByteView payload);
  void on_block(ByteView block);
  void open_stream(uint32_t id, ByteView block);
  bool hold(H2Stream& stream);
  void on_trailers(H2Stream& stream, ByteView block);
  H2Error drop_block(ByteView block);
  void on_settings(ByteView payload);
  H2Error apply_setting(uint16_t id, uint32_t value);
  void on_ping(ByteView payload);
  void on_window_update(ByteView payload);
  void on_reset();
  void on_priority_update(ByteView payload);
  bool is_idle(uint32_t id) const { return id % 2 == 0 || id > highest_; }
  bool is_late(uint32_t id) const { return id > last_served_ || graces_.contains(id); }

  // The life of requests and of the connection: h2_connection.cc
  void greet();
  void start_ready();
  void serve(H2Stream& stream);
  io::Task<void> refuse(H2Stream& stream);
  io::Task<void> see_through(H2Stream& stream, io::Task<void> handling);
  void finished(H2Stream& stream);
  void close_stream(H2Stream& stream, bool reset);
  void reset_stream(H2Stream& stream, H2Error error);
  void refuse_stream(uint32_t id, bool ended);
  void count_reset(H2Error error);
  void send_away(const char* why);
  void terminate(H2Error error, const char* why);
  io::Task<bool> hear();
  io::Task<void> answer_the_rest();
  void say_last();
  void ping_acknowledged(ByteView payload);
  void leave_if_over();
  void arm_farewell();
  void tick();
  void arm();

  // What goes out: h2_output.cc
  uint8_t* room(size_t bytes);
  void put_control(H2Frame type, uint8_t flags, uint32_t stream, ByteView payload);
  void put_reset(uint32_t id, H2Error error);
  void put_goaway(H2Error error);
  uint8_t* begin_head(H2Stream& stream, size_t bytes_max);
  void end_head(H2Stream& stream, size_t bytes, bool end_stream);
  void answered(H2Stream& stream);
  void release(size_t bytes);
  void release(H2Stream& stream, size_t bytes);
  void schedule(H2Stream& stream);
  bool put_data(H2Stream& stream);
  bool put_whole(H2Stream& stream, const StoredResponse& stored, ByteView body);
  bool send_of(H2Stream& stream);
  void frame();
  void pump();
  void rest();
  io::Task<void> write_out();

  ServerState& server_;
  std::unique_ptr<io::Stream> stream_;
  const std::string peer_;
  const bool secure_;
  size_t held_ = 0;  // by requests, in H2Memory
  H2StreamTable<H2Stream> streams_;
  std::vector<uint32_t> ready_;  // whose handlers are to be started
  size_t open_ = 0;              // streams that are not closed
  size_t handlers_ = 0;
  io::TaskScope scope_;  // handlers, and the one who writes
  H2Guard guard_;

  // Input.
  H2FrameReader reader_;
  HpackDecoder decoder_;
  size_t preface_left_ = kH2Preface.size();
  bool greeted_ = false;                 // SETTINGS came
  bool settings_known_ = false;          // ours were acknowledged
  uint32_t highest_ = 0;                 // stream of the client's
  uint32_t last_served_ = kH2WindowMax;  // streams behind it came after our GOAWAY
  H2Skipped skipped_;
  H2Graces graces_{2 * kH2StreamsMax};
  H2ReceiveWindow receive_window_{kH2ConnectionWindow};
  // The DATA frame under way.
  uint32_t data_stream_ = 0;  // 0: nobody's, to be dropped
  size_t data_left_ = 0;      // of its content
  bool data_padded_ = false;  // the length of its padding has not come yet
  // The header block under way.
  std::string block_;
  uint32_t block_stream_ = 0;  // 0: none
  uint8_t block_flags_ = 0;
  size_t block_bytes_ = 0;  // on the wire
  std::optional<TimePoint> head_since_;

  // Output.
  Buffer out_, sending_;
  size_t out_used_ = 0;
  std::string control_;
  std::string head_;  // being made where out_ has no room
  bool head_in_place_ = false;
  H2Schedule schedule_;
  H2SendWindow send_window_;
  int64_t first_window_ = kH2WindowAtFirst;  // of streams, as the client's SETTINGS say
  bool starved_ = false;                     // streams wait for send_window_

  bool in_batch_ = false, writing_ = false, broken_ = false, over_ = false, sent_away_ = false;
  // The end, step by step. leaving_: our first GOAWAY; said_last_: the second, which says what the last stream is; farewell_: a PING behind all that was to be sent; left_: our
  // side has ended.
  bool leaving_ = false, said_last_ = false, farewell_ = false, left_ = false;
  bool client_leaves_ = false;  // it said GOAWAY
  bool half_closed_ = false;    // it ended its side
  io::Event written_;           // nobody writes any more
  io::Event progress_;          // of what a half-closed client is still to get
  TimePoint active_at_{}, heard_at_{}, left_at_{};
  io::Loop::TimerId timer_ = 0, leave_timer_ = 0;
};

}  // namespace archipel::http
