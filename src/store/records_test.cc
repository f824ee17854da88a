#include "store/records.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "store/keys.h"
#include "store/registry.h"

namespace archipel::store {
namespace {

using namespace std::string_literals;

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

Slice placed_slice(std::initializer_list<uint8_t> places) {
  Slice slice = large_slice(20u << 20, 126);
  const std::vector<uint8_t> homes(places);
  for (ExtentRun& run : slice.storage.extents) {
    run.ref.geometry.code = {4, 2};
    run.ref.homes = *extent::Homes::of(homes);
  }
  return slice;
}

TEST(Records, KeepTheHomesOfEveryExtent) {
  const VersionRecord version = version_of(placed_slice({5, 0, 3, 2}));
  auto back = decode_version(encode(version));
  ASSERT_TRUE(back) << back.error().describe();
  ASSERT_EQ(back->slices[0].storage.extents.size(), 3u);
  for (const ExtentRun& run : back->slices[0].storage.extents) EXPECT_EQ(run.ref.homes.mask(4), 0b101101u);
  const extent::ExtentRef& ref = back->slices[0].storage.extents[0].ref;
  auto live = decode_live(encode(LiveRecord{1, ref}));
  ASSERT_TRUE(live);
  EXPECT_EQ(live->ref.homes, ref.homes);
  auto doomed = decode_doomed(encode(doomed_now(ref, 5)));
  ASSERT_TRUE(doomed);
  EXPECT_EQ(doomed->ref.homes, ref.homes);
}

// One way to write down what has no homes: the one that always was.
TEST(Records, OfFirstIslandsInOrderHaveNoHomes) {
  Slice standard = placed_slice({0, 1, 2, 3});
  std::string bytes = encode(version_of(standard));
  EXPECT_EQ(encode(LiveRecord{1, standard.storage.extents[0].ref})[2], 0);  // the kind
  EXPECT_LT(bytes.size(), encode(version_of(placed_slice({5, 0, 3, 2}))).size());
}

TEST(Records, RefuseHomesThatAreNone) {
  const extent::ExtentRef ref = placed_slice({5, 0, 3, 2}).storage.extents[0].ref;
  const std::string live = encode(LiveRecord{1, ref});
  const std::string version = encode(version_of(placed_slice({5, 0, 3, 2})));
  const std::string there("\x05\x00\x03\x02", 4);
  ASSERT_EQ(live.substr(live.size() - 4), there);
  const size_t at = version.find(std::string("\x03\x04\x02", 3) + there) + 3;
  ASSERT_NE(at, std::string::npos + 3);
  for (std::string homes : {"\x05\x00\x03\x05"s, "\x05\x00\x03\x10"s, "\x00\x01\x02\x03"s}) {
    EXPECT_FALSE(decode_live(std::string(live).replace(live.size() - 4, 4, homes))) << hex(as_bytes(homes));
    EXPECT_FALSE(decode_version(std::string(version).replace(at, 4, homes))) << hex(as_bytes(homes));
  }
  EXPECT_TRUE(decode_version(std::string(version).replace(at, 4, "\x0f\x00\x03\x02"s)));
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
  newer[0] = 3;
  EXPECT_EQ(decode_version(newer).error().code, Code::unsupported);
  std::string bucket = encode(BucketRecord{"owner", 1});
  bucket[0] = 3;
  EXPECT_EQ(decode_bucket(bucket).error().code, Code::unsupported);
}

VersionRecord everything(Slice slice) {
  VersionRecord version = version_of(std::move(slice));
  version.order = 0x1122334455667788;
  version.null = false;
  Attributes& attributes = version.info.attributes;
  attributes.tags = {{"project", "x"}, {"tier", ""}};
  attributes.acl = "<opaque/>";
  attributes.owner = std::string(64, 'b');
  attributes.retention = {Retention::Mode::compliance, 1'800'000'000'000};
  attributes.legal_hold = true;
  version.info.encryption = {Encryption::Kind::sse_c, "bWQ1"};
  version.key_commitment = std::string(32, 'c');
  return version;
}

TEST(Records, OfTheSecondFormatKeepEverything) {
  VersionRecord version = everything(large_slice(20u << 20, 126));
  std::string bytes = encode(version);
  EXPECT_EQ(bytes[0], 2);
  auto back = decode_version(bytes);
  ASSERT_TRUE(back) << back.error().describe();
  EXPECT_EQ(encode(*back), bytes);
  EXPECT_EQ(back->order, version.order);
  EXPECT_FALSE(back->null);
  EXPECT_EQ(back->info.version, "11223344556677880909090909090909");
  EXPECT_EQ(back->info.attributes.tags, version.info.attributes.tags);
  EXPECT_EQ(back->info.attributes.acl, "<opaque/>");
  EXPECT_EQ(back->info.encryption.name, "bWQ1");
  EXPECT_EQ(back->key_commitment, version.key_commitment);
  auto listed = decode_version(bytes, Depth::listing);
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->info.attributes.owner, version.info.attributes.owner);
  EXPECT_EQ(listed->info.attributes.retention.until_ms, 1'800'000'000'000);
  EXPECT_TRUE(listed->info.attributes.legal_hold);
  EXPECT_TRUE(listed->info.metadata.empty());
}

// A record that an older release wrote is a null version, and stays as it is when it is written again.
TEST(Records, OfTheFirstFormatAreNullVersions) {
  std::string bytes = encode(version_of(large_slice(20u << 20, 126)));
  EXPECT_EQ(bytes[0], 1);
  auto back = decode_version(bytes);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->null);
  EXPECT_EQ(back->order, 0u);
  EXPECT_EQ(back->info.version, "null");
}

