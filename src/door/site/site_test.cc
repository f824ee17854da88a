// A site over a real door and store: what a browser gets.
#include "door/site/site.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "door/s3/testing/real_world.h"

namespace archipel::door::site {
namespace {

using s3::testing::Answer;
using s3::testing::FakeExchange;
using s3::testing::RealWorld;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kPublic =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::blog/*"}]})";

std::string config(const std::string& rest = "<ErrorDocument><Key>error.html</Key></ErrorDocument>") {
  return "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>" + rest +
         "</WebsiteConfiguration>";
}

struct Page {
  int status = 0;
  http::Headers headers;
  std::string body;
  std::string location() const { return std::string(headers.get("location")); }
};

class Visitor {
 public:
  explicit Visitor(RealWorld& world) : world_(world), site_({}, *world.rig.store, *world.door) {}

  io::Task<Page> ask(std::string method, std::string target, std::string host, http::Headers headers = {}) {
    FakeExchange exchange;
    exchange.in.method = std::move(method);
    exchange.in.target = std::move(target);
    exchange.in.peer = "192.0.2.7:4711";
    exchange.in.headers.add("host", std::move(host));
    for (const auto& [name, value] : headers) exchange.in.headers.add(name, value);
    co_await site_.handle(exchange);
    EXPECT_TRUE(exchange.finished);
    co_return Page{exchange.status(), exchange.out.headers, exchange.sent};
  }
  io::Task<Page> get(std::string target, http::Headers headers = {}) {
    auto page = co_await ask("GET", std::move(target), "blog.website.localhost:9001", std::move(headers));
    co_return page;
  }
  io::Task<bool> store(std::string key, std::string body, s3::testing::HeaderList headers = {}) {
    Answer answer = co_await world_.send("PUT", "/blog/" + key, std::move(body), std::move(headers));
    co_return answer.status == 200;
  }
  io::Task<bool> open(std::string website) {
    Answer made = co_await world_.send("PUT", "/blog");
    Answer opened = co_await world_.send("PUT", "/blog?policy", std::string(kPublic));
    Answer site = co_await world_.send("PUT", "/blog?website", std::move(website));
    bool stored = co_await store("index.html", "<h1>home</h1>", {{"content-type", "text/html"}});
    bool error = co_await store("error.html", "lost", {{"content-type", "text/html"}});
    EXPECT_EQ(made.status, 200);
    EXPECT_EQ(opened.status, 204);
    EXPECT_EQ(site.status, 200) << site.body;
    co_return stored&& error;
  }

 private:
  RealWorld& world_;
  Site site_;
};

#define SITE_TEST(name)                                              \
  static io::Task<void> name(RealWorld& world, Visitor& visitor);    \
  TEST(Site, name) {                                                 \
    s3::testing::with_world([](RealWorld& world) -> io::Task<void> { \
      Visitor visitor(world);                                        \
      co_await name(world, visitor);                                 \
    });                                                              \
  }                                                                  \
  static io::Task<void> name([[maybe_unused]] RealWorld& world, Visitor& visitor)

SITE_TEST(ShowsDocumentsAndTheIndexOfDirectories) {
  bool ready = co_await visitor.open(config());
  EXPECT_TRUE(ready);
  bool stored = co_await visitor.store("docs/index.html", "docs");
  EXPECT_TRUE(stored);
  Page home = co_await visitor.get("/");
  EXPECT_EQ(home.status, 200);
  EXPECT_EQ(home.body, "<h1>home</h1>");
  EXPECT_EQ(home.headers.get("content-type"), "text/html");
  Page query = co_await visitor.get("/index.html?versionId=3&acl");
  EXPECT_EQ(query.body, "<h1>home</h1>");
  Page docs = co_await visitor.get("/docs/");
  EXPECT_EQ(docs.body, "docs");
  Page slashless = co_await visitor.get("/docs?x=1");
  EXPECT_EQ(slashless.status, 302);
  EXPECT_EQ(slashless.location(), "/docs/?x=1");
  Page head = co_await visitor.ask("HEAD", "/", "blog.website.localhost");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("content-length"), "13");
  EXPECT_EQ(head.body, "");
}

SITE_TEST(JudgesConditionsAndRanges) {
  bool ready = co_await visitor.open(config());
  EXPECT_TRUE(ready);
  Page home = co_await visitor.get("/");
  http::Headers condition;
  condition.add("if-none-match", std::string(home.headers.get("etag")));
  Page same = co_await visitor.get("/", condition);
  EXPECT_EQ(same.status, 304);
  http::Headers range;
  range.add("range", "bytes=4-7");
  Page part = co_await visitor.get("/", range);
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "home");
  Page whole = co_await visitor.get("/lost", range);  // the error document is whole
  EXPECT_EQ(whole.status, 403);
  EXPECT_EQ(whole.body, "lost");
  http::Headers far;
  far.add("range", "bytes=100-");
  Page outside = co_await visitor.get("/", far);
  EXPECT_EQ(outside.status, 416);
  EXPECT_EQ(outside.headers.get("content-range"), "bytes */13");
}

SITE_TEST(ShowsItsErrorDocumentWithTheErrorsStatus) {
  bool ready = co_await visitor.open(config());
  EXPECT_TRUE(ready);
  // Nobody may list: whether the key exists is not told (S3: 403).
  Page lost = co_await visitor.get("/nothing");
  EXPECT_EQ(lost.status, 403);
  EXPECT_EQ(lost.body, "lost");
}

SITE_TEST(WritesAPageOfItsOwnWhereTheSiteHasNone) {
  bool ready = co_await visitor.open(config("<ErrorDocument><Key>absent.html</Key></ErrorDocument>"));
  EXPECT_TRUE(ready);
  Page lost = co_await visitor.get("/%3Cscript%3E");
  EXPECT_EQ(lost.status, 403);
  EXPECT_EQ(lost.headers.get("x-amz-error-code"), "AccessDenied");
  EXPECT_EQ(lost.headers.get("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(lost.body, HasSubstr("<h1>403 Forbidden</h1>"));
  EXPECT_THAT(lost.body, HasSubstr("absent.html"));
  EXPECT_THAT(lost.body, Not(HasSubstr("<script>")));
}

SITE_TEST(ShowsNothingThatNobodyMayRead) {
  bool ready = co_await visitor.open(config());
  EXPECT_TRUE(ready);
  Answer closed = co_await world.send("DELETE", "/blog?policy");
  EXPECT_EQ(closed.status, 204);
  Page home = co_await visitor.get("/");
  EXPECT_EQ(home.status, 403);
  EXPECT_THAT(home.body, Not(HasSubstr("home")));
  EXPECT_THAT(home.body, Not(HasSubstr("lost")));  // nor the error document
}

SITE_TEST(FollowsRoutingRulesAndObjectsThatMoved) {
  bool ready = co_await visitor.open(config(
      "<RoutingRules><RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition><Redirect>"
      "<ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect></RoutingRule>"
      "<RoutingRule><Condition><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals></"
      "Condition><Redirect>"
      "<ReplaceKeyWith>index.html</ReplaceKeyWith><HttpRedirectCode>302</HttpRedirectCode></Redirect></"
      "RoutingRule></RoutingRules>"));
  EXPECT_TRUE(ready);
  Page old = co_await visitor.get("/old/page");
  EXPECT_EQ(old.status, 301);
  EXPECT_EQ(old.location(), "http://blog.website.localhost:9001/new/page");
  Page lost = co_await visitor.get("/nothing");
  EXPECT_EQ(lost.status, 302);
  EXPECT_EQ(lost.location(), "http://blog.website.localhost:9001/index.html");
  bool small = co_await visitor.store("moved", "gone", {{"x-amz-website-redirect-location", "/index.html"}});
  bool large = co_await visitor.store("large", std::string(300'000, 'x'),
                                      {{"x-amz-website-redirect-location", "https://example.org/"}});
  EXPECT_TRUE(small && large);
  Page moved = co_await visitor.get("/moved");
  EXPECT_EQ(moved.status, 301);
  EXPECT_EQ(moved.location(), "/index.html");
  EXPECT_THAT(moved.body, Not(HasSubstr("gone")));
  Page also = co_await visitor.get("/large");
  EXPECT_EQ(also.status, 301);
  EXPECT_EQ(also.location(), "https://example.org/");
  EXPECT_THAT(also.body, Not(HasSubstr("xxx")));
}

SITE_TEST(SendsLargeDocumentsWhole) {
  bool ready = co_await visitor.open(config());
  EXPECT_TRUE(ready);
  std::string body(3'000'000, 'a');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * i % 23);
  bool stored = co_await visitor.store("film", body);
  EXPECT_TRUE(stored);
  Page film = co_await visitor.get("/film");
  EXPECT_EQ(film.status, 200);
  EXPECT_EQ(film.body, body);
}

SITE_TEST(RedirectsAllRequestsOfASiteThatMoved) {
  bool ready = co_await visitor.open(
      "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>www.example.org</HostName><Protocol>https</"
      "Protocol>"
      "</RedirectAllRequestsTo></WebsiteConfiguration>");
  EXPECT_TRUE(ready);
  Page page = co_await visitor.get("/a/b?c=d");
  EXPECT_EQ(page.status, 301);
  EXPECT_EQ(page.location(), "https://www.example.org/a/b?c=d");
}

SITE_TEST(RefusesWhatIsNoSiteAndNoMethodOfOne) {
  bool ready = co_await visitor.open(config());
  EXPECT_TRUE(ready);
  Answer made = co_await world.send("PUT", "/plain");
  EXPECT_EQ(made.status, 200);
  Page nobody = co_await visitor.ask("GET", "/", "nobody.website.localhost");
  EXPECT_EQ(nobody.status, 404);
  EXPECT_EQ(nobody.headers.get("x-amz-error-code"), "NoSuchBucket");
  Page plain = co_await visitor.ask("GET", "/", "plain.website.localhost");
  EXPECT_EQ(plain.status, 404);
  EXPECT_EQ(plain.headers.get("x-amz-error-code"), "NoSuchWebsiteConfiguration");
  Page put = co_await visitor.ask("PUT", "/x", "blog.website.localhost");
  EXPECT_EQ(put.status, 405);
  Page bad = co_await visitor.get("/%zz");
  EXPECT_EQ(bad.status, 400);
}

SITE_TEST(LendsNobodyACredential) {
  bool ready = co_await visitor.open(config());
  EXPECT_TRUE(ready);
  Answer closed = co_await world.send("DELETE", "/blog?policy");
  EXPECT_EQ(closed.status, 204);
  // A request that its owner has signed for the S3 door counts for nothing here.
  FakeExchange exchange;
  exchange.in.method = "GET";
  exchange.in.target = "/index.html";
  exchange.in.headers.add("host", "blog.website.localhost:9001");
  exchange.in.headers.add("x-amz-content-sha256", s3::testing::Signer::digest(""));
  world.signer.sign(exchange.in);
  http::Headers headers;
  for (const auto& [name, value] : exchange.in.headers)
    if (name != "host") headers.add(name, value);
  Page page = co_await visitor.get("/index.html", headers);
  EXPECT_EQ(page.status, 403);
}

}  // namespace
}  // namespace archipel::door::site
