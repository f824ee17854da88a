#include "door/s3/aws_chunked.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "door/s3/sigv4.h"
#include "door/s3/testing/client.h"

namespace archipel::door::s3 {
namespace {

using testing::Signer;

// The published examples of the S3 API reference: 66,560 times 'a' in chunks of 64 KiB.
Signer example_signer() {
  return {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1",
          "20130524T000000Z"};
}
constexpr char kSeed[] = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
constexpr char kTrailerSeed[] = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";

ChunkDecoder decoder_for(const Signer& s, std::string seed, bool trailer) {
  return ChunkDecoder(
      ChunkDecoder::Signing{derive_signing_key(s.secret_key, s.timestamp.substr(0, 8), s.region, "s3"),
                            s.timestamp, s.scope(), std::move(seed)},
      trailer);
}
ChunkDecoder unsigned_decoder() {
  return ChunkDecoder(std::nullopt, true);
}

// Decodes `wire` cut into pieces of the given sizes (the last repeats); the code of the error, or the decoded bytes.
struct Decoded {
  std::string bytes, error;
  ChunkDecoder::Trailers trailers;
};
Decoded decode(ChunkDecoder decoder, std::string wire, const std::vector<size_t>& cuts = {SIZE_MAX}) {
  Decoded out;
  size_t at = 0, i = 0;
  while (at < wire.size()) {
    size_t n = std::min(cuts[std::min(i++, cuts.size() - 1)], wire.size() - at);
    std::string piece = wire.substr(at, n);
    auto decoded = decoder.decode({reinterpret_cast<uint8_t*>(piece.data()), piece.size()});
    if (!decoded) return {{}, decoded.error().detail, {}};
    out.bytes += piece.substr(0, *decoded);
    at += n;
  }
  auto finished = decoder.finish();
  if (!finished) return {{}, finished.error().detail, {}};
  out.trailers = decoder.trailers();
  return out;
}

std::string example_wire() {
  return "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" +
         std::string(65536, 'a') +
         "\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" +
         std::string(1024, 'a') +
         "\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n";
}

TEST(AwsChunked, DecodesThePublishedSignedExample) {
  ASSERT_EQ(example_wire().size(), 66824u);
  Decoded d = decode(decoder_for(example_signer(), kSeed, false), example_wire());
  EXPECT_EQ(d.error, "");
  EXPECT_EQ(d.bytes, std::string(66560, 'a'));
}

TEST(AwsChunked, DecodesThePublishedExampleWithTrailer) {
  std::string wire =
      "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" +
      std::string(65536, 'a') +
      "\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" +
      std::string(1024, 'a') +
      "\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
      "x-amz-checksum-crc32c:sOO8/Q==\r\n"
      "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";
  Decoded d = decode(decoder_for(example_signer(), kTrailerSeed, true), wire);
  EXPECT_EQ(d.error, "");
  EXPECT_EQ(d.bytes, std::string(66560, 'a'));
  ASSERT_EQ(d.trailers.size(), 1u);
  EXPECT_EQ(d.trailers[0], std::pair(std::string("x-amz-checksum-crc32c"), std::string("sOO8/Q==")));
}

RC_GTEST_PROP(AwsChunked, AnyBodyInAnyChunksAndCutsComesOutWhole, ()) {
  auto body = *rc::gen::arbitrary<std::string>();
  auto chunk = *rc::gen::inRange<size_t>(1, 40);
  auto cuts = *rc::gen::nonEmpty(rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(1, 50)));
  Signer s;
  Decoded plain =
      decode(unsigned_decoder(), Signer::unsigned_chunks(body, chunk, "x-amz-checksum-crc32:AAAAAA=="), cuts);
  RC_ASSERT(plain.error == "");
  RC_ASSERT(plain.bytes == body);
  RC_ASSERT(plain.trailers.size() == 1u);
  Decoded with = decode(decoder_for(s, kSeed, true),
                        s.signed_chunks(body, chunk, kSeed, "x-amz-checksum-crc32:AAAAAA=="), cuts);
  RC_ASSERT(with.error == "");
  RC_ASSERT(with.bytes == body);
  Decoded without = decode(decoder_for(s, kSeed, false), s.signed_chunks(body, chunk, kSeed), cuts);
  RC_ASSERT(without.bytes == body);
}

TEST(AwsChunked, EveryCutInTwoGivesTheSame) {
  Signer s;
  std::string body = "hello, chunks\r\n0\r\n\r\n",
              wire = s.signed_chunks(body, 7, kSeed, "x-amz-checksum-crc32:AAAAAA==");
  for (size_t cut = 1; cut < wire.size(); ++cut) {
    Decoded d = decode(decoder_for(s, kSeed, true), wire, {cut, SIZE_MAX});
    ASSERT_EQ(d.error, "") << cut;
    ASSERT_EQ(d.bytes, body) << cut;
  }
}

TEST(AwsChunked, NoByteOfASignedBodyCanBeChangedDroppedOrAdded) {
  Signer s;
  std::string body = "hello, chunks, of which there are several", wire = s.signed_chunks(body, 16, kSeed);
  for (size_t i = 0; i < wire.size(); ++i) {
    std::string changed = wire, shorter = wire, longer = wire;
    changed[i] = static_cast<char>(changed[i] ^ 0x01);
    shorter.erase(i, 1);
    longer.insert(i, 1, 'x');
    for (const std::string& w : {changed, shorter, longer}) {
      Decoded d = decode(decoder_for(s, kSeed, false), w);
      // Hexadecimal sizes are case-blind, nothing else is.
      ASSERT_TRUE(d.error == "SignatureDoesNotMatch" || d.error == "IncompleteBody") << i << ' ' << d.error;
    }
  }
}

TEST(AwsChunked, ChunksCannotBeSwappedOrTakenFromAnotherRequest) {
  Signer s;
  std::string body(32, 'x');
  std::string wire = s.signed_chunks(body, 16, kSeed);
  size_t chunk = wire.find("\r\n", wire.find("\r\n") + 2) + 2;
  std::string swapped = wire.substr(chunk, chunk) + wire.substr(0, chunk) + wire.substr(2 * chunk);
  EXPECT_EQ(decode(decoder_for(s, kSeed, false), swapped).error, "SignatureDoesNotMatch");
  EXPECT_EQ(decode(decoder_for(s, kTrailerSeed, false), wire).error, "SignatureDoesNotMatch");
}

TEST(AwsChunked, MalformedUnsignedBodiesAreRefused) {
  const std::string good = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
  EXPECT_EQ(decode(unsigned_decoder(), good).error, "");
  EXPECT_EQ(decode(unsigned_decoder(), good).bytes, "hello");
  struct Case {
    std::string wire, code;
  };
  const Case cases[] = {
      {"", "IncompleteBody"},
      {"5\r\nhel", "IncompleteBody"},
      {"3\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},      // longer than its size
      {"6\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},      // shorter
      {"5\nhello\r\n0\r\n\r\n", "IncompleteBody"},        // bare LF
      {"5\r\nhello\r\n0\r\n", "IncompleteBody"},          // no end
      {"5\r\nhello\r\n0\r\n\r\nmore", "IncompleteBody"},  // bytes after the end
      {"\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},       // no size
      {"-5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
      {"0x5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
      {" 5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
      {"11111111111111111\r\nhello", "IncompleteBody"},  // 17 digits
      {"ffffffffffffffff\r\nhello", "IncompleteBody"},   // beyond any PUT
      {"5;chunk-signature=00\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
      {std::string(300, '0'), "IncompleteBody"},  // endless header
      {"0\r\nx:" + std::string(2000, 'y') + "\r\n\r\n", "IncompleteBody"},
      {"0\r\nno colon\r\n\r\n", "MalformedTrailerError"},
      {"0\r\n:value\r\n\r\n", "MalformedTrailerError"},
      {"0\r\nx-amz-trailer-signature:00\r\n\r\n", "MalformedTrailerError"},
      {"0\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\n\r\n", "MalformedTrailerError"},
  };
  for (const Case& c : cases) EXPECT_EQ(decode(unsigned_decoder(), c.wire).error, c.code) << c.wire;
}

TEST(AwsChunked, SignedModesNeedTheirSignatures) {
  Signer s;
  std::string trailer = "x-amz-checksum-crc32:AAAAAA==";
  std::string wire = s.signed_chunks("hello", 16, kSeed, trailer);
  EXPECT_EQ(decode(decoder_for(s, kSeed, true), wire).error, "");
  std::string unsigned_trailer = wire;
  size_t at = unsigned_trailer.find("x-amz-trailer-signature");
  unsigned_trailer.erase(at, unsigned_trailer.size() - at - 2);
  EXPECT_EQ(decode(decoder_for(s, kSeed, true), unsigned_trailer).error, "MalformedTrailerError");
  std::string changed = wire;
  changed[wire.find("AAAAAA")] = 'B';
  EXPECT_EQ(decode(decoder_for(s, kSeed, true), changed).error, "SignatureDoesNotMatch");
  EXPECT_EQ(decode(decoder_for(s, kSeed, true), Signer::unsigned_chunks("hello", 16)).error,
            "IncompleteBody");
  EXPECT_EQ(decode(decoder_for(s, kSeed, false), wire).error,
            "IncompleteBody");  // a trailer where none was announced
}

TEST(AwsChunked, TakesALineFeedBeforeTheTrailersLineEnd) {
  // The form printed in the S3 API reference: "name:value\n\r\n".
  Decoded d = decode(unsigned_decoder(), "1\r\nx\r\n0\r\nX-Amz-Checksum-CRC32: AAAAAA== \n\r\n\r\n");
  EXPECT_EQ(d.error, "");
  ASSERT_EQ(d.trailers.size(), 1u);
  EXPECT_EQ(d.trailers[0].first, "x-amz-checksum-crc32");
  EXPECT_EQ(d.trailers[0].second, "AAAAAA==");
}

}  // namespace
}  // namespace archipel::door::s3
