// Unix sockets in the file system: streams between processes of one machine, admitted by the permissions of a file.
#pragma once

#include <memory>
#include <string>

#include "io/stream.h"

namespace archipel::io {

// Listens on `path`, a file that is made with mode 0600 and not removed at the end. A socket that lies there already is replaced: the caller
// holds a lock that says nobody listens on it. The path may be longer than the 107 bytes of a socket's address. `loop` must be a real one.
// Errors: exists if something else than a socket lies there; io.
Result<std::unique_ptr<Listener>> listen_unix(Loop& loop, const std::string& path);

// Does not wait: a listener's backlog has room, or has not (unavailable). not_found: nobody listens on `path`. denied, io. Loop thread.
Result<std::unique_ptr<Stream>> connect_unix(Loop& loop, const std::string& path);

}  // namespace archipel::io
