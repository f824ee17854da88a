// An edge in memory: origins, clients and time are the test's. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "edge/serve_internal.h"
#include "edge/usual.h"
#include "http/date.h"
#include "io/sim/sim_loop.h"
#include "io/sync.h"

namespace archipel::edge::testing {

using Fields = std::vector<std::pair<std::string, std::string>>;
inline http::Headers make_headers(const Fields& fields) {
  http::Headers out;
  for (const auto& [name, value] : fields) out.add(name, value);
  return out;
}

// What an origin answers.
struct Reply {
  int status = 200;
  Fields headers = {};
  std::string body = {};
  bool chunked = false;             // length not said
  std::optional<Error> error = {};  // instead of all that
  size_t cut = SIZE_MAX;            // the body breaks off here
  std::vector<std::pair<int, Fields>> interim = {};
};

class Origin final : public Upstream {
 public:
  Origin(Clock& clock, io::Loop& loop) : clock_(clock), loop_(loop) {}

  std::function<Reply(const FetchRequest&)> answer;
  std::vector<FetchRequest> seen;
  std::string last_body;    // of a request
  uint64_t body_bytes = 0;  // of responses, read by the edge
  size_t read_max = 16u << 10;
  int open = 0;  // fetches not destroyed yet
  bool hold_heads = false, hold_bodies = false;

  void release() {
    hold_heads = hold_bodies = false;
    loop_.post([this] { gate_.notify_all(); });
  }
  // Wakes who is held once, to look again.
  void step_bodies(uint64_t bytes) {
    allowance_ += bytes;
    loop_.post([this] { gate_.notify_all(); });
  }

  io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline) override {
    const UnixMs requested = clock_.unix_ms();
    seen.push_back(request);
    if (request.body != nullptr) {
      Buffer buffer(4096);
      last_body.clear();
      for (;;) {
        auto got = co_await request.body->read(buffer.span());
        if (!got) co_return fail(got.error());
        if (*got == 0) break;
        last_body += as_text(buffer.view().first(*got));
      }
    }
    Reply reply = answer(request);
    for (auto& [status, fields] : reply.interim) {
      http::Headers headers = make_headers(fields);
      if (request.interim != nullptr) co_await request.interim->interim(status, headers);
    }
    while (hold_heads) co_await gate_.wait();
    if (reply.error) co_return fail(*reply.error);
    std::unique_ptr<Fetch> out = std::make_unique<Coming>(*this, std::move(reply), requested,
                                                          clock_.unix_ms(), request.method == "HEAD");
    co_return out;
  }

 private:
  class Coming final : public Fetch {
   public:
    Coming(Origin& origin, Reply reply, UnixMs requested, UnixMs received, bool head)
        : origin_(origin),
          reply_(std::move(reply)),
          headers_(make_headers(reply_.headers)),
          requested_(requested),
          received_(received) {
      origin_.open++;
      if (!reply_.chunked && reply_.status != 304 && headers_.find("content-length") == nullptr)
        headers_.add("content-length", std::to_string(reply_.body.size()));
      if (head) reply_.body.clear();
    }
    ~Coming() override { origin_.open--; }
    int status() const override { return reply_.status; }
    const http::Headers& headers() const override { return headers_; }
    std::optional<uint64_t> length() const override {
      return reply_.chunked ? std::nullopt : std::optional<uint64_t>(reply_.body.size());
    }
    UnixMs requested() const override { return requested_; }
    UnixMs received() const override { return received_; }
    io::Task<Result<size_t>> read(MutableBytes out) override {
      while (origin_.hold_bodies && origin_.allowance_ == 0 && at_ < reply_.body.size())
        co_await origin_.gate_.wait();
      if (at_ >= reply_.cut) co_return fail(Code::io, "the connection broke");
      size_t n = std::min({out.size(), reply_.body.size() - at_, reply_.cut - at_, origin_.read_max});
      if (origin_.hold_bodies) n = static_cast<size_t>(std::min<uint64_t>(n, origin_.allowance_));
      std::memcpy(out.data(), reply_.body.data() + at_, n);
      at_ += n;
      origin_.body_bytes += n;
      if (origin_.hold_bodies) origin_.allowance_ -= n;
      co_return n;
    }
    std::unique_ptr<io::Stream> take_stream() override { return nullptr; }
    std::string_view origin() const override { return "http://origin"; }

   private:
    Origin& origin_;
    Reply reply_;
    http::Headers headers_;
    UnixMs requested_, received_;
    size_t at_ = 0;
  };

  Clock& clock_;
  io::Loop& loop_;
  io::Event gate_;
  uint64_t allowance_ = 0;
};

// One request, and what became of it.
class Client final : public http::NowExchange {
 public:
  Client(std::string method, std::string target, const Fields& fields) {
    request_.method = std::move(method);
    request_.target = std::move(target);
    request_.headers = make_headers(fields);
    if (request_.headers.find("host") == nullptr) request_.headers.add("host", "a.example");
    request_.peer = "127.0.0.1:1";
  }

