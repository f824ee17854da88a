// Late: an object that other threads begin to use while they run: null, then there for good. It is set once.
#pragma once

#include <atomic>
#include <memory>

#include "base/check.h"

namespace archipel::edge {

template <class T>
class Late {
 public:
  void set(std::shared_ptr<T> object) {
    CHECK(held_ == nullptr && object != nullptr);
    held_ = std::move(object);
    now_.store(held_.get(), std::memory_order_release);
  }
  T* get() const { return now_.load(std::memory_order_acquire); }
  T* operator->() const { return get(); }
  bool operator==(std::nullptr_t) const { return get() == nullptr; }

 private:
  std::shared_ptr<T> held_;
  std::atomic<T*> now_{nullptr};
};

}  // namespace archipel::edge
