// The body of a client's request as an upstream takes it.
#pragma once

#include <optional>

#include "edge/upstream.h"
#include "http/h1_parser.h"
#include "http/server.h"

namespace archipel::edge {

// `exchange` must outlive it.
class ExchangeBody final : public BodySource {
 public:
  explicit ExchangeBody(http::Exchange& exchange) : exchange_(exchange) {}
  std::optional<uint64_t> length() const override { return exchange_.body_length(); }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    auto got = co_await exchange_.read_body(out);
    if (!got) error_ = got.error();
    co_return got;
  }
  // The body goes with `request`, if there is one.
  void attach_to(FetchRequest& request) {
    if (length() == std::optional<uint64_t>(0)) return;
    request.body = this;
    const http::Request& asked = exchange_.request();
    request.expects_continue = (asked.major_version > 1 || asked.minor_version > 0) &&
                               http::list_contains(asked.headers.get("expect"), "100-continue");
  }
  // What the client did wrong, as a status; nullopt: nothing.
  std::optional<int> refusal() const {
    if (!error_) return std::nullopt;
    if (error_->code == Code::timeout) return 408;
    return error_->code == Code::limit ? 413 : 400;
  }

 private:
  http::Exchange& exchange_;
  std::optional<Error> error_;
};

}  // namespace archipel::edge
