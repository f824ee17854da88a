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

// Runs until SIGTERM or SIGINT, then drains. Blocks; call once per process, from the main thread, before other threads exist. `on_ready` is called
// once, when connections are accepted. `take_over`: not empty: a directory with the socket of a running edge, whose listening sockets are taken over.
Result<void> run_edge(edge::Config config, const std::string& take_over,
                      const std::function<void(const EdgeReady&)>& on_ready);

}  // namespace archipel::app
