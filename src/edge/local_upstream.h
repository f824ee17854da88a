// local_upstream: an Upstream in this process: a handler such as a gateway's door, called without a socket, a parser or a copy of the head.
//
// Each fetch is one call of the handler, as a task of `background` on the calling loop. Its body reaches the reader through a window of kLocalWindowBytes:
// a handler waits while nobody reads. A Fetch that is destroyed before its end makes the handler's next write fail, as a client that went away does;
// a handler that returns before its response is whole makes the reader's next read fail.
//
// Errors of fetch(): invalid (the handler returned without a response), timeout (no head by the deadline; the handler is left to notice), and the
// Fetch's: io. The request's body may be read until the head is there; after that it is gone.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "edge/background.h"
#include "edge/upstream.h"
#include "http/server.h"

namespace archipel::edge {

inline constexpr size_t kLocalWindowBytes = 256u << 10;

// `name`: what Fetch::origin() says, for logs. `background` and `clock` outlive it, and what `handler` refers to outlives `background`.
std::shared_ptr<Upstream> local_upstream(http::Handler handler, std::string name, Background& background,
                                         Clock& clock);

}  // namespace archipel::edge
