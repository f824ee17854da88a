#include "door/s3/target.h"

#include <gtest/gtest.h>

namespace archipel::door::s3 {
namespace {

Result<Target> parse(std::string target, std::string host = "127.0.0.1:9000") {
  http::Request request;
  request.method = "GET";
  request.target = std::move(target);
  request.headers.add("host", std::move(host));
  return parse_target(request, "s3.localhost");
}
std::string error_of(const Result<Target>& r) {
  return r ? "" : r.error().detail;
}

TEST(Target, PathStyle) {
  struct Case {
    const char *target, *bucket, *key;
  };
  const Case cases[] = {
      {"/", "", ""},
      {"/bucket", "bucket", ""},
      {"/bucket/", "bucket", ""},
      {"/bucket/key", "bucket", "key"},
      {"/bucket//", "bucket", "/"},
      {"/bucket//a//b/", "bucket", "/a//b/"},
      {"/bucket/../a/./b", "bucket", "../a/./b"},
      {"/bucket/a%20b+c%2Bd", "bucket", "a b+c+d"},
      {"/bucket/%2541", "bucket", "%41"},
      {"/bucket/%E6%97%A5?x-id=1", "bucket", "\xe6\x97\xa5"},
      {"/bucket/a%2Fb", "bucket", "a/b"},
      {"/bucket/%01", "bucket", "\x01"},
  };
  for (const Case& c : cases) {
    auto t = parse(c.target);
    ASSERT_TRUE(t) << c.target;
    EXPECT_EQ(t->bucket, c.bucket) << c.target;
    EXPECT_EQ(t->key, c.key) << c.target;
    EXPECT_FALSE(t->virtual_hosted);
  }
}

TEST(Target, VirtualHostedStyle) {
  for (const char* host :
       {"my.bucket.s3.localhost", "my.bucket.s3.localhost:9000", "My.Bucket.S3.LOCALHOST:80"}) {
    auto t = parse("/a/b?list-type=2", host);
    ASSERT_TRUE(t);
    EXPECT_EQ(t->bucket, "my.bucket") << host;
    EXPECT_EQ(t->key, "a/b");
    EXPECT_EQ(t->value("list-type"), "2");
    EXPECT_TRUE(t->virtual_hosted);
    EXPECT_EQ(parse("/", host)->key, "");
    EXPECT_EQ(parse("//x", host)->key, "/x");
  }
  for (const char* host : {"s3.localhost", "s3.localhost:9000", ".s3.localhost", "xs3.localhost", "localhost",
                           "[::1]:9000", "[::1]"}) {
    auto t = parse("/bucket/key", host);
    ASSERT_TRUE(t) << host;
    EXPECT_EQ(t->bucket, "bucket") << host;
  }
}

TEST(Target, RefusesWhatIsNotAName) {
  for (const char* bad : {"", "*", "http://h/b/k", "/b/%", "/b/%2", "/b/%zz", "/b/%00", "/b/%ff", "/b/%c0%80",
                          "/b/%ed%a0%80", "/%ff/k", "/b/k?x=%g1"})
    EXPECT_EQ(error_of(parse(bad)), "InvalidURI") << bad;
  EXPECT_EQ(error_of(parse("//key")), "InvalidBucketName");
  EXPECT_EQ(error_of(parse("/b?prefix=a&prefix=b")), "InvalidArgument");
  EXPECT_EQ(error_of(parse("/b?prefix=%ff")), "InvalidArgument");
  EXPECT_EQ(error_of(parse("/b?prefix=%00")), "InvalidArgument");
}

TEST(Target, KeysOf1024BytesAndNotOneMore) {
  std::string key;
  for (int i = 0; i < 512; ++i) key += "%C3%A9";
  EXPECT_EQ(parse("/b/" + key)->key.size(), 1024u);
  EXPECT_EQ(error_of(parse("/b/" + key + "x")), "KeyTooLongError");
}

TEST(ValidUtf8, IsStrict) {
  for (const char* good : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(valid_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xe1\x80", "\xed\xa0\x80",
                          "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82"})
    EXPECT_FALSE(valid_utf8(bad)) << bad;
}

}  // namespace
}  // namespace archipel::door::s3
