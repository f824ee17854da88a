// Merge: which fields of a response are kept, and how a later response updates them (RFC 9111 §3.1, §3.2, §4.3.4, §4.3.5). Hop-by-hop
// fields were taken out before (hop.h).
// Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "edge/directives.h"
#include "http/message.h"

namespace archipel::edge {

// The fields of a response as they are stored: without what the qualified forms of no-cache and private name, age, and the framing.
http::Headers stored_headers(const http::Headers& response, const Directives& directives);

// A 304 (or the answer to a HEAD) over the stored fields. What describes the stored bytes stays as it was.
http::Headers merge_headers(const http::Headers& stored, const http::Headers& update);

// Is the 304 about this response? Not if both have strong entity tags, and different ones.
bool validates(const http::Headers& stored, const http::Headers& update);
// Does the answer to a HEAD describe the stored response: the same validators and length, where it has them?
bool head_agrees(const http::Headers& stored, std::optional<uint64_t> stored_length,
                 const http::Headers& head, std::optional<uint64_t> head_length);

// Request fields that steer some origins past what their URL says. Not forwarded for a request that could be stored, unless the key has them.
void remove_steering(http::Headers& request, const std::vector<std::string>& keyed);

}  // namespace archipel::edge
