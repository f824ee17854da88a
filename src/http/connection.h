// Connection: one HTTP/1.1 connection on its loop, from accept to close. Internal to src/http: handlers see it as an Exchange.
#pragma once

#include <algorithm>
#include <array>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"
#include "http/h2_memory.h"
#include "http/input.h"
#include "http/now.h"
#include "http/patience.h"
#include "http/prefixed_stream.h"
#include "http/server.h"
#include "io/sync.h"

namespace archipel::http {

// A connection, whatever it speaks, as its server sees it.
class Served {
 public:
  virtual ~Served() = default;
  // The server will drain in a while. Who has a way to say so to its client, says it.
  virtual void announce_drain() {}
  // The server is draining: end as soon as nothing is under way.
  virtual void drain() = 0;
  // Ends it now; its operations fail.
  virtual void abort(bool reset) = 0;
};

// What one request needs while it is under way, and an idle connection does not hold.
struct RequestSpace {
  explicit RequestSpace(const Limits& limits) : parser(limits) {}
  RequestParser parser;
  std::string head;  // of the response, until it is sent
  // What finish_stored() has to send: of the stored head, of `head`, of the body.
  std::array<ByteView, 3> rest;
  size_t rests = 0;
};

inline constexpr size_t kH2OutBytes = 64u << 10;  // of frames, framed and not written
inline constexpr size_t kH2Spares = 16;           // such buffers that nobody needs now

// What the connections of one server share. One loop.
struct ServerState {
  ServerState(io::Loop& l, Handler h, const Limits& lim, Clock& c, MakePage page = plain_page,
              const ServerOptions& o = {})
      : loop(l),
        handler(std::move(h)),
        limits(lim),
        clock(c),
        make_page(std::move(page)),
        options(o),
        places(o.places != nullptr ? o.places : std::make_shared<Places>(lim.connections_max)) {}

  io::Loop& loop;
  const Handler handler;
  const Limits limits;
  Clock& clock;
  const MakePage make_page;
  const ServerOptions options;
  const std::shared_ptr<Places> places;
  BufferPool pool;
  BufferPool h2_pool{kH2Spares, kH2OutBytes};  // what HTTP/2 connections write from
  H2Memory h2_memory{limits};                  // what their requests hold
  AnswerNow answer_now;                        // may be empty
  bool draining = false;
  // After drain(), connections without a request are kept so long by a proxy, for what a client may just be sending: it is answered, and ends the
  // connection. A successor has taken over meanwhile, and no client sees a reset. Others close at once.
  Duration drain_grace() const {
    return options.forward_date ? std::min<Duration>(std::chrono::seconds(2), limits.drain_timeout)
                                : Duration{0};
  }
  io::Loop::TimerId drain_timer = 0;
  std::set<Served*> connections;
  std::list<io::Listener*> listeners;
  io::TaskScope scope;

  // The Date header's value, formatted once per second; the clock is asked at most once in kDateLook.
  std::string_view date();
  static constexpr Duration kDateLook = std::chrono::milliseconds(5);

  static constexpr size_t kSparesMax = 64;
  std::unique_ptr<RequestSpace> take_space();
  void give_space(std::unique_ptr<RequestSpace> space);

 private:
  std::vector<std::unique_ptr<RequestSpace>> spaces_;
  TimePoint date_seen_{};
  UnixMs date_second_ = -1;
  std::string date_;
};

// Closing with unread bytes in the socket makes the kernel send RST, which may destroy our last bytes on their way (a response, a GOAWAY). So: ends our
// side, and reads until the client ends its own; kLingerTimeout and kLingerBytesMax at most.
io::Task<void> read_out(ServerState& server, io::Stream& stream);

class Connection final : public NowExchange, public Served {
 public:
  Connection(ServerState& server, std::unique_ptr<io::Stream> stream);
  ~Connection() override;

  // Serves requests until the connection ends.
  io::Task<void> run();
  void drain() override {
    if (idle_) abort(false);
  }
  void abort(bool reset) override;

  const Request& request() const override { return space_->parser.head().request; }
  std::optional<uint64_t> body_length() const override;
  io::Task<Result<size_t>> read_body(MutableBytes out) override;
  io::Task<Result<void>> respond(Response response, std::string body) override;
  io::Task<Result<void>> start(Response response, std::optional<uint64_t> length) override;
  io::Task<Result<void>> write(ByteView bytes) override;
  io::Task<Result<void>> finish() override;
  io::Task<Result<void>> respond_stored(const StoredResponse& stored,
                                        std::span<const ByteView> body) override;
  io::Task<Result<void>> start_stored(const StoredResponse& stored) override;
  Now respond_stored_now(const StoredResponse& stored, ByteView body) override;
  io::Task<Result<void>> finish_stored() override;
  io::Task<Result<std::unique_ptr<io::Stream>>> upgrade(Headers headers) override;
  io::Task<Result<void>> interim(int status, Headers headers) override;
  void end_now() override { abort(true); }
  bool responded() const override { return phase_ != Phase::waiting; }

 private:
  enum class Phase { waiting, streaming, complete };  // of the response
  enum class Ending { close, linger, reset };

  enum class Heard { more, head, refused, over };
  void rest();
  Heard parse_input();
  Heard read_now();
  io::Task<Heard> read_head();
  void begin_exchange();
  bool is_answered_now(std::optional<io::Task<void>>& rest);
  bool settled() const;
  io::Task<void> settle();
  io::Task<void> refuse(Refusal refusal);
  io::Task<void> drain_body();
  io::Task<void> linger();

  io::Task<void> tell_continue();
  io::Task<Result<size_t>> receive(MutableBytes out);
  io::Task<Result<size_t>> read_some_body(MutableBytes out);
  Error fail_body(Refusal refusal);
  std::span<ByteView> send_now(std::span<ByteView> parts);
  io::Task<Result<void>> send(std::span<const ByteView> parts);
  io::Task<Result<void>> send_in_slices(std::span<ByteView> parts);
  io::Task<Result<void>> transmit(ByteView bytes);
  void frame_response(int status, std::optional<uint64_t> length, bool keep_alive);
  Result<void> begin_response(const Response& response, std::optional<uint64_t> length, bool may_set_length);
  Result<void> begin_stored(const StoredResponse& stored, std::optional<uint64_t> length);
  Now keep_rest(std::span<const ByteView> rest);
  ResponseContext context(std::string_view date);
  bool can_keep_alive() const;

  ServerState& server_;
  std::unique_ptr<io::Stream> stream_;  // null once it was upgraded
  PrefixedStream* upgraded_ = nullptr;  // while it lives
  const std::string peer_;
  Input in_;
  bool idle_ = false;
  Ending ending_ = Ending::close;

  // Of the request under way.
  std::unique_ptr<RequestSpace> space_;  // null while idle
  BodyDecoder body_ = BodyDecoder::fixed(0);
  bool bodyless_ = true;           // body_ is a fixed one of nothing
  Patience body_patience_;         // with the client that sends its body
  bool continue_pending_ = false;  // the client waits for 100 Continue
  bool continuing_ = false;        // it is being told, or something interim: nothing else may be written
  io::Event continued_;
  std::optional<Error> body_error_;      // the body cannot be read any further
  std::optional<Refusal> body_refusal_;  // … because it is malformed
  Phase phase_ = Phase::waiting;
  ResponseFraming framing_;
  bool body_allowed_ = true;  // false for HEAD, 204, 205, 304
  uint64_t written_ = 0;
  std::optional<Error> write_error_;
  bool keep_alive_ = false;
};

}  // namespace archipel::http
