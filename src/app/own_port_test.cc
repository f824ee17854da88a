#include "app/own_port.h"

#include <gtest/gtest.h>

namespace archipel::app {
namespace {

http::Request request(std::string path, std::string host, std::string peer = "127.0.0.1:4000") {
  http::Request r;
  r.method = "GET";
  r.target = std::move(path);
  r.peer = std::move(peer);
  r.headers.add("host", std::move(host));
  return r;
}
bool answered(const http::Request& r) {
  return is_admin_on_own_port(r, "s3.example.org");
}

TEST(OwnPort, MetricsOnlyToThisMachineByItsOwnName) {
  for (const char* host :
       {"localhost", "LocalHost:9000", "127.0.0.1:9000", "127.9.9.9", "[::1]", "[::1]:9000"})
    EXPECT_TRUE(answered(request("/metrics", host))) << host;
  // What a page that rebinds its own name to 127.0.0.1 makes a browser send.
  for (const char* host :
       {"evil.example", "127.evil.example", "localhost.evil.example:9000", "[::2]", "", "10.0.0.1"})
    EXPECT_FALSE(answered(request("/metrics", host))) << host;
  EXPECT_FALSE(answered(request("/metrics", "localhost", "10.0.0.1:4000")));
  EXPECT_TRUE(answered(request("/metrics", "localhost", "[::1]:4000")));
}

TEST(OwnPort, MetricsNotThroughAProxyOnThisMachine) {
  for (const char* header : {"forwarded", "x-forwarded-for", "x-forwarded-host", "via"}) {
    http::Request r = request("/metrics", "127.0.0.1:9000");
    r.headers.add(header, "1.1 proxy");
    EXPECT_FALSE(answered(r)) << header;
    r.target = "/healthz";
    EXPECT_TRUE(answered(r)) << header;
  }
}

TEST(OwnPort, InABucketThePathsAreKeys) {
  for (const char* path : {"/metrics", "/healthz", "/readyz"}) {
    EXPECT_FALSE(answered(request(path, "bucket.s3.example.org"))) << path;
    EXPECT_FALSE(answered(request(path, "BUCKET.S3.example.org:9000"))) << path;
  }
  EXPECT_TRUE(answered(request("/healthz", "s3.example.org")));
  EXPECT_TRUE(answered(request("/readyz", "gateway.internal:9000", "10.0.0.1:4000")));
  EXPECT_FALSE(is_admin_on_own_port(request("/metrics", "bucket.localhost"), "localhost"));
}

TEST(OwnPort, SignedRequestsQueriesAndOtherMethodsAreForTheDoor) {
  http::Request r = request("/healthz", "localhost");
  r.headers.add("authorization", "AWS4-HMAC-SHA256 x");
  EXPECT_FALSE(answered(r));
  EXPECT_FALSE(answered(request("/healthz?x", "localhost")));
  r = request("/healthz", "localhost");
  r.method = "PUT";
  EXPECT_FALSE(answered(r));
  EXPECT_FALSE(answered(request("/healthz/", "localhost")));
}

}  // namespace
}  // namespace archipel::app
