// Attacks on caches, each by the name it is known by.
#include "edge/flights.h"
#include "edge/serve_test_util.h"

namespace archipel::edge {
namespace {

using namespace testing;

const Fields kMinute = {{"cache-control", "max-age=60"}};

// Cache poisoning, unkeyed input: what steers an origin past the URL does not reach it in a request whose response could be stored.
TEST(ServeAttack, PoisoningByMethodOverrideAndRewriteFields) {
  World w;
  w.origin.answer = [](const FetchRequest& r) {
    std::string page = "clean";
    for (const char* name : {"x-http-method-override", "x-http-method", "x-method-override", "x-original-url",
                             "x-rewrite-url", "x-host"})
      if (r.headers.find(name) != nullptr) page = "poisoned";
    return Reply{.headers = kMinute, .body = page};
  };
  w.ask("/a", {{"x-http-method-override", "DELETE"},
               {"x-original-url", "/admin"},
               {"x-rewrite-url", "/admin"},
               {"x-host", "evil"}});
  EXPECT_EQ(w.ask("/a")->body, "clean");
  EXPECT_EQ(w.fetches(), 1u);
}

TEST(ServeAttack, PoisoningByAQueryThatTheKeyIgnoresDoesNotReachTheOrigin) {
  World w;
  w.site->policy.key.ignored_names = {"utm_source"};
  w.origin.answer = [](const FetchRequest& r) { return Reply{.headers = kMinute, .body = r.target}; };
  EXPECT_EQ(w.ask("/a?utm_source=%3Cscript%3E")->body, "/a");
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::hit);
}

// Fat GET: its body is not in the key.
TEST(ServeAttack, PoisoningByAFatGetIsNeitherStoredNorServedFromTheStore) {
  World w;
  w.origin.answer = [&w](const FetchRequest& r) {
    return Reply{.headers = kMinute, .body = r.body == nullptr ? "clean" : "fat:" + w.origin.last_body};
  };
  auto fat = std::make_shared<Client>("GET", "/a", Fields{});
  fat->upload = "q=poison";
  w.start(fat);
  w.run();
  EXPECT_EQ(fat->body, "fat:q=poison");
  EXPECT_EQ(w.ask("/a")->body, "clean");
  // … and its body was read: what follows on its connection is a request (cache hit without draining the body).
  auto again = std::make_shared<Client>("GET", "/a", Fields{});
  again->upload = "GET /evil HTTP/1.1";
  w.start(again);
  w.run();
  EXPECT_EQ(w.origin.last_body, "GET /evil HTTP/1.1");
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::hit);
}

// CPDoS: HHO (oversized field), HMC (meta character), HMO (method override) make the origin fail; nobody else gets that failure.
TEST(ServeAttack, CpdosErrorsAreNotServedToOthers) {
  World w;
  w.site->policy.negative_fresh = 60'000;
  w.site->policy.default_fresh = 60'000;
  for (int status : {400, 405, 406, 413, 414, 431, 500, 501, 502, 503}) {
    w.always({.status = status, .body = "error"});
    const std::string target = "/" + std::to_string(status);
    EXPECT_EQ(w.ask(target, {{"x-oversized", std::string(8000, 'a')}})->status, status);
    w.always({.headers = kMinute, .body = "fine"});
    EXPECT_EQ(w.ask(target)->status, 200) << status;
  }
  // Even with a lifetime that a careless configuration puts on everything.
  for (int status : {400, 403, 413, 431}) {
    w.always({.status = status, .headers = kMinute, .body = "error"});
    const std::string target = "/always" + std::to_string(status);
    w.ask(target, {{"x-oversized", std::string(8000, 'a')}});
    w.always({.headers = kMinute, .body = "fine"});
    EXPECT_EQ(w.ask(target)->status, 200) << status;
  }
}

// Web cache deception: a path that only looks static is stored by what the origin says of it, nothing else.
TEST(ServeAttack, DeceptionByExtensionsAndDelimiters) {
  World w;
  w.origin.answer = [](const FetchRequest& r) {
    return Reply{
        .headers = {{"cache-control", "private"}, {"last-modified", "Thu, 01 Jan 2015 00:00:00 GMT"}},
        .body = "account of " + std::string(r.headers.get("cookie"))};
  };
  for (const char* target : {"/account/x.css", "/account;x.css", "/account%2fx.css", "/account%00.js",
                             "/account%3f.png", "/static/..%2faccount"}) {
    w.ask(target, {{"cookie", "victim"}});
    EXPECT_EQ(w.ask(target, {{"cookie", "thief"}})->body, "account of thief") << target;
    EXPECT_EQ(w.origin.seen.back().target, target);
  }
  EXPECT_EQ(w.cache->stats().memory_entries, 0u);
}

