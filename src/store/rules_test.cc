#include "store/rules.h"

#include <gtest/gtest.h>

namespace archipel::store {
namespace {

TEST(BucketNames, FollowTheRulesOfS3) {
  for (const char* name :
       {"abc", "my-bucket", "a.b.c", "1bucket", "bucket1", "192.168.1.bucket", "256.1.1.1x", "xn-x"})
    EXPECT_TRUE(check_bucket_name(name)) << name;
  EXPECT_TRUE(check_bucket_name(std::string(63, 'a')));
  for (const char* name :
       {"", "ab", "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "192.168.5.4", "999.1.1.1", "xn--abc",
        "sthree-x", "a-s3alias", "a--ol-s3", "a/b", "a b", "caf\xc3\xa9"})
    EXPECT_FALSE(check_bucket_name(name)) << name;
  EXPECT_FALSE(check_bucket_name(std::string(64, 'a')));
  EXPECT_FALSE(check_bucket_name(std::string("a\0b", 3)));
}

TEST(ObjectKeys, AreUtf8OfAtMost1024Bytes) {
  for (const char* key :
       {"a", "..", "//", "a b+c%41", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x01"})
    EXPECT_TRUE(check_object_key(key)) << key;
  EXPECT_TRUE(check_object_key(std::string(1024, 'k')));
  for (const char* key : {"", "\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3",
                          "a\x80", "\xf8\x88\x80\x80\x80"})
    EXPECT_FALSE(check_object_key(key)) << key;
}

TEST(Ranges, AreClampedAndRefusedAsInRfc9110) {
  auto range = [](std::optional<uint64_t> first, std::optional<uint64_t> last, uint64_t size) {
    return resolve_range(Store::Range{first, last}, size);
  };
  auto is = [](const Result<ByteRange>& r, uint64_t first, uint64_t length) {
    return r && r->first == first && r->length == length;
  };
  EXPECT_TRUE(is(resolve_range(std::nullopt, 10), 0, 10));
  EXPECT_TRUE(is(resolve_range(std::nullopt, 0), 0, 0));
  EXPECT_TRUE(is(range(0, 4, 10), 0, 5));
  EXPECT_TRUE(is(range(9, 9, 10), 9, 1));
  EXPECT_TRUE(is(range(5, std::nullopt, 10), 5, 5));
  EXPECT_TRUE(is(range(5, UINT64_MAX, 10), 5, 5));
  EXPECT_TRUE(is(range(std::nullopt, 3, 10), 7, 3));
  EXPECT_TRUE(is(range(std::nullopt, 300, 10), 0, 10));
  for (const auto& refused : {range(10, 11, 10), range(0, 0, 0), range(std::nullopt, 0, 10),
                              range(std::nullopt, 5, 0), range(UINT64_MAX, UINT64_MAX, 10)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().detail, "InvalidRange");
  }
}

TEST(Conditions, HaveThePrecedenceOfS3) {
  ObjectInfo info;
  info.etag = "e1";
  info.modified_ms = 10'500;
  auto code = [&](const Conditions& c) {
    Result<void> r = check_read_conditions(c, info);
    return r ? std::string("ok") : r.error().detail;
  };
  EXPECT_EQ(code({{"e1"}, {}, {}, 5'000}), "ok");  // If-Match beats If-Unmodified-Since
  EXPECT_EQ(code({{"e2"}, {}, {}, 50'000}), "PreconditionFailed");
  EXPECT_EQ(code({{}, {"e2"}, 50'000, {}}), "ok");  // If-None-Match beats If-Modified-Since
  EXPECT_EQ(code({{}, {"e1"}, 5'000, {}}), "NotModified");
  EXPECT_EQ(code({{}, {}, 10'000, {}}), "NotModified");  // same second
  EXPECT_EQ(code({{}, {}, 9'999, {}}), "ok");
  EXPECT_EQ(code({{}, {}, {}, 10'000}), "ok");
  EXPECT_EQ(code({{}, {}, {}, 9'999}), "PreconditionFailed");
  EXPECT_EQ(code({{"x", "*"}, {}, {}, {}}), "ok");
  EXPECT_EQ(check_copy_conditions({{}, {"e1"}, {}, {}}, info).error().detail, "PreconditionFailed");
  EXPECT_EQ(check_write_conditions({{"*"}, {}, {}, {}}, nullptr).error().detail, "NoSuchKey");
  EXPECT_TRUE(check_write_conditions({{}, {"*"}, {}, {}}, nullptr));
}

}  // namespace
}  // namespace archipel::store
