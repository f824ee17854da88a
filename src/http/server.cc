#include "http/server.h"

#include <array>

#include "base/metrics.h"
#include "http/connection.h"
#include "http/h2_connection.h"
#include "http/prefixed_stream.h"

namespace archipel::http {
namespace {

metrics::Counter accepted_total{"archipel_http_connections_total", "Connections accepted"};
metrics::Counter over_limit_total{"archipel_http_connections_refused_total",
                                  "Connections closed at once because connections_max was reached"};
metrics::Gauge open_connections{"archipel_http_connections", "Connections open now"};

// A connection before it is known what it speaks.
class Greeting final : public Served {
 public:
  Greeting(ServerState& state, io::Stream& stream) : state_(state), stream_(stream) {
    state_.connections.insert(this);
  }
  ~Greeting() override { state_.connections.erase(this); }
  void drain() override { stream_.close(); }
  void abort(bool reset) override { stream_.close(reset); }

 private:
  ServerState& state_;
  io::Stream& stream_;
};

enum class Spoken { http_1, http_2, nothing };

// HTTP/2 by agreement in TLS, or, on a listener in clear text, by its first bytes, which are then put back into `stream`.
io::Task<Spoken> listen_to(ServerState& state, std::unique_ptr<io::Stream>& stream) {
  Greeting greeting(state, *stream);
  auto readable = co_await stream->wait_readable(state.loop.now() + state.limits.idle_timeout);
  if (!readable) co_return Spoken::nothing;
  if (stream->secure()) co_return stream->protocol() == "h2" ? Spoken::http_2 : Spoken::http_1;
  const Deadline deadline = state.loop.now() + state.limits.header_timeout;
  std::array<uint8_t, kH2Preface.size()> begun;
  size_t size = 0;
  while (size < begun.size() && kH2Preface.starts_with(as_text({begun.data(), size}))) {
    auto got = co_await stream->read(MutableBytes(begun).subspan(size), deadline);
    if (!got) co_return Spoken::nothing;
    if (*got == 0) break;
    size += *got;
  }
  const bool http_2 = as_text({begun.data(), size}) == kH2Preface;
  stream = std::make_unique<PrefixedStream>(std::move(stream), ByteView(begun.data(), size));
  co_return http_2 ? Spoken::http_2 : Spoken::http_1;
}

// Has a place, and gives it back.
io::Task<void> serve_connection(ServerState& state, std::unique_ptr<io::Stream> stream) {
  open_connections.add(1);
  Spoken spoken = Spoken::http_1;
  if (stream->secure() ? state.options.h2 : state.options.h2_in_clear)
    spoken = co_await listen_to(state, stream);
  if (spoken == Spoken::http_2) {
    H2Connection connection(state, std::move(stream));
    co_await connection.run();
  } else if (spoken == Spoken::http_1) {
    Connection connection(state, std::move(stream));
    co_await connection.run();
  }
  open_connections.add(-1);
  state.places->give();
}

// One of them may resume and destroy others, so each is looked up again.
template <class Do>
void for_connections(ServerState& state, Do act) {
  std::vector<Served*> all(state.connections.begin(), state.connections.end());
  for (Served* connection : all)
    if (state.connections.contains(connection)) act(*connection);
}
void drain_connections(ServerState& state) {
  for_connections(state, [](Served& connection) { connection.drain(); });
}

void begin_drain(const std::shared_ptr<ServerState>& state) {
  if (std::exchange(state->draining, true)) return;
  auto listeners = state->listeners;
  for (io::Listener* listener : listeners) listener->close();
  if (state->drain_grace() == Duration{0})
    drain_connections(*state);
  else
    for_connections(*state, [](Served& connection) { connection.announce_drain(); });
  if (state->connections.empty()) return;
  const Deadline last = state->loop.now() + state->limits.drain_timeout;
  auto end_all = [state] {
    state->drain_timer = 0;
    for_connections(*state, [](Served& connection) { connection.abort(true); });
  };
  if (state->drain_grace() == Duration{0}) {
    state->drain_timer = state->loop.run_at(last, std::move(end_all));
    return;
  }
  state->drain_timer = state->loop.run_at(state->loop.now() + state->drain_grace(), [state, last, end_all] {
    state->drain_timer = state->loop.run_at(last, end_all);
    drain_connections(*state);
  });
}

class HttpServer final : public Server {
 public:
  HttpServer(io::Loop& loop, Handler handler, const Limits& limits, Clock& clock, MakePage make_page,
             const ServerOptions& options)
      : state_(std::make_shared<ServerState>(loop, std::move(handler), limits, clock, std::move(make_page),
                                             options)) {}

  io::Task<void> serve(io::Listener& listener) override {
    // The state outlives this object if a drain() is still in the loop's queue.
    std::shared_ptr<ServerState> state = state_;
    ServerState& s = *state;
    s.listeners.push_back(&listener);
    if (s.draining) listener.close();
    for (;;) {
      auto stream = co_await listener.accept();
      if (!stream) break;
      accepted_total.add();
      if (s.draining || !s.places->take()) {
        if (!s.draining) over_limit_total.add();
        (*stream)->close();
        continue;
      }
      s.scope.spawn(serve_connection(s, std::move(*stream)));
    }
    s.listeners.remove(&listener);
    co_await s.scope.join();
    if (s.drain_timer != 0) s.loop.cancel(std::exchange(s.drain_timer, 0));
  }

  void answer_now_with(AnswerNow answer) { state_->answer_now = std::move(answer); }

  void drain() override {
    state_->loop.post([state = state_] { begin_drain(state); });
  }

 private:
  std::shared_ptr<ServerState> state_;
};

}  // namespace

Page plain_page(int status, std::string_view why) {
  Page page;
  page.response.status = status;
  page.response.headers.add("content-type", "text/plain; charset=utf-8");
  page.body = std::string(why) + "\n";
  return page;
}

// make_server() makes no other.
void answer_now_with(Server& server, AnswerNow answer) {
  static_cast<HttpServer&>(server).answer_now_with(std::move(answer));
}

std::unique_ptr<Server> make_server(io::Loop& loop, Handler handler, Limits limits, Clock& clock,
                                    MakePage make_page, ServerOptions options) {
  return std::make_unique<HttpServer>(loop, std::move(handler), limits, clock, std::move(make_page), options);
}

}  // namespace archipel::http
