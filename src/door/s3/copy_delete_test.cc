#include <gtest/gtest.h>

#include "door/s3/testing/client.h"

namespace archipel::door::s3 {
namespace {

using testing::Answer;
using testing::crc32_base64;
using testing::HeaderList;
using testing::md5_base64;
using testing::World;

class CopyDeleteTest : public ::testing::Test {
 protected:
  CopyDeleteTest() { world.make_bucket(); }
  World world;
};

TEST_F(CopyDeleteTest, CopiesKeepOrReplaceMetadata) {
  world.send("PUT", "/bucket/dir/a%20b", {{"content-type", "text/plain"}, {"x-amz-meta-a", "1"}}, "hello");
  for (const char* source :
       {"/bucket/dir/a%20b", "bucket/dir/a%20b", "bucket%2Fdir%2Fa+b", "/bucket/dir/a%20b?versionId=null"}) {
    Answer a = world.send("PUT", "/bucket/copy", {{"x-amz-copy-source", source}});
    ASSERT_EQ(a.status, 200) << source << a.body;
    EXPECT_EQ(a.element("ETag"), "&quot;5d41402abc4b2a76b9719d911017c592&quot;");
    EXPECT_EQ(a.element("LastModified"), "2023-11-14T22:13:20.000Z");
    EXPECT_EQ(world.bytes("copy"), "hello");
    world.store.buckets.at("bucket").objects.erase("copy");
  }
  world.send("PUT", "/bucket/copy",
             {{"x-amz-copy-source", "bucket/dir/a%20b"},
              {"x-amz-meta-b", "2"},
              {"x-amz-metadata-directive", "COPY"}});
  EXPECT_EQ(world.send("HEAD", "/bucket/copy").headers.get("x-amz-meta-a"), "1");
  EXPECT_EQ(world.send("HEAD", "/bucket/copy").headers.find("x-amz-meta-b"), nullptr);
  world.send("PUT", "/bucket/copy",
             {{"x-amz-copy-source", "bucket/dir/a%20b"},
              {"x-amz-meta-b", "2"},
              {"content-type", "text/html"},
              {"x-amz-metadata-directive", "REPLACE"}});
  EXPECT_EQ(world.send("HEAD", "/bucket/copy").headers.get("x-amz-meta-b"), "2");
  EXPECT_EQ(world.send("HEAD", "/bucket/copy").headers.find("x-amz-meta-a"), nullptr);
  EXPECT_EQ(world.send("HEAD", "/bucket/copy").headers.get("content-type"), "text/html");
}

TEST_F(CopyDeleteTest, ACopySaysItsChecksum) {
  std::string crc = crc32_base64("hello");
  world.send("PUT", "/bucket/plain", {}, "hello");
  world.send("PUT", "/bucket/sum", {{"x-amz-checksum-crc32", crc}}, "hello");
  Answer a = world.send("PUT", "/bucket/b", {{"x-amz-copy-source", "bucket/sum"}});
  EXPECT_EQ(a.element("ChecksumCRC32"), crc);
  EXPECT_EQ(a.element("ChecksumType"), "FULL_OBJECT");
  a = world.send("PUT", "/bucket/b", {{"x-amz-copy-source", "bucket/plain"}});
  EXPECT_FALSE(
      a.element("ChecksumCRC64NVME").empty());  // the one that the service computes if nobody sends any
}

TEST_F(CopyDeleteTest, CopyRefusals) {
  world.send("PUT", "/bucket/a", {}, "hello");
  const std::string etag = "\"5d41402abc4b2a76b9719d911017c592\"";
  auto copy = [&](HeaderList headers, const char* to = "/bucket/b") {
    Answer a = world.send("PUT", to, std::move(headers));
    return a.status == 200 ? std::string() : a.code();
  };
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/none"}}), "NoSuchKey");
  EXPECT_EQ(copy({{"x-amz-copy-source", "none/a"}}), "NoSuchBucket");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"}}, "/none/b"), "NoSuchBucket");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"}}, "/bucket/a"), "InvalidRequest");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"}, {"x-amz-metadata-directive", "REPLACE"}}, "/bucket/a"),
            "");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a?versionId=7"}}), "InvalidArgument");
  for (const char* bad : {"", "bucket", "/bucket/", "//a", "%zz/a", "bucket/%ff", "bucket/%00"})
    EXPECT_EQ(copy({{"x-amz-copy-source", bad}}), "InvalidArgument") << bad;
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"}, {"x-amz-metadata-directive", "MOVE"}}),
            "InvalidArgument");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"}, {"x-amz-tagging", "a=b"}}), "InvalidArgument");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"},
                  {"x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256"}}),
            "InvalidArgument");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"}, {"x-amz-copy-source-if-match", "\"other\""}}),
            "PreconditionFailed");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"}, {"x-amz-copy-source-if-none-match", etag}}),
            "PreconditionFailed");
  EXPECT_EQ(
      copy({{"x-amz-copy-source", "bucket/a"}, {"x-amz-source-expected-bucket-owner", std::string(64, 'b')}}),
      "AccessDenied");
  EXPECT_FALSE(world.has("b"));
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket/a"}, {"x-amz-copy-source-if-match", etag}}), "");
  EXPECT_EQ(world.bytes("b"), "hello");
}

