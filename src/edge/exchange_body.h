// The body of a client's request as an upstream takes it.
#pragma once

#include "edge/upstream.h"
#include "http/server.h"

namespace archipel::edge {

// `exchange` must outlive it.
class ExchangeBody final : public BodySource {
 public:
  explicit ExchangeBody(http::Exchange& exchange) : exchange_(exchange) {}
  std::optional<uint64_t> length() const override { return exchange_.body_length(); }
  io::Task<Result<size_t>> read(MutableBytes out) override { return exchange_.read_body(out); }

 private:
  http::Exchange& exchange_;
};

}  // namespace archipel::edge
