// Buffers for what is read from connections, and what lies in them. One loop.
#pragma once

#include <vector>

#include "base/bytes.h"

namespace archipel::http {

// Buffers of one size of one loop, if nothing else is said to read into. Taken when bytes arrive, given back when they are used up: an idle connection holds none.
class BufferPool {
 public:
  static constexpr size_t kBufferBytes = 16u << 10;
  static constexpr size_t kSparesMax = 64;
  explicit BufferPool(size_t spares_max = kSparesMax, size_t buffer_bytes = kBufferBytes)
      : spares_max_(spares_max), buffer_bytes_(buffer_bytes) {}
  Buffer take();
  void give(Buffer buffer);  // keeps it only if it has the pool's size
  size_t spares() const { return spares_.size(); }

 private:
  const size_t spares_max_, buffer_bytes_;
  std::vector<Buffer> spares_;
};

// The bytes received and not used yet, in one run.
class Input {
 public:
  explicit Input(BufferPool& pool) : pool_(pool) {}
  ~Input() { release(); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  bool empty() const { return begin_ == end_; }
  ByteView view() const { return storage_.view().subspan(begin_, end_ - begin_); }
  void consume(size_t size);
  // Free space behind the bytes, making some by moving them or by growing the buffer to `size_max` in all; empty when that is reached.
  MutableBytes room(size_t size_max);
  void commit(size_t size) { end_ += size; }
  void release();  // gives the buffer back; only when empty()

 private:
  BufferPool& pool_;
  Buffer storage_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace archipel::http
