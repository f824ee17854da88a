// A request's body that is at hand.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "edge/upstream.h"

namespace archipel::edge {

class TextBody final : public BodySource {
 public:
  explicit TextBody(std::string text) : text_(std::move(text)) {}
  std::optional<uint64_t> length() const override { return text_.size(); }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    const size_t n = std::min(out.size(), text_.size() - at_);
    std::copy_n(text_.data() + at_, n, out.data());
    at_ += n;
    co_return n;
  }

 private:
  const std::string text_;
  size_t at_ = 0;
};

}  // namespace archipel::edge
