#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "door/s3/testing/client.h"

namespace archipel::door::s3 {
namespace {

using testing::Answer;
using testing::World;

class ListTest : public ::testing::Test {
 protected:
  ListTest() { world.make_bucket(); }
  void add(const std::string& key) {
    store::ObjectInfo info;
    info.size = key.size();
    info.etag = std::string(32, 'e');
    info.modified_ms = world.clock.ms;
    world.store.buckets.at("bucket").objects[key] = {std::move(info), key};
  }
  Answer list(const std::string& query) { return world.send("GET", "/bucket?" + query); }
  std::string code(const std::string& query) {
    Answer a = list(query);
    return a.status == 200 ? "" : a.code();
  }
  World world;
};

std::vector<std::string> prefixes(const Answer& a) {
  std::vector<std::string> out;
  for (const std::string& p : a.elements("CommonPrefixes")) out.push_back(p.substr(8, p.size() - 17));
  return out;
}

TEST_F(ListTest, EntriesSayWhatAnObjectIs) {
  add("a&b");
  world.store.buckets.at("bucket").objects.at("a&b").info.checksum = {store::Checksum::Kind::crc32, "abcd"};
  Answer v2 = list("list-type=2&fetch-owner=true");
  EXPECT_EQ(v2.status, 200);
  EXPECT_EQ(
      v2.element("Contents"),
      "<Key>a&amp;b</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified><ETag>&quot;" +
          std::string(32, 'e') +
          "&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</"
          "ChecksumType><Size>3</Size><Owner><ID>" +
          std::string(64, 'a') +
          "</ID><DisplayName>name of AKTEST</DisplayName></Owner><StorageClass>STANDARD</StorageClass>");
  EXPECT_FALSE(list("list-type=2").body.contains("<Owner>"));
  EXPECT_TRUE(list("").body.contains("<Owner>"));
  EXPECT_EQ(v2.element("Name"), "bucket");
  EXPECT_EQ(v2.element("KeyCount"), "1");
  EXPECT_EQ(v2.element("MaxKeys"), "1000");
  EXPECT_EQ(v2.element("IsTruncated"), "false");
}

TEST_F(ListTest, Version2PagesThroughEverythingOnce) {
  std::set<std::string> expected;
  for (int i = 0; i < 2503; ++i) {
    std::string key = "k" + std::to_string(i * 7919 % 10007);
    add(key);
    expected.insert(key);
  }
  std::vector<std::string> seen;
  std::string token;
  int pages = 0;
  do {
    Answer page =
        list("list-type=2" + (token.empty() ? "" : "&continuation-token=" + http::uri_encode(token)));
    ASSERT_EQ(page.status, 200) << page.body;
    std::vector<std::string> keys = page.elements("Key");
    EXPECT_EQ(page.element("KeyCount"), std::to_string(keys.size()));
    EXPECT_EQ(page.element("ContinuationToken"), token);
    seen.insert(seen.end(), keys.begin(), keys.end());
    token = page.element("NextContinuationToken");
    EXPECT_EQ(page.element("IsTruncated"), token.empty() ? "false" : "true");
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, std::vector<std::string>(expected.begin(), expected.end()));
}

TEST_F(ListTest, BucketsComeInPagesIfAskedFor) {
  for (const char* name : {"logs-1", "logs-2", "logs-3", "other"}) world.make_bucket(name);
  EXPECT_EQ(world.send("GET", "/?x-id=ListBuckets").elements("Name").size(), 5u);
  std::vector<std::string> seen;
  std::string token;
  int pages = 0;
  do {
    Answer page =
        world.send("GET", "/?max-buckets=2&prefix=logs-" +
                              (token.empty() ? "" : "&continuation-token=" + http::uri_encode(token)));
    ASSERT_EQ(page.status, 200) << page.body;
    EXPECT_EQ(page.element("Prefix"), "logs-");
    for (std::string& name : page.elements("Name")) seen.push_back(std::move(name));
    token = page.element("ContinuationToken");
    EXPECT_EQ(page.element("Buckets").find("ContinuationToken"), std::string::npos);
    ++pages;
  } while (!token.empty() && pages < 5);
  EXPECT_EQ(pages, 2);
  EXPECT_EQ(seen, (std::vector<std::string>{"logs-1", "logs-2", "logs-3"}));
  for (const char* bad : {"max-buckets=0", "max-buckets=10001", "max-buckets=x", "max-buckets=-1",
                          "continuation-token=x", "continuation-token=MQ=="})
    EXPECT_EQ(world.send("GET", std::string("/?") + bad).code(), "InvalidArgument") << bad;
}

TEST_F(ListTest, CommonPrefixesCountAndAreNotRepeatedAcrossPages) {
  for (int d = 0; d < 5; ++d)
    for (int i = 0; i < 30; ++i) add("dir" + std::to_string(d) + "/" + std::to_string(i));
  add("dir2");
  add("zz");
  std::vector<std::string> seen;
  std::string token;
  do {
    Answer page = list("list-type=2&delimiter=%2F&max-keys=2" +
                       (token.empty() ? "" : "&continuation-token=" + http::uri_encode(token)));
    std::vector<std::string> keys = page.elements("Key"), groups = prefixes(page);
    EXPECT_EQ(page.element("KeyCount"), std::to_string(keys.size() + groups.size()));
    EXPECT_LE(keys.size() + groups.size(), 2u);
    seen.insert(seen.end(), keys.begin(), keys.end());
    seen.insert(seen.end(), groups.begin(), groups.end());
    token = page.element("NextContinuationToken");
  } while (!token.empty());
  std::ranges::sort(seen);
  EXPECT_EQ(seen, (std::vector<std::string>{"dir0/", "dir1/", "dir2", "dir2/", "dir3/", "dir4/", "zz"}));
}

TEST_F(ListTest, Version1GivesNextMarkerOnlyWithADelimiter) {
  for (const char* k : {"a", "b/1", "b/2", "c"}) add(k);
  Answer plain = list("max-keys=2");
  EXPECT_EQ(plain.element("IsTruncated"), "true");
  EXPECT_FALSE(plain.body.contains("NextMarker"));
  EXPECT_EQ(plain.elements("Key"), (std::vector<std::string>{"a", "b/1"}));
  EXPECT_EQ(list("max-keys=2&marker=b%2F1").elements("Key"), (std::vector<std::string>{"b/2", "c"}));
  Answer grouped = list("max-keys=2&delimiter=/");
  EXPECT_EQ(grouped.element("NextMarker"), "b/");
  EXPECT_EQ(prefixes(grouped), (std::vector<std::string>{"b/"}));
  Answer rest = list("max-keys=2&delimiter=/&marker=b/");
  EXPECT_EQ(rest.elements("Key"), (std::vector<std::string>{"c"}));
  EXPECT_EQ(rest.element("Marker"), "b/");
  EXPECT_EQ(rest.element("IsTruncated"), "false");
}

TEST_F(ListTest, PrefixAndStartAfter) {
  for (const char* k : {"a/1", "a/2", "a/3", "b"}) add(k);
  EXPECT_EQ(list("list-type=2&prefix=a/").elements("Key").size(), 3u);
  Answer after = list("list-type=2&prefix=a/&start-after=a%2F1");
  EXPECT_EQ(after.elements("Key"), (std::vector<std::string>{"a/2", "a/3"}));
  EXPECT_EQ(after.element("StartAfter"), "a/1");
  EXPECT_EQ(after.element("Prefix"), "a/");
}

TEST_F(ListTest, UrlEncodingCoversEveryName) {
  add("a b\x01+%/\xc3\xa9/x");
  Answer raw = list("list-type=2");
  EXPECT_EQ(raw.element("Key"), "a b&#x1;+%/\xc3\xa9/x");
  Answer v2 = list("list-type=2&encoding-type=url&start-after=%01&prefix=a%20&delimiter=%C3%A9");
  EXPECT_EQ(v2.element("EncodingType"), "url");
  EXPECT_EQ(v2.element("StartAfter"), "%01");
  EXPECT_EQ(v2.element("Prefix"), "a%20");
  EXPECT_EQ(v2.element("Delimiter"), "%C3%A9");
  EXPECT_EQ(prefixes(v2), (std::vector<std::string>{"a%20b%01%2B%25/%C3%A9"}));
  EXPECT_EQ(list("encoding-type=url&marker=%01").element("Marker"), "%01");
  EXPECT_EQ(list("encoding-type=url").element("Key"), "a%20b%01%2B%25/%C3%A9/x");
  // ListObjects says the prefix so that clients that decode it and clients that do not read the same.
  EXPECT_EQ(list("encoding-type=url&prefix=%0a").element("Prefix"), "&#xa;");
  EXPECT_EQ(list("encoding-type=url&prefix=a%2b").element("Prefix"), "a%2B");
}

TEST_F(ListTest, AnEmptyContinuationTokenAsksForTheFirstPage) {
  add("a");
  Answer page = list("list-type=2&continuation-token=");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.element("Key"), "a");
}

TEST_F(ListTest, MaxKeys) {
  for (const char* k : {"a", "b", "c"}) add(k);
  EXPECT_EQ(list("list-type=2&max-keys=1").elements("Key").size(), 1u);
  Answer none = list("list-type=2&max-keys=0");
  EXPECT_EQ(none.status, 200);
  EXPECT_EQ(none.element("IsTruncated"), "false");
  EXPECT_EQ(none.element("MaxKeys"), "0");
  EXPECT_TRUE(none.elements("Key").empty());
  EXPECT_EQ(list("max-keys=5000").element("MaxKeys"), "1000");
  EXPECT_EQ(list("max-keys=").element("MaxKeys"), "1000");
  for (const char* bad : {"-1", "x", "1.5", "99999999999", "0x10"})
    EXPECT_EQ(code(std::string("max-keys=") + bad), "InvalidArgument") << bad;
}

TEST_F(ListTest, BadParametersAreRefused) {
  EXPECT_EQ(code("encoding-type=base64"), "InvalidArgument");
  EXPECT_EQ(code("list-type=2&encoding-type=base64"), "InvalidArgument");
  EXPECT_EQ(code("list-type=3"), "InvalidArgument");
  EXPECT_EQ(code("list-type=2&fetch-owner=maybe"), "InvalidArgument");
  for (const char* token : {"x", "AAAA", "Mg==", "MQ=="})
    EXPECT_EQ(code(std::string("list-type=2&continuation-token=") + token), "InvalidArgument") << token;
  EXPECT_EQ(code("list-type=2&marker=a"), "NotImplemented");
  EXPECT_EQ(code("start-after=a"), "NotImplemented");
  EXPECT_EQ(world.send("GET", "/none?list-type=2").code(), "NoSuchBucket");
  EXPECT_EQ(world.send("GET", "/none?list-type=2&max-keys=0").code(), "NoSuchBucket");
}

}  // namespace
}  // namespace archipel::door::s3
