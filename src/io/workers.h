// Workers: a small pool of threads for what blocks (RocksDB, fsync, Argon2) or computes for long (sealing, coding).
#pragma once

#include <memory>
#include <optional>

#include "io/loop.h"

namespace archipel::io {

class Workers {
 public:
  // Runs what was submitted, then joins the threads. No other thread may be inside submit() any more: join the loops first.
  virtual ~Workers() = default;

  // Runs `job` on some worker. Any thread. Never blocks; the queue is bounded by its callers (each awaits its result).
  virtual void submit(Callback job) = 0;

  // co_await workers.run(function): runs it on a worker and resumes on the calling loop with its value.
  template <class F>
  auto run(F function) {
    using R = std::invoke_result_t<F&>;
    static_assert(!std::is_void_v<R>, "return something: a Result, usually");
    struct Awaiter {
      Workers& workers;
      F function;
      std::optional<R> result = std::nullopt;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> self) {
        Loop* home = Loop::current();
        CHECK(home != nullptr);
        workers.submit([this, self, home] {
          result.emplace(function());
          home->post([self] { self.resume(); });
        });
      }
      R await_resume() { return std::move(*result); }
    };
    return Awaiter{*this, std::move(function)};
  }
};

// `threads` >= 1. Names the threads for `top -H`.
std::unique_ptr<Workers> make_workers(int threads);

}  // namespace archipel::io
