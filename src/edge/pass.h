// Pass: requests that go straight to the origin: those that switch protocols (websocket), which no cache can answer.
#pragma once

#include "edge/serve.h"
#include "edge/site.h"
#include "http/server.h"

namespace archipel::edge {

// How long a switched connection may stay silent in both directions.
inline constexpr Duration kTunnelIdleMax = std::chrono::minutes(10);

// The protocol that a request may be passed on for: "websocket" and others, but not those that speak HTTP or TLS (h2c, TLS/1.0), behind which requests
// could hide; and of GET alone. Empty: none.
std::string_view passable_upgrade(const http::Request& request);

// Sends the request, and the response back as it comes. With `upgrade`: bytes flow both ways only after the origin's 101; whatever else it answers is a
// response like others.
io::Task<Served> pass_through(http::Exchange& exchange, std::shared_ptr<const PolicySite> site,
                              std::string upgrade);

}  // namespace archipel::edge
