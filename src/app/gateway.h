// Gateway: wires the modules into a process that holds keys and serves the S3 door; starts, reloads, drains and stops it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/setup.h"
#include "base/result.h"
#include "index/decision.h"
#include "io/task.h"

namespace archipel::store {
class Store;
}

namespace archipel::app {

class Mending;

struct GatewayOptions {
  Config config;
  bool demo =
      false;  // an island whose directory was wiped rejoins empty by itself; an account "demo" is made
  std::optional<Credentials> demo_credentials;
  bool old_gateway_is_dead = false;  // an operator says so: a lease that was not released is not watched
  index::Attested attested = {};     // what else an operator knows
  // Offline work: done once the store is open, instead of serving; its result is that of run_gateway(). Home loop.
  std::function<io::Task<Result<void>>(Mending&)> instead = {};
  // The same, for work on the store alone.
  std::function<io::Task<Result<void>>(store::Store&)> with_store = {};
};

struct Ready {
  std::string address;                               // "127.0.0.1:9000", with the real port
  std::string tls_address;                           // the same over TLS; empty without [listen] https
  std::string website_address, website_tls_address;  // buckets as websites; empty without [website]
  std::string edge_address, edge_tls_address, edge_admin_address;  // of [edge]
  std::string region;
  std::string access_key, secret_key;  // demo only
  std::vector<std::string> notes;      // what a person should know about this start, one sentence each
};

// Runs until SIGTERM or SIGINT, then drains. Blocks; call once per process, from the main thread, before other threads exist.
// `on_ready` is called once, when the door accepts connections.
Result<void> run_gateway(GatewayOptions options, const std::function<void(const Ready&)>& on_ready);

}  // namespace archipel::app
