// What an edge listens on, be it a process of its own or inside a gateway: its sites, in clear text and over TLS, and its admin API.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/ports.h"
#include "edge/config.h"
#include "edge/node.h"

namespace archipel::app {

struct EdgeAddresses {
  std::string http, https, admin;  // with their real ports; empty: none
};

// Home loop. The sockets are named "http", "https" and "admin", for a successor. `node` outlives the ports. config.limits.connections_max is of its
// sites, in clear text and over TLS together; the admin API has as many of its own, so that a crowd locks no operator out. `tls`: needed if the config has a TLS
// address. Errors: as Ports::listen.
Result<EdgeAddresses> listen_for_edge(Ports& ports, edge::Node& node, const edge::Config& config,
                                      std::shared_ptr<io::TlsContext> tls);

// The certificates that the configuration names, for TlsFiles.
std::vector<TlsConfig> tls_tables(const edge::Config& config);

}  // namespace archipel::app
