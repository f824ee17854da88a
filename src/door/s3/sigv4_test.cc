#include "door/s3/sigv4.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "door/s3/errors.h"
#include "door/s3/testing/client.h"

namespace archipel::door::s3 {
namespace {

using testing::HeaderList;
using testing::Signer;
using testing::World;

// The published examples of the S3 API reference, "Examples: Signature Calculations".
constexpr UnixMs kExampleMs = 1'369'353'600'000;  // 2013-05-24T00:00:00Z
constexpr char kExampleKey[] = "AKIAIOSFODNN7EXAMPLE";

struct Example {
  const char* name;
  const char* method;
  const char* target;
  HeaderList headers;
  const char* signed_headers;
  const char* signature;
};

Result<Identity> authenticate(const http::Request& request, UnixMs now = kExampleMs) {
  testing::FixedClock clock;
  clock.ms = now;
  auto account = std::make_shared<const store::Account>(
      store::Account{"id", "name", kExampleKey, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"});
  Authenticator authenticator([&](const std::string& key) { return key == kExampleKey ? account : nullptr; },
                              clock);
  return authenticator.authenticate(request, *http::parse_query(request.query()));
}

http::Request example_request(const Example& e) {
  http::Request r;
  r.method = e.method;
  r.target = e.target;
  r.headers.add("host", "examplebucket.s3.amazonaws.com");
  for (const auto& [n, v] : e.headers) r.headers.set(n, v);
  r.headers.add("x-amz-date", "20130524T000000Z");
  r.headers.add("authorization", "AWS4-HMAC-SHA256 Credential=" + std::string(kExampleKey) +
                                     "/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + e.signed_headers +
                                     ",Signature=" + e.signature);
  return r;
}

const Example kExamples[] = {
    {"GetObjectRange",
     "GET",
     "/test.txt",
     {{"range", "bytes=0-9"}, {"x-amz-content-sha256", std::string(kEmptySha256)}},
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PutObject",
     "PUT",
     "/test%24file.text",
     {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
      {"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}},
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GetLifecycle",
     "GET",
     "/?lifecycle",
     {{"x-amz-content-sha256", std::string(kEmptySha256)}},
     "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"ListObjects",
     "GET",
     "/?max-keys=2&prefix=J",
     {{"x-amz-content-sha256", std::string(kEmptySha256)}},
     "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"ChunkedPut",
     "PUT",
     "/examplebucket/chunkObject.txt",
     {{"host", "s3.amazonaws.com"},
      {"content-encoding", "aws-chunked"},
      {"content-length", "66824"},
      {"x-amz-decoded-content-length", "66560"},
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
      {"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}},
     "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
     "x-amz-storage-class",
     "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"},
};

TEST(SigV4, AcceptsThePublishedExamples) {
  for (const Example& e : kExamples) {
    auto identity = authenticate(example_request(e));
    ASSERT_TRUE(identity) << e.name << ": " << identity.error().describe();
    EXPECT_EQ(identity->account->access_key, kExampleKey);
    EXPECT_EQ(identity->scope, "20130524/us-east-1/s3/aws4_request");
  }
}

TEST(SigV4, RefusesThePublishedExamplesWithAnyHexDigitOfTheSignatureChanged) {
  for (const Example& e : kExamples) {
    for (size_t i = 0; i < 64; ++i) {
      std::string signature = e.signature;
      signature[i] = signature[i] == '0' ? '1' : '0';
      Example changed = e;
      changed.signature = signature.c_str();
      auto identity = authenticate(example_request(changed));
      ASSERT_FALSE(identity) << e.name << ' ' << i;
      EXPECT_EQ(identity.error().detail, "SignatureDoesNotMatch");
    }
  }
}

TEST(SigV4, SpellingOfThePathDoesNotMatterButItsSegmentsDo) {
  // "$" sent bare is signed as %24 by every client.
  Example put = kExamples[1];
  put.target = "/test$file.text";
  EXPECT_TRUE(authenticate(example_request(put)));
  for (const char* other :
       {"/test%2524file.text", "//test%24file.text", "/./test%24file.text", "/a/../test%24file.text"}) {
    put.target = other;
    EXPECT_FALSE(authenticate(example_request(put))) << other;
  }
}

// What a client of ours may send: random method, path, query and headers, signed by code of its own.
RC_GTEST_PROP(SigV4, AcceptsWhatAnIndependentSignerSignsAndNothingElse, ()) {
  auto bytes = *rc::gen::container<std::string>(rc::gen::inRange<char>('\x01', '\x7f'));
  auto value = *rc::gen::container<std::string>(rc::gen::inRange<char>('\x01', '\x7f'));
  auto meta = *rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange<char>('!', '~')));
  World world;
  http::Request request = World::request(
      *rc::gen::element<std::string>("GET", "PUT", "DELETE"),
      "/b/" + http::uri_encode(bytes, http::Slash::keep) + "?p=" + http::uri_encode(value) + "&acl");
  request.headers.add("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
  request.headers.add("x-amz-meta-m", meta);
  world.signer.sign(request);
  Authenticator authenticator([&](const std::string& k) { return world.store.find_account(k); }, world.clock);
  RC_ASSERT(authenticator.authenticate(request, *http::parse_query(request.query())).has_value());

  http::Request changed = request;
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      changed.method = "POST";
      break;
    case 1:
      changed.target.insert(2, "x");
      break;
    case 2:
      changed.target += "&more=1";
      break;
    default:
      changed.headers.set("x-amz-meta-m", meta + "x");
  }
  auto refused = authenticator.authenticate(changed, *http::parse_query(changed.query()));
  RC_ASSERT(!refused.has_value());
  RC_ASSERT(refused.error().detail == "SignatureDoesNotMatch");
}

struct BadCase {
  const char* name;
  std::function<void(http::Request&)> change;
  const char* code;
};

void replace(http::Request& r, const std::string& from, const std::string& to) {
  std::string a(r.headers.get("authorization"));
  a.replace(a.find(from), from.size(), to);
  r.headers.set("authorization", a);
}

TEST(SigV4, EachFaultHasItsOwnError) {
  const BadCase cases[] = {
      {"unchanged", [](auto&) {}, ""},
      {"V2", [](auto& r) { r.headers.set("authorization", "AWS AK:sig"); }, "InvalidRequest"},
      {"basic", [](auto& r) { r.headers.set("authorization", "Basic YTpi"); }, "InvalidRequest"},
      {"no fields", [](auto& r) { r.headers.set("authorization", "AWS4-HMAC-SHA256"); },
       "AuthorizationHeaderMalformed"},
      {"two", [](auto& r) { r.headers.add("authorization", "x"); }, "AuthorizationHeaderMalformed"},
      {"service", [](auto& r) { replace(r, "/s3/", "/ec2/"); }, "AuthorizationHeaderMalformed"},
      {"terminal", [](auto& r) { replace(r, "aws4_request", "aws4"); }, "AuthorizationHeaderMalformed"},
      {"scope date", [](auto& r) { replace(r, "/20130524/", "/20130525/"); }, "AuthorizationHeaderMalformed"},
      {"short credential", [](auto& r) { replace(r, "/us-east-1/s3", "/s3"); },
       "AuthorizationHeaderMalformed"},
      {"signature twice",
       [](auto& r) {
         r.headers.set("authorization", std::string(r.headers.get("authorization")) + ",Signature=a");
       },
       "AuthorizationHeaderMalformed"},
      {"no signature",
       [](auto& r) {
         std::string a(r.headers.get("authorization"));
         r.headers.set("authorization", a.substr(0, a.rfind(',')));
       },
       "AuthorizationHeaderMalformed"},
      {"upper-case name", [](auto& r) { replace(r, "host;", "Host;"); }, "AuthorizationHeaderMalformed"},
      {"host twice", [](auto& r) { replace(r, "host;", "host;host;"); }, "AuthorizationHeaderMalformed"},
      {"unknown key", [](auto& r) { replace(r, kExampleKey, "AKNOBODY"); }, "InvalidAccessKeyId"},
      {"host unsigned", [](auto& r) { replace(r, "host;", ""); }, "AccessDenied"},
      {"x-amz unsigned", [](auto& r) { r.headers.add("x-amz-acl", "public-read"); }, "AccessDenied"},
      {"ours unsigned", [](auto& r) { r.headers.add("x-archipel-placement", "a"); }, "AccessDenied"},
      {"signed, absent", [](auto& r) { replace(r, "host;", "accept;host;"); }, "SignatureDoesNotMatch"},
      {"date garbage", [](auto& r) { r.headers.set("x-amz-date", "yesterday"); }, "AccessDenied"},
      {"presigned", [](auto& r) { r.target += "?X-Amz-Signature=abc"; }, "InvalidArgument"},
      {"hash twice", [](auto& r) { r.headers.add("x-amz-content-sha256", "UNSIGNED-PAYLOAD"); },
       "InvalidRequest"},
  };
  for (const BadCase& c : cases) {
    http::Request request = example_request(kExamples[0]);
    c.change(request);
    auto identity = authenticate(request);
    EXPECT_EQ(identity ? "" : identity.error().detail, c.code) << c.name;
  }
}

TEST(SigV4, AnonymousRequestsAreNobodys) {
  http::Request request = World::request("GET", "/bucket");
  auto identity = authenticate(request);
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->anonymous());
  EXPECT_EQ(identity->principal.kind, iam::Principal::Kind::anonymous);
  request.headers.add("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
  EXPECT_EQ(authenticate(request).error().detail, "AccessDenied");
  request = World::request("GET", "/bucket");
  request.headers.add("x-amz-acl", "private");
  request.headers.add("x-amz-acl", "public-read");
  EXPECT_EQ(authenticate(request).error().detail, "InvalidRequest");
}

TEST(SigV4, PayloadHashIsRequired) {
  Example e = kExamples[2];
  e.headers.clear();
  e.signed_headers = "host;x-amz-date";
  auto identity = authenticate(example_request(e));
  ASSERT_FALSE(identity);
  EXPECT_EQ(identity.error().detail, "InvalidRequest");
  EXPECT_TRUE(identity.error().message.contains("x-amz-content-sha256"));
}

TEST(SigV4, ClockMayDifferByFifteenMinutesAndNoMore) {
  http::Request request = example_request(kExamples[0]);
  constexpr UnixMs kQuarter = 900'000;  // 15 minutes
  EXPECT_TRUE(authenticate(request, kExampleMs + kQuarter));
  EXPECT_TRUE(authenticate(request, kExampleMs - kQuarter));
  for (UnixMs now : {kExampleMs + kQuarter + 1, kExampleMs - kQuarter - 1}) {
    auto identity = authenticate(request, now);
    ASSERT_FALSE(identity);
    EXPECT_EQ(identity.error().detail, "RequestTimeTooSkewed");
  }
}

TEST(SigV4, SkewAndUnknownKeysAreSaidOnlyOfWellFormedRequests) {
  http::Request request = example_request(kExamples[0]);
  replace(request, kExampleKey, "AKNOBODY");
  auto identity = authenticate(request, kExampleMs + 86'400'000);
  EXPECT_EQ(identity.error().detail, "InvalidAccessKeyId");
}

TEST(SigV4, AChangedSecretIsUsedAtOnce) {
  World world;
  Authenticator authenticator([&](const std::string& k) { return world.store.find_account(k); }, world.clock);
  http::Request request = World::request("GET", "/");
  request.headers.add("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
  world.signer.sign(request);
  ASSERT_TRUE(authenticator.authenticate(request, {}));
  store::Account changed = *world.store.accounts.at("AKTEST");
  changed.secret_key = "rotated";
  world.store.accounts["AKTEST"] = std::make_shared<const store::Account>(changed);
  auto refused = authenticator.authenticate(request, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail, "SignatureDoesNotMatch");
}

TEST(SigV4, ManyRegionsDoNotGrowTheCacheWithoutBound) {
  World world;
  Authenticator authenticator([&](const std::string& k) { return world.store.find_account(k); }, world.clock);
  for (size_t i = 0; i < kSigningKeysMax + 200; ++i) {
    Signer signer = world.signer;
    signer.region = "r" + std::to_string(i % (kSigningKeysMax + 100));
    http::Request request = World::request("GET", "/");
    request.headers.add("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    signer.sign(request);
    ASSERT_TRUE(authenticator.authenticate(request, {})) << i;
  }
}

}  // namespace
}  // namespace archipel::door::s3
