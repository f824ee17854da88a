#include "store/records.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "store/keys.h"
#include "store/registry.h"

namespace archipel::store {
namespace {

Slice large_slice(uint64_t length, uint64_t extent_segments) {
  Slice slice;
  slice.stream.length = length;
  slice.stream.segments = (length + extent::kSegmentPlain - 1) / extent::kSegmentPlain;
  slice.kek_slot = 7;
  for (uint64_t first = 0; first < slice.stream.segments; first += extent_segments) {
    ExtentRun run;
    run.first_segment = first;
    run.segments = std::min(extent_segments, slice.stream.segments - first);
    run.ref.id = {3, 1'000'000 + first};
    run.ref.attempt.fill(0x5a);
    run.ref.geometry = {{6, 3}, extent::kSegmentSealed, sealed_bytes(slice.stream, first, run.segments)};
    run.ref.confirmed = 0x3f;
    slice.storage.extents.push_back(run);
  }
  return slice;
}

VersionRecord version_of(Slice slice) {
  VersionRecord version;
  version.version_id.fill(9);
  version.info.size = slice.stream.length;
  version.info.etag = std::string(32, 'e');
  version.info.modified_ms = 1'700'000'000'123;
  version.info.headers["content-type"] = "text/plain";
  version.info.metadata["colour"] = "blue";
  version.info.checksum = {Checksum::Kind::sha256, std::string(32, '\x01')};
  version.slices.push_back(std::move(slice));
  return version;
}

TEST(Records, KeepAVersionWhole) {
  VersionRecord version = version_of(large_slice(20u << 20, 126));
  auto back = decode_version(encode(version));
  ASSERT_TRUE(back) << back.error().describe();
  EXPECT_EQ(encode(*back), encode(version));
  EXPECT_EQ(back->info.metadata, version.info.metadata);
  EXPECT_EQ(back->slices[0].storage.extents[2].first_segment, 252u);
  EXPECT_EQ(back->slices[0].storage.extents[2].ref.geometry.length,
            version.slices[0].storage.extents[2].ref.geometry.length);
  auto info = decode_version(encode(version), Depth::info);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->info.headers, version.info.headers);
  EXPECT_TRUE(info->slices.empty());
}

TEST(Records, OfFiveGibibytesStayFarBelowABatch) {
  EXPECT_LT(encode(version_of(large_slice(kObjectBytesMax, 126))).size(), 32u << 10);
  EXPECT_LT(encode(version_of(large_slice(kObjectBytesMax, 15))).size(),
            256u << 10);  // extents shrunk by short memory
}

TEST(Records, WithSmallBodiesKeepTheirLocations) {
  Slice slice;
  slice.stream.length = 70'000;
  slice.stream.segments = 2;
  extent::ExtentRef section;
  section.kind = extent::ExtentRef::Kind::section;
  section.id = {4, 77};
  section.geometry = {{6, 3}, 65'552, 200'000};
  section.base = 4711;
  section.open.fill(0xab);
  slice.storage.small = {{section, 100, 65'552}, {section, 65'652, 70'000 - 65'536 + 16}};
  auto back = decode_version(encode(version_of(slice)));
  ASSERT_TRUE(back) << back.error().describe();
  const index::SmallLocation& second = back->slices[0].storage.small[1];
  EXPECT_EQ(second.offset, 65'652u);
  EXPECT_EQ(second.section.base, 4711u);
  EXPECT_EQ(second.section.open, section.open);
  EXPECT_EQ(second.section.id, section.id);
}

TEST(Records, RefuseWhatDoesNotAddUp) {
  VersionRecord version = version_of(large_slice(20u << 20, 126));
  version.info.size += 1;  // the slices are the authority on the length
  EXPECT_FALSE(decode_version(encode(version)));
  version = version_of(large_slice(20u << 20, 126));
  version.slices[0].storage.extents.pop_back();
  EXPECT_FALSE(decode_version(encode(version)));
  version = version_of(large_slice(20u << 20, 126));
  version.slices[0].kek_slot = 256;
  EXPECT_FALSE(decode_version(encode(version)));
  std::string newer = encode(version_of(large_slice(1, 1)));
  newer[0] = 2;
  EXPECT_EQ(decode_version(newer).error().code, Code::unsupported);
  std::string bucket = encode(BucketRecord{"owner", 1});
  bucket[0] = 2;
  EXPECT_EQ(decode_bucket(bucket).error().code, Code::unsupported);
}

TEST(AccountRecords, HideTheirSecretAndRefuseChanges) {
  auto random = seeded_random(5);
  auto keys = crypto::Keyring::generate(*random);
  Account alice{std::string(64, 'a'), "Alice", "AKEXAMPLE", "secret-of-alice"};
  std::string record = encode(alice, *keys, *random);
  EXPECT_EQ(record.find(alice.secret_key), std::string::npos);
  EXPECT_NE(encode(alice, *keys, *random), record);  // a nonce is never used twice
  auto back = decode_account(record, alice.access_key, *keys);
  ASSERT_TRUE(back) << back.error().describe();
  EXPECT_EQ(back->secret_key, alice.secret_key);
  EXPECT_EQ(back->id, alice.id);
  EXPECT_EQ(back->display_name, alice.display_name);
  for (size_t at = 0; at < record.size(); ++at) {
    std::string changed = record;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(decode_account(changed, alice.access_key, *keys)) << at;
    EXPECT_FALSE(decode_account(record.substr(0, at), alice.access_key, *keys)) << at;
  }
  EXPECT_FALSE(decode_account(record, "AKOTHER", *keys));
  auto other = crypto::Keyring::generate(*random);
  EXPECT_FALSE(decode_account(record, alice.access_key, *other));
}

// No bytes make a decoder crash, and none that were cut or lengthened pass.
TEST(Records, SurviveAnyBytes) {
  std::string good = encode(version_of(large_slice(3u << 20, 15)));
  auto keys = crypto::Keyring::generate(*seeded_random(1));
  size_t survived = 0;  // a changed salt, say, is still a record
  rc::check("changed records", [&] {
    std::string bytes = good;
    int changes = *rc::gen::inRange(1, 4);
    for (int i = 0; i < changes; ++i)
      bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
    survived += decode_version(bytes).has_value();
    survived += decode_doomed(bytes).has_value();
    survived += decode_live(bytes).has_value();
    survived += decode_bucket(bytes).has_value();
    survived += decode_account(bytes, "k", *keys).has_value();
  });
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_version(std::string_view(good).substr(0, size)));
  EXPECT_FALSE(decode_version(good + "x"));
}

TEST(Keys, SortObjectsByRawBytes) {
  rc::check("order is kept", [](std::vector<uint8_t> a, std::vector<uint8_t> b) {
    auto text = [](std::vector<uint8_t>& bytes) {
      for (uint8_t& byte : bytes) byte = byte == 0 ? 1 : byte;
      return std::string(bytes.begin(), bytes.end());
    };
    std::string x = text(a), y = text(b);
    RC_ASSERT((x < y) == (object_key("bucket", x) < object_key("bucket", y)));
    RC_ASSERT((x > y) == (object_key("bucket", x) >= after_object("bucket", y)));
    std::string place = object_key("bucket", x);
    if (!x.empty()) RC_ASSERT(object_key_of(place, objects_prefix("bucket").size()) == x);
  });
  EXPECT_LT(object_key("a", "z"), object_key("a-b", "a"));
  EXPECT_LT(object_key("a-b", "z"), object_key("b", "a"));
}

TEST(Keys, AfterPrefixIsTheFirstThatIsNotUnderIt) {
  EXPECT_EQ(after_prefix("ab"), "ac");
  EXPECT_EQ(after_prefix("a\xff\xff"), "b");
  EXPECT_EQ(after_prefix("\xff"), "");
  EXPECT_EQ(after_prefix(""), "");
}

}  // namespace
}  // namespace archipel::store
