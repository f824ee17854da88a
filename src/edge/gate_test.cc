#include "edge/gate.h"

#include <gtest/gtest.h>

#include "edge/hop.h"
#include "edge/pass.h"
#include "edge/signed_url.h"
#include "edge/site.h"

namespace archipel::edge {
namespace {

http::Request get(std::string target, http::Headers headers = {}) {
  http::Request request;
  request.method = "GET";
  request.target = std::move(target);
  request.headers = std::move(headers);
  if (request.headers.find("host") == nullptr) request.headers.add("host", "www.example.org");
  request.peer = "192.0.2.7:4711";
  return request;
}
http::Headers fields(std::initializer_list<std::pair<const char*, const char*>> list) {
  http::Headers headers;
  for (auto [name, value] : list) headers.add(name, value);
  return headers;
}
Decision ask(const SitePolicy& policy, const http::Request& request, GateContext context = {},
             std::optional<uint64_t> body = 0) {
  return decide(policy, request, body, context);
}

class FixedGeo final : public Geo {
 public:
  explicit FixedGeo(std::string country) : country_(std::move(country)) {}
  std::string country(const IpAddress&) const override { return country_; }

 private:
  std::string country_;
};

TEST(Gate, LetsEverythingThroughWithoutPolicy) {
  Decision decision = ask({}, get("/x"));
  EXPECT_FALSE(decision.answer);
  EXPECT_FALSE(decision.target);
  EXPECT_TRUE(decision.set_headers.empty());
}

TEST(Gate, MethodsAndBodies) {
  SitePolicy policy;
  policy.limit.methods = {"GET", "HEAD"};
  policy.limit.body_bytes_max = 10;
  http::Request post = get("/x");
  post.method = "POST";
  Decision refused = ask(policy, post);
  ASSERT_TRUE(refused.answer);
  EXPECT_EQ(refused.answer->status, 405);
  EXPECT_EQ(refused.answer->headers.get("allow"), "GET, HEAD");
  EXPECT_EQ(ask(policy, get("/x"), {}, 11).answer->status, 413);
  EXPECT_FALSE(ask(policy, get("/x"), {}, 10).answer);
}

TEST(Gate, RedirectsKeepTheQueryAndNeverLeaveTheSite) {
  SitePolicy policy;
  policy.redirects = {{"/old/*", "/new/$1", 308}, {"/away/*", "/$1", 302}};
  EXPECT_EQ(ask(policy, get("/old/a/b?x=1")).answer->headers.get("location"), "/new/a/b?x=1");
  EXPECT_EQ(ask(policy, get("/old/a")).answer->status, 308);
  EXPECT_EQ(ask(policy, get("/away//evil.example/x")).answer->headers.get("location"), "/evil.example/x");
  EXPECT_EQ(ask(policy, get("/away/\\evil.example/x")).answer->headers.get("location"), "/evil.example/x");
  EXPECT_FALSE(ask(policy, get("/older")).answer);
}

TEST(Gate, HttpsOnlyRedirectsPlainRequests) {
  SitePolicy policy;
  policy.https_only = true;
  EXPECT_EQ(
      ask(policy, get("/a?b", fields({{"host", "www.example.org:8080"}}))).answer->headers.get("location"),
      "https://www.example.org/a?b");
  http::Request secure = get("/a");
  secure.secure = true;
  EXPECT_FALSE(ask(policy, secure).answer);
}

TEST(Gate, CountriesAreAllowedDeniedAndTold) {
  SitePolicy policy;
  policy.geo.allow = {"DE", "FR"};
  policy.geo.header = "x-country";
  FixedGeo german("DE"), american("US"), unknown("");
  auto with = [&](const Geo& geo) {
    GateContext context;
    context.geo = &geo;
    return ask(policy, get("/", fields({{"host", "h"}, {"x-country", "CH"}})), context);
  };
  Decision told = with(german);
  EXPECT_FALSE(told.answer);
  ASSERT_EQ(told.set_headers.size(), 1u);
  EXPECT_EQ(told.set_headers[0].value, "DE");
  EXPECT_EQ(with(american).answer->status, 403);
  EXPECT_EQ(with(unknown).answer->status, 403);
  policy.geo = {{}, {"US"}, "x-country"};
  EXPECT_EQ(with(american).answer->status, 403);
  Decision silent = with(unknown);
  EXPECT_FALSE(silent.answer);
  EXPECT_EQ(silent.set_headers[0].value, "XX");  // never what the client says
}

TEST(Gate, RatesOfAddressesAndKeys) {
  SitePolicy policy;
  policy.name = "www";
  policy.limit.rate = 1;
  policy.limit.burst = 2;
  auto random = seeded_random(1);
  Rates rates(1024, *random);
  GateContext context;
  context.rates = &rates;
  context.now = TimePoint(std::chrono::hours(1));
  context.client = *parse_ip("192.0.2.7");
  EXPECT_FALSE(ask(policy, get("/"), context).answer);
  EXPECT_FALSE(ask(policy, get("/"), context).answer);
  Decision limited = ask(policy, get("/"), context);
  ASSERT_TRUE(limited.answer);
  EXPECT_EQ(limited.answer->status, 429);
  EXPECT_EQ(limited.answer->headers.get("retry-after"), "1");
  // Another client is another bucket; one of the same IPv6 network is not.
  context.client = *parse_ip("192.0.2.8");
  EXPECT_FALSE(ask(policy, get("/"), context).answer);
  context.client = *parse_ip("2001:db8::1");
  EXPECT_FALSE(ask(policy, get("/"), context).answer);
  context.client = *parse_ip("2001:db8::2");
  EXPECT_FALSE(ask(policy, get("/"), context).answer);
  context.client = *parse_ip("2001:db8::3");
  EXPECT_TRUE(ask(policy, get("/"), context).answer);
  // Tokens come back with time.
  context.now += std::chrono::seconds(1);
  EXPECT_FALSE(ask(policy, get("/"), context).answer);
}

TEST(Gate, MadeUpKeysAreNoWayAroundTheLimitOfAnAddress) {
  SitePolicy policy;
  policy.limit = {{}, {}, 1, 2, "x-api-key", 100, 100};
  auto random = seeded_random(1);
  Rates rates(1024, *random);
  GateContext context;
  context.rates = &rates;
  context.now = TimePoint(std::chrono::hours(1));
  context.client = *parse_ip("192.0.2.7");
  int admitted = 0;
  for (int i = 0; i < 10; ++i)
    admitted +=
        !ask(policy, get("/", fields({{"host", "h"}, {"x-api-key", std::to_string(i).c_str()}})), context)
             .answer;
  EXPECT_EQ(admitted, 2);
}

TEST(Rates, AFloodOfAddressesLetsNobodyPastItsLimitForLong) {
  auto random = seeded_random(2);
  Rates rates(1024, *random);
  const TimePoint now(std::chrono::hours(1));
  int wait = 0, admitted = 0;
  for (int round = 0; round < 50; ++round) {
    admitted += rates.take("attacker", 0.001, 5, now, wait);
    for (int i = 0; i < 200; ++i) rates.take("other" + std::to_string(round * 200 + i), 0.001, 5, now, wait);
  }
  EXPECT_LE(admitted, 10);
}

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";
const std::vector<std::string> kKeys = {std::string(kKey)};

std::string sign(std::string_view target, std::string_view scope, SignedForm form = SignedForm::query) {
  return sign_target("www.example.org", target, scope, 2000, kKey, form).value();
}
std::optional<std::string> opened(std::string_view target, UnixMs now = 1'000'000,
                                  std::string_view host = "www.example.org") {
  auto open = check_signed(host, target, kKeys, now);
  return open ? std::optional(open->target) : std::nullopt;
}

TEST(SignedUrl, BothFormsOpenWhatTheyWereMadeFor) {
  EXPECT_EQ(opened(sign("/p/a.mp4?x=1", "")), "/p/a.mp4?x=1");
  EXPECT_EQ(opened(sign("/p/a.mp4", "/p/")), "/p/a.mp4");
  EXPECT_EQ(opened(sign("/p/a.mp4?x=1", "", SignedForm::path)), "/p/a.mp4?x=1");
  // A player follows relative links from there.
  std::string list = sign("/p/v/list.m3u8", "/p/v/", SignedForm::path);
  std::string segment = list.substr(0, list.rfind('/')) + "/0001.ts";
  EXPECT_EQ(opened(segment), "/p/v/0001.ts");
  EXPECT_EQ(opened(sign("/p/a", ""), 1'000'000, "WWW.example.org:443"), "/p/a");
}

TEST(SignedUrl, ChangedOverElsewhereOrForgedIsRefused) {
  std::string good = sign("/p/a", "");
  EXPECT_FALSE(opened(good, 2'000'000));                   // over
  EXPECT_FALSE(opened(good, 1'000'000, "other.example"));  // another site
  EXPECT_FALSE(opened("/p/b" + good.substr(4)));           // another path
  EXPECT_FALSE(opened("/p/a"));
  EXPECT_FALSE(opened(good + "&expires=9999999999"));  // twice: who reads which?
  EXPECT_FALSE(opened(good + "&signature=x"));
  std::string later = good;
  later.replace(later.find("2000"), 4, "3000");
  EXPECT_FALSE(opened(later));
  std::string wider = sign("/p/v/a", "/p/v/");
  wider.replace(wider.find("scope="), 16, "scope=%2Fp%2F&");
  EXPECT_FALSE(opened(wider));
  // One key among several, none at all.
  EXPECT_FALSE(check_signed("www.example.org", good, {"another-key-of-sixteen"}, 1'000'000));
  EXPECT_TRUE(
      check_signed("www.example.org", good, {"another-key-of-sixteen", std::string(kKey)}, 1'000'000));
  EXPECT_FALSE(check_signed("www.example.org", good, {}, 1'000'000));
}

TEST(SignedUrl, DotSegmentsNeverLeaveTheScope) {
  std::string list = sign("/p/v/a", "/p/v/", SignedForm::path);
  std::string base = list.substr(0, list.rfind('/'));
  for (std::string_view way : {"/../../etc", "/..%2fsecret", "/%2e%2e/secret", "/%2E./x", "/..\\x",
                               "/%252e%252e/x", "/..;/x", "/a%00b", "/."})
    EXPECT_FALSE(opened(base + std::string(way))) << way;
  EXPECT_TRUE(opened(base + "/a..b"));
}

TEST(Gate, SignedPathsNeedASignatureInWhateverForm) {
  SitePolicy policy;
  policy.signed_ = {{"/p/*"}, kKeys};
  GateContext context;
  context.unix_ms = 1'000'000;
  EXPECT_EQ(ask(policy, get("/p/a"), context).answer->status, 403);
  EXPECT_EQ(ask(policy, get("/~2000~0~AAAA/p/a"), context).answer->status, 403);
  EXPECT_FALSE(ask(policy, get("/open"), context).answer);
  Decision open = ask(policy, get(sign("/p/a?x=1", "", SignedForm::path)), context);
  EXPECT_FALSE(open.answer);
  EXPECT_EQ(open.target, "/p/a?x=1");
}

// The edge passes a path on as it came, and an origin reads it in its own way: no spelling of a guarded path is a way around its guard.
TEST(Gate, GuardedPathsAreGuardedInEverySpelling) {
  SitePolicy policy;
  policy.signed_ = {{"/p/*", "*.mp4"}, kKeys};
  GateContext context;
  context.unix_ms = 1'000'000;
  for (const char* path : {"/p/a",       "/%70/a",      "/%70%2Fa",      "/%2570/a",       "//p/a",
                           "/./p/a",     "/x/../p/a",   "/x/%2e%2e/p/a", "/x/..%2fp/a",    "/p;x=1/a",
                           "/;x/p/a",    "/\\p\\a",     "/x%5c..%5cp/a", "/%2e/p/a",       "/open/..;/p/a",
                           "/p%2f",      "/film.mp4",   "/film%2emp4",   "/film.mp4;.css", "/film.mp4%00.css",
                           "/film.mp4/", "/film.%6dp4", "/P/a",          "/%50/a",         "/film.Mp4"}) {
    Decision d = ask(policy, get(path), context);
    EXPECT_TRUE(d.answer && d.answer->status == 403) << path;
  }
  for (const char* path : {"/open", "/p", "/", "/x/p/a", "/%2e%2e/open", "/pp/a", "/a.mp4x", "/%zz", "/%"})
    EXPECT_FALSE(ask(policy, get(path), context).answer) << path;
}

TEST(Client, ForwardedAddressesAreBelievedOnlyFromTrustedPeers) {
  std::vector<AddressRange> trust = {*parse_range("192.0.2.0/24"), *parse_range("10.0.0.0/8")};
  auto of = [&](const char* forwarded, const std::vector<AddressRange>& trusted) {
    return client_of(get("/", fields({{"host", "h"}, {"x-forwarded-for", forwarded}})), trusted)->text();
  };
  EXPECT_EQ(of("203.0.113.9", {}), "192.0.2.7");
  EXPECT_EQ(of("203.0.113.9", trust), "203.0.113.9");
  EXPECT_EQ(of("1.2.3.4, 203.0.113.9, 10.1.1.1", trust),
            "203.0.113.9");  // the first is the client's own word
  EXPECT_EQ(of("nonsense", trust), "192.0.2.7");
  EXPECT_EQ(of("10.0.0.1, 10.0.0.2", trust), "10.0.0.1");
}

// --- what is passed on ------------------------------------------------------------------------------------------------------

TEST(HopByHop, AttackerCannotMakeTheEdgeDropWhatBelongsToTheOrigin) {
  http::Headers sent = without_hop_fields(
      fields({{"connection", "close, X-Forwarded-For, Cookie, authorization, Host, X-Mine, cache-control"},
              {"x-forwarded-for", "1.2.3.4"},
              {"cookie", "a"},
              {"authorization", "b"},
              {"host", "h"},
              {"cache-control", "no-store"},
              {"x-mine", "c"},
              {"keep-alive", "5"},
              {"te", "trailers"},
              {"upgrade", "websocket"},
              {"proxy-authorization", "d"},
              {"transfer-encoding", "chunked"}}));
  for (const char* kept : {"x-forwarded-for", "cookie", "authorization", "host", "cache-control"})
    EXPECT_TRUE(sent.find(kept)) << kept;
  EXPECT_EQ(sent.size(), 5u);
}

std::shared_ptr<PolicySite> site_of(SitePolicy policy, std::vector<AddressRange> trust = {}) {
  auto proxy = std::make_shared<ProxyPolicy>(ProxyPolicy{"edge-1", std::move(trust)});
  return std::make_shared<PolicySite>(std::move(policy), proxy, nullptr, std::make_shared<SiteStats>());
}

TEST(Forwarding, TheEdgeSaysWhoAskedAndWhatFor) {
  auto site = site_of({});
  FetchRequest out =
      site->origin_request(get("/a?b", fields({{"host", "www.example.org"},
                                               {"x-forwarded-for", "6.6.6.6"},
                                               {"x-forwarded-proto", "https"},
                                               {"forwarded", "for=6.6.6.6"},
                                               {"via", "1.0 before"},
                                               {"range", "bytes=0-1"},
                                               {"if-none-match", "\"x\""},
                                               {"expect", "100-continue"},
                                               {"accept-encoding", "deflate, gzip;q=0.5, zstd"},
                                               {"x-app", "1"}})));
  EXPECT_EQ(out.target, "/a?b");
  EXPECT_EQ(out.headers.get("host"), "www.example.org");
  EXPECT_EQ(out.headers.get("via"), "1.0 before, 1.1 edge-1");
  EXPECT_EQ(out.headers.get("x-forwarded-for"), "192.0.2.7");
  EXPECT_EQ(out.headers.get("x-forwarded-proto"), "http");
  EXPECT_EQ(out.headers.get("x-forwarded-host"), "www.example.org");
  EXPECT_EQ(out.headers.get("accept-encoding"), "zstd");
  EXPECT_EQ(out.headers.get("x-app"), "1");
  for (const char* gone : {"forwarded", "range", "if-none-match", "expect"})
    EXPECT_FALSE(out.headers.find(gone)) << gone;
  auto trusting = site_of({}, {*parse_range("192.0.2.0/24")});
  out = trusting->origin_request(
      get("/", fields({{"host", "h"}, {"x-forwarded-for", "6.6.6.6"}, {"x-forwarded-proto", "https"}})));
  EXPECT_EQ(out.headers.get("x-forwarded-for"), "6.6.6.6, 192.0.2.7");
  EXPECT_EQ(out.headers.get("x-forwarded-proto"), "https");
}

TEST(CachePoisoning, FieldsThatReplaceMethodOrTargetAreNotPassedOn) {
  auto site = site_of({});
  FetchRequest out = site->origin_request(get("/", fields({{"host", "h"},
                                                           {"x-http-method-override", "DELETE"},
                                                           {"x-original-url", "/admin"},
                                                           {"x-rewrite-url", "/admin"},
                                                           {"x-forwarded-scheme", "evil"},
                                                           {"x-host", "evil"},
                                                           {"proxy", "evil"}})));
  for (const auto& [name, value] : out.headers) {
    EXPECT_EQ(value.find("evil"), std::string::npos) << name;
    EXPECT_EQ(value.find("admin"), std::string::npos) << name;
    EXPECT_NE(value, "DELETE") << name;
  }
}

// CGI and WSGI read '_' as '-': "X_Forwarded_For" would be the edge's word in a client's mouth.
TEST(Forwarding, UnderscoresAreNoWayToSpeakForTheEdge) {
  SitePolicy policy;
  policy.geo.header = "x-country";
  policy.headers.request_set = {{"x-secret", "s"}};
  auto site = site_of(policy);
  FetchRequest out = site->origin_request(get("/", fields({{"host", "h"},
                                                           {"x_forwarded_for", "evil"},
                                                           {"x-forwarded_proto", "evil"},
                                                           {"x_country", "evil"},
                                                           {"x_secret", "evil"},
                                                           {"x_http_method_override", "evil"},
                                                           {"transfer_encoding", "evil"},
                                                           {"content_length", "evil"},
                                                           {"api_key", "mine"}})));
  for (const auto& [name, value] : out.headers) EXPECT_NE(value, "evil") << name;
  EXPECT_EQ(out.headers.get("api_key"), "mine");
}

// Hop-by-hop abuse: what is in the key, or was put in by the gate, cannot be taken away from the origin.
TEST(HopByHop, ConnectionDoesNotHideWhatTheKeyHolds) {
  SitePolicy policy;
  policy.cache.key.header_names = {"x-device"};
  policy.geo.header = "x-country";
  auto site = site_of(policy);
  FetchRequest out =
      site->origin_request(get("/", fields({{"host", "h"},
                                            {"connection", "close, X-Device, x-country, x-mine"},
                                            {"x-device", "mobile"},
                                            {"x-country", "FR"},
                                            {"x-mine", "1"}})));
  EXPECT_EQ(out.headers.get("x-device"), "mobile");
  EXPECT_EQ(out.headers.get("x-country"), "FR");
  EXPECT_FALSE(out.headers.find("x-mine"));
}

// Host in capitals, with the usual port, or shared between hosts: the origin is told what the key holds.
TEST(CachePoisoning, TheOriginSeesTheHostThatIsInTheKey) {
  auto site = site_of({});
  for (const char* host : {"WWW.Example.ORG", "www.example.org:80"}) {
    FetchRequest out = site->origin_request(get("/", fields({{"host", host}})));
    EXPECT_EQ(out.headers.get("host"), "www.example.org");
    EXPECT_EQ(out.headers.get("x-forwarded-host"), "www.example.org");
  }
  SitePolicy shared;
  shared.hosts = {"*.example.org", "www.example.org"};
  shared.cache.key.host = false;
  FetchRequest out = site_of(shared)->origin_request(get("/", fields({{"host", "evil.example.org"}})));
  EXPECT_EQ(out.headers.get("host"), "www.example.org");
  EXPECT_EQ(out.headers.get("x-forwarded-host"), "www.example.org");
  // Nor is another proxy believed in what the key does not hold.
  auto trusting = site_of({}, {*parse_range("192.0.2.0/24")});
  out = trusting->origin_request(
      get("/", fields({{"host", "h"}, {"x-forwarded-host", "evil"}, {"x-forwarded-proto", "evil"}})));
  EXPECT_EQ(out.headers.get("x-forwarded-host"), "h");
  EXPECT_EQ(out.headers.get("x-forwarded-proto"), "http");
}

TEST(HeaderPolicy, EditsRequestsAndResponses) {
  SitePolicy policy;
  policy.origin.host_header = "origin.internal";
  policy.headers.request_remove = {"cookie"};
  policy.headers.request_set = {{"x-edge", "ours"}};
  policy.headers.response_remove = {"server"};
  policy.headers.response_set = {{"cache-control", "max-age=60"}};
  policy.headers.response_add = {{"link", "</a.css>"}};
  policy.headers.security = true;
  auto site = site_of(policy);
  http::Request request = get("/", fields({{"host", "h"}, {"cookie", "a"}, {"x-edge", "theirs"}}));
  FetchRequest out = site->origin_request(request);
  EXPECT_EQ(out.headers.get("host"), "origin.internal");
  EXPECT_FALSE(out.headers.find("cookie"));
  EXPECT_EQ(out.headers.get("x-edge"), "ours");
  EXPECT_EQ(out.headers.count("x-edge"), 1u);
  http::Headers answer = fields(
      {{"server", "x"}, {"cache-control", "no-store"}, {"link", "</b.css>"}, {"x-frame-options", "DENY"}});
  request.secure = true;
  site->edit_response(request, 200, answer);
  EXPECT_FALSE(answer.find("server"));
  EXPECT_EQ(answer.get("cache-control"), "max-age=60");
  EXPECT_EQ(answer.count("link"), 2u);
  EXPECT_EQ(answer.get("x-frame-options"), "DENY");
  EXPECT_EQ(answer.get("x-content-type-options"), "nosniff");
  EXPECT_FALSE(answer.get("strict-transport-security").empty());
  EXPECT_EQ(answer.get("via"), "1.1 edge-1");
}

TEST(TtlRules, FirstThatMatchesDecidesAndPrivateStaysPrivate) {
  SitePolicy policy;
  policy.ttl_rules = {{{404}, "*", "", 5000, false},
                      {{}, "/img/*", "image/*", 3600'000, false},
                      {{}, "/force/*", "", 60'000, true},
                      {{}, "/never/*", "", 0, false}};
  auto site = site_of(policy);
  auto rule = [&](const char* path, int status, http::Headers headers) {
    site->edit_response(get(path), status, headers);
    return std::string(headers.get(kTtlField));
  };
  EXPECT_EQ(rule("/x", 404, {}), "max-age=5");
  EXPECT_EQ(rule("/img/a", 200, fields({{"content-type", "Image/PNG; x=y"}})), "max-age=3600");
  EXPECT_EQ(rule("/img/a", 200, fields({{"content-type", "text/html"}})), "");
  EXPECT_EQ(rule("/img/a", 200, fields({{"content-type", "image/png"}, {"cache-control", "private"}})), "");
  EXPECT_EQ(rule("/img/a", 200, fields({{"content-type", "image/png"}, {"set-cookie", "a=b"}})), "");
  for (const char* said :
       {"private=\"x-user\"", "max-age=5, no-cache=\"set-cookie\"", "Private", "no-store=1"})
    EXPECT_EQ(rule("/img/a", 200, fields({{"content-type", "image/png"}, {"cache-control", said}})), "")
        << said;
  for (const char* said : {"private", "no-store", "no-cache", "max-age=60, private"})
    EXPECT_EQ(rule("/img/a", 200, fields({{"content-type", "image/png"}, {"cdn-cache-control", said}})), "")
        << "what it says to caches of this kind: " << said;
  EXPECT_EQ(rule("/force/a", 200, fields({{"cache-control", "no-store"}})), "max-age=60");
  EXPECT_EQ(rule("/force/a", 500, {}), "");
  EXPECT_EQ(rule("/never/a", 200, {}), "no-store");
  EXPECT_EQ(rule("/x", 200, fields({{"archipel-cache-control", "max-age=99"}})),
            "");  // the origin's, not ours
}

TEST(AcceptEncoding, IsOneOfFour) {
  auto best = [](const char* value) {
    return std::string(best_coding(fields({{"accept-encoding", value}})));
  };
  EXPECT_EQ(best("gzip, deflate, br, zstd"), "br");
  EXPECT_EQ(best("gzip, deflate"), "gzip");
  EXPECT_EQ(best("GZIP;Q=1.0, br;q=0.5"), "gzip");
  EXPECT_EQ(best("br;q=0, gzip"), "gzip");
  EXPECT_EQ(best("*"), "br");
  EXPECT_EQ(best("*;q=0"), "");
  EXPECT_EQ(best("identity"), "");
  EXPECT_EQ(best(""), "");
  EXPECT_EQ(best("x-gzip"), "gzip");
}

TEST(SiteTable, ExactThenLongestSuffixThenStar) {
  SiteTable table;
  auto add = [&](std::string name, std::vector<std::string> hosts) {
    SitePolicy policy;
    policy.name = std::move(name);
    policy.hosts = std::move(hosts);
    table.add(site_of(std::move(policy)));
  };
  add("any", {"*"});
  add("org", {"*.example.org"});
  add("deep", {"*.a.example.org"});
  add("www", {"www.example.org", "[::1]"});
  auto name = [&](std::string_view host) { return (*table.find(host))->name(); };
  EXPECT_EQ(name("WWW.example.org:8080"), "www");
  EXPECT_EQ(name("www.example.org."), "www");
  EXPECT_EQ(name("[::1]:80"), "www");
  EXPECT_EQ(name("x.y.example.org"), "org");
  EXPECT_EQ(name("x.a.example.org"), "deep");
  EXPECT_EQ(name("example.org"), "any");
  EXPECT_EQ(name(""), "any");
  SiteTable strict;
  SitePolicy policy;
  policy.hosts = {"a.example"};
  strict.add(site_of(std::move(policy)));
  EXPECT_EQ(strict.find("b.example"), nullptr);
}

TEST(Upgrade, OnlyProtocolsBehindWhichNoRequestCanHide) {
  auto asked = [](const char* connection, const char* upgrade) {
    http::Request request =
        get("/", fields({{"host", "h"}, {"connection", connection}, {"upgrade", upgrade}}));
    return std::string(passable_upgrade(request));
  };
  EXPECT_EQ(asked("keep-alive, Upgrade", "websocket"), "websocket");
  EXPECT_EQ(asked("close", "websocket"), "");
  for (const char* refused : {"h2c", "H2C", "HTTP/2.0", "TLS/1.0", "websocket, h2c"})
    EXPECT_EQ(asked("upgrade", refused), "") << refused;
}

}  // namespace
}  // namespace archipel::edge
