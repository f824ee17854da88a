// Listening sockets that pass from a process to its successor, so that no connection is refused or lost between the two (SCM_RIGHTS over a Unix
// socket).
//
// The old process offers; the new one takes the sockets, begins to accept on them, and says so; only then the old one stops accepting. What waits in a
// socket's queue meanwhile is accepted by either. A successor that dies before it said so changes nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/stream.h"

namespace archipel::io {

inline constexpr size_t kHandedSocketsMax = 250;  // the kernel passes 253 at once

// The descriptor of a listener over a socket; -1: it has none of its own (TLS: ask the listener inside).
int listening_descriptor(const Listener& listener);

// Under way while it lives; loop thread.
class SocketOffer {
 public:
  virtual ~SocketOffer() = default;
  // Before destruction.
  virtual Task<void> close() = 0;
};
struct OfferedSocket {
  std::string name;  // "http", "https": a word
  int descriptor = -1;
};
// Listens on `path` (mode 0600, replacing the socket of a predecessor), for processes of this user only. `sockets` says what there is to give; `taken` is called
// when a successor accepts. `loop` must be a real one.
Result<std::unique_ptr<SocketOffer>> offer_sockets(Loop& loop, const std::string& path,
                                                   std::function<std::vector<OfferedSocket>()> sockets,
                                                   std::function<void()> taken);

// What a predecessor gave. Descriptors that were not adopted are closed at the end.
class TakenSockets {
 public:
  virtual ~TakenSockets() = default;
  // A listener over the next socket called `name`; nullptr: there is no further one.
  virtual Result<std::unique_ptr<Listener>> adopt(Loop& loop, std::string_view name) = 0;
  // This process accepts now: the predecessor may stop.
  virtual void tell_ready() = 0;
};
// Asks whoever offers on `path`. Blocks, 5 s at most. not_found: nobody does. denied, io, timeout.
Result<std::unique_ptr<TakenSockets>> take_sockets(const std::string& path);

}  // namespace archipel::io
