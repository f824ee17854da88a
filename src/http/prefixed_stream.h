// PrefixedStream: a stream some of whose bytes were read already, as happens when a connection leaves HTTP in the middle of a buffer.
#pragma once

#include <memory>
#include <string>

#include "io/stream.h"

namespace archipel::http {

class PrefixedStream final : public io::Stream {
 public:
  // Reads give `prefix` first, which is copied. `slot`, if there is one, is set to this object and to null when it goes; it must outlive it.
  PrefixedStream(std::unique_ptr<io::Stream> inner, ByteView prefix, PrefixedStream** slot = nullptr);
  ~PrefixedStream() override;

  io::Task<Result<void>> wait_readable(Deadline deadline) override;
  io::Task<Result<size_t>> read(MutableBytes out, Deadline deadline) override;
  io::Task<Result<void>> write(std::span<const ByteView> parts, Deadline deadline) override;
  std::optional<Result<size_t>> try_read(MutableBytes out) override;
  bool holds_part() const override { return taken_ < prefix_.size() || inner_->holds_part(); }
  size_t try_write(ByteView bytes) override { return inner_->try_write(bytes); }
  void shutdown_write() override { inner_->shutdown_write(); }
  void close(bool reset) override { inner_->close(reset); }
  std::string peer() const override { return inner_->peer(); }
  bool secure() const override { return inner_->secure(); }

 private:
  size_t take(MutableBytes out);

  const std::unique_ptr<io::Stream> inner_;
  Buffer prefix_;
  size_t taken_ = 0;
  PrefixedStream** const slot_;
};

}  // namespace archipel::http
