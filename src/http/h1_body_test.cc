#include "http/h1_body.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "http/h1_properties_test_util.h"

namespace archipel::http {
namespace {

using testing::BodyOutcome;

const Limits kLimits;

BodyOutcome decode(std::string_view input, const Limits& limits = kLimits) {
  testing::check_chunked(input, limits, 3);
  return testing::decode_body(BodyDecoder::chunked(limits), input, input.size() + 1, input.size() + 1, 3);
}

TEST(BodyDecoder, FixedLengthEndsWhereItSays) {
  EXPECT_TRUE(BodyDecoder::fixed(0).done());
  BodyOutcome out = testing::decode_body(BodyDecoder::fixed(5), "hello, world", 3, 2, 1);
  EXPECT_TRUE(out.done);
  EXPECT_EQ(out.data, "hello");
  EXPECT_EQ(out.consumed, 5u);
  EXPECT_FALSE(testing::decode_body(BodyDecoder::fixed(5), "hell", 3, 2, 1).done);
}

TEST(BodyDecoder, DecodesChunksExtensionsAndTrailers) {
  BodyOutcome out =
      decode("5\r\nhello\r\n00a;x=\"y z\";q\r\n, 16 bytes\r\n0\r\nX-Sum: a=\r\nx-b:\r\n\r\nNEXT");
  ASSERT_TRUE(out.done);
  EXPECT_EQ(out.data, "hello, 16 bytes");
  EXPECT_EQ(out.trailers.get("x-sum"), "a=");
  EXPECT_EQ(out.trailers.size(), 2u);
  out = decode("0\r\n\r\nGET /");
  EXPECT_TRUE(out.done);
  EXPECT_EQ(out.consumed, 5u);
}

TEST(BodyDecoder, DecodesInPlace) {
  std::string bytes = "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
  MutableBytes place{reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()};
  BodyDecoder decoder = BodyDecoder::chunked(kLimits);
  auto step = decoder.decode(place, place);
  ASSERT_TRUE(step);
  EXPECT_TRUE(decoder.done());
  EXPECT_EQ(bytes.substr(0, step->produced), "abcdefg");
}

TEST(BodyDecoder, RefusesMalformedChunks) {
  const std::pair<std::string_view, Refusal> table[] = {
      {"\r\n", Refusal::bad_chunk},
      {";x\r\n", Refusal::bad_chunk},
      {"0x5\r\nhello\r\n", Refusal::bad_chunk},
      {"+5\r\nhello\r\n", Refusal::bad_chunk},
      {"-5\r\nhello\r\n", Refusal::bad_chunk},
      {" 5\r\nhello\r\n", Refusal::bad_chunk},
      {"5 \r\nhello\r\n", Refusal::bad_chunk},
      {"5 ;x\r\nhello\r\n", Refusal::bad_chunk},
      {"5g\r\n", Refusal::bad_chunk},
      {"5\nhello\r\n", Refusal::bad_chunk},
      {"5\r\r\nhello\r\n", Refusal::bad_chunk},
      {"5\rhello\r\n", Refusal::bad_chunk},
      {"5\r\nhello0\r\n", Refusal::bad_chunk},
      {"5\r\nhello\n0\r\n", Refusal::bad_chunk},
      {"5\r\nhello\r0\r\n", Refusal::bad_chunk},
      {"5\r\nhello!\r\n", Refusal::bad_chunk},
      {"5;a\rb\r\n", Refusal::bad_chunk},
      {"5;a\nb\r\n", Refusal::bad_chunk},
      {"5;a\x01\r\n", Refusal::bad_chunk},
      {"00000000000000005\r\nhello\r\n", Refusal::bad_chunk},
      {"10000000000000000\r\n", Refusal::bad_chunk},
      {"ffffffffffffffff\r\n", Refusal::body_too_large},
      {"8000000000000000\r\n", Refusal::body_too_large},
      {"1\r\nx\r\n7fffffffffffffff\r\n", Refusal::body_too_large},
      {"0\r\nA: b\n\r\n", Refusal::bad_trailer},
      {"0\r\n\n", Refusal::bad_trailer},
      {"0\r\nA : b\r\n\r\n", Refusal::bad_trailer},
      {"0\r\n A: b\r\n\r\n", Refusal::bad_trailer},
      {"0\r\nA: b\rc\r\n\r\n", Refusal::bad_trailer},
      {"0\r\nbad\r\n\r\n", Refusal::bad_trailer},
      {"0\r\nContent-Length: 5\r\n\r\n", Refusal::bad_trailer},
      {"0\r\ntransfer-encoding: chunked\r\n\r\n", Refusal::bad_trailer},
      {"0\r\nHost: h\r\n\r\n", Refusal::bad_trailer},
      {"0\r\nAuthorization: x\r\n\r\n", Refusal::bad_trailer},
      {"0\r\nIf-Match: x\r\n\r\n", Refusal::bad_trailer},
  };
  for (auto [input, refusal] : table) {
    BodyOutcome out = decode(input);
    ASSERT_TRUE(out.refusal) << input;
    EXPECT_EQ(info(*out.refusal).name, info(refusal).name) << input;
  }
}

TEST(BodyDecoder, HoldsItsLimitsExactly) {
  auto extension = [](size_t bytes) { return "1;" + std::string(bytes - 1, 'e') + "\r\nx\r\n"; };
  EXPECT_FALSE(decode(extension(kChunkExtensionBytesMax)).refusal);
  EXPECT_TRUE(decode(extension(kChunkExtensionBytesMax + 1)).refusal);

  std::string many;
  size_t n = kChunkExtensionsTotalMax / kChunkExtensionBytesMax;
  for (size_t i = 0; i < n; ++i) many += extension(kChunkExtensionBytesMax);
  EXPECT_FALSE(decode(many).refusal);
  EXPECT_TRUE(decode(many + extension(1)).refusal);

  Limits limits;
  limits.trailer_bytes_max = 20;
  EXPECT_TRUE(decode("0\r\nA: " + std::string(13, 'v') + "\r\n\r\n", limits).done);
  EXPECT_EQ(decode("0\r\nA: " + std::string(14, 'v') + "\r\n\r\n", limits).refusal,
            Refusal::trailers_too_large);
  EXPECT_EQ(decode("0\r\n" + std::string(100, 'v'), limits).refusal, Refusal::trailers_too_large);
  std::string trailers = "0\r\n";
  for (size_t i = 0; i < kTrailersMax; ++i) trailers += "a:\r\n";
  EXPECT_TRUE(decode(trailers + "\r\n").done);
  EXPECT_EQ(decode(trailers + "a:\r\n\r\n").refusal, Refusal::trailers_too_large);
}

TEST(BodyDecoder, ACutBodyIsNeverDone) {
  std::string body = "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n";
  for (size_t n = 0; n < body.size(); ++n) EXPECT_FALSE(decode(body.substr(0, n)).done) << n;
}

RC_GTEST_PROP(BodyDecoderProperty, ReadsBackWhatWasWritten,
              (const std::vector<std::string>& chunks, uint64_t seed)) {
  std::string wire, data;
  testing::Splits vary(seed);
  for (const std::string& chunk : chunks) {
    if (chunk.empty()) continue;
    char size[20];
    std::snprintf(size, sizeof size, vary.next(2) == 1 ? "%zx" : "%03zX", chunk.size());
    wire += std::string(size) + (vary.next(2) == 1 ? ";a=b" : "") + "\r\n" + chunk + "\r\n";
    data += chunk;
  }
  wire += "0\r\n\r\n";
  testing::check_chunked(wire + "next", kLimits, seed);
  auto out = testing::decode_body(BodyDecoder::chunked(kLimits), wire + "next", 11, 13, seed);
  RC_ASSERT(out.done);
  RC_ASSERT(out.data == data);
  RC_ASSERT(out.consumed == wire.size());
}

RC_GTEST_PROP(BodyDecoderProperty, AnySplitGivesTheSameVerdictOnGarbage, (uint64_t seed)) {
  std::string wire =
      *rc::gen::container<std::string>(rc::gen::elementOf(std::string("0123af\r\n\r\n\r\n;x:\n")));
  testing::check_chunked(wire, kLimits, seed);
  testing::check_chunked("2\r\n" + wire, kLimits, seed);
  testing::check_chunked("0\r\n" + wire, kLimits, seed);
}

}  // namespace
}  // namespace archipel::http
