// Signals: SIGTERM, SIGINT and SIGHUP as callbacks on a loop, for draining and reloading; SIGUSR2, if wanted, for handing over.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "io/loop.h"

namespace archipel::io {

// While it lives, the signals no longer end the process but call the callback given to watch_signals(). Destroy it on its
// loop, or when the loop has stopped; the signals' default action then returns.
class SignalWatch {
 public:
  virtual ~SignalWatch() = default;
};

// `callback(signal_number)` runs on `loop`, once per delivery; the kernel may merge equal signals that arrive together. `loop` must
// be a real one. Loop thread, or before run().
// `usr2`: SIGUSR2 as well; without it that signal keeps its action.
Result<std::unique_ptr<SignalWatch>> watch_signals(Loop& loop, std::move_only_function<void(int)> callback,
                                                   bool usr2 = false);

}  // namespace archipel::io
