#include "io/signals.h"

#include "io/asio_config.h"

#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>

#include "io/asio_loop.h"

namespace archipel::io {
namespace {

namespace asio = boost::asio;

// Owned by the watch; a handler holds it only while the callback runs, so that the callback may destroy the watch.
struct State {
  State(AsioLoop& l, std::move_only_function<void(int)> c)
      : loop(l), set(l.context()), callback(std::move(c)) {}
  AsioLoop& loop;
  asio::basic_signal_set<asio::io_context::executor_type> set;
  std::move_only_function<void(int)> callback;
};

void wait(const std::shared_ptr<State>& watched) {
  watched->set.async_wait(
      [weak = std::weak_ptr(watched)](const boost::system::error_code& error, int signal) {
        std::shared_ptr<State> state = weak.lock();
        if (error || state == nullptr) return;
        state->loop.begin_turn();
        state->callback(signal);
        wait(state);
      });
}

struct Watch final : SignalWatch {
  explicit Watch(std::shared_ptr<State> s) : state(std::move(s)) {}
  std::shared_ptr<State> state;
};

}  // namespace

Result<std::unique_ptr<SignalWatch>> watch_signals(Loop& loop, std::move_only_function<void(int)> callback) {
  auto state = std::make_shared<State>(AsioLoop::of(loop), std::move(callback));
  auto watch = std::make_unique<Watch>(state);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) {
    boost::system::error_code error;
    state->set.add(signal, error);
    if (error) return fail_errno(error.value(), "watching signal " + std::to_string(signal));
  }
  wait(state);
  return watch;
}

}  // namespace archipel::io
