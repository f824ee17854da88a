// H2Connection: one HTTP/2 connection on its loop (RFC 9113), from its preface to GOAWAY. Frames and HPACK are nghttp2's; what requests mean, what may be held, and
// what is too much is decided here. Internal to src/http: handlers see an H2Stream as an Exchange.
//
// Flow of bytes: run() reads, nghttp2 parses, heads that are complete become streams and their handlers run at once; what they answer is framed into one buffer,
// which leaves in one write for all of them. Bounds: kH2StreamsMax streams and kH2HandlersMax handlers, kH2ConnectionWindow bytes of unread bodies, two output buffers, and what
// H2Guard allows.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/connection.h"
#include "http/h2_frame_scan.h"
#include "http/h2_guard.h"
#include "http/h2_request.h"
#include "http/patience.h"
#include "http/server.h"
#include "io/sync.h"

struct nghttp2_session;

namespace archipel::http {

inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr uint32_t kH2StreamsMax = 128;  // open at once, as the client is told
inline constexpr size_t kH2HandlersMax =
    2 * kH2StreamsMax;                                   // running, those whose client has given up included
inline constexpr uint32_t kH2StreamWindow = 256u << 10;  // of a request's body that its handler has not read
inline constexpr uint32_t kH2ConnectionWindow = 1u << 20;  // of all of them
inline constexpr size_t kH2OutBytes = 64u << 10;           // framed and not written; there are two of them

class H2Connection;

// One request and its response.
class H2Stream final : public Exchange {
 public:
  H2Stream(H2Connection& connection, int32_t id);

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
  io::Task<Result<void>> interim(int status, Headers headers) override;
  bool responded() const override { return phase_ != Phase::waiting; }

 private:
  friend class H2Connection;
  friend struct H2Callbacks;
  enum class Phase { waiting, streaming, complete };

  struct Head;
  Result<void> submit(const Head& head, std::optional<uint64_t> length, bool whole_at_once);
  void queue(std::span<const ByteView> parts);
  ptrdiff_t offer(size_t size_max, uint32_t* flags);
  bool flushed() const;
  io::Task<Result<void>> flush();
  io::Task<Result<void>> send_continue();
  io::Task<void> settle();
  void give_up(uint32_t error_code);
  void take_pending(uint8_t* to, size_t size);
  std::unexpected<Error> gone() const;

  H2Connection& connection_;
  const int32_t id_;

  // The request.
  H2RequestBuilder builder_;
  Request request_;
  std::optional<Refusal> refusal_;
  std::optional<uint64_t> length_ = 0;
  std::string body_;  // received and not read, from body_taken_ on
  size_t body_taken_ = 0;
  Patience patience_;
  bool head_complete_ = false, body_ended_ = false, continue_pending_ = false;
  std::optional<Error> body_error_;

  // The response.
  Phase phase_ = Phase::waiting;
  Response kept_;  // of start(), until it is framed
  bool body_allowed_ = true;
  std::optional<uint64_t> announced_;
  uint64_t written_ = 0;
  std::span<const ByteView> parts_;  // to be framed, the first from part_offset_ on
  ByteView one_part_;                // what parts_ spans when it is write()'s
  size_t part_offset_ = 0;
  uint64_t pending_ = 0;  // bytes of parts_
  bool last_ = false;     // nothing comes behind parts_
  bool deferred_ = false, end_sent_ = false;
  int heads_queued_ = 0;  // interim ones, and the final one, not framed yet
  std::optional<Error> write_error_;

  bool closed_ = false;  // for nghttp2: over, or given up by either side
  bool done_ = false;    // the handler has finished
  io::Event changed_;
};

class H2Connection final : public Served {
 public:
  H2Connection(ServerState& server, std::unique_ptr<io::Stream> stream);
  ~H2Connection() override;

  // Serves requests until the connection ends.
  io::Task<void> run();
  void drain() override;
  void abort(bool reset) override { stream_->close(reset); }

 private:
  friend class H2Stream;
  friend struct H2Callbacks;

  bool open_session();
  void receive(ByteView bytes);
  void judge(const H2FrameHeader& header);
  void start_ready();
  io::Task<void> serve(H2Stream& stream);
  void finished(H2Stream& stream);
  void frame();
  void pump();
  io::Task<void> write_out();
  void send_away(const char* why);
  void leave_if_over();
  void tick();
  void arm();

  H2Stream* find(int32_t id);
  bool passed_over(int32_t id);

  ServerState& server_;
  std::unique_ptr<io::Stream> stream_;
  const std::string peer_;
  const bool secure_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<H2Stream>> streams_;
  std::vector<int32_t> ready_;  // whose heads are complete, and whose handlers are to be started
  size_t handlers_ = 0;
  io::TaskScope scope_;  // handlers, and the one who writes
  H2Guard guard_;
  Buffer out_, sending_;
  size_t out_used_ = 0;
  bool in_batch_ = false, writing_ = false, broken_ = false, sent_away_ = false, leaving_ = false;
  io::Event written_;     // nobody writes any more
  int32_t highest_ = -1;  // stream of the client's
  std::vector<std::pair<int32_t, int32_t>> skipped_;
  H2FrameScan frames_{kH2Preface.size()};
  size_t block_bytes_ = 0;  // of the last header block
  uint64_t block_end_ = 0;  // where it ends in what is received
  TimePoint block_since_{};
  bool greeted_ = false;
  TimePoint active_at_{};
  io::Loop::TimerId timer_ = 0;
};

}  // namespace archipel::http