  // What the client sends and how it reads.
  std::string upload;
  bool stuck = false;         // it reads nothing more
  size_t gone_at = SIZE_MAX;  // it goes away after so many bytes

  // What it got.
  int status = 0;
  http::Headers headers;
  std::string body;
  std::vector<std::pair<int, http::Headers>> interims;
  bool finished = false;  // the response is whole
  bool done = false;      // serve() returned
  bool ended = false;     // by the edge
  io::Loop* loop = nullptr;
  Served served;
  std::string_view get(std::string_view name) const { return headers.get(name); }

  void go_on() {
    stuck = false;
    loop->post([this] { gate_.notify_all(); });
  }

  const http::Request& request() const override { return request_; }
  std::optional<uint64_t> body_length() const override { return upload.size(); }
  io::Task<Result<size_t>> read_body(MutableBytes out) override {
    size_t n = std::min(out.size(), upload.size() - uploaded_);
    std::memcpy(out.data(), upload.data() + uploaded_, n);
    uploaded_ += n;
    co_return n;
  }
  io::Task<Result<void>> respond(http::Response response, std::string text) override {
    begin(std::move(response), text.size());
    while (stuck && !ended) co_await gate_.wait();
    if (ended) co_return fail(Code::cancelled, "ended here");
    if (request_.method != "HEAD" && status != 304 && status != 204) body = std::move(text);
    finished = true;
    co_return {};
  }
  io::Task<Result<void>> start(http::Response response, std::optional<uint64_t> length) override {
    begin(std::move(response), length);
    length_ = length;
    co_return {};
  }
  io::Task<Result<void>> write(ByteView bytes) override {
    while (stuck && !ended) co_await gate_.wait();
    if (ended) co_return fail(Code::cancelled, "ended here");
    body += as_text(bytes);
    if (body.size() >= gone_at) co_return fail(Code::io, "the client went away");
    co_return {};
  }
  io::Task<Result<void>> finish() override {
    if (length_) EXPECT_EQ(body.size(), *length_);
    finished = true;
    co_return {};
  }
  io::Task<Result<void>> respond_stored(const http::StoredResponse& stored,
                                        std::span<const ByteView> parts) override {
    check_stored(stored);
    return Exchange::respond_stored(stored, parts);
  }
  Now respond_stored_now(const http::StoredResponse& stored, ByteView part) override {
    EXPECT_FALSE(stored.h1_head.empty());
    check_stored(stored);
    EXPECT_TRUE(request_.method == "HEAD" || part.size() == stored.length);
    http::Response response;
    response.status = stored.status;
    response.headers = *stored.headers;
    for (const http::FieldView& field : stored.extra)
      response.headers.add(std::string(field.name), std::string(field.value));
    begin(std::move(response), stored.length);
    rest_ = part;
    if (stuck) return Now::begun;
    body = as_text(part);
    finished = true;
    return Now::whole;
  }
  io::Task<Result<void>> finish_stored() override {
    while (stuck && !ended) co_await gate_.wait();
    if (ended) co_return fail(Code::cancelled, "ended here");
    body = as_text(rest_);
    finished = true;
    co_return {};
  }
  io::Task<Result<void>> interim(int code, http::Headers fields) override {
    interims.emplace_back(code, std::move(fields));
    co_return {};
  }
  bool responded() const override { return status != 0; }
  void end_now() override {
    ended = true;
    loop->post([this] { gate_.notify_all(); });
  }

 private:
  void begin(http::Response response, std::optional<uint64_t> length) {
    EXPECT_EQ(status, 0) << "two responses";
    status = response.status;
    headers = std::move(response.headers);
    if (length && headers.find("content-length") == nullptr)
      headers.set("content-length", std::to_string(*length));
  }
  // The head that was serialised once says what the fields say.
  static void check_stored(const http::StoredResponse& stored) {
    if (stored.h1_head.empty()) return;
    for (const auto& [name, value] : *stored.headers)
      if (name != "date")
        EXPECT_NE(stored.h1_head.find(name + ": " + value + "\r\n"), std::string_view::npos) << name;
  }
  http::Request request_;
  ByteView rest_;  // of a response that was begun
  size_t uploaded_ = 0;
  std::optional<uint64_t> length_;
  io::Event gate_;
};
using ClientRef = std::shared_ptr<Client>;

class TestSite final : public Site {
 public:
  explicit TestSite(Upstream& upstream) : upstream_(upstream) {}
  CachePolicy policy;
  std::pair<std::string, std::string> sent;  // a field that it sends to the origin
  const std::string& name() const override { return name_; }
  const CachePolicy& cache() const override { return policy; }
  Upstream& upstream() const override { return upstream_; }
  FetchRequest origin_request(const http::Request& request) const override {
    FetchRequest out;
    out.method = request.method;
    out.target = request.target;
    out.headers = request.headers;
    if (!sent.first.empty()) out.headers.set(sent.first, sent.second);
    return out;
  }
  void edit_response(const http::Request&, int, http::Headers& headers) const override {
    headers.add("x-edited", "1");
  }
  Duration fetch_timeout() const override { return std::chrono::seconds(30); }