TEST(ServeAttack, CookiesOfOneClientAreNotGuessedToBeForAll) {
  World w;
  w.always({.headers = {{"last-modified", "Thu, 01 Jan 2015 00:00:00 GMT"}, {"set-cookie", "session=1"}},
            .body = "page"});
  w.ask("/a");
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::miss);
}

TEST(ServeAttack, AuthorizedResponsesStayWithTheirClient) {
  World w;
  w.origin.answer = [](const FetchRequest& r) {
    return Reply{.headers = kMinute, .body = "for " + std::string(r.headers.get("authorization"))};
  };
  w.ask("/a", {{"authorization", "Bearer victim"}});
  EXPECT_EQ(w.ask("/a")->body, "for ");
  // What is stored may be served to those with credentials, too: it is the same for all.
  EXPECT_EQ(w.ask("/a", {{"authorization", "Bearer x"}})->served.how, Served::How::hit);
}

// Vary with every field is how a cache is filled with copies of one page: the number of sets per key is bounded, and so is the key.
TEST(ServeAttack, VariantsExplosion) {
  World w;
  w.origin.answer = [n = 0](const FetchRequest&) mutable {
    return Reply{.headers = {{"cache-control", "max-age=60"}, {"vary", "f" + std::to_string(n++)}},
                 .body = "page"};
  };
  for (int i = 0; i < 20; i++) w.ask("/a", {{"f" + std::to_string(i), "x"}});
  auto known = w.cache->variants(w.cache->key_of("site\nhttp://a.example/a"), "site\nhttp://a.example/a");
  ASSERT_TRUE(known);
  EXPECT_LE(known->names.size(), kVarySetsMax);
  w.always({.headers = {{"cache-control", "max-age=60"}, {"vary", "accept-encoding"}}, .body = "page"});
  for (const char* accepted : {"gzip, br", "br,gzip", "br;q=0.9, gzip;q=0.1, deflate", "BR, x-gzip"})
    w.ask("/b", {{"accept-encoding", accepted}});
  EXPECT_EQ(w.fetches(), 21u);
  EXPECT_EQ(w.origin.seen.back().headers.get("accept-encoding"), "br, gzip");
}

// A response that varies by what the edge tells the origin about the client is not found by what the client says.
TEST(ServeAttack, VaryByAFieldThatTheEdgeSets) {
  World w;
  w.site->sent = {"x-forwarded-for", "10.0.0.1"};
  w.always(
      {.headers = {{"cache-control", "max-age=60"}, {"vary", "x-forwarded-for"}}, .body = "for one address"});
  w.ask("/a");
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::miss);
  w.site->sent = {"x-forwarded-proto", "http"};
  w.always({.headers = {{"cache-control", "max-age=60"}, {"vary", "x-forwarded-proto"}},
            .body = "for one scheme"});
  w.ask("/b");
  EXPECT_EQ(w.ask("/b")->served.how, Served::How::hit);
}

// A coded response of an origin that forgets Vary is not served to those who cannot read it.
TEST(ServeAttack, ACodedBodyGoesOnlyToThoseWhoAcceptIt) {
  World w;
  w.origin.answer = [](const FetchRequest& r) {
    Reply out{.headers = kMinute, .body = "plain"};
    if (r.headers.get("accept-encoding").find("gzip") != std::string_view::npos) {
      out.headers.emplace_back("content-encoding", "gzip");
      out.body = "coded";
    }
    return out;
  };
  EXPECT_EQ(w.ask("/a", {{"accept-encoding", "gzip"}})->body, "coded");
  EXPECT_EQ(w.ask("/a")->body, "plain");
  EXPECT_EQ(w.ask("/a", {{"accept-encoding", "br"}})->body, "plain");
}

TEST(ServeAttack, ManyKeysThatCannotBeStoredAreRememberedWithinBounds) {
  World w;
  w.always({.headers = {{"cache-control", "private"}}, .body = "x"});
  for (int i = 0; i < 1000; i++) w.start("/" + std::to_string(i));
  w.run();
  EXPECT_EQ(stats(*w.shared).hit_for_miss, 1000u);
  Flights flights;
  for (uint64_t i = 0; i < 3 * kHitForMissMax * kFlightShards; i++)
    flights.mark_hit_for_miss({i, i}, TimePoint::max());
  EXPECT_LE(flights.marks(), kHitForMissMax * kFlightShards);
}

}  // namespace
}  // namespace archipel::edge
