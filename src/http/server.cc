#include "http/server.h"

#include "base/metrics.h"
#include "http/connection.h"

namespace archipel::http {
namespace {

metrics::Counter accepted_total{"archipel_http_connections_total", "Connections accepted"};
metrics::Counter over_limit_total{"archipel_http_connections_refused_total",
                                  "Connections closed at once because connections_max was reached"};
metrics::Gauge open_connections{"archipel_http_connections", "Connections open now"};

io::Task<void> serve_connection(ServerState& state, std::unique_ptr<io::Stream> stream) {
  open_connections.add(1);
  {
    Connection connection(state, std::move(stream));
    co_await connection.run();
  }
  open_connections.add(-1);
}

// Ends every connection for which `which` holds. Ending one may resume and destroy others, so each is looked up again.
void end_connections(ServerState& state, bool idle_only) {
  std::vector<Connection*> all(state.connections.begin(), state.connections.end());
  for (Connection* connection : all)
    if (state.connections.contains(connection) && (!idle_only || connection->idle()))
      connection->abort(!idle_only);
}

void begin_drain(const std::shared_ptr<ServerState>& state) {
  if (std::exchange(state->draining, true)) return;
  auto listeners = state->listeners;
  for (io::Listener* listener : listeners) listener->close();
  end_connections(*state, true);
  if (state->connections.empty()) return;
  state->drain_timer = state->loop.run_at(state->loop.now() + state->limits.drain_timeout, [state] {
    state->drain_timer = 0;
    end_connections(*state, false);
  });
}

class H1Server final : public Server {
 public:
  H1Server(io::Loop& loop, Handler handler, const Limits& limits, Clock& clock, MakePage make_page,
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
      if (s.draining || s.connections.size() >= static_cast<size_t>(s.limits.connections_max)) {
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

std::unique_ptr<Server> make_server(io::Loop& loop, Handler handler, Limits limits, Clock& clock,
                                    MakePage make_page, ServerOptions options) {
  return std::make_unique<H1Server>(loop, std::move(handler), limits, clock, std::move(make_page), options);
}

}  // namespace archipel::http
