#include "http/prefixed_stream.h"

#include <algorithm>

namespace archipel::http {

PrefixedStream::PrefixedStream(std::unique_ptr<io::Stream> inner, ByteView prefix, PrefixedStream** slot)
    : inner_(std::move(inner)), prefix_(prefix.empty() ? Buffer() : Buffer::copy_of(prefix)), slot_(slot) {
  if (slot_ != nullptr) *slot_ = this;
}

PrefixedStream::~PrefixedStream() {
  if (slot_ != nullptr) *slot_ = nullptr;
}

size_t PrefixedStream::take(MutableBytes out) {
  size_t count = std::min(out.size(), prefix_.size() - taken_);
  std::copy_n(prefix_.data() + taken_, count, out.data());
  taken_ += count;
  if (taken_ == prefix_.size()) {
    prefix_ = Buffer();
    taken_ = 0;
  }
  return count;
}

io::Task<Result<void>> PrefixedStream::wait_readable(Deadline deadline) {
  if (!prefix_.empty()) co_return {};
  auto ready = co_await inner_->wait_readable(deadline);
  co_return ready;
}

io::Task<Result<size_t>> PrefixedStream::read(MutableBytes out, Deadline deadline) {
  CHECK(!out.empty());
  if (!prefix_.empty()) co_return take(out);
  auto got = co_await inner_->read(out, deadline);
  co_return got;
}

io::Task<Result<void>> PrefixedStream::write(std::span<const ByteView> parts, Deadline deadline) {
  auto written = co_await inner_->write(parts, deadline);
  co_return written;
}

std::optional<Result<size_t>> PrefixedStream::try_read(MutableBytes out) {
  if (!prefix_.empty() && !out.empty()) return take(out);
  return inner_->try_read(out);
}

}  // namespace archipel::http
