// PageStock: large pieces of memory that were used before, kept for the next who wants the same size.
//
// An 8 MiB body becomes a 16 MiB extent. Taking those pages from the system for each one and giving them back halves the speed of the data
// path (`bench/pipeline.cc` shows both), so Buffers of 256 KiB and more take
// theirs here; malloc gives such sizes back to the system, too. Contents are neither cleared nor meaningful.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace archipel {

// Thread-safe.
class PageStock {
 public:
  // Keeps at most `idle_bytes_max` bytes that nobody uses.
  explicit PageStock(size_t idle_bytes_max) : idle_bytes_max_(idle_bytes_max) {}
  PageStock(const PageStock&) = delete;
  PageStock& operator=(const PageStock&) = delete;
  ~PageStock();

  // At least `size` bytes, aligned to a page. Throws std::bad_alloc.
  uint8_t* take(size_t size);
  // `size` as given to take(). The oldest idle pieces make room, so that sizes no longer asked for do not stay.
  void give(uint8_t* data, size_t size);

  size_t idle_bytes() const;

 private:
  struct Piece {
    uint8_t* data;
    size_t size;
  };
  uint8_t* find(size_t size);

  const size_t idle_bytes_max_;
  mutable std::mutex mutex_;
  std::vector<Piece> idle_;  // oldest first; a few pieces, so that a linear search is the cheapest
  size_t idle_bytes_ = 0;
};

}  // namespace archipel
