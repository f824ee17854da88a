// A door over a real store: journal, coding, six islands in memory. For tests of what a client notices; FakeStore is for what a store must not be
// asked to do.
#pragma once

#include "door/s3/access_log.h"
#include "door/s3/testing/client.h"
#include "store/store_fixture.h"

namespace archipel::door::s3::testing {

class RealWorld {
 public:
  store::StoreRig rig;
  std::shared_ptr<AccessLog> access_log;
  std::unique_ptr<Door> door;
  Signer signer;
  Signer other{.access_key = "AKOTHER", .secret_key = "other"};

  RealWorld() { signer.timestamp = other.timestamp = "20231114T221320Z"; }

  // kAlice signs with `signer`, kBob with `other`.
  io::Task<bool> begin() {
    bool started = co_await rig.start();
    if (!started) co_return false;
    store::Account alice{store::kAlice, "alice", signer.access_key, signer.secret_key};
    auto put = co_await rig.store->put_account(alice);
    store::Account bob{store::kBob, "bob", other.access_key, other.secret_key};
    auto also = co_await rig.store->put_account(bob);
    AccessLogOptions logging;
    access_log = std::make_shared<AccessLog>(logging, *rig.store, *io::Loop::current(), rig.clock,
                                             *rig.random, [] { return true; });
    Options options;
    options.access_log = access_log;
    door = std::make_unique<Door>(options, *rig.store, rig.clock, nullptr, *rig.random);
    co_return put.has_value() && also.has_value();
  }
  io::Task<void> end() {
    door.reset();
    if (access_log) co_await access_log->close();
    co_await rig.stop();
  }

  // Time passes; requests are signed with the new one.
  void advance(UnixMs ms) {
    rig.clock.wall_ms += ms;
    signer.timestamp = other.timestamp = http::format_iso_basic(rig.clock.wall_ms);
  }

  io::Task<Answer> send(std::string method, std::string target, std::string body = {},
                        HeaderList headers = {}) {
    Answer answer =
        co_await send_as(&signer, std::move(method), std::move(target), std::move(body), std::move(headers));
    co_return answer;
  }
  // `who`: null for nobody.
  io::Task<Answer> send_as(const Signer* who, std::string method, std::string target, std::string body = {},
                           HeaderList headers = {}) {
    FakeExchange exchange;
    exchange.in = World::request(std::move(method), std::move(target), headers);
    exchange.in.peer = "192.0.2.7:4711";
    if (!body.empty() || exchange.in.method == "PUT")
      exchange.in.headers.set("content-length", std::to_string(body.size()));
    if (who != nullptr) {
      if (exchange.in.headers.find("x-amz-content-sha256") == nullptr)
        exchange.in.headers.add("x-amz-content-sha256", Signer::digest(body));
      who->sign(exchange.in);
    }
    exchange.body = std::move(body);
    co_await door->handle(exchange);
    co_return Answer{exchange.status(), exchange.out.headers, exchange.sent,
                     exchange.finished, exchange.body_read,   exchange.announced};
  }
};

// Runs `scenario` over a world that has begun, and ends it.
inline void with_world(io::Task<void> (*scenario)(RealWorld&)) {
  struct Runner {
    static io::Task<void> run(io::Task<void> (*body)(RealWorld&)) {
      RealWorld world;
      bool begun = co_await world.begin();
      EXPECT_TRUE(begun);
      if (begun) co_await body(world);
      co_await world.end();
    }
  };
  io::run_blocking([&] { return Runner::run(scenario); });
}

}  // namespace archipel::door::s3::testing
