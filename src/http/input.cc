#include "http/input.h"

#include <cstring>

namespace archipel::http {

Buffer BufferPool::take() {
  if (spares_.empty()) return Buffer(buffer_bytes_);
  Buffer buffer = std::move(spares_.back());
  spares_.pop_back();
  return buffer;
}

void BufferPool::give(Buffer buffer) {
  if (buffer.size() == buffer_bytes_ && spares_.size() < spares_max_) spares_.push_back(std::move(buffer));
}

void Input::consume(size_t size) {
  begin_ += size;
  if (begin_ == end_) begin_ = end_ = 0;
}

MutableBytes Input::room(size_t size_max) {
  if (storage_.empty()) storage_ = pool_.take();
  if (end_ == storage_.size() && begin_ > 0) {
    std::memmove(storage_.data(), storage_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == storage_.size() && storage_.size() < size_max) {
    Buffer larger(size_max);
    std::memcpy(larger.data(), storage_.data(), end_);
    pool_.give(std::exchange(storage_, std::move(larger)));
  }
  return storage_.span().subspan(end_);
}

void Input::release() {
  if (!storage_.empty()) pool_.give(std::exchange(storage_, Buffer{}));
  begin_ = end_ = 0;
}

}  // namespace archipel::http
