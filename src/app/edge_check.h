// What `archipel edge --check` looks at besides the file itself: all that a start, or a SIGHUP, would read because the file names it.
#pragma once

#include "base/result.h"
#include "edge/config.h"

namespace archipel::app {

// Reads certificates and their keys, certificate authorities of origins, the token and the geographic database, and sees whether the access log, the disk
// tier and the sockets for a successor have a directory that this user may write to. Nothing is made, changed, locked or listened on: an edge may run with
// the file meanwhile. Blocks on files; call from a thread that runs no loop. Errors name the file or the directory: not_found, invalid, limit, denied, io.
Result<void> check_edge(const edge::Config& config);

}  // namespace archipel::app
