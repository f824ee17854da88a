// An http::Exchange without a connection: a request goes in, what was answered comes out. For tests.
#pragma once

#include <algorithm>
#include <coroutine>
#include <optional>
#include <string>
#include <vector>

#include "http/server.h"

namespace archipel::door::s3::testing {

// Where coroutines wait, without a loop, until it is opened.
class Gate {
 public:
  bool await_ready() const { return open_; }
  void await_suspend(std::coroutine_handle<> waiter) { waiting_.push_back(waiter); }
  void await_resume() const {}
  void open() {
    open_ = true;
    for (std::coroutine_handle<> waiter : std::exchange(waiting_, {})) waiter.resume();
  }

 private:
  bool open_ = false;
  std::vector<std::coroutine_handle<>> waiting_;
};

class FakeExchange final : public http::Exchange {
 public:
  http::Request in;
  std::string body;               // after HTTP de-chunking
  bool chunked = false;           // body_length() is then unknown
  size_t piece_bytes = SIZE_MAX;  // read_body() hands out at most this much

  // A client that does not go on until these are open.
  Gate* hold_reading = nullptr;
  Gate* hold_answer = nullptr;

  // What the handler did.
  http::Response out;
  std::string sent;
  std::optional<uint64_t> announced;  // content-length as start() or respond() was told
  bool finished = false, body_read = false;
  int status() const { return out.status; }

  const http::Request& request() const override { return in; }
  std::optional<uint64_t> body_length() const override {
    return chunked ? std::nullopt : std::optional<uint64_t>(body.size());
  }
  io::Task<Result<size_t>> read_body(MutableBytes to) override {
    body_read = true;
    if (hold_reading != nullptr) co_await *hold_reading;
    size_t n = std::min({to.size(), body.size() - read_, piece_bytes});
    if (n > 0) std::memcpy(to.data(), body.data() + read_, n);
    read_ += n;
    co_return n;
  }
  io::Task<Result<void>> respond(http::Response response, std::string text) override {
    CHECK(!responded_);
    responded_ = finished = true;
    out = std::move(response);
    announced = text.size();
    bool bodyless = in.method == "HEAD" || out.status == 204 || out.status == 304;
    if (!bodyless) sent = std::move(text);
    if (hold_answer != nullptr && out.status < 300) co_await *hold_answer;
    co_return Result<void>{};
  }
  io::Task<Result<void>> start(http::Response response, std::optional<uint64_t> length) override {
    CHECK(!responded_);
    responded_ = true;
    out = std::move(response);
    announced = length;
    co_return Result<void>{};
  }
  io::Task<Result<void>> write(ByteView bytes) override {
    sent += as_text(bytes);
    co_return Result<void>{};
  }
  io::Task<Result<void>> finish() override {
    finished = true;
    co_return Result<void>{};
  }
  bool responded() const override { return responded_; }

 private:
  size_t read_ = 0;
  bool responded_ = false;
};

}  // namespace archipel::door::s3::testing
