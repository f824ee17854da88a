// ExchangeView: an Exchange whose request a site's policy has changed: another target, further fields, a bound on its body. Everything else is the
// exchange's own. Lives as long as the handler's task.
#pragma once

#include <optional>

#include "edge/policy.h"
#include "http/server.h"

namespace archipel::edge {

class ExchangeView final : public http::Exchange {
 public:
  ExchangeView(http::Exchange& exchange, std::optional<std::string> target,
               const std::vector<HeaderEdit>& set, std::optional<uint64_t> body_bytes_max)
      : exchange_(exchange), request_(exchange.request()), body_left_(body_bytes_max.value_or(UINT64_MAX)) {
    if (target) request_.target = std::move(*target);
    for (const HeaderEdit& edit : set) request_.headers.set(edit.name, edit.value);
  }

  // What another edge was asked over.
  void set_secure(bool secure) { request_.secure = secure; }

  const http::Request& request() const override { return request_; }
  std::optional<uint64_t> body_length() const override { return exchange_.body_length(); }
  // limit: the body is longer than the policy allows. Nothing beyond it is passed on.
  io::Task<Result<size_t>> read_body(MutableBytes out) override {
    auto got = co_await exchange_.read_body(out);
    if (got && *got > body_left_) {
      body_too_large_ = true;
      co_return fail(Code::limit, "the request body is larger than this site takes");
    }
    if (got) body_left_ -= *got;
    co_return got;
  }
  bool body_too_large() const { return body_too_large_; }

  // Whatever was going to be said about a body that is too large (that the origin failed): it is too large.
  io::Task<Result<void>> respond(http::Response response, std::string body) override {
    if (body_too_large_ && response.status >= 500) {
      http::Page page = http::plain_page(413, "the request body is larger than this site takes");
      return exchange_.respond(std::move(page.response), std::move(page.body));
    }
    return exchange_.respond(std::move(response), std::move(body));
  }
  io::Task<Result<void>> start(http::Response response, std::optional<uint64_t> length) override {
    return exchange_.start(std::move(response), length);
  }
  io::Task<Result<void>> write(ByteView bytes) override { return exchange_.write(bytes); }
  io::Task<Result<void>> finish() override { return exchange_.finish(); }
  io::Task<Result<void>> respond_stored(const http::StoredResponse& stored,
                                        std::span<const ByteView> body) override {
    return exchange_.respond_stored(stored, body);
  }
  io::Task<Result<void>> start_stored(const http::StoredResponse& stored) override {
    return exchange_.start_stored(stored);
  }
  io::Task<Result<std::unique_ptr<io::Stream>>> upgrade(http::Headers headers) override {
    return exchange_.upgrade(std::move(headers));
  }
  io::Task<Result<void>> interim(int status, http::Headers headers) override {
    return exchange_.interim(status, std::move(headers));
  }
  void end_now() override { exchange_.end_now(); }
  bool responded() const override { return exchange_.responded(); }

 private:
  http::Exchange& exchange_;
  http::Request request_;
  uint64_t body_left_;
  bool body_too_large_ = false;
};

}  // namespace archipel::edge
