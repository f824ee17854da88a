// Hop-by-hop fields (RFC 9110 §7.6.1): what ends at this proxy. Pure functions.
#pragma once

#include <string_view>

#include "http/message.h"

namespace archipel::edge {

// Connection, what it names, and the fields that are always of one hop. A name in Connection that belongs to everybody (Host, Cookie,
// Authorization, Cache-Control, X-Forwarded-For …) stays: a client must not be able to take such a field away from the origin behind the edge.
// `upgrade` stays with `keep_upgrade` (101).
http::Headers without_hop_fields(const http::Headers& headers, bool keep_upgrade = false);
// The protocol that `headers` ask to switch to: Upgrade, if Connection names it; empty: none.
std::string_view upgrade_of(const http::Headers& headers);

}  // namespace archipel::edge
