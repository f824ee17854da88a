// Origins in memory, under virtual time, behind real HTTP connections: for tests of what chooses between them. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "edge/balance.h"
#include "http/pipe_stream_test_util.h"
#include "http/server.h"

namespace archipel::edge::testing {

using namespace std::chrono_literals;

// A loop's time as a clock.
class LoopClock final : public Clock {
 public:
  explicit LoopClock(io::Loop& loop) : loop_(loop) {}
  TimePoint now() override { return loop_.now(); }
  UnixMs unix_ms() override { return 1'700'000'000'000 + loop_.now().time_since_epoch() / 1ms; }

 private:
  io::Loop& loop_;
};

// One server. Its public members are how the test makes it behave.
struct FakeOrigin {
  bool refuses = false;                // connections
  bool silent = false;                 // takes requests and says nothing, until it is `released`
  bool drops = false;                  // ends the connection instead of answering
  bool breaks_off = false;             // within the body
  int status = 200, check_status = 0;  // of /health and of edges' checks; 0: the same
  Duration latency = 5ms, jitter = 0ms;
  std::string body = "hello";

  int requests = 0, checks = 0, under_way = 0, most_under_way = 0;
  http::Headers last;  // of the last request
  std::string last_target;

  io::Event released;
  http::testing::PipeListener listener;
  std::vector<http::testing::Client> connections;
  std::unique_ptr<http::Server> server;
  std::optional<io::Task<void>> serving;

  // The process ends: connections break, new ones are refused.
  void kill() {
    refuses = true;
    for (auto& connection : connections) connection.reset();
    connections.clear();
  }
  int open() const {
    int n = 0;
    for (const auto& c : connections) n += !c.to_server->ended;
    return n;
  }
};

class OriginWorld final : public Connector {
 public:
  explicit OriginWorld(size_t origins, uint64_t seed = 1) : random(seeded_random(seed)), clock(loop) {
    for (size_t i = 0; i < origins; ++i) {
      OriginAddress address;
      address.host = "origin" + std::to_string(i);
      address.url = "http://" + address.host + ":80";
      policy.origins.push_back(address);
      add(address.host);
    }
    policy.retry.hedge = false;
  }
  ~OriginWorld() override {
    balancer.reset();
    for (auto& [name, origin] : origins_) {
      origin->silent = false;
      origin->released.notify_all();
    }
    loop.advance(1min);
    auto closing = background.close();
    loop.advance(1min);
    CHECK(closing.done());
    for (auto& [name, origin] : origins_) origin->server->drain();
    loop.advance(1h);
    for (auto& [name, origin] : origins_) CHECK(origin->serving->done());
  }

  FakeOrigin& add(const std::string& host) {
    auto& origin = origins_[host];
    origin = std::make_unique<FakeOrigin>();
    origin->server = http::make_server(
        loop, [this, o = origin.get()](http::Exchange& e) { return answer(this, o, e); }, {}, clock);
    origin->serving.emplace(origin->server->serve(origin->listener));
    return *origin;
  }
  FakeOrigin& operator[](size_t i) { return *origins_.at("origin" + std::to_string(i)); }
  FakeOrigin& named(const std::string& host) { return *origins_.at(host); }

  BalanceParts parts() { return {{&loop}, *this, clock, *random, background}; }
  void start() { balancer = std::make_unique<Balancer>(policy, parts()); }

  io::Task<Result<std::unique_ptr<io::Stream>>> connect(const OriginAddress& address, const OriginPolicy&,
                                                        Deadline) override {
    FakeOrigin& origin = named(address.host);
    ++connects;
    co_await io::sleep_until(loop.now() + 100us);
    if (origin.refuses) co_return fail(Code::unavailable, "refused");
    auto client = origin.listener.connect();
    origin.connections.push_back(client);
    co_return std::make_unique<http::testing::PipeStream>(client.from_server, client.to_server, client.trace,
                                                          SIZE_MAX);
  }

