// One Shared under several loops: what one loop fetches, clients of the others wait for and read. Real threads.
#include <atomic>
#include <thread>

#include "edge/serve_test_util.h"

namespace archipel::edge {
namespace {

using namespace testing;

// Counts, and answers on whichever loop asks.
class Everywhere final : public Upstream {
 public:
  explicit Everywhere(std::string body) : body_(std::move(body)) {}
  std::atomic<int> fetches = 0;
  io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline) override {
    fetches++;
    // Others come meanwhile.
    co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(2));
    const bool is_private = request.target.starts_with("/private");
    std::unique_ptr<Fetch> out = std::make_unique<Coming>(body_, is_private);
    co_return out;
  }

 private:
  class Coming final : public Fetch {
   public:
    Coming(const std::string& body, bool is_private) : body_(body) {
      headers_.add("cache-control", is_private ? "private" : "max-age=60");
    }
    int status() const override { return 200; }
    const http::Headers& headers() const override { return headers_; }
    std::optional<uint64_t> length() const override { return body_.size(); }
    UnixMs requested() const override { return system_clock().unix_ms(); }
    UnixMs received() const override { return system_clock().unix_ms(); }
    io::Task<Result<size_t>> read(MutableBytes out) override {
      co_await io::sleep_until(io::Loop::current()->now());
      size_t n = std::min<size_t>({out.size(), body_.size() - at_, 64u << 10});
      std::memcpy(out.data(), body_.data() + at_, n);
      at_ += n;
      co_return n;
    }
    std::unique_ptr<io::Stream> take_stream() override { return nullptr; }
    std::string_view origin() const override { return "http://origin"; }

   private:
    const std::string& body_;
    http::Headers headers_;
    size_t at_ = 0;
  };
  const std::string body_;
};

struct Crowd {
  io::Loop* loop = nullptr;
  std::unique_ptr<Front> front;
  std::vector<ClientRef> clients;
  std::optional<io::Task<void>> task;

  static io::Task<void> one(Front& front, SiteRef site, ClientRef client) {
    std::string key = primary_key("site", client->request(), {});
    client->served = co_await front.serve(*client, std::move(site), std::move(key));
    client->done = true;
  }
  static io::Task<void> all(Crowd* crowd, SiteRef site) {
    {
      io::TaskScope scope;
      for (size_t i = 0; i < crowd->clients.size(); i++)
        scope.spawn(one(*crowd->front, site, crowd->clients[i]));
      co_await scope.join();
    }
    co_await crowd->front->close();
    crowd->loop->stop();
  }
};

TEST(ServeThreads, LoopsShareOneFetch) {
  constexpr int kLoops = 3, kClients = 60, kTargets = 4;
  const std::string body = pattern((1u << 20) + 300'000);
  auto workers = io::make_workers(1);
  auto random = seeded_random(1);
  auto cache = make_cache(memory_only(64u << 20), *workers, system_clock(), *random);
  Everywhere origin(body);
  auto site = std::make_shared<TestSite>(origin);
  auto shared = make_shared_state(*cache, system_clock(), *random);
  std::vector<std::unique_ptr<io::Loop>> loops;
  std::vector<Crowd> crowds(kLoops);
  for (Crowd& crowd : crowds) {
    loops.push_back(io::make_loop());
    crowd.loop = loops.back().get();
    crowd.front = make_front(*crowd.loop, shared);
    for (int i = 0; i < kClients; i++)
      crowd.clients.push_back(std::make_shared<Client>("GET", "/" + std::to_string(i % kTargets), Fields{}));
    for (int i = 0; i < 5; i++)
      crowd.clients.push_back(std::make_shared<Client>("GET", "/private", Fields{}));
  }
  std::vector<std::thread> threads;
  for (Crowd& crowd : crowds)
    threads.emplace_back([&crowd, &site] {
      crowd.loop->post([&crowd, &site] { crowd.task.emplace(Crowd::all(&crowd, site)); });
      crowd.loop->run();
    });
  for (std::thread& thread : threads) thread.join();
  for (Crowd& crowd : crowds)
    for (const ClientRef& client : crowd.clients) {
      EXPECT_TRUE(client->finished);
      EXPECT_EQ(client->body == body, true);
    }
  // One for each target, and one for each who got a private response.
  EXPECT_EQ(origin.fetches, kTargets + kLoops * 5);
  EXPECT_EQ(stats(*shared).flights, 0u);
  cache->close();
}

}  // namespace
}  // namespace archipel::edge
