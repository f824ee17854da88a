#include "edge/serve_test_util.h"

namespace archipel::edge {
namespace {

using namespace testing;
using std::chrono::seconds;

const Fields kMinute = {{"cache-control", "max-age=60"}};

TEST(Serve, StoresAndServesWithAge) {
  World w;
  w.always({.headers = kMinute, .body = "hello"});
  auto miss = w.ask("/a");
  EXPECT_EQ(miss->body, "hello");
  EXPECT_EQ(miss->get("cache-status"), "archipel; fwd=uri-miss; fwd-status=200; stored");
  EXPECT_EQ(miss->served.how, Served::How::miss);
  w.pass_time(seconds(7));
  auto hit = w.ask("/a");
  EXPECT_EQ(hit->body, "hello");
  EXPECT_EQ(hit->get("age"), "7");
  EXPECT_EQ(hit->get("cache-status"), "archipel; hit; ttl=53");
  EXPECT_EQ(hit->get("x-edited"), "1");
  EXPECT_EQ(hit->headers.count("x-edited"), 1u);
  EXPECT_EQ(w.fetches(), 1u);
  w.pass_time(seconds(60));
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::miss);
  EXPECT_EQ(w.fetches(), 2u);
}

TEST(Serve, HeadIsAnsweredFromAStoredGet) {
  World w;
  w.always({.headers = kMinute, .body = "hello"});
  w.ask("/a");
  auto head = w.ask("/a", {}, "HEAD");
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->body, "");
  EXPECT_EQ(head->get("content-length"), "5");
  EXPECT_EQ(w.fetches(), 1u);
}

TEST(Serve, DoesNotStoreWhatItMustNot) {
  World w;
  w.always({.headers = {{"cache-control", "private, max-age=60"}}, .body = "mine"});
  w.ask("/a");
  w.ask("/a");
  EXPECT_EQ(w.fetches(), 2u);
}

TEST(Serve, FieldsForOneClientGoToThatOneAlone) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=60, private=\"set-cookie\", no-cache=\"x\""},
                        {"set-cookie", "a=b"},
                        {"x", "1"},
                        {"y", "2"}},
            .body = "page"});
  auto miss = w.ask("/a");
  EXPECT_EQ(miss->get("set-cookie"), "a=b");
  EXPECT_EQ(miss->get("x"), "1");
  auto hit = w.ask("/a");
  EXPECT_EQ(hit->served.how, Served::How::hit);
  EXPECT_EQ(hit->get("set-cookie"), "");
  EXPECT_EQ(hit->get("x"), "");
  EXPECT_EQ(hit->get("y"), "2");
}

TEST(Serve, ValidatesAndMerges) {
  World w;
  w.origin.answer = [n = 0](const FetchRequest& r) mutable {
    n++;
    if (r.headers.get("if-none-match") == "\"v\"")
      return Reply{
          .status = 304,
          .headers = {{"etag", "\"v\""}, {"cache-control", "max-age=60"}, {"x-n", std::to_string(n)}}};
    return Reply{.headers = {{"etag", "\"v\""}, {"cache-control", "max-age=10"}, {"keep", "k"}},
                 .body = "hello"};
  };
  w.ask("/a");
  w.pass_time(seconds(11));
  auto validated = w.ask("/a");
  EXPECT_EQ(validated->served.how, Served::How::validated);
  EXPECT_EQ(validated->status, 200);
  EXPECT_EQ(validated->body, "hello");
  EXPECT_EQ(validated->get("x-n"), "2");
  EXPECT_EQ(validated->get("keep"), "k");
  w.pass_time(seconds(30));
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::hit);
  EXPECT_EQ(w.fetches(), 2u);
}

TEST(Serve, A304OfAnotherResponseIsFetchedAgain) {
  World w;
  w.origin.answer = [n = 0](const FetchRequest& r) mutable {
    n++;
    if (r.headers.find("if-none-match") != nullptr)
      return Reply{.status = 304, .headers = {{"etag", "\"other\""}}};
    return Reply{.headers = {{"etag", "\"v" + std::to_string(n) + "\""}, {"cache-control", "max-age=10"}},
                 .body = "body" + std::to_string(n)};
  };
  w.ask("/a");
  w.pass_time(seconds(11));
  EXPECT_EQ(w.ask("/a")->body, "body3");
}

