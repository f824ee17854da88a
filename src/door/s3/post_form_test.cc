#include "door/s3/post_form.h"

#include <gtest/gtest.h>

#include "door/s3/sigv2.h"
#include "door/s3/testing/client.h"

namespace archipel::door::s3::testing {
namespace {

using Parts = std::vector<std::pair<std::string, std::string>>;

std::string make_form(const Parts& parts, const std::string& filename = "photo.jpg") {
  std::string out;
  for (const auto& [name, value] : parts) {
    out += "--XX\r\nContent-Disposition: form-data; name=\"" + name + "\"";
    if (name == "file") out += "; filename=\"" + filename + "\"\r\nContent-Type: image/jpeg";
    out += "\r\n\r\n" + value + "\r\n";
  }
  return out + "--XX--\r\n";
}

class PostForms : public ::testing::Test {
 protected:
  World w;
  PostForms() { w.make_bucket(); }
  void open_bucket() {
    EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-acl", "public-read-write"}}).status, 200);
  }
  Answer post(const std::string& body, size_t piece = SIZE_MAX,
              const std::string& type = "multipart/form-data; boundary=XX") {
    FakeExchange exchange;
    exchange.in = World::request("POST", "/bucket", {{"content-type", type}});
    exchange.in.headers.add("content-length", std::to_string(body.size()));
    exchange.body = body;
    exchange.piece_bytes = piece;
    return w.run(exchange);
  }
  // Fields of a form whose policy has `conditions`, signed with SigV4 as of the
  // fixed clock.
  Parts signed_fields(const std::string& conditions, Parts more) {
    const Signer& s = w.signer;
    std::string policy = R"({"expiration":"2023-11-14T23:00:00Z","conditions":[)" + conditions +
                         R"(,{"x-amz-algorithm":"AWS4-HMAC-SHA256"},{"x-amz-credential":")" + s.access_key +
                         '/' + s.scope() + R"("},{"x-amz-date":")" + s.timestamp + "\"}]}";
    std::string encoded = base64(as_bytes(policy));
    more.insert(more.begin(), {{"x-amz-algorithm", "AWS4-HMAC-SHA256"},
                               {"x-amz-credential", s.access_key + '/' + s.scope()},
                               {"x-amz-date", s.timestamp},
                               {"policy", encoded},
                               {"x-amz-signature", hex(as_bytes(Signer::mac(s.key(), encoded)))}});
    return more;
  }
};

TEST_F(PostForms, AnonymousFormNeedsABucketThatAllowsIt) {
  std::string form = make_form({{"key", "a"}, {"file", "hello"}});
  EXPECT_EQ(post(form).code(), "AccessDenied");
  EXPECT_FALSE(w.has("a"));
  open_bucket();
  EXPECT_EQ(post(form).status, 204);
  EXPECT_EQ(w.bytes("a"), "hello");
}

TEST_F(PostForms, FileIsKeptByteForByteHoweverItArrives) {
  open_bucket();
  std::string body = "a\r\n--X\r\n--XY\r\n--\r\n\r\n-";
  for (size_t piece : {1u, 2u, 3u, 7u, 1000u}) {
    EXPECT_EQ(post(make_form({{"key", "k" + std::to_string(piece)}, {"file", body}}), piece).status, 204);
    EXPECT_EQ(w.bytes("k" + std::to_string(piece)), body) << piece;
  }
  EXPECT_EQ(post(make_form({{"key", "empty"}, {"file", ""}}), 1).status, 204);
  EXPECT_EQ(w.bytes("empty"), "");
}

TEST_F(PostForms, SignedFormIsItsSigners) {
  const std::string conditions =
      R"({"bucket":"bucket"},["starts-with","$key","up/"],["content-length-range",1,5])";
  EXPECT_EQ(post(make_form(signed_fields(conditions, {{"key", "up/a"}, {"file", "hello"}}))).status, 204);
  EXPECT_EQ(w.bytes("up/a"), "hello");
  EXPECT_EQ(post(make_form(signed_fields(conditions, {{"key", "other"}, {"file", "x"}}))).code(),
            "AccessDenied");
  EXPECT_EQ(
      post(make_form(signed_fields(conditions, {{"key", "up/b"}, {"acl", "public-read"}, {"file", "x"}})))
          .code(),
      "AccessDenied");
  EXPECT_EQ(post(make_form(signed_fields(conditions, {{"key", "up/b"}, {"file", "toolong"}}))).code(),
            "EntityTooLarge");
  EXPECT_EQ(post(make_form(signed_fields(conditions, {{"key", "up/b"}, {"file", ""}}))).code(),
            "EntityTooSmall");
  Parts forged = signed_fields(conditions, {{"key", "up/b"}, {"file", "x"}});
  forged[4].second[0] = forged[4].second[0] == '0' ? '1' : '0';
  EXPECT_EQ(post(make_form(forged)).code(), "SignatureDoesNotMatch");
  Parts unsigned_policy = signed_fields(conditions, {{"key", "up/b"}, {"file", "x"}});
  unsigned_policy.erase(unsigned_policy.begin() + 4);
  EXPECT_EQ(post(make_form(unsigned_policy)).code(), "InvalidArgument");
  EXPECT_FALSE(w.has("up/b"));
}

TEST_F(PostForms, PolicySpeaksOfTheKeyWithTheFileName) {
  const std::string conditions = R"({"bucket":"bucket"},["starts-with","$key","up/cat"])";
  EXPECT_EQ(post(make_form(signed_fields(conditions, {{"key", "up/${filename}"}, {"file", "x"}}), "cat.jpg"))
                .status,
            204);
  EXPECT_TRUE(w.has("up/cat.jpg"));
  EXPECT_EQ(post(make_form(signed_fields(conditions, {{"key", "up/${filename}"}, {"file", "x"}}), "dog.jpg"))
                .code(),
            "AccessDenied");
}

TEST_F(PostForms, SigV2FormsAreOffByDefault) {
  std::string policy = base64(as_bytes(
      R"({"expiration":"2023-11-14T23:00:00Z","conditions":[{"bucket":"bucket"},["eq","$key","a"]]})"));
  Parts parts{{"key", "a"},
              {"AWSAccessKeyId", w.signer.access_key},
              {"policy", policy},
              {"signature", v2_sign(w.signer.secret_key, policy)},
              {"file", "hello"}};
  EXPECT_EQ(post(make_form(parts)).code(), "InvalidRequest");
  Options options;
  options.sigv2 = true;
  w.door_.emplace(options, w.store, w.clock, nullptr, *w.random);
  EXPECT_EQ(post(make_form(parts)).status, 204);
  EXPECT_EQ(w.bytes("a"), "hello");
}

TEST_F(PostForms, AnswersAsTheFormAsks) {
  open_bucket();
  Answer created = post(make_form({{"key", "a b"}, {"success_action_status", "201"}, {"file", "x"}}));
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(created.element("Key"), "a b");
  EXPECT_EQ(post(make_form({{"key", "a"}, {"success_action_status", "404"}, {"file", "x"}})).status, 204);
  Answer redirected = post(make_form(
      {{"key", "a b"}, {"success_action_redirect", "https://example.org/done?x=1"}, {"file", "x"}}));
  EXPECT_EQ(redirected.status, 303);
  EXPECT_TRUE(redirected.headers.get("location")
                  .starts_with("https://example.org/done?x=1&bucket=bucket&key=a%20b&etag=%22"));
  Answer script =
      post(make_form({{"key", "a"}, {"success_action_redirect", "javascript:alert(1)"}, {"file", "x"}}));
  EXPECT_EQ(script.status, 204);
}

TEST_F(PostForms, FilenameTakesItsPlaceInTheKeyWithoutItsPath) {
  open_bucket();
  EXPECT_EQ(post(make_form({{"key", "up/${filename}"}, {"file", "x"}}, "C:\\pictures\\cat.jpg")).status, 204);
  EXPECT_TRUE(w.has("up/cat.jpg"));
}

TEST_F(PostForms, FieldsAreHeadersOfTheObject) {
  open_bucket();
  EXPECT_EQ(
      post(make_form(
               {{"key", "a"}, {"Content-Type", "text/x-test"}, {"x-amz-meta-colour", "blue"}, {"file", "x"}}))
          .status,
      204);
  Answer head = w.send("HEAD", "/bucket/a");
  EXPECT_EQ(head.headers.get("content-type"), "text/x-test");
  EXPECT_EQ(head.headers.get("x-amz-meta-colour"), "blue");
  EXPECT_EQ(post(make_form({{"key", "b"}, {"x-amz-unheard-of", "x"}, {"file", "x"}})).code(),
            "NotImplemented");
  EXPECT_EQ(post(make_form({{"key", "b"}, {"content-md5", md5_base64("y")}, {"file", "x"}})).code(),
            "BadDigest");
  EXPECT_FALSE(w.has("b"));
}

TEST_F(PostForms, MalformedFormsStoreNothing) {
  open_bucket();
  std::string good = make_form({{"key", "a"}, {"file", "hello"}});
  for (size_t cut = 0; cut + 8 < good.size(); ++cut) {
    Answer answer = post(good.substr(0, cut));
    EXPECT_EQ(answer.status, 400) << cut;
    ASSERT_FALSE(w.has("a")) << cut;
  }
  EXPECT_EQ(post(good, SIZE_MAX, "text/plain").status, 412);
  EXPECT_EQ(post(make_form({{"key", "a"}})).code(), "InvalidArgument");
  EXPECT_EQ(post(make_form({{"file", "x"}})).code(), "InvalidArgument");
  EXPECT_EQ(post(make_form({{"key", "a"}, {"key", "b"}, {"file", "x"}})).code(), "InvalidArgument");
  EXPECT_EQ(post(make_form({{"key", "a"}, {"x-ignore-a", std::string(200'000, 'x')}, {"file", "x"}})).code(),
            "MaxPostPreDataLengthExceededError");
  EXPECT_FALSE(w.has("a"));
}

}  // namespace
}  // namespace archipel::door::s3::testing
