// EdgeProcess: wires loops, listeners, cache and node into a running edge; reloads, drains and stops it.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "edge/config.h"

namespace archipel::app {

struct EdgeReady {
  std::string address;      // "127.0.0.1:8002", with the real port; empty without [listen] http
  std::string tls_address;  // the same over TLS
  std::string admin_address;
};

// Runs until SIGTERM or SIGINT, or until a successor has taken over, then drains. Blocks; call once per process, from the main thread, before other
// threads exist. `on_ready` is called once, when connections are accepted. `take_over`: begin with the listening sockets of the edge that offers them in
// [proxy] take_over, which then drains; not_found if there is none.
Result<void> run_edge(edge::Config config, bool take_over,
                      const std::function<void(const EdgeReady&)>& on_ready);

}  // namespace archipel::app