TEST(Serve, AnswersConditionsFromWhatIsStored) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=60"}, {"etag", "\"v\""}, {"content-type", "text/plain"}},
            .body = "hello"});
  auto cold = w.ask("/a", {{"if-none-match", "\"v\""}});
  EXPECT_EQ(cold->status, 304);
  EXPECT_EQ(w.origin.seen[0].headers.find("if-none-match"), nullptr);
  auto warm = w.ask("/a", {{"if-none-match", "\"v\""}});
  EXPECT_EQ(warm->status, 304);
  EXPECT_EQ(warm->get("etag"), "\"v\"");
  EXPECT_EQ(warm->get("content-type"), "");
  EXPECT_EQ(w.ask("/a", {{"if-none-match", "\"w\""}})->body, "hello");
  EXPECT_EQ(w.fetches(), 1u);
}

TEST(Serve, VariesByWhatTheResponseNames) {
  World w;
  w.origin.answer = [](const FetchRequest& r) {
    return Reply{.headers = {{"cache-control", "max-age=60"}, {"vary", "foo"}},
                 .body = "for " + std::string(r.headers.get("foo"))};
  };
  EXPECT_EQ(w.ask("/a", {{"foo", "1"}})->body, "for 1");
  EXPECT_EQ(w.ask("/a", {{"foo", "2"}})->body, "for 2");
  EXPECT_EQ(w.ask("/a", {{"foo", "1"}})->served.how, Served::How::hit);
  EXPECT_EQ(w.ask("/a", {{"foo", "2"}})->served.how, Served::How::hit);
  EXPECT_EQ(w.ask("/a")->body, "for ");
  EXPECT_EQ(w.fetches(), 3u);
}

TEST(Serve, ServesStaleWhileItRevalidates) {
  World w;
  w.origin.answer = [n = 0](const FetchRequest&) mutable {
    return Reply{.headers = {{"cache-control", "max-age=10, stale-while-revalidate=30"}},
                 .body = std::to_string(++n)};
  };
  w.ask("/a");
  w.pass_time(seconds(11));
  auto stale = w.ask("/a");
  EXPECT_EQ(stale->body, "1");
  EXPECT_EQ(stale->served.how, Served::How::stale);
  EXPECT_EQ(stale->get("cache-status"), "archipel; hit; ttl=-1");
  EXPECT_EQ(w.ask("/a")->body, "2");
  EXPECT_EQ(w.fetches(), 2u);
}

TEST(Serve, ServesStaleIfTheOriginFails) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=10, stale-if-error=60"}}, .body = "good"});
  w.ask("/a");
  w.pass_time(seconds(11));
  w.always({.status = 503, .body = "bad"});
  EXPECT_EQ(w.ask("/a")->body, "good");
  w.always({.error = Error{Code::unavailable, "down", {}}});
  auto down = w.ask("/a");
  EXPECT_EQ(down->body, "good");
  EXPECT_NE(down->get("cache-status").find("detail=origin-failed"), std::string_view::npos);
  w.pass_time(seconds(60));
  EXPECT_EQ(w.ask("/a")->status, 503);
  w.always({.error = Error{Code::timeout, "slow", {}}});
  EXPECT_EQ(w.ask("/b")->status, 504);
  w.always({.error = Error{Code::io, "broken", {}}});
  EXPECT_EQ(w.ask("/b")->status, 502);
}

TEST(Serve, MustRevalidateFailsWithTheOrigin) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=10, must-revalidate"}}, .body = "good"});
  w.ask("/a");
  w.pass_time(seconds(11));
  w.always({.error = Error{Code::io, "down", {}}});
  EXPECT_EQ(w.ask("/a")->status, 502);
}

TEST(Serve, NewerResponseThatMayNotBeStoredReplacesTheOlder) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=10"}, {"etag", "\"a\""}}, .body = "old"});
  w.ask("/a");
  w.pass_time(seconds(11));
  w.always({.headers = {{"cache-control", "no-store"}}, .body = "new"});
  EXPECT_EQ(w.ask("/a")->body, "new");
  w.always({.error = Error{Code::io, "down", {}}});
  EXPECT_EQ(w.ask("/a")->status, 502);
}