  struct Answer {
    std::optional<Error> error;
    int status = 0;
    std::string body, origin;
    Duration took{};
  };
  // One request from beginning to end.
  io::Task<void> ask(Upstream& upstream, FetchRequest request, Answer& out, Duration patience = 10s) {
    const TimePoint began = loop.now();
    auto fetched = co_await upstream.fetch(std::move(request), began + patience);
    if (!fetched) {
      out.error = fetched.error();
    } else {
      std::unique_ptr<Fetch> fetch = std::move(*fetched);
      out.status = fetch->status();
      out.origin = fetch->origin();
      Buffer buffer(4096);
      for (;;) {
        auto got = co_await fetch->read(buffer.span());
        if (!got) out.error = got.error();
        if (!got || *got == 0) break;
        out.body += as_text(buffer.view().first(*got));
      }
    }
    out.took = loop.now() - began;
  }
  static FetchRequest get(std::string target = "/", std::string method = "GET") {
    FetchRequest out;
    out.method = std::move(method);
    out.hash_key = target;
    out.target = std::move(target);
    out.headers.add("host", "www.example.org");
    return out;
  }
  Answer ask_now(FetchRequest request, Duration patience = 10s) {
    Answer out;
    auto task = ask(*balancer, std::move(request), out, patience);
    loop.advance(patience + 1s);
    CHECK(task.done());
    return out;
  }

  // A load of `per_second` GETs for a while; what came back.
  struct Tally {
    int asked = 0, failed = 0;
    std::map<int, int> statuses;
    std::map<std::string, int> origins;
    Duration slowest{};
    std::string first_error;
  };
  io::Task<void> one(Tally& tally, std::string target) {
    Answer answer;
    ++tally.asked;
    co_await ask(*balancer, get(std::move(target)), answer);
    if (answer.error || answer.status >= 500) {
      ++tally.failed;
      if (tally.first_error.empty())
        tally.first_error = answer.error ? answer.error->describe() : std::to_string(answer.status);
    }
    if (!answer.error) ++tally.statuses[answer.status];
    ++tally.origins[answer.origin];
    tally.slowest = std::max(tally.slowest, answer.took);
  }
  // `settle`: waits for the last of them; else they go on beside what the test does next.
  Tally load(int per_second, Duration length, bool settle = true) {
    Tally& tally = tallies_.emplace_back();
    const int count = static_cast<int>(length / 1s) * per_second;
    for (int i = 0; i < count; ++i) {
      asking_.push_back(one(tally, "/" + std::to_string(i)));
      loop.advance(Duration(1s) / per_second);
      while (!asking_.empty() && asking_.front().done()) asking_.pop_front();
    }
    if (settle) loop.advance(11s);
    return tally;
  }

  http::testing::ManualLoop loop;
  std::unique_ptr<Random> random;
  LoopClock clock;
  Background background{{&loop}};
  OriginPolicy policy;
  std::unique_ptr<Balancer> balancer;
  int connects = 0;

 private:
  static io::Task<void> answer(OriginWorld* world, FakeOrigin* origin, http::Exchange& exchange) {
    FakeOrigin& o = *origin;
    const std::string& target = exchange.request().target;
    const bool check = target == "/health" || target == "/.archipel/peer";
    ++(check ? o.checks : o.requests);
    if (!check) o.last = exchange.request().headers;
    if (!check) o.last_target = target;
    o.most_under_way = std::max(o.most_under_way, ++o.under_way);
    while (o.silent) co_await o.released.wait();
    Duration latency = o.latency;
    if (o.jitter > 0ms)
      latency +=
          Duration(static_cast<int64_t>(world->random->u64() % static_cast<uint64_t>(o.jitter.count())));
    co_await io::sleep_until(world->loop.now() + latency);
    --o.under_way;
    http::Response response;
    response.status = check && o.check_status != 0 ? o.check_status : o.status;
    if (o.drops) {
      // A response that is begun and left makes the server reset the connection; the head is not written yet.
      for (auto& connection : o.connections) connection.reset();
      o.connections.clear();
      co_return;
    }
    if (o.breaks_off) {
      auto started = co_await exchange.start(std::move(response), o.body.size());
      if (started) {
        auto written = co_await exchange.write(as_bytes(std::string_view(o.body).substr(0, 2)));
        static_cast<void>(written);
        co_await io::sleep_until(world->loop.now() + 1ms);
      }
      co_return;
    }
    auto sent = co_await exchange.respond(std::move(response), o.body);
    static_cast<void>(sent);
  }

  std::map<std::string, std::unique_ptr<FakeOrigin>> origins_;
  std::list<Tally> tallies_;
  std::list<io::Task<void>> asking_;
};

}  // namespace archipel::edge::testing
