#include "door/site/routes.h"

#include <gtest/gtest.h>

namespace archipel::door::site {
namespace {

s3::Website website(const std::string& rules) {
  auto parsed = s3::parse_website(
      "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><RoutingRules>" +
      rules + "</RoutingRules></WebsiteConfiguration>");
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : s3::Website{};
}

std::string rule(const std::string& condition, const std::string& redirect) {
  return "<RoutingRule>" + (condition.empty() ? "" : "<Condition>" + condition + "</Condition>") +
         "<Redirect>" + redirect + "</Redirect></RoutingRule>";
}

const Place kPlace{"www.example.org:9001", false};

std::string where(const std::string& rules, const std::string& key, int status = 0) {
  auto redirect = route(website(rules), kPlace, key, status);
  return redirect ? std::to_string(redirect->status) + ' ' + redirect->location : "none";
}

TEST(BucketOfHost, IsTheNameBeforeTheDomainOrTheWholeHost) {
  EXPECT_EQ(bucket_of_host("blog.website.localhost:9001", "website.localhost"), "blog");
  EXPECT_EQ(bucket_of_host("Blog.Website.LOCALHOST.", "website.localhost"), "blog");
  EXPECT_EQ(bucket_of_host("a.b.website.localhost", "website.localhost"), "a.b");
  EXPECT_EQ(bucket_of_host("www.example.org", "website.localhost"), "www.example.org");
  EXPECT_EQ(bucket_of_host("website.localhost", "website.localhost"), "website.localhost");
  EXPECT_EQ(bucket_of_host("[::1]:9001", "website.localhost"), "[::1]:9001");
}

TEST(KeyOfPath, IsDecodedOnceAndNothingElse) {
  EXPECT_EQ(key_of_path("/"), "");
  EXPECT_EQ(key_of_path("/a%20b/%C3%A9.html"), "a b/\xc3\xa9.html");
  EXPECT_EQ(key_of_path("/a+b"), "a+b");
  EXPECT_EQ(key_of_path("/%2e%2e/x"), "../x");  // keys are no paths: nothing is resolved
  EXPECT_EQ(key_of_path("//x"), "/x");
  EXPECT_EQ(key_of_path("/%zz"), std::nullopt);
  EXPECT_EQ(key_of_path("/%ff"), std::nullopt);
  EXPECT_EQ(key_of_path("/a%00b"), std::nullopt);
}

TEST(DocumentOf, ADirectorysIsItsIndex) {
  EXPECT_EQ(document_of("", "index.html"), "index.html");
  EXPECT_EQ(document_of("docs/", "index.html"), "docs/index.html");
  EXPECT_EQ(document_of("docs/a", "index.html"), "docs/a");
}

TEST(Routes, APrefixIsReplaced) {
  std::string rules = rule("<KeyPrefixEquals>docs/</KeyPrefixEquals>",
                           "<ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith>");
  EXPECT_EQ(where(rules, "docs/a b.html"), "301 http://www.example.org:9001/documents/a%20b.html");
  EXPECT_EQ(where(rules, "doc/a"), "none");
  EXPECT_EQ(where(rules, "docs/a", 404), "none");  // it waits for no error
}

TEST(Routes, AnEmptyReplacementTakesThePrefixAway) {
  EXPECT_EQ(
      where(rule("<KeyPrefixEquals>old/</KeyPrefixEquals>", "<ReplaceKeyPrefixWith></ReplaceKeyPrefixWith>"),
            "old/x"),
      "301 http://www.example.org:9001/x");
}

TEST(Routes, AnErrorLeadsWhereItsRuleSays) {
  std::string rules = rule(
      "<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>",
      "<Protocol>https</Protocol><HostName>app.example.org</HostName><HttpRedirectCode>302</HttpRedirectCode>"
      "<ReplaceKeyPrefixWith>#!/</ReplaceKeyPrefixWith>");
  EXPECT_EQ(where(rules, "deep/link", 404), "302 https://app.example.org/#!/deep/link");
  EXPECT_EQ(where(rules, "deep/link", 403), "none");
  EXPECT_EQ(where(rules, "deep/link"), "none");
}

TEST(Routes, TheFirstRuleThatAppliesDecides) {
  std::string rules = rule("<KeyPrefixEquals>a/</KeyPrefixEquals>", "<ReplaceKeyWith>one</ReplaceKeyWith>") +
                      rule("", "<ReplaceKeyWith>two</ReplaceKeyWith>");
  EXPECT_EQ(where(rules, "a/x"), "301 http://www.example.org:9001/one");
  EXPECT_EQ(where(rules, "b/x"), "301 http://www.example.org:9001/two");
}

TEST(Routes, AKeyCannotSplitTheLocation) {
  std::string location = where(rule("", "<HostName>h.example</HostName>"), "x\r\nset-cookie: a=b");
  EXPECT_EQ(location, "301 http://h.example/x%0D%0Aset-cookie%3A%20a%3Db");
}

TEST(Redirects, TheWholeSiteKeepsPathAndQuery) {
  Redirect redirect = redirect_all({"new.example.org", "https"}, kPlace, "/a%20b?x=1");
  EXPECT_EQ(redirect.status, 301);
  EXPECT_EQ(redirect.location, "https://new.example.org/a%20b?x=1");
  EXPECT_EQ(redirect_all({"new.example.org", ""}, {"h", true}, "/").location, "https://new.example.org/");
}

TEST(Redirects, ADirectoryNeverLeadsToAnotherHost) {
  http::Request request;
  request.target = "/docs?x=1";
  EXPECT_EQ(to_directory(request).location, "/docs/?x=1");
  request.target = "//evil.example/docs";
  EXPECT_EQ(to_directory(request).location, "/.//evil.example/docs/");
}

}  // namespace
}  // namespace archipel::door::site
