#include "edge/local_upstream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "http/date.h"

namespace archipel::edge {
namespace {

// The handler's side of one request. Shared with the Fetch; one loop.
class LocalExchange final : public http::Exchange {
 public:
  LocalExchange(FetchRequest&& request, UnixMs now)
      : body_(request.body), interim_(request.interim), requested(now) {
    request_.method = std::move(request.method);
    request_.target = std::move(request.target);
    request_.headers = std::move(request.headers);
    request_.peer = "127.0.0.1:0";
    // The edge's own word by now: what the client came by.
    request_.secure = request_.headers.get("x-forwarded-proto") == "https";
  }

  const http::Request& request() const override { return request_; }
  std::optional<uint64_t> body_length() const override {
    return body_ == nullptr ? std::optional<uint64_t>(0) : body_->length();
  }
  io::Task<Result<size_t>> read_body(MutableBytes out) override {
    if (body_ == nullptr && !body_gone_) co_return size_t{0};
    if (body_gone_) co_return fail(Code::io, "the request's body is gone: its response was under way");
    ++borrowed_;
    auto got = co_await body_->read(out);
    give_back();
    co_return got;
  }

  io::Task<Result<void>> respond(http::Response response, std::string body) override {
    if (abandoned) co_return gone();
    take_head(std::move(response), body.size());
    if (sends_body_) window_ = std::move(body);
    ended = true;
    changed.notify_all();
    co_return {};
  }
  io::Task<Result<void>> start(http::Response response, std::optional<uint64_t> length) override {
    if (abandoned) co_return gone();
    take_head(std::move(response), length);
    changed.notify_all();
    co_return {};
  }
  io::Task<Result<void>> write(ByteView bytes) override {
    if (length_ && written_ + bytes.size() > *length_)
      co_return fail(Code::internal, "more was written than the response's length");
    written_ += bytes.size();
    while (!bytes.empty() && sends_body_) {
      while (!abandoned && window_.size() - read_ >= kLocalWindowBytes) co_await changed.wait();
      if (abandoned) co_return gone();
      compact();
      const ByteView part = bytes.first(std::min(bytes.size(), kLocalWindowBytes - window_.size()));
      window_ += as_text(part);
      bytes = bytes.subspan(part.size());
      changed.notify_all();
    }
    if (abandoned) co_return gone();
    co_return {};
  }
  io::Task<Result<void>> finish() override {
    if (length_ && sends_body_ && written_ != *length_)
      co_return fail(Code::internal, "less was written than the response's length");
    ended = true;
    changed.notify_all();
    co_return {};
  }
  io::Task<Result<void>> interim(int status, http::Headers headers) override {
    if (interim_ == nullptr || head) co_return {};
    ++borrowed_;
    co_await interim_->interim(status, headers);
    give_back();
    co_return {};
  }
  bool responded() const override { return head.has_value(); }

  // The reader's side.
  io::Task<Result<size_t>> read(MutableBytes out) {
    while (read_ == window_.size() && !ended && !returned) co_await changed.wait();
    const size_t n = std::min(out.size(), window_.size() - read_);
    if (n == 0 && !ended) co_return fail(Code::io, "the handler gave its response up");
    std::memcpy(out.data(), window_.data() + read_, n);
    read_ += n;
    changed.notify_all();
    co_return n;
  }
  std::optional<uint64_t> length() const { return sends_body_ ? length_ : std::optional<uint64_t>(0); }
  // The caller's own objects are not touched any more when this has finished: a read of its body that is under way is waited for.
  io::Task<void> detach() {
    while (borrowed_ > 0) co_await changed.wait();
    body_gone_ = body_ != nullptr;
    body_ = nullptr;
    interim_ = nullptr;
  }

