// Loop: one thread's event loop. Everything a connection or a request owns lives on one loop and is touched by it alone.
//
// An interface with two implementations: the real one (io/epoll_loop.h) and the simulator's (io/sim).
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>

#include "base/clock.h"
#include "io/task.h"

namespace archipel::io {

using Callback = std::move_only_function<void()>;

class Loop {
 public:
  using TimerId = uint64_t;  // never 0, never reused

  virtual ~Loop() = default;

  // The loop that runs on this thread, or nullptr on any other thread.
  static Loop* current();

  // Monotonic time, frozen for the length of one turn. Loop thread only.
  virtual TimePoint now() = 0;

  // Runs `callback` on this loop, after what was posted before. Any thread. Callbacks posted after stop() are destroyed unrun.
  virtual void post(Callback callback) = 0;

  // Runs `callback` once at or after `when`. Loop thread only. cancel() returns false if it ran or was cancelled already.
  virtual TimerId run_at(TimePoint when, Callback callback) = 0;
  virtual bool cancel(TimerId id) = 0;

  // Runs until stop(). The calling thread becomes this loop's thread.
  virtual void run() = 0;
  // Any thread; run() returns after the current turn.
  virtual void stop() = 0;

 protected:
  static void set_current(Loop* loop);
};

std::unique_ptr<Loop> make_loop();

// co_await resume_on(loop): the coroutine goes on there. Free if it is there already.
struct ResumeOn {
  Loop& loop;
  bool await_ready() const noexcept { return Loop::current() == &loop; }
  void await_suspend(std::coroutine_handle<> self) {
    loop.post([self] { self.resume(); });
  }
  void await_resume() const noexcept {}
};
inline ResumeOn resume_on(Loop& loop) {
  return ResumeOn{loop};
}

// co_await sleep_until(when) on the current loop.
struct SleepUntil {
  TimePoint when;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) {
    Loop::current()->run_at(when, [self] { self.resume(); });
  }
  void await_resume() const noexcept {}
};
inline SleepUntil sleep_until(TimePoint when) {
  return SleepUntil{when};
}

// Runs `task_function()` on a fresh real loop until its task finishes; returns its value. For tests, tools and main().
// What is still posted to the loop then is destroyed unrun.
template <class F>
auto run_blocking(F task_function) {
  using TaskType = std::invoke_result_t<F&>;
  using Value = decltype(std::declval<TaskType&>().take());
  using Stored = std::conditional_t<std::is_void_v<Value>, bool, Value>;
  struct Runner {
    static Task<void> watch(F& function, std::optional<Stored>& out, Loop& l) {
      TaskType task = function();
      if constexpr (std::is_void_v<Value>) {
        co_await std::move(task);
        out.emplace(true);
      } else {
        Value value = co_await std::move(task);
        out.emplace(std::move(value));
      }
      l.stop();
    }
  };
  auto loop = make_loop();
  std::optional<Stored> out;
  std::optional<Task<void>> watcher;
  loop->post([&] { watcher.emplace(Runner::watch(task_function, out, *loop)); });
  loop->run();
  CHECK(out.has_value());  // otherwise somebody else stopped the loop
  if constexpr (!std::is_void_v<Value>) return std::move(*out);
}

}  // namespace archipel::io
