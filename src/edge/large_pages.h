// LargePages: a fixed array in memory that asks the system for pages of 2 MiB. What is looked up at random in tens of megabytes spends more time finding pages
// than reading them. Values are constructed with the array; arrays of less than a page come from the ordinary heap.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

namespace archipel::edge {

template <class T>
class LargePages {
 public:
  static constexpr size_t kPage = 2u << 20;

  explicit LargePages(size_t size) : size_(size) {
    const size_t bytes = size * sizeof(T);
    const bool large = bytes >= kPage;
    const size_t unit = large ? kPage : alignof(T) < 64 ? 64 : alignof(T);
    void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
    if (memory == nullptr) throw std::bad_alloc();
    if (large) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish; without it all is as right and slower
    data_ = static_cast<T*>(memory);
    std::uninitialized_value_construct_n(data_, size_);
  }
  LargePages(LargePages&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  LargePages& operator=(LargePages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~LargePages() {
    std::destroy_n(data_, size_);
    std::free(data_);
  }

  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  size_t size() const { return size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace archipel::edge
