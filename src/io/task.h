// Task<T>: an eager, single-owner coroutine.
//
// The body runs at once until its first suspension. `co_await` the task exactly once, or give it to a TaskScope; destroying a
// task that has not finished is a bug (CHECK). A task finishes on the loop it was started on: a body that moves elsewhere with
// resume_on() moves back before it returns. Task is not thread-safe and needs no locks for that reason.
//
// House rules (see CONTRIBUTING.md): one co_await per full expression, its result in a named variable; none inside && || ?: or
// catch; no capturing lambda coroutines; parameters by value, or references to objects that outlive the task.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace archipel::io {

template <class T>
class Task;

namespace internal {

struct PromiseBase {
  std::coroutine_handle<> continuation;

  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept {
      std::coroutine_handle<> next = self.promise().continuation;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  std::suspend_never initial_suspend() noexcept { return {}; }
  Final final_suspend() noexcept { return {}; }
  // Exceptions are not used for control flow; one that arrives here (bad_alloc) must not be lost.
  void unhandled_exception() noexcept { std::terminate(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U = T>  // the default makes `co_return {};` work
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
};

}  // namespace internal

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::Promise<T>;

  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() { destroy(); }

  bool done() const { return handle_ && handle_.done(); }

  // The value of a finished task; for tests and scopes. Call once.
  T take() {
    CHECK(done());
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().value);
  }

  auto operator co_await() && {
    struct Awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() noexcept { return handle.done(); }
      void await_suspend(std::coroutine_handle<> parent) noexcept { handle.promise().continuation = parent; }
      T await_resume() {
        if constexpr (!std::is_void_v<T>) return std::move(*handle.promise().value);
      }
    };
    CHECK(handle_);
    return Awaiter{handle_};
  }

 private:
  void destroy() {
    if (!handle_) return;
    CHECK(handle_.done());
    handle_.destroy();
    handle_ = nullptr;
  }
  std::coroutine_handle<promise_type> handle_;
};

namespace internal {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}
}  // namespace internal

}  // namespace archipel::io
