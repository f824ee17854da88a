#include "door/s3/door.h"

#include <gtest/gtest.h>

#include "door/s3/testing/client.h"

namespace archipel::door::s3 {
namespace {

using testing::Answer;
using testing::crc32_base64;
using testing::FakeExchange;
using testing::HeaderList;
using testing::Signer;
using testing::World;

class DoorTest : public ::testing::Test {
 protected:
  DoorTest() { world.make_bucket(); }
  World world;
};

TEST_F(DoorTest, BucketsComeAndGo) {
  Answer made = world.send("PUT", "/fresh");
  EXPECT_EQ(made.status, 200);
  EXPECT_EQ(made.headers.get("location"), "/fresh");
  EXPECT_EQ(world.send("HEAD", "/fresh").status, 200);
  EXPECT_EQ(world.send("HEAD", "/fresh/").status, 200);
  Answer again = world.send("PUT", "/fresh");
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.code(), "BucketAlreadyOwnedByYou");
  EXPECT_EQ(world.send_as(world.other(), "PUT", "/fresh").code(), "BucketAlreadyExists");
  Answer list = world.send("GET", "/");
  EXPECT_EQ(list.status, 200);
  EXPECT_EQ(list.elements("Name"), (std::vector<std::string>{"bucket", "fresh"}));
  EXPECT_EQ(list.element("ID"), std::string(64, 'a'));
  EXPECT_EQ(list.element("CreationDate"), "2023-11-14T22:13:20.000Z");
  EXPECT_TRUE(world.send_as(world.other(), "GET", "/").elements("Name").empty());
  EXPECT_EQ(world.send("DELETE", "/fresh").status, 204);
  EXPECT_EQ(world.send("DELETE", "/fresh").code(), "NoSuchBucket");
  EXPECT_TRUE(world.send("GET", "/bucket?location").body.contains(">archipel-1</LocationConstraint>"));
  EXPECT_TRUE(world.send("GET", "/bucket?location=").body.contains(">archipel-1</LocationConstraint>"));
}

TEST_F(DoorTest, BucketLocationMustBeOursOrTheOneSignedFor) {
  auto document = [](std::string region) {
    return "<CreateBucketConfiguration><LocationConstraint>" + region +
           "</LocationConstraint></CreateBucketConfiguration>";
  };
  EXPECT_EQ(world.send("PUT", "/one", {}, document("archipel-1")).status, 200);
  Signer west = world.signer;
  west.region = "eu-west-1";
  EXPECT_EQ(world.send_as(west, "PUT", "/two", {}, document("eu-west-1")).status, 200);
  EXPECT_EQ(world.send("PUT", "/three", {}, document("eu-west-1")).code(), "InvalidLocationConstraint");
  EXPECT_EQ(world.send("PUT", "/three", {}, "<x").code(), "MalformedXML");
  EXPECT_EQ(world.send("PUT", "/three", {}, std::string(20'000, ' ')).code(), "MalformedXML");
  EXPECT_FALSE(world.store.buckets.contains("three"));
}

TEST_F(DoorTest, BucketsSayWhereTheyGo) {
  auto document = [](std::string location) {
    return "<CreateBucketConfiguration><LocationConstraint>" + location +
           "</LocationConstraint></CreateBucketConfiguration>";
  };
  auto asked = [&](const std::string& bucket) {
    Answer head = world.send("HEAD", "/" + bucket);
    return std::string(head.headers.get("x-archipel-placement")) + "/" +
           std::string(head.headers.get("x-archipel-data-class"));
  };
  EXPECT_EQ(world.send("PUT", "/one", {}, document("archipel-1:eu-only")).status, 200);
  EXPECT_EQ(asked("one"), "eu-only/");
  EXPECT_TRUE(world.send("GET", "/one?location").body.contains(">archipel-1</LocationConstraint>"));
  EXPECT_EQ(world.send("PUT", "/two", {}, document(":eu-only")).status, 200);
  EXPECT_EQ(world.send("PUT", "/three", {{"x-archipel-placement", "eu-only"}}).status, 200);
  EXPECT_EQ(asked("three"), "eu-only/");
  EXPECT_EQ(
      world.send("PUT", "/four", {{"x-archipel-data-class", "personal"}}, document("archipel-1")).status,
      200);
  EXPECT_EQ(asked("four"), "/personal");
  EXPECT_EQ(world.send("PUT", "/five", {}, document("archipel-1:")).status, 200);
  EXPECT_EQ(asked("five"), "/");
  // The owner's business alone.
  EXPECT_EQ(world.send_as(world.other(), "HEAD", "/one").headers.find("x-archipel-placement"), nullptr);

  Answer unknown = world.send("PUT", "/six", {}, document("archipel-1:nowhere"));
  EXPECT_EQ(unknown.status, 400);
  EXPECT_EQ(unknown.code(), "InvalidLocationConstraint");
  EXPECT_TRUE(unknown.body.contains("nowhere")) << unknown.body;
  EXPECT_EQ(world.send("PUT", "/six", {}, document("mars-1:eu-only")).code(), "InvalidLocationConstraint");
  EXPECT_EQ(
      world.send("PUT", "/six", {{"x-archipel-placement", "other"}}, document("archipel-1:eu-only")).code(),
      "InvalidArgument");
  // A slip of the pen does not place a bucket anywhere.
  EXPECT_EQ(world.send("PUT", "/six", {{"x-archipel-class", "personal"}}).code(), "NotImplemented");
  EXPECT_EQ(world.send("PUT", "/bucket/key", {{"x-archipel-placement", "eu-only"}}).code(), "NotImplemented");
  EXPECT_EQ(world.send("HEAD", "/six").status, 404);
}

TEST_F(DoorTest, ABucketIsMadeAgainOnlyForTheSamePlace) {
  Signer old = world.signer;
  old.region = "us-east-1";
  const HeaderList there = {{"x-archipel-placement", "eu-only"}};
  EXPECT_EQ(world.send_as(old, "PUT", "/one", there).status, 200);
  EXPECT_EQ(world.send_as(old, "PUT", "/one", there).status, 200);
  EXPECT_EQ(world.send_as(old, "PUT", "/one").code(), "BucketAlreadyExists");
}

TEST_F(DoorTest, ObjectsComeBackAsTheyWentIn) {
  Answer put = world.send("PUT", "/bucket/dir/a%20b+%2541",
                          {{"content-type", "text/plain"},
                           {"cache-control", "max-age=1"},
                           {"x-amz-meta-colour", "blue, gr\xc3\xbcn"},
                           {"content-disposition", "attachment"},
                           {"expires", "never"},
                           {"content-language", "de"}},
                          "hello");
  EXPECT_EQ(put.status, 200);
  EXPECT_EQ(put.headers.get("etag"), "\"5d41402abc4b2a76b9719d911017c592\"");
  EXPECT_EQ(world.bytes("dir/a b+%41"), "hello");
  Answer get = world.send("GET", "/bucket/dir/a%20b+%2541?x-id=GetObject");
  EXPECT_EQ(get.status, 200);
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.headers.get("content-type"), "text/plain");
  EXPECT_EQ(get.headers.get("cache-control"), "max-age=1");
  EXPECT_EQ(get.headers.get("content-disposition"), "attachment");
  EXPECT_EQ(get.headers.get("expires"), "never");
  EXPECT_EQ(get.headers.get("x-amz-meta-colour"), "blue, gr\xc3\xbcn");
  EXPECT_EQ(get.headers.get("etag"), "\"5d41402abc4b2a76b9719d911017c592\"");
  EXPECT_EQ(get.headers.get("last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
  EXPECT_EQ(get.headers.get("accept-ranges"), "bytes");
  Answer head = world.send("HEAD", "/bucket/dir/a%20b+%2541");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("content-length"), "5");
  EXPECT_EQ(head.headers.get("x-amz-meta-colour"), "blue, gr\xc3\xbcn");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(world.send("DELETE", "/bucket/dir/a%20b+%2541").status, 204);
  EXPECT_EQ(world.send("DELETE", "/bucket/dir/a%20b+%2541").status, 204);
  EXPECT_EQ(world.send("GET", "/bucket/dir/a%20b+%2541").code(), "NoSuchKey");
}

TEST_F(DoorTest, EmptyObjectsAndDirectoryMarkers) {
  EXPECT_EQ(world.send("PUT", "/bucket/dir/").status, 200);
  Answer get = world.send("GET", "/bucket/dir/");
  EXPECT_EQ(get.status, 200);
  EXPECT_EQ(get.body, "");
  EXPECT_EQ(get.headers.get("content-type"), "binary/octet-stream");
  EXPECT_EQ(get.headers.get("etag"), "\"d41d8cd98f00b204e9800998ecf8427e\"");
  EXPECT_EQ(world.send("GET", "/bucket/dir/", {{"range", "bytes=0-0"}}).code(), "InvalidRange");
  EXPECT_EQ(world.send("HEAD", "/bucket/dir/").headers.get("content-length"), "0");
}

TEST_F(DoorTest, LargeBodiesAreStreamedAndNeverEndedShort) {
  std::string body;
  for (int i = 0; i < 300'000; ++i) body += static_cast<char>(i * 7);
  ASSERT_EQ(world.send("PUT", "/bucket/large", {}, body).status, 200);
  world.store.read_piece_bytes = 70'000;
  Answer get = world.send("GET", "/bucket/large");
  EXPECT_EQ(get.body, body);
  EXPECT_EQ(get.announced, body.size());
  EXPECT_TRUE(get.finished);
  world.store.corrupt_after_pieces = 2;
  Answer broken = world.send("GET", "/bucket/large");
  EXPECT_EQ(broken.status, 200);
  EXPECT_FALSE(broken.finished);  // the server resets such a connection
  world.store.corrupt_after_pieces = 0;
  Answer unreadable = world.send("GET", "/bucket/large");
  EXPECT_EQ(unreadable.status, 500);  // before the first piece there is still a status to give
  EXPECT_EQ(unreadable.code(), "InternalError");
  EXPECT_TRUE(unreadable.finished);
  world.send("PUT", "/bucket/small", {}, "x");
  Answer refused = world.send("GET", "/bucket/small");
  EXPECT_EQ(refused.status, 500);
  EXPECT_EQ(refused.code(), "InternalError");
  EXPECT_FALSE(refused.body.contains("segment"));  // internals stay inside
}

TEST_F(DoorTest, Ranges) {
  world.send("PUT", "/bucket/k", {{"x-amz-checksum-crc32", crc32_base64("0123456789")}}, "0123456789");
  struct Case {
    const char* range;
    int status;
    const char *body, *content_range;
  };
  const Case cases[] = {
      {"bytes=0-3", 206, "0123", "bytes 0-3/10"},
      {"bytes=8-", 206, "89", "bytes 8-9/10"},
      {"bytes=-3", 206, "789", "bytes 7-9/10"},
      {"bytes=5-500", 206, "56789", "bytes 5-9/10"},
      {"bytes=-500", 206, "0123456789", "bytes 0-9/10"},
      {"bytes=0-1,4-5", 200, "0123456789", ""},
      {"bytes=7-2", 200, "0123456789", ""},
      {"lines=0-1", 200, "0123456789", ""},
  };
  for (const Case& c : cases) {
    Answer get = world.send("GET", "/bucket/k", {{"range", c.range}, {"x-amz-checksum-mode", "ENABLED"}});
    EXPECT_EQ(get.status, c.status) << c.range;
    EXPECT_EQ(get.body, c.body) << c.range;
    EXPECT_EQ(get.headers.get("content-range"), c.content_range) << c.range;
    EXPECT_EQ(get.headers.find("x-amz-checksum-crc32") == nullptr, c.status == 206) << c.range;
    Answer head = world.send("HEAD", "/bucket/k", {{"range", c.range}});
    EXPECT_EQ(head.status, c.status) << c.range;
    EXPECT_EQ(head.headers.get("content-length"), std::to_string(std::string_view(c.body).size())) << c.range;
  }
  for (const char* outside : {"bytes=10-", "bytes=99-100", "bytes=-0"}) {
    Answer get = world.send("GET", "/bucket/k", {{"range", outside}});
    EXPECT_EQ(get.status, 416) << outside;
    EXPECT_EQ(get.code(), "InvalidRange") << outside;
    EXPECT_EQ(get.headers.get("content-range"), "bytes */10") << outside;
    EXPECT_EQ(world.send("HEAD", "/bucket/k", {{"range", outside}}).status, 416) << outside;
  }
}

TEST_F(DoorTest, IfRangeServesThePartOnlyOfTheSameObject) {
  world.send("PUT", "/bucket/k", {}, "hello");
  for (const char* method : {"GET", "HEAD"}) {
    auto ask = [&](std::string if_range, const char* range = "bytes=0-0") {
      return world.send(method, "/bucket/k", {{"range", range}, {"if-range", std::move(if_range)}}).status;
    };
    EXPECT_EQ(ask("\"5d41402abc4b2a76b9719d911017c592\""), 206) << method;
    EXPECT_EQ(ask("\"00000000000000000000000000000000\""), 200) << method;
    EXPECT_EQ(ask("Tue, 14 Nov 2023 22:13:20 GMT"), 206) << method;
    EXPECT_EQ(ask("Tue, 14 Nov 2023 22:13:19 GMT"), 200) << method;
    EXPECT_EQ(ask("\"5d41402abc4b2a76b9719d911017c592\"", "bytes=9-"), 416) << method;
    EXPECT_EQ(ask("\"00000000000000000000000000000000\"", "bytes=9-"), 200) << method;
  }
}

TEST_F(DoorTest, IfRangeIsJudgedByTheVersionThatIsServed) {
  world.send("PUT", "/bucket/k", {}, "hello");
  const HeaderList first = {{"if-range", "\"5d41402abc4b2a76b9719d911017c592\""}};
  auto get = [&](const char* range) {
    world.store.before_get = [&] { world.send("PUT", "/bucket/k", {}, "a longer one"); };
    HeaderList headers = first;
    headers.emplace_back("range", range);
    Answer a = world.send("GET", "/bucket/k", headers);
    world.send("PUT", "/bucket/k", {}, "hello");
    return a;
  };
  // A client that goes on with "hello" must not be given the end of what replaced it.
  for (const char* range : {"bytes=2-", "bytes=50-"}) {
    Answer a = get(range);
    EXPECT_EQ(a.status, 200) << range;
    EXPECT_EQ(a.body, "a longer one") << range;
    EXPECT_EQ(a.headers.find("content-range"), nullptr) << range;
  }
}

TEST_F(DoorTest, ConditionalReads) {
  world.send("PUT", "/bucket/k", {{"cache-control", "no-cache"}}, "hello");
  const std::string etag = "\"5d41402abc4b2a76b9719d911017c592\"";
  const std::string before = "Tue, 14 Nov 2023 22:13:19 GMT", at = "Tue, 14 Nov 2023 22:13:20 GMT";
  struct Case {
    HeaderList headers;
    int status;
  };
  const Case cases[] = {
      {{{"if-match", etag}}, 200},
      {{{"if-match", "*"}}, 200},
      {{{"if-match", "\"other\""}}, 412},
      {{{"if-none-match", etag}}, 304},
      {{{"if-none-match", "\"other\""}}, 200},
      {{{"if-modified-since", at}}, 304},
      {{{"if-modified-since", before}}, 200},
      {{{"if-unmodified-since", before}}, 412},
      {{{"if-unmodified-since", at}}, 200},
      {{{"if-match", etag}, {"if-unmodified-since", before}}, 200},
      {{{"if-none-match", "\"other\""}, {"if-modified-since", at}}, 200},
      {{{"if-modified-since", "not a date"}}, 200},
  };
  for (const char* method : {"GET", "HEAD"}) {
    for (const Case& c : cases) {
      Answer a = world.send(method, "/bucket/k", c.headers);
      EXPECT_EQ(a.status, c.status) << method << ' ' << c.headers[0].first << ' ' << c.headers[0].second;
      if (c.status == 304) {
        EXPECT_EQ(a.headers.get("etag"), etag);
        EXPECT_EQ(a.headers.get("cache-control"), "no-cache");
        EXPECT_EQ(a.body, "");
      }
      if (c.status == 412 && std::string_view(method) == "GET") EXPECT_EQ(a.code(), "PreconditionFailed");
    }
  }
}

TEST_F(DoorTest, ConditionalWrites) {
  const std::string etag = "\"5d41402abc4b2a76b9719d911017c592\"";
  EXPECT_EQ(world.send("PUT", "/bucket/k", {{"if-match", etag}}, "x").code(), "NoSuchKey");
  EXPECT_EQ(world.send("PUT", "/bucket/k", {{"if-none-match", "*"}}, "hello").status, 200);
  Answer second = world.send("PUT", "/bucket/k", {{"if-none-match", "*"}}, "again");
  EXPECT_EQ(second.status, 412);
  EXPECT_FALSE(second.body_read);  // refused before 100-continue
  EXPECT_EQ(world.bytes("k"), "hello");
  EXPECT_EQ(world.send("PUT", "/bucket/k", {{"if-match", "\"other\""}}, "x").status, 412);
  EXPECT_EQ(world.send("PUT", "/bucket/k", {{"if-match", etag}}, "new").status, 200);
  EXPECT_EQ(world.bytes("k"), "new");
  EXPECT_EQ(world.send("PUT", "/bucket/k", {{"if-none-match", etag}}, "x").status, 412);
  EXPECT_EQ(world.send("PUT", "/bucket/k", {{"if-modified-since", "x"}}, "x").status, 501);
  EXPECT_EQ(world.send("DELETE", "/bucket/k", {{"if-none-match", etag}}).status, 501);
  EXPECT_EQ(world.send("DELETE", "/bucket/k", {{"if-match", etag}}).status, 412);
  EXPECT_EQ(world.bytes("k"), "new");
  EXPECT_EQ(world.send("DELETE", "/bucket/k", {{"if-match", "*"}}).status, 204);
  EXPECT_FALSE(world.has("k"));
}

TEST_F(DoorTest, NobodyElseGetsIn) {
  world.send("PUT", "/bucket/k", {}, "hello");
  Signer other = world.other();
  for (const char* method : {"GET", "PUT", "DELETE"}) {
    Answer a = world.send_as(other, method, "/bucket/k");
    EXPECT_EQ(a.status, 403) << method;
    EXPECT_EQ(a.code(), "AccessDenied") << method;
    EXPECT_FALSE(a.body_read);
  }
  EXPECT_EQ(world.send_as(other, "HEAD", "/bucket/k").status, 403);
  EXPECT_EQ(world.send_as(other, "HEAD", "/bucket").status, 403);
  EXPECT_EQ(world.send_as(other, "GET", "/bucket").code(), "AccessDenied");
  EXPECT_EQ(world.send_as(other, "DELETE", "/bucket").code(), "AccessDenied");
  EXPECT_EQ(world.send_as(other, "GET", "/bucket?location").code(), "AccessDenied");
  world.store.buckets["theirs"].info = {"theirs", std::string(64, 'b'), 0};
  EXPECT_EQ(world.send_as(other, "PUT", "/theirs/copy", {{"x-amz-copy-source", "/bucket/k"}}).code(),
            "AccessDenied");
  EXPECT_EQ(world.bytes("k"), "hello");
  EXPECT_EQ(world.send("GET", "/bucket/k", {{"x-amz-expected-bucket-owner", std::string(64, 'a')}}).status,
            200);
  EXPECT_EQ(world.send("GET", "/bucket/k", {{"x-amz-expected-bucket-owner", std::string(64, 'b')}}).status,
            403);
}

TEST_F(DoorTest, AStrangersBodyIsNotRead) {
  FakeExchange anonymous;
  anonymous.in = World::request("PUT", "/bucket/k", {{"expect", "100-continue"}});
  anonymous.body = "hello";
  Answer a = world.run(anonymous);
  EXPECT_EQ(a.status, 403);
  EXPECT_EQ(a.code(), "AccessDenied");
  EXPECT_FALSE(a.body_read);
  Signer wrong = world.signer;
  wrong.secret_key = "guess";
  Answer b = world.send_as(wrong, "PUT", "/bucket/k", {}, "hello");
  EXPECT_EQ(b.code(), "SignatureDoesNotMatch");
  EXPECT_FALSE(b.body_read);
  EXPECT_EQ(world.send("PUT", "/nosuch/k", {}, "hello").code(), "NoSuchBucket");
  EXPECT_FALSE(world.has("k"));
}

TEST_F(DoorTest, ErrorsNameTheRequest) {
  Answer a = world.send("GET", "/bucket/a%20%3Cb%3E");
  EXPECT_EQ(a.status, 404);
  EXPECT_EQ(a.headers.get("content-type"), "application/xml");
  EXPECT_EQ(a.element("RequestId"), a.headers.get("x-amz-request-id"));
  EXPECT_EQ(a.element("RequestId").size(), 16u);
  EXPECT_EQ(a.element("HostId"), a.headers.get("x-amz-id-2"));
  EXPECT_EQ(a.element("Resource"), "/bucket/a%20%3Cb%3E");
  EXPECT_NE(a.headers.get("x-amz-request-id"),
            world.send("GET", "/bucket/x").headers.get("x-amz-request-id"));
  Answer head = world.send("HEAD", "/bucket/none");
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.body, "");
  EXPECT_NE(head.headers.get("x-amz-request-id"), "");
  EXPECT_EQ(world.send("GET", "/bucket/%ff").code(), "InvalidURI");
  EXPECT_EQ(world.send("GET", "/bucket/" + std::string(1025, 'k')).code(), "KeyTooLongError");
}

TEST_F(DoorTest, WhatHttpRefusesIsAnErrorDocumentToo) {
  http::Page page = world.door().page(431, "the header fields are too many or too long");
  EXPECT_EQ(page.response.status, 431);
  EXPECT_EQ(page.response.headers.get("content-type"), "application/xml");
  Answer a;
  a.body = page.body;
  EXPECT_EQ(a.code(), "RequestHeaderSectionTooLarge");
  EXPECT_EQ(a.element("Message"), "the header fields are too many or too long");
  EXPECT_EQ(a.element("RequestId"), page.response.headers.get("x-amz-request-id"));
  EXPECT_NE(a.element("RequestId"), "");
}

TEST_F(DoorTest, StoreFailuresBecomeS3Errors) {
  world.store.fail_next = Error{Code::throttled, "budget", ""};
  Answer slow = world.send("GET", "/bucket/k");
  EXPECT_EQ(slow.code(), "SlowDown");
  EXPECT_EQ(slow.headers.get("retry-after"), "1");
  world.store.fail_next = Error{Code::unavailable, "island x is down", "ServiceUnavailable"};
  Answer a = world.send("PUT", "/bucket/k", {}, "hello");
  EXPECT_EQ(a.status, 503);
  EXPECT_FALSE(a.body.contains("island"));
  EXPECT_EQ(a.headers.get("retry-after"), "1");
}

TEST_F(DoorTest, WhatIsNotOfferedIsRefusedBeforeAnythingIsStored) {
  world.send("PUT", "/bucket/k", {}, "old");
  for (const char* q : {"accelerate", "analytics", "intelligent-tiering", "inventory", "metrics",
                        "replication", "restore", "select", "torrent", "append", "unknown"}) {
    for (const char* method : {"GET", "PUT", "DELETE", "HEAD", "POST"}) {
      for (const char* path : {"/bucket/k?", "/bucket?"}) {
        if (std::string_view(method) == "POST" && std::string_view(q) == "delete") continue;
        Answer a =
            world.send(method, std::string(path) + q, {}, std::string_view(method) == "PUT" ? "new" : "");
        EXPECT_EQ(a.status, 501) << method << path << q;
        if (a.status != 501 || std::string_view(method) == "HEAD") continue;
        EXPECT_EQ(a.code(), "NotImplemented") << method << path << q;
        EXPECT_FALSE(a.body_read);
      }
    }
  }
  const HeaderList headers = {{"x-amz-mfa", "1"},
                              {"x-amz-write-offset-bytes", "3"},
                              {"x-amz-checksum-sha512", "x"},
                              {"x-amz-future", "1"},
                              {"content-range", "bytes 0-1/2"}};
  for (const auto& h : headers) {
    Answer a = world.send("PUT", "/bucket/k", {h}, "new");
    EXPECT_EQ(a.status, 501) << h.first;
    EXPECT_EQ(a.code(), "NotImplemented") << h.first;
  }
  EXPECT_EQ(world.bytes("k"), "old");
  EXPECT_EQ(world.store.buckets.size(), 1u);
}

TEST_F(DoorTest, HarmlessHeadersAndParametersPass) {
  EXPECT_EQ(world
                .send("PUT", "/bucket/k?x-id=PutObject",
                      {{"x-amz-acl", "private"},
                       {"x-amz-storage-class", "STANDARD"},
                       {"x-amz-user-agent", "sdk"},
                       {"x-amz-request-payer", "requester"},
                       {"amz-sdk-invocation-id", "1"},
                       {"amz-sdk-request", "attempt=1"}},
                      "hello")
                .status,
            200);
  EXPECT_EQ(world.send("GET", "/bucket/k?versionId=null").status, 200);
  EXPECT_EQ(world.send("DELETE", "/bucket/k?x-id=DeleteObject").status, 204);
}

TEST_F(DoorTest, WrongMethods) {
  for (const auto& [method, path] : std::vector<std::pair<std::string, std::string>>{{"POST", "/"},
                                                                                     {"DELETE", "/"},
                                                                                     {"PUT", "/"},
                                                                                     {"PATCH", "/bucket"},
                                                                                     {"POST", "/bucket/k"},
                                                                                     {"get", "/bucket/k"}}) {
    Answer a = world.send(method, path);
    EXPECT_EQ(a.status, 405) << method << path;
    EXPECT_EQ(a.code(), "MethodNotAllowed") << method << path;
    EXPECT_EQ(a.headers.get("allow"), path == "/"         ? "GET"
                                      : path == "/bucket" ? "GET, HEAD, PUT, POST, DELETE"
                                                          : "GET, HEAD, PUT, DELETE")
        << method << path;
  }
  FakeExchange whole;
  whole.in = World::request("OPTIONS", "*");
  Answer a = world.run(whole);
  EXPECT_EQ(a.status, 405);
  EXPECT_EQ(a.headers.get("allow"), "GET");
}

TEST_F(DoorTest, VirtualHostedStyleReachesTheSameObjects) {
  EXPECT_EQ(world.send("PUT", "/dir/k", {{"host", "bucket.s3.localhost:9000"}}, "hello").status, 200);
  EXPECT_EQ(world.send("GET", "/bucket/dir/k").body, "hello");
  EXPECT_TRUE(world.send("GET", "/?list-type=2", {{"host", "bucket.s3.localhost"}})
                  .body.contains("<Key>dir/k</Key>"));
}

TEST_F(DoorTest, RequestsWithoutABodyMustNotClaimOne) {
  EXPECT_EQ(world.send("GET", "/bucket", {{"x-amz-content-sha256", Signer::digest("x")}}).code(),
            "XAmzContentSHA256Mismatch");
  EXPECT_EQ(world.send("GET", "/bucket", {{"x-amz-content-sha256", "UNSIGNED-PAYLOAD"}}).status, 200);
  EXPECT_EQ(world.send("DELETE", "/bucket/k", {{"x-amz-content-sha256", Signer::digest("y")}}, "x").code(),
            "XAmzContentSHA256Mismatch");
  EXPECT_EQ(world.send("DELETE", "/bucket/k", {}, std::string(100'000, 'x')).code(), "InvalidRequest");
}

}  // namespace
}  // namespace archipel::door::s3