 private:
  std::string name_ = "site";
  Upstream& upstream_;
};

inline CacheConfig memory_only(size_t bytes) {
  CacheConfig out;
  out.memory_bytes = bytes;
  return out;
}

// One node with one site.
class World {
 public:
  explicit World(size_t memory_bytes = 64u << 20)
      : loop(1),
        clock(loop),
        workers(loop, 2),
        random(seeded_random(3)),
        cache(make_cache(memory_only(memory_bytes), workers, clock, *random)),
        origin(clock, loop),
        site(std::make_shared<TestSite>(origin)),
        shared(make_shared_state(*cache, clock, *random)),
        front(make_front(loop, shared)) {}
  ~World() {
    origin.release();
    run();
    loop.post([this] { tasks_.push_back(front->close()); });
    run();
    for (auto& task : tasks_) EXPECT_TRUE(task.done());
    EXPECT_EQ(origin.open, 0);
    EXPECT_EQ(stats(*shared).flights, 0u);
    cache->close();
  }

  // Starts a request; run() lets it happen.
  ClientRef start(ClientRef client) {
    client->loop = &loop;
    loop.post([this, client] { tasks_.push_back(serve(client)); });
    return client;
  }
  ClientRef start(std::string target, const Fields& fields = {}, std::string method = "GET") {
    return start(std::make_shared<Client>(std::move(method), std::move(target), fields));
  }
  // Until nothing happens any more.
  void run() {
    loop.run();
    EXPECT_EQ(loop.end(), io::SimLoop::End::stalled);
  }
  ClientRef ask(std::string target, const Fields& fields = {}, std::string method = "GET") {
    ClientRef out = start(std::move(target), fields, std::move(method));
    run();
    EXPECT_TRUE(out->done);
    return out;
  }
  void pass_time(Duration duration) {
    loop.post([this, duration] { loop.run_at(loop.now() + duration, [] {}); });
    run();
  }
  std::string date(int64_t seconds = 0) { return http::format_http_date(clock.unix_ms() + seconds * 1000); }
  // Every request is answered so.
  void always(Reply reply) {
    origin.answer = [reply](const FetchRequest&) { return reply; };
  }
  size_t fetches() const { return origin.seen.size(); }

  io::SimLoop loop;
  io::SimClock clock;
  io::SimWorkers workers;
  std::unique_ptr<Random> random;
  std::shared_ptr<Cache> cache;
  Origin origin;
  std::shared_ptr<TestSite> site;
  std::shared_ptr<Shared> shared;
  std::unique_ptr<Front> front;

 private:
  io::Task<void> serve(ClientRef client) {
    std::string key = primary_key(site->name(), client->request(), site->policy.key);
    const http::Request& request = client->request();
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (reads && client->upload.empty() && look_for_usual(request.headers).plain) {
      using Now = http::NowExchange::Now;
      std::shared_ptr<void> kept;
      const Now now = static_cast<FrontImpl&>(*front).serve_now(*client, *site, key, client->served, kept);
      EXPECT_EQ(client->responded(), now != Now::no);
      if (now == Now::begun) {
        auto sent = co_await client->finish_stored();
        client->served.complete = sent.has_value();
        if (!sent) client->served.body_bytes = 0;
      }
      client->done = now != Now::no;
      if (client->done) co_return;
    }
    client->served = co_await front->serve(*client, site, std::move(key));
    client->done = true;
  }
  std::vector<io::Task<void>> tasks_;
};

inline std::string pattern(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; i++) out[i] = static_cast<char>('a' + (i * 31 + i / 251) % 26);
  return out;
}

// An origin that serves `body` under `etag`, whole or in ranges.
inline std::function<Reply(const FetchRequest&)> ranged(std::string body, std::string etag,
                                                        std::string cache_control = "max-age=3600") {
  return [body, etag, cache_control](const FetchRequest& request) {
    Reply out{.headers = {{"cache-control", cache_control}, {"etag", etag}, {"accept-ranges", "bytes"}}};
    std::string_view range = request.headers.get("range"), condition = request.headers.get("if-range");
    if (request.headers.get("if-none-match") == etag) {
      out.status = 304;
      return out;
    }
    unsigned long long first = 0, last = 0;
    int n = range.empty() || (!condition.empty() && condition != etag)
                ? 0
                : std::sscanf(std::string(range).c_str(), "bytes=%llu-%llu", &first, &last);
    if (n == 0) {
      out.body = body;
      return out;
    }
    if (n == 1 || last >= body.size()) last = body.size() - 1;
    out.status = 206;
    out.headers.emplace_back("content-range", "bytes " + std::to_string(first) + "-" + std::to_string(last) +
                                                  "/" + std::to_string(body.size()));
    out.body = body.substr(first, last - first + 1);
    return out;
  };
}

}  // namespace archipel::edge::testing