TEST_F(CopyDeleteTest, BulkDeletes) {
  for (const char* k : {"a", "b", "undeletable"}) world.send("PUT", std::string("/bucket/") + k, {}, "x");
  std::string body =
      "<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object><Object><Key>undeletable</Key></"
      "Object>"
      "<Object><Key>" +
      std::string(1025, 'k') + "</Key></Object></Delete>";
  Answer a = world.send("POST", "/bucket?delete", {{"content-md5", md5_base64(body)}}, body);
  ASSERT_EQ(a.status, 200) << a.body;
  EXPECT_EQ(a.elements("Deleted"), (std::vector<std::string>{"<Key>a</Key>", "<Key>none</Key>"}));
  EXPECT_EQ(a.elements("Code"), (std::vector<std::string>{"AccessDenied", "KeyTooLongError"}));
  EXPECT_FALSE(world.has("a"));
  EXPECT_TRUE(world.has("b"));
  body = "<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
  a = world.send("POST", "/bucket/?delete=",
                 {{"x-amz-checksum-crc32", crc32_base64(body)}, {"x-amz-sdk-checksum-algorithm", "CRC32"}},
                 body);
  EXPECT_EQ(a.status, 200);
  EXPECT_TRUE(a.elements("Deleted").empty());
  EXPECT_FALSE(world.has("b"));
}

TEST_F(CopyDeleteTest, BulkDeleteRefusals) {
  world.send("PUT", "/bucket/a", {}, "x");
  std::string body = "<Delete><Object><Key>a</Key></Object></Delete>";
  auto send = [&](HeaderList headers, const std::string& text) {
    return world.send("POST", "/bucket?delete", std::move(headers), text).code();
  };
  EXPECT_EQ(send({}, body), "InvalidRequest");
  EXPECT_EQ(send({{"content-md5", md5_base64("x")}}, body), "BadDigest");
  EXPECT_EQ(send({{"x-amz-checksum-crc32", "AAAAAA=="}}, body), "BadDigest");
  EXPECT_EQ(send({{"content-md5", md5_base64("<Delete>")}}, "<Delete>"), "MalformedXML");
  EXPECT_EQ(send({{"content-md5", md5_base64("")}}, ""), "MissingRequestBodyError");
  std::string forbidden = "<Delete><Object><Key>a</Key></Object><Object><Key>&#1;</Key></Object></Delete>";
  EXPECT_EQ(send({{"content-md5", md5_base64(forbidden)}}, forbidden), "MalformedXML");
  std::string large(3u << 20, ' ');
  EXPECT_EQ(send({{"content-md5", md5_base64(large)}}, large), "MalformedXML");
  EXPECT_TRUE(world.has("a"));
}

}  // namespace
}  // namespace archipel::door::s3
