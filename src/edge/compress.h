// Compression between the origin and the cache: what comes back plain goes on compressed, so that the cache stores it so, once for each coding.
//
// Compressed: 200 to GET (its head to HEAD), of a type in the policy, of at least bytes_min (or unknown length), without Content-Encoding, Content-Range
// and no-transform, for a request whose Accept-Encoding is one coding (site.h makes it so) and that asks for no range. Then: Content-Encoding, no
// Content-Length, Accept-Ranges and digests of the plain bytes, a weak ETag. All responses of such a type get Vary: Accept-Encoding.
// A stream of events (text/event-stream) is never compressed: it would wait in the coder.
#pragma once

#include <memory>

#include "edge/policy.h"
#include "edge/upstream.h"

namespace archipel::edge {

std::shared_ptr<Upstream> compressing(std::shared_ptr<Upstream> inner, const CompressPolicy& policy);

}  // namespace archipel::edge