TEST(Records, OfMultipartObjectsAddUpToTheirParts) {
  VersionRecord version = everything(large_slice(1, 1));
  version.slices.clear();
  version.part_set.emplace().fill(7);
  version.parts = {{1, 5u << 20, "aaaa"}, {4, 17, "bbbb"}};
  version.info.parts = 2;
  version.info.size = (5u << 20) + 17;
  auto back = decode_version(encode(version));
  ASSERT_TRUE(back) << back.error().describe();
  EXPECT_EQ(back->part_set, version.part_set);
  ASSERT_EQ(back->parts.size(), 2u);
  EXPECT_EQ(back->parts[1].number, 4u);
  EXPECT_EQ(back->parts[1].checksum, "bbbb");
  EXPECT_EQ(decode_version(encode(version), Depth::listing)->info.parts, 2u);
  version.parts[1].number = 1;
  EXPECT_FALSE(decode_version(encode(version)));
  version.parts[1].number = 4;
  version.info.size += 1;
  EXPECT_FALSE(decode_version(encode(version)));
}

TEST(Records, OfDeleteMarkersHoldNoBytes) {
  VersionRecord marker;
  marker.info.delete_marker = true;
  marker.order = 5;
  marker.null = false;
  auto back = decode_version(encode(marker));
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->info.delete_marker);
  VersionRecord with_bytes = everything(large_slice(1, 1));
  with_bytes.info.delete_marker = true;
  EXPECT_FALSE(decode_version(encode(with_bytes)));
}

TEST(Records, OfBucketsKeepVersioningLockAndQuota) {
  BucketRecord plain{"owner", 7};
  EXPECT_EQ(encode(plain)[0], 1);
  BucketRecord record{"owner", 7, Versioning::enabled, true, {1u << 30, 12}};
  auto back = decode_bucket(encode(record));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->versioning, Versioning::enabled);
  EXPECT_TRUE(back->object_lock);
  EXPECT_EQ(back->quota.bytes, 1u << 30);
  EXPECT_EQ(back->quota.versions, 12u);
  record.versioning = Versioning::suspended;  // a bucket with object lock cannot be suspended
  EXPECT_FALSE(decode_bucket(encode(record)));
  auto usage = decode_usage(encode(UsageRecord{{3, 4}, {5, 6}}));
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->used.versions, 4u);
  EXPECT_EQ(usage->limit.bytes, 5u);
  EXPECT_FALSE(usage->tallies);
  EXPECT_EQ(*decode_config(encode_config("<x/>")), "<x/>");
}

