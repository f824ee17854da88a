// What clients do to a PUT's body, and what must come of it.
#include <gtest/gtest.h>

#include "door/s3/testing/client.h"

namespace archipel::door::s3 {
namespace {

using testing::Answer;
using testing::crc32_base64;
using testing::FakeExchange;
using testing::HeaderList;
using testing::md5_base64;
using testing::Signer;
using testing::World;

class UploadTest : public ::testing::Test {
 protected:
  UploadTest() { world.make_bucket(); }
  Answer put(HeaderList headers, std::string body) {
    return world.send("PUT", "/bucket/k", std::move(headers), std::move(body));
  }
  // Framed, unsigned: as current SDKs send streams.
  Answer put_framed(std::string_view data, HeaderList extra, std::string_view trailer) {
    HeaderList headers = {{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
                          {"x-amz-decoded-content-length", std::to_string(data.size())}};
    headers.insert(headers.end(), extra.begin(), extra.end());
    return put(headers, Signer::unsigned_chunks(data, 16, trailer));
  }
  World world;
  void refused(const Answer& a, int status, const char* code) {
    EXPECT_EQ(a.status, status) << code;
    EXPECT_EQ(a.code(), code);
    EXPECT_FALSE(world.has("k")) << code;
  }
};

TEST_F(UploadTest, BodiesAreCheckedAgainstTheirSha256) {
  refused(put({{"x-amz-content-sha256", Signer::digest("other")}}, "hello"), 400,
          "XAmzContentSHA256Mismatch");
  refused(put({{"x-amz-content-sha256", "sha256"}}, "hello"), 400, "InvalidArgument");
  refused(put({{"x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}}, "hello"), 501,
          "NotImplemented");
  EXPECT_EQ(put({{"x-amz-content-sha256", "UNSIGNED-PAYLOAD"}}, "hello").status, 200);
}

TEST_F(UploadTest, ContentMd5) {
  refused(put({{"content-md5", "not base64"}}, "hello"), 400, "InvalidDigest");
  refused(put({{"content-md5", "AAAA"}}, "hello"), 400, "InvalidDigest");
  refused(put({{"content-md5", md5_base64("other")}}, "hello"), 400, "BadDigest");
  EXPECT_EQ(put({{"content-md5", md5_base64("hello")}}, "hello").status, 200);
}

TEST_F(UploadTest, EveryChecksumIsVerifiedStoredAndReturnedWhenAskedFor) {
  // Values of "hello", from the algorithms' own tools.
  const std::pair<const char*, const char*> sums[] = {
      {"crc32", "NhCmhg=="},
      {"crc32c", "mnG7TA=="},
      {"sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="},
      {"sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}};
  for (const auto& [name, value] : sums) {
    std::string header = "x-amz-checksum-" + std::string(name);
    Answer a = put({{header, value}}, "hello");
    ASSERT_EQ(a.status, 200) << name << a.body;
    EXPECT_EQ(a.headers.get(header), value);
    Answer get = world.send("GET", "/bucket/k", {{"x-amz-checksum-mode", "ENABLED"}});
    EXPECT_EQ(get.headers.get(header), value);
    EXPECT_EQ(get.headers.get("x-amz-checksum-type"), "FULL_OBJECT");
    EXPECT_EQ(world.send("HEAD", "/bucket/k", {{"x-amz-checksum-mode", "ENABLED"}}).headers.get(header),
              value);
    EXPECT_EQ(world.send("GET", "/bucket/k").headers.find(header), nullptr);
    world.send("DELETE", "/bucket/k");
    refused(put({{header, value}}, "hellO"), 400, "BadDigest");
    refused(put({{header, "AAAA"}}, "hello"), 400, "BadDigest");
  }
  // From the service itself, for "123456789".
  EXPECT_EQ(put({{"x-amz-checksum-crc64nvme", "rosUhgp5mIg="}}, "123456789").status, 200);
}

TEST_F(UploadTest, ABodyWithoutAChecksumGetsOneFromTheService) {
  crypto::Crc64Nvme crc;
  crc.update(as_bytes(std::string_view("hello")));
  std::string raw;
  Writer(raw).u64(crc.value());
  Answer a = put({}, "hello");
  EXPECT_EQ(a.headers.get("x-amz-checksum-crc64nvme"), base64(as_bytes(raw)));
  EXPECT_EQ(a.headers.get("x-amz-checksum-type"), "FULL_OBJECT");
}

TEST_F(UploadTest, ChecksumHeadersMustAgree) {
  std::string crc = crc32_base64("hello");
  refused(
      put({{"x-amz-checksum-crc32", crc}, {"x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="}}, "hello"),
      400, "InvalidRequest");
  refused(put({{"x-amz-checksum-crc32", crc}, {"x-amz-sdk-checksum-algorithm", "CRC32C"}}, "hello"), 400,
          "InvalidRequest");
  refused(put({{"x-amz-sdk-checksum-algorithm", "CRC32"}}, "hello"), 400, "InvalidRequest");
  refused(put({{"x-amz-trailer", "x-amz-checksum-crc32"}}, "hello"), 400, "InvalidRequest");
  refused(put_framed("hello", {{"x-amz-trailer", "x-amz-checksum-crc32"}, {"x-amz-checksum-crc32", crc}},
                     "x-amz-checksum-crc32:" + crc),
          400, "InvalidRequest");
  refused(put_framed("hello", {{"x-amz-trailer", "x-amz-meta-a"}}, "x-amz-meta-a:1"), 400, "InvalidRequest");
  EXPECT_EQ(put({{"x-amz-checksum-crc32", crc}, {"x-amz-sdk-checksum-algorithm", "CRC32"}}, "hello").status,
            200);
}

TEST_F(UploadTest, UnsignedTrailers) {
  std::string data(100, 'd'), crc = crc32_base64(data);
  HeaderList announced = {{"x-amz-trailer", "x-amz-checksum-crc32"},
                          {"x-amz-sdk-checksum-algorithm", "CRC32"},
                          {"content-encoding", "aws-chunked,gzip"}};
  Answer good = put_framed(data, announced, "x-amz-checksum-crc32:" + crc);
  ASSERT_EQ(good.status, 200) << good.body;
  EXPECT_EQ(world.bytes("k"), data);
  EXPECT_EQ(good.headers.get("x-amz-checksum-crc32"), crc);
  EXPECT_EQ(world.send("GET", "/bucket/k").headers.get("content-encoding"), "gzip");
  world.send("DELETE", "/bucket/k");
  refused(put_framed(data, announced, "x-amz-checksum-crc32:AAAAAA=="), 400, "BadDigest");
  refused(put_framed(data, announced, "x-amz-checksum-crc32:A"), 400, "InvalidRequest");
  refused(put_framed(data, announced, "x-amz-checksum-crc32c:" + crc), 400, "MalformedTrailerError");
  refused(put_framed(data, announced, ""), 400, "MalformedTrailerError");
  refused(put_framed(data, {}, "x-amz-checksum-crc32:" + crc), 400, "MalformedTrailerError");
  EXPECT_EQ(put_framed(data, {}, "").status, 200);  // no checksum at all is allowed
  EXPECT_EQ(world.bytes("k"), data);
}

TEST_F(UploadTest, FramingFollowsThePayloadModeAlone) {
  // Plain bytes that claim to be framed, and framed bytes that do not.
  EXPECT_EQ(put({{"content-encoding", "aws-chunked"}}, "5\r\nhello\r\n0\r\n\r\n").status, 200);
  EXPECT_EQ(world.bytes("k"), "5\r\nhello\r\n0\r\n\r\n");
  EXPECT_EQ(world.send("GET", "/bucket/k").headers.find("content-encoding"), nullptr);
}

TEST_F(UploadTest, DecodedLengthIsRequiredAndCompared) {
  std::string wire = Signer::unsigned_chunks("hello", 16);
  HeaderList mode = {{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}};
  refused(put(mode, wire), 411, "MissingContentLength");
  for (const auto& [length, code] :
       std::vector<std::pair<std::string, const char*>>{{"4", "IncompleteBody"},
                                                        {"6", "IncompleteBody"},
                                                        {"x", "InvalidArgument"},
                                                        {"", "InvalidArgument"},
                                                        {"-1", "InvalidArgument"}}) {
    HeaderList headers = mode;
    headers.emplace_back("x-amz-decoded-content-length", length);
    refused(put(headers, wire), 400, code);
  }
}

TEST_F(UploadTest, SignedChunks) {
  for (bool with_trailer : {false, true}) {
    std::string data(1000, 's'), trailer = with_trailer ? "x-amz-checksum-crc32:" + crc32_base64(data) : "";
    auto upload = [&](size_t spoil) {
      FakeExchange exchange;
      exchange.in =
          World::request("PUT", "/bucket/k",
                         {{"x-amz-content-sha256", std::string("STREAMING-AWS4-HMAC-SHA256-PAYLOAD") +
                                                       (with_trailer ? "-TRAILER" : "")},
                          {"x-amz-decoded-content-length", std::to_string(data.size())}});
      if (with_trailer) exchange.in.headers.add("x-amz-trailer", "x-amz-checksum-crc32");
      std::string seed = world.signer.sign(exchange.in);
      exchange.body = world.signer.signed_chunks(data, 300, seed, trailer);
      if (spoil > 0) exchange.body[spoil] = 'X';
      exchange.in.headers.add("content-length", std::to_string(exchange.body.size()));
      exchange.piece_bytes = 77;
      return world.run(exchange);
    };
    world.store.buckets.at("bucket").objects.clear();
    refused(upload(500), 403, "SignatureDoesNotMatch");
    refused(upload(950), 403, "SignatureDoesNotMatch");
    Answer good = upload(0);
    EXPECT_EQ(good.status, 200) << good.body;
    EXPECT_EQ(world.bytes("k"), data);
  }
}

TEST_F(UploadTest, LengthIsRequiredAndLimited) {
  FakeExchange none;
  none.in = World::request("PUT", "/bucket/k", {{"x-amz-content-sha256", std::string(Signer::digest(""))}});
  world.signer.sign(none.in);
  refused(world.run(none), 411, "MissingContentLength");
  Answer large = put({{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
                      {"x-amz-decoded-content-length", std::to_string((5ull << 30) + 1)}},
                     Signer::unsigned_chunks("hello", 16));
  refused(large, 400, "EntityTooLarge");
  EXPECT_FALSE(large.body_read);
  FakeExchange chunked;  // HTTP chunks without a length are fine
  chunked.in = World::request("PUT", "/bucket/k", {{"x-amz-content-sha256", "UNSIGNED-PAYLOAD"}});
  world.signer.sign(chunked.in);
  chunked.chunked = true;
  chunked.body = "hello";
  EXPECT_EQ(world.run(chunked).status, 200);
  EXPECT_EQ(world.bytes("k"), "hello");
}

TEST_F(UploadTest, MetadataIsLimited) {
  refused(put({{"x-amz-meta-a", std::string(2048, 'x')}}, "hello"), 400, "MetadataTooLarge");
}

TEST_F(UploadTest, LargeBodiesAreHashedOnWorkersWithTheSameResult) {
  auto workers = io::make_workers(1);
  std::string data(700'001, 'w');
  struct Run {
    static io::Task<int> put(World& world, FakeExchange& exchange) {
      co_await world.door().handle(exchange);
      co_return exchange.status();
    }
  };
  world.workers = workers.get();
  for (bool spoil : {false, true}) {
    FakeExchange exchange;
    exchange.in = World::request("PUT", spoil ? "/bucket/bad" : "/bucket/k",
                                 {{"x-amz-content-sha256", Signer::digest(data)}});
    exchange.in.headers.add("content-length", std::to_string(data.size()));
    exchange.in.headers.add("content-md5", md5_base64(data));
    world.signer.sign(exchange.in);
    exchange.body = data;
    if (spoil) exchange.body[600'000] = 'x';
    exchange.piece_bytes = 10'000;
    int status = io::run_blocking([&] { return Run::put(world, exchange); });
    EXPECT_EQ(status, spoil ? 400 : 200) << exchange.sent;
  }
  EXPECT_EQ(world.bytes("k"), data);
  EXPECT_FALSE(world.has("bad"));
  world.workers = nullptr;
  world.door_.reset();
}

}  // namespace
}  // namespace archipel::door::s3
