#include "door/s3/presign.h"

#include <gtest/gtest.h>

#include "door/s3/sigv2.h"
#include "door/s3/testing/client.h"
#include "http/date.h"

namespace archipel::door::s3::testing {
namespace {

constexpr std::string_view kKey = "AKIAIOSFODNN7EXAMPLE";
constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

// The reference's example of a presigned URL.
constexpr std::string_view kExample =
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%"
    "2Fs3%2F"
    "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
constexpr UnixMs kExampleMs = 1'369'353'600'000;

Result<Identity> authenticate(const http::Request& request, UnixMs now, bool sigv2 = false,
                              std::string_view bucket = {}) {
  FixedClock clock;
  clock.ms = now;
  auto account = std::make_shared<const store::Account>(
      store::Account{std::string(64, 'a'), "example", std::string(kKey), std::string(kSecret)});
  Authenticator authenticator([&](const std::string& key) { return key == kKey ? account : nullptr; }, clock,
                              {.sigv2 = sigv2});
  auto query = http::parse_query(request.query());
  return authenticator.authenticate(request, *query, bucket);
}

http::Request example(std::string_view target = kExample) {
  http::Request r;
  r.method = "GET";
  r.target = target;
  r.headers.add("host", "examplebucket.s3.amazonaws.com");
  return r;
}

std::string code(const Result<Identity>& result) {
  return result ? "ok" : result.error().detail;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  return text.replace(text.find(what), what.size(), with);
}

TEST(Presigned, KnownAnswerOfTheReferenceIsAccepted) {
  auto identity = authenticate(example(), kExampleMs + 1000);
  ASSERT_TRUE(identity) << identity.error().describe();
  EXPECT_EQ(identity->method, Identity::Method::query);
  EXPECT_EQ(identity->payload_hash, "UNSIGNED-PAYLOAD");
}

TEST(Presigned, ExpiresAtItsSecondAndNotBefore) {
  EXPECT_EQ(code(authenticate(example(), kExampleMs + 86'400'000 - 1)), "ok");
  auto late = authenticate(example(), kExampleMs + 86'400'000);
  EXPECT_EQ(code(late), "AccessDenied");
  EXPECT_EQ(late.error().message, "Request has expired");
  EXPECT_EQ(code(authenticate(example(), kExampleMs - 14 * 60'000)), "ok");
  auto early = authenticate(example(), kExampleMs - 16 * 60'000);
  EXPECT_EQ(early.error().message, "Request is not yet valid");
}

TEST(Presigned, EveryDefectHasItsOwnError) {
  struct {
    const char *what, *with, *code;
  } cases[] = {
      {"X-Amz-Expires=86400", "X-Amz-Expires=604801", "AccessDenied"},
      {"X-Amz-Expires=86400", "X-Amz-Expires=-7", "AccessDenied"},
      {"X-Amz-Expires=86400", "X-Amz-Expires=day", "AuthorizationQueryParametersError"},
      {"X-Amz-Expires=86400", "X-Amz-Expires=99999999999999999999", "AccessDenied"},
      {"X-Amz-Expires=86400", "X-Amz-Expires=0", "AccessDenied"},
      {"X-Amz-Expires=86400&", "", "AuthorizationQueryParametersError"},
      {"X-Amz-Date=20130524T000000Z", "X-Amz-Date=yesterday", "AuthorizationQueryParametersError"},
      {"X-Amz-Date=20130524T000000Z", "X-Amz-Date=20130525T000000Z", "AuthorizationQueryParametersError"},
      {"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", "AuthorizationQueryParametersError"},
      {"aws4_request", "aws5_request", "AuthorizationQueryParametersError"},
      {"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=Host", "AuthorizationQueryParametersError"},
      {"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=date", "AccessDenied"},
      {"AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLF", "InvalidAccessKeyId"},
      {"aeeed9bb", "aeeed9bc", "SignatureDoesNotMatch"},
      {"/test.txt", "/test.tx", "SignatureDoesNotMatch"},
      {"&X-Amz-Signature=", "&prefix=x&X-Amz-Signature=", "SignatureDoesNotMatch"},
      {"&X-Amz-Signature=", "&X-Amz-Security-Token=x&X-Amz-Signature=", "InvalidToken"},
  };
  for (const auto& c : cases) {
    std::string target = replaced(std::string(kExample), c.what, c.with);
    EXPECT_EQ(code(authenticate(example(target), kExampleMs + 1)), c.code) << c.with;
  }
  http::Request both = example();
  both.headers.add("authorization", "AWS4-HMAC-SHA256 x");
  EXPECT_EQ(code(authenticate(both, kExampleMs)), "InvalidArgument");
  http::Request unsigned_header = example();
  unsigned_header.headers.add("x-amz-acl", "public-read");
  EXPECT_EQ(code(authenticate(unsigned_header, kExampleMs)), "AccessDenied");
}

TEST(Presigned, HoistedHeadersAreHeadersAndLeaveTheQuery) {
  http::Request r = example("/k?X-Amz-Signature=s&x-amz-acl=public-read&x-amz-meta-a=b&versionId=null");
  auto hoisted = with_hoisted_headers(r);
  ASSERT_TRUE(hoisted);
  EXPECT_EQ(hoisted->headers.get("x-amz-acl"), "public-read");
  EXPECT_EQ(hoisted->headers.get("x-amz-meta-a"), "b");
  auto query = http::parse_query(r.query());
  strip_signature(*query);
  ASSERT_EQ(query->size(), 1u);
  EXPECT_EQ((*query)[0].name, "versionId");
  EXPECT_FALSE(with_hoisted_headers(example("/k?x-amz-acl=public-read"))) << "nobody signed that";
  EXPECT_FALSE(with_hoisted_headers(example("/k?X-Amz-Signature=s&x-amz-meta-a=b%0d%0ax:y")));
}

// A header that the URL's signer hoisted cannot be said again, differently.
TEST(Presigned, HoistedHeaderAndHeaderTogetherAreRefused) {
  http::Request r = example(replaced(std::string(kExample), "X-Amz-SignedHeaders=host",
                                     "X-Amz-SignedHeaders=host%3Bx-amz-acl&x-amz-acl=private"));
  r.headers.add("x-amz-acl", "public-read");
  EXPECT_EQ(code(authenticate(r, kExampleMs)), "InvalidRequest");
}

// The reference's examples of SigV2.
http::Request v2_example(std::string method, std::string target, std::string date) {
  http::Request r;
  r.method = std::move(method);
  r.target = std::move(target);
  r.headers.add("host", "johnsmith.s3.amazonaws.com");
  if (!date.empty()) r.headers.add("date", std::move(date));
  return r;
}
constexpr UnixMs kV2Ms = 1'175'024'202'000;  // Tue, 27 Mar 2007 19:36:42 GMT

TEST(SigV2, KnownAnswersOfTheReferenceAreAccepted) {
  http::Request get = v2_example("GET", "/photos/puppy.jpg", "Tue, 27 Mar 2007 19:36:42 +0000");
  EXPECT_EQ(v2_sign(kSecret, v2_string_to_sign(get, {}, "johnsmith", {})), "bWq2s1WEIj+Ydj0vQ697zp+IXMU=");
  http::Request put = v2_example("PUT", "/photos/puppy.jpg", "Tue, 27 Mar 2007 21:15:45 +0000");
  put.headers.add("content-type", "image/jpeg");
  EXPECT_EQ(v2_sign(kSecret, v2_string_to_sign(put, {}, "johnsmith", {})), "MyyxeRY7whkBe+bq8fHCL/2kKUg=");
  http::Request signed_get = v2_example("GET", "/photos/puppy.jpg", "Tue, 27 Mar 2007 19:36:42 GMT");
  std::string signature = v2_sign(kSecret, v2_string_to_sign(signed_get, {}, "johnsmith", {}));
  signed_get.headers.add("authorization", "AWS " + std::string(kKey) + ":" + signature);
  EXPECT_EQ(code(authenticate(signed_get, kV2Ms, true, "johnsmith")), "ok");
  EXPECT_EQ(code(authenticate(signed_get, kV2Ms, true, "")), "SignatureDoesNotMatch");
  EXPECT_EQ(code(authenticate(signed_get, kV2Ms + 16 * 60'000, true, "johnsmith")), "RequestTimeTooSkewed");
}

TEST(SigV2, QueryExpires) {
  http::Request get = v2_example("GET",
                                 "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature="
                                 "NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620",
                                 "");
  EXPECT_EQ(code(authenticate(get, 1'175'139'619'000, true, "johnsmith")), "ok");
  EXPECT_EQ(code(authenticate(get, 1'175'139'620'000, true, "johnsmith")), "AccessDenied");
}

TEST(SigV2, IsRefusedUnlessTurnedOn) {
  http::Request get = v2_example("GET", "/", "Tue, 27 Mar 2007 19:36:42 GMT");
  get.headers.add("authorization", "AWS " + std::string(kKey) + ":x");
  EXPECT_EQ(code(authenticate(get, kV2Ms)), "InvalidRequest");
  EXPECT_EQ(code(authenticate(get, kV2Ms, true)), "SignatureDoesNotMatch");
  http::Request query = v2_example("GET", "/?AWSAccessKeyId=a&Signature=b&Expires=99999999999", "");
  EXPECT_EQ(code(authenticate(query, kV2Ms)), "InvalidRequest");
}

TEST(SigV2, MalformedHeadersAreToldApart) {
  for (const char* bad : {"AWS ", "AWS key", "AWS :x", "AWS key:", "AWS HAHAHA x:y"}) {
    http::Request get = v2_example("GET", "/", "Tue, 27 Mar 2007 19:36:42 GMT");
    get.headers.add("authorization", bad);
    EXPECT_EQ(code(authenticate(get, kV2Ms, true)), "InvalidArgument") << bad;
  }
  http::Request undated = v2_example("GET", "/", "");
  undated.headers.add("authorization", "AWS key:x");
  EXPECT_EQ(code(authenticate(undated, kV2Ms, true)), "AccessDenied");
}

}  // namespace
}  // namespace archipel::door::s3::testing