TEST(Serve, UnsafeMethodsInvalidate) {
  for (const char* method : {"POST", "PUT", "DELETE", "M-SEARCH"}) {
    World w;
    w.always({.headers = kMinute, .body = "page"});
    w.ask("/a");
    w.ask("/b");
    w.ask("/c");
    w.always({.status = 500});
    w.ask("/a", {}, method);
    w.always({.headers = kMinute, .body = "page"});
    EXPECT_EQ(w.ask("/a")->served.how, Served::How::hit) << method;
    w.always({.status = 200, .headers = {{"location", "/b"}, {"content-location", "http://a.example/c"}}});
    w.ask("/a", {}, method);
    w.always({.headers = kMinute, .body = "page"});
    for (const char* target : {"/a", "/b", "/c"})
      EXPECT_EQ(w.ask(target)->served.how, Served::How::miss) << method << target;
  }
}

TEST(Serve, InvalidationIsOfTheSameOriginOnly) {
  World w;
  w.always({.headers = kMinute, .body = "page"});
  w.ask("/b", {{"host", "b.example"}});
  w.always({.headers = {{"location", "http://b.example/b"}}});
  w.ask("/a", {}, "POST");
  w.always({.headers = kMinute, .body = "page"});
  EXPECT_EQ(w.ask("/b", {{"host", "b.example"}})->served.how, Served::How::hit);
}

TEST(Serve, CacheGroupsAreInvalidatedTogether) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=60"}, {"cache-groups", "\"g\", \"h\""}}, .body = "page"});
  w.ask("/a");
  w.always({.headers = kMinute, .body = "page"});
  w.ask("/b");
  w.always({.headers = {{"cache-group-invalidation", "\"g\""}}});
  w.ask("/x", {}, "POST");
  w.always({.headers = kMinute, .body = "page"});
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::miss);
  EXPECT_EQ(w.ask("/b")->served.how, Served::How::hit);
}

TEST(Serve, APostThatNamesItselfAnswersGets) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=60"}, {"content-location", "/a"}}, .body = "made"});
  auto post = std::make_shared<Client>("POST", "/a", Fields{});
  post->upload = "12345";
  w.start(post);
  w.run();
  EXPECT_EQ(post->body, "made");
  EXPECT_EQ(w.origin.last_body, "12345");
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::hit);
}

TEST(Serve, HeadRefreshesOrEndsWhatIsStored) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=10"}, {"x", "1"}}, .body = "page"});
  w.ask("/a");
  w.pass_time(seconds(11));
  w.always({.headers = {{"cache-control", "max-age=60"}, {"x", "2"}}, .body = "page"});
  EXPECT_EQ(w.ask("/a", {}, "HEAD")->get("x"), "2");
  EXPECT_EQ(w.origin.seen.back().method, "HEAD");
  auto hit = w.ask("/a");
  EXPECT_EQ(hit->served.how, Served::How::hit);
  EXPECT_EQ(hit->get("x"), "2");
  w.pass_time(seconds(61));
  w.always({.headers = {{"cache-control", "max-age=60"}}, .body = "longer page"});
  w.ask("/a", {}, "HEAD");
  EXPECT_EQ(w.ask("/a")->body, "longer page");
}

TEST(Serve, OnlyIfCached) {
  World w;
  w.always({.headers = kMinute, .body = "page"});
  EXPECT_EQ(w.ask("/a", {{"cache-control", "only-if-cached"}})->status, 504);
  EXPECT_EQ(w.fetches(), 0u);
  w.ask("/a");
  EXPECT_EQ(w.ask("/a", {{"cache-control", "only-if-cached"}})->status, 200);
}

TEST(Serve, InterimResponsesPassAndAreNotStored) {
  World w;
  w.always({.headers = kMinute, .body = "page", .interim = {{103, {{"link", "</a.css>"}}}}});
  auto miss = w.ask("/a");
  ASSERT_EQ(miss->interims.size(), 1u);
  EXPECT_EQ(miss->interims[0].first, 103);
  auto hit = w.ask("/a");
  EXPECT_TRUE(hit->interims.empty());
  EXPECT_EQ(hit->get("link"), "");
}

TEST(Serve, ASoftPurgeValidatesAHardOneForgets) {
  World w;
  w.origin.answer = ranged("hello", "\"v\"");
  w.ask("/a");
  w.loop.post([&w] { w.cache->invalidate("site\nhttp://a.example/a"); });
  w.run();
  auto again = w.ask("/a");
  EXPECT_EQ(again->served.how, Served::How::miss);
  EXPECT_EQ(w.origin.seen.back().headers.find("if-none-match"), nullptr);
}

}  // namespace
}  // namespace archipel::edge