TEST(VersionNames, AreReadAsTheyAreWritten) {
  VersionRecord version = everything(large_slice(1, 1));
  auto name = parse_version(version_text(version));
  ASSERT_TRUE(name);
  EXPECT_TRUE(name->names(version));
  VersionRecord other = version;
  other.order += 1;
  EXPECT_FALSE(name->names(other));
  other = version;
  other.version_id[0] ^= 1;
  EXPECT_FALSE(name->names(other));
  other = version;
  other.null = true;
  EXPECT_FALSE(name->names(other));
  EXPECT_TRUE(parse_version("null")->names(other));
  for (const char* bad : {"", "Null", "1122334455667788090909090909090", "1122334455667788090909090909090G",
                          "11223344556677880909090909090909 ", "AA223344556677880909090909090909"})
    EXPECT_EQ(parse_version(bad).error().detail, "InvalidArgument") << bad;
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
  std::string good = encode(everything(large_slice(3u << 20, 15)));
  auto keys = crypto::Keyring::generate(*seeded_random(1));
  size_t survived = 0;  // a changed salt, say, is still a record
  EXPECT_TRUE(rc::check("changed records", [&] {
    std::string bytes = good;
    int changes = *rc::gen::inRange(1, 4);
    for (int i = 0; i < changes; ++i)
      bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
    survived += decode_version(bytes).has_value();
    survived += decode_doomed(bytes).has_value();
    survived += decode_live(bytes).has_value();
    survived += decode_bucket(bytes).has_value();
    survived += decode_usage(bytes).has_value();
    survived += decode_config(bytes).has_value();
    survived += decode_account(bytes, "k", *keys).has_value();
  }));
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_version(std::string_view(good).substr(0, size)));
  EXPECT_FALSE(decode_version(good + "x"));
}

TEST(Keys, SortObjectsByRawBytes) {
  EXPECT_TRUE(rc::check("order is kept", [](std::vector<uint8_t> a, std::vector<uint8_t> b) {
    auto text = [](std::vector<uint8_t>& bytes) {
      for (uint8_t& byte : bytes) byte = byte == 0 ? 1 : byte;
      return std::string(bytes.begin(), bytes.end());
    };
    std::string x = text(a), y = text(b);
    RC_ASSERT((x < y) == (object_key("bucket", x) < object_key("bucket", y)));
    RC_ASSERT((x > y) == (object_key("bucket", x) >= after_object("bucket", y)));
    std::string place = object_key("bucket", x);
    if (!x.empty()) RC_ASSERT(object_key_of(place, objects_prefix("bucket").size()) == x);
  }));
  EXPECT_LT(object_key("a", "z"), object_key("a-b", "a"));
  EXPECT_LT(object_key("a-b", "z"), object_key("b", "a"));
}

TEST(Keys, PutNewerVersionsOfAKeyFirst) {
  EXPECT_LT(version_key("b", "k", 9), version_key("b", "k", 8));
  EXPECT_LT(version_key("b", "k", 0), version_key("b", "k\x01", 9));
  EXPECT_TRUE(version_key("b", "k", 0).starts_with(versions_of("b", "k")));
  std::string place = version_key("bucket", "a/b", 0xff00000000000000);
  auto back = version_place_of(place, versions_prefix("bucket").size());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->key, "a/b");
  EXPECT_EQ(back->order, 0xff00000000000000);
  EXPECT_FALSE(version_place_of(versions_of("bucket", "a"), versions_prefix("bucket").size()));
  EXPECT_LT(versions_of("a", "z"), versions_of("a-b", "a"));
}

TEST(Keys, AfterPrefixIsTheFirstThatIsNotUnderIt) {
  EXPECT_EQ(after_prefix("ab"), "ac");
  EXPECT_EQ(after_prefix("a\xff\xff"), "b");
  EXPECT_EQ(after_prefix("\xff"), "");
  EXPECT_EQ(after_prefix(""), "");
}

}  // namespace
}  // namespace archipel::store
