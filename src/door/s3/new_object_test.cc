// What requests say of objects: tags, locks, encryption, checksums of whole objects. Pure parts.
#include <gtest/gtest.h>

#include "door/s3/checksums.h"
#include "door/s3/lock_headers.h"
#include "door/s3/multipart_documents.h"
#include "door/s3/object_reads.h"
#include "door/s3/sse_headers.h"
#include "door/s3/tagging.h"

namespace archipel::door::s3 {
namespace {

constexpr UnixMs kNow = 1'700'000'000'000;

template <class T>
std::string code_of(const Result<T>& result) {
  return result ? "ok" : result.error().detail;
}
http::Headers headers(std::initializer_list<std::pair<std::string, std::string>> list) {
  http::Headers out;
  for (const auto& [name, value] : list) out.add(name, value);
  return out;
}

TEST(Tagging, HeaderHasAtMostTenTagsEachOnce) {
  auto tags = parse_tagging_header("a=1&b%20c=d+e&empty=");
  ASSERT_TRUE(tags.has_value());
  EXPECT_EQ(*tags, (TagMap{{"a", "1"}, {"b c", "d e"}, {"empty", ""}}));
  EXPECT_EQ(code_of(parse_tagging_header("a=1&a=2")), "InvalidArgument");
  std::string many;
  for (int i = 0; i < 11; ++i) many += "k" + std::to_string(i) + "=v&";
  EXPECT_EQ(code_of(parse_tagging_header(many)), "InvalidTag");
  EXPECT_EQ(code_of(parse_tagging_header(std::string(129, 'k') + "=v")), "InvalidTag");
  EXPECT_EQ(code_of(parse_tagging_header("k=" + std::string(257, 'v'))), "InvalidTag");
  EXPECT_EQ(code_of(parse_tagging_header("aws:k=v")), "InvalidTag");
}

TEST(Tagging, DocumentComesBackAsItWasWritten) {
  TagMap tags{{"a", "1"}, {"b", ""}};
  auto again = parse_tagging(write_tagging(tags));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(*again, tags);
  EXPECT_EQ(code_of(parse_tagging("<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>")),
            "MalformedXML");
}

TEST(Lock, ModeAndDateComeTogetherAndInTheFuture) {
  auto lock = read_lock(headers({{"x-amz-object-lock-mode", "GOVERNANCE"},
                                 {"x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z"},
                                 {"x-amz-object-lock-legal-hold", "ON"}}),
                        kNow);
  ASSERT_TRUE(lock.has_value());
  EXPECT_EQ(lock->retention.mode, store::Retention::Mode::governance);
  EXPECT_EQ(lock->legal_hold, true);
  EXPECT_EQ(code_of(read_lock(headers({{"x-amz-object-lock-mode", "GOVERNANCE"}}), kNow)), "InvalidArgument");
  EXPECT_EQ(code_of(read_lock(headers({{"x-amz-object-lock-mode", "COMPLIANCE"},
                                       {"x-amz-object-lock-retain-until-date", "2020-01-01T00:00:00Z"}}),
                              kNow)),
            "InvalidArgument");
  EXPECT_EQ(code_of(read_lock(headers({{"x-amz-object-lock-legal-hold", "on"}}), kNow)), "InvalidArgument");
}

TEST(Lock, DocumentsComeBackAsTheyWereWritten) {
  store::Retention retention{store::Retention::Mode::compliance, kNow + 5000};
  auto again = parse_retention(write_retention(retention), kNow);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->mode, retention.mode);
  EXPECT_EQ(again->until_ms, retention.until_ms);
  EXPECT_EQ(code_of(parse_retention("<Retention><Mode>governance</Mode></Retention>", kNow)), "MalformedXML");
  EXPECT_EQ(parse_retention("<Retention/>", kNow)->mode, store::Retention::Mode::none);
  EXPECT_TRUE(*parse_legal_hold(write_legal_hold(true)));
  EXPECT_EQ(code_of(parse_legal_hold("<LegalHold/>")), "MalformedXML");
}

TEST(Encryption, CustomerKeyNeedsAllThreeHeadersAndItsOwnMd5) {
  const std::string p = "x-amz-server-side-encryption-customer-";
  const std::string key = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=", md5 = "DWygnHRtgiJ77HCm+1rvHw==";
  auto good = read_encryption(headers({{p + "algorithm", "AES256"}, {p + "key", key}, {p + "key-md5", md5}}));
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(good->encryption.kind, store::Encryption::Kind::sse_c);
  ASSERT_NE(good->customer_key, nullptr);
  EXPECT_EQ(good->customer_key->md5, md5);
  EXPECT_EQ(code_of(read_encryption(headers({{p + "algorithm", "AES256"}, {p + "key", key}}))),
            "InvalidArgument");
  EXPECT_EQ(code_of(read_encryption(headers({{p + "algorithm", "AES256"}, {p + "key-md5", md5}}))),
            "InvalidArgument");
  EXPECT_EQ(
      code_of(read_encryption(headers(
          {{p + "algorithm", "AES256"}, {p + "key", key}, {p + "key-md5", "AAAAAAAAAAAAAAAAAAAAAA=="}}))),
      "InvalidArgument");
  EXPECT_EQ(code_of(read_encryption(headers({{"x-amz-server-side-encryption", "AES256"},
                                             {p + "algorithm", "AES256"},
                                             {p + "key", key},
                                             {p + "key-md5", md5}}))),
            "InvalidArgument");
}

TEST(Encryption, KeyServicesAreNotOffered) {
  EXPECT_EQ(read_encryption(headers({{"x-amz-server-side-encryption", "AES256"}}))->encryption.kind,
            store::Encryption::Kind::sse_s3);
  EXPECT_EQ(code_of(read_encryption(headers({{"x-amz-server-side-encryption", "aws:kms"}}))),
            "NotImplemented");
  EXPECT_EQ(code_of(read_encryption(headers({{"x-amz-server-side-encryption", "aes"}}))), "InvalidArgument");
}

TEST(Checksums, EachAlgorithmHasItsTypes) {
  EXPECT_FALSE(composite_by_default(ChecksumKind::crc64nvme));
  EXPECT_TRUE(composite_by_default(ChecksumKind::crc32));
  EXPECT_EQ(code_of(read_composite(ChecksumKind::crc64nvme, "COMPOSITE")), "InvalidRequest");
  EXPECT_EQ(code_of(read_composite(ChecksumKind::sha256, "FULL_OBJECT")), "InvalidRequest");
  EXPECT_FALSE(*read_composite(ChecksumKind::crc32c, "FULL_OBJECT"));
  EXPECT_TRUE(*read_composite(ChecksumKind::sha1, "COMPOSITE"));
}

TEST(Checksums, CompositeValuesSayTheirNumberOfParts) {
  auto parsed = parse_object_checksum(ChecksumKind::crc32, "AAAAAA==-3");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_TRUE(parsed->composite);
  EXPECT_EQ(checksum_text(*parsed, 3), "AAAAAA==-3");
  EXPECT_FALSE(parse_object_checksum(ChecksumKind::crc32, "AAAAAA==-").has_value());
  EXPECT_EQ(code_of(read_object_checksum(headers({{"x-amz-checksum-sha256", "bad"}}))), "BadDigest");
}

TEST(CompleteDocument, ReadsPartsAndRefusesTheRest) {
  auto parts = parse_complete(
      "<CompleteMultipartUpload><Part><ETag>\"e1\"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32><PartNumber>2"
      "</PartNumber></Part><Part><PartNumber>7</PartNumber><ETag>e2</ETag></Part></CompleteMultipartUpload>");
  ASSERT_TRUE(parts.has_value());
  ASSERT_EQ(parts->size(), 2u);
  EXPECT_EQ((*parts)[0].etag, "e1");
  EXPECT_EQ((*parts)[0].checksum.kind, ChecksumKind::crc32);
  EXPECT_EQ((*parts)[1].number, 7u);
  auto with = [](std::string inner) {
    return "<CompleteMultipartUpload>" + std::move(inner) + "</CompleteMultipartUpload>";
  };
  for (const std::string& bad :
       {with(""), with("<Part><ETag>e</ETag></Part>"), with("<Other/>"), std::string()})
    EXPECT_EQ(code_of(parse_complete(bad)), "MalformedXML") << bad;
  EXPECT_EQ(code_of(parse_complete(with("<Part><PartNumber>10001</PartNumber><ETag>e</ETag></Part>"))),
            "InvalidArgument");
}

TEST(CopySource, NamesAVersion) {
  auto source = parse_copy_source("/b/k%3FversionId=x?versionId=null");
  ASSERT_TRUE(source.has_value());
  EXPECT_EQ(source->key, "k?versionId=x");
  EXPECT_EQ(source->version, "null");
  EXPECT_EQ(code_of(parse_copy_source("b/k?versionId=7")), "InvalidArgument");
}

}  // namespace
}  // namespace archipel::door::s3