 private:
  static std::unexpected<Error> gone() { return fail(Code::io, "nobody reads the response any more"); }
  void give_back() {
    --borrowed_;
    changed.notify_all();
  }
  void compact() {
    if (read_ == 0) return;
    window_.erase(0, read_);
    read_ = 0;
  }
  void take_head(http::Response response, std::optional<uint64_t> length) {
    CHECK(!head);
    length_ = length;
    const int status = response.status;
    sends_body_ = request_.method != "HEAD" && status != 204 && status != 304;
    if (length && status != 204 && status != 304 && response.headers.find("content-length") == nullptr)
      response.headers.add("content-length", std::to_string(*length));
    response.headers.remove("connection");
    head = std::move(response);
  }

  http::Request request_;
  BodySource* body_;
  InterimSink* interim_;
  bool body_gone_ = false;
  int borrowed_ = 0;  // calls under way into what the caller lent
  std::optional<uint64_t> length_;
  bool sends_body_ = true;
  uint64_t written_ = 0;
  std::string window_;
  size_t read_ = 0;  // of the window

 public:
  const UnixMs requested;
  std::optional<http::Response> head;
  bool ended = false, returned = false, abandoned = false;
  io::Event changed;
};

using ExchangeRef = std::shared_ptr<LocalExchange>;

class LocalFetch final : public Fetch {
 public:
  LocalFetch(ExchangeRef exchange, std::string name, UnixMs received)
      : exchange_(std::move(exchange)), name_(std::move(name)), received_(received) {}
  ~LocalFetch() override {
    exchange_->abandoned = true;
    exchange_->changed.notify_all();
  }
  int status() const override { return exchange_->head->status; }
  const http::Headers& headers() const override { return exchange_->head->headers; }
  std::optional<uint64_t> length() const override { return exchange_->length(); }
  UnixMs requested() const override { return exchange_->requested; }
  UnixMs received() const override { return received_; }
  io::Task<Result<size_t>> read(MutableBytes out) override { return exchange_->read(out); }
  std::unique_ptr<io::Stream> take_stream() override { return nullptr; }
  std::string_view origin() const override { return name_; }

 private:
  const ExchangeRef exchange_;
  const std::string name_;
  const UnixMs received_;
};

io::Task<void> call(http::Handler handler, ExchangeRef exchange) {
  co_await handler(*exchange);
  exchange->returned = true;
  exchange->changed.notify_all();
}

class LocalUpstream final : public Upstream {
 public:
  LocalUpstream(http::Handler handler, std::string name, Background& background, Clock& clock)
      : handler_(std::move(handler)), name_(std::move(name)), background_(background), clock_(clock) {}

  io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline deadline) override {
    const std::string name = name_;
    Clock& clock = clock_;
    if (!request.upgrade.empty())
      co_return fail(Code::unavailable, name + " does not switch to other protocols");
    auto exchange = std::make_shared<LocalExchange>(std::move(request), clock.unix_ms());
    background_.here().spawn(call(handler_, exchange));
    bool in_time = true;
    while (!exchange->head && !exchange->returned && in_time)
      in_time = co_await exchange->changed.wait(deadline);
    co_await exchange->detach();
    if (!exchange->head) {
      exchange->abandoned = true;
      if (!in_time) co_return fail(Code::timeout, name + " did not answer in time");
      co_return fail(Code::invalid, name + " did not answer");
    }
    const UnixMs received = clock.unix_ms();
    http::Headers& headers = exchange->head->headers;
    if (headers.find("date") == nullptr) headers.add("date", http::format_http_date(received));
    co_return std::make_unique<LocalFetch>(std::move(exchange), name, received);
  }

 private:
  const http::Handler handler_;
  const std::string name_;
  Background& background_;
  Clock& clock_;
};

}  // namespace

std::shared_ptr<Upstream> local_upstream(http::Handler handler, std::string name, Background& background,
                                         Clock& clock) {
  return std::make_shared<LocalUpstream>(std::move(handler), std::move(name), background, clock);
}

}  // namespace archipel::edge
