// Golden bytes: docs/formats/edge-disk.md, byte by byte. What is written today must be read tomorrow, or forgotten on purpose by a new version.
#include "edge/disk_format.h"

#include <gtest/gtest.h>

#include "edge/purge_log.h"

namespace archipel::edge {
namespace {

disk::CacheId cache_id() {
  disk::CacheId id;
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<uint8_t>(0xA0 + i);
  return id;
}

Entry full_entry() {
  Entry entry;
  entry.id = 0x0102030405060708;
  entry.key = "site\nhttp://host:80/a";
  entry.site = "site";
  entry.tags = {"news", "sport"};
  entry.groups = {"Group"};
  entry.status = 203;
  entry.headers.add("content-type", "text/plain");
  entry.headers.add("x", "");
  entry.length = 5;
  entry.lifetime = {1'800'000'000'000, 2000, 3000, 4000, 5000, true, true, true};
  entry.etag = "\"e\"";
  entry.last_modified = 1'700'000'000'000;
  entry.ranges = true;
  entry.h1_head = "HTTP/1.1 203 \r\n";
  return entry;
}

std::string hex_of(std::string_view bytes) {
  return hex(as_bytes(bytes));
}

TEST(EdgeDiskFormat, IdentityAndRegionHeaderAreGolden) {
  disk::Identity identity{cache_id(), {}};
  identity.secret.bytes.fill(0x11);
  EXPECT_EQ(hex_of(disk::encode_identity(identity)),
            "415243484544474901a0a1a2a3a4a5a6a7a8a9aaabacadaeaf11111111111111"
            "1111111111111111110000000000000000000000000000000000000026d56abf");
  EXPECT_EQ(disk::decode_identity(as_bytes(disk::encode_identity(identity))), identity);
  const std::string header = disk::encode_region_header(cache_id(), 9);
  EXPECT_EQ(hex_of(header),
            "415243484544475201a0a1a2a3a4a5a6a7a8a9aaabacadaeaf00000000000000"
            "09000000000000000000000000000000000000000000000000000000a78db447");
  EXPECT_EQ(disk::decode_region_header(as_bytes(header), cache_id()), 9u);
  EXPECT_FALSE(disk::decode_region_header(as_bytes(header), {}).has_value());
}

TEST(EdgeDiskFormat, RecordHeaderIsGolden) {
  disk::RecordHeader header;
  header.kind = disk::Kind::slice;
  header.sequence = 9;
  header.key = {0x1112131415161718, 0x2122232425262728};
  header.id = 0x0102030405060708;
  header.index = 3;
  header.body_bytes = 1000;
  header.meta_bytes = 20;
  header.payload_crc = 0xAABBCCDD;
  header.stamp = 5;
  header.expires = 1'800'000'000'000;
  std::string bytes;
  disk::append_record_header(bytes, header);
  EXPECT_EQ(hex_of(bytes),
            "4145435202000000000000000000000911121314151617182122232425262728"
            "010203040506070800000003000003e800000014aabbccdd0000000000000005"
            "000001a3185c50000000000000000000000000000000000000000000efab6bcb");
  EXPECT_EQ(disk::decode_record_header(as_bytes(bytes)), header);
  EXPECT_EQ(disk::payload_crc(as_bytes("123"), as_bytes("456789")), 0xE3069283u);
}

TEST(EdgeDiskFormat, FooterIsGolden) {
  const std::vector<disk::Item> items = {{0x2122232425262728, disk::Kind::entry, 1, 300, 0},
                                         {0x3132333435363738, disk::Kind::gone, 6, 96, 77}};
  const std::string footer = disk::encode_footer(cache_id(), 9, items, 4, 5);
  EXPECT_EQ(hex_of(footer),
            "2122232425262728100000010000012c00000000000000003132333435363738"
            "4000000600000060000000000000004d4152434845444746a0a1a2a3a4a5a6a7"
            "a8a9aaabacadaeaf000000000000000900000002000000000000000400000000"
            "00000005087c3e5f00ffff9066ded8e0");
  const ByteView all = as_bytes(footer);
  auto trailer = disk::decode_trailer(all.last(disk::kTrailerBytes), cache_id(), 9);
  ASSERT_TRUE(trailer.has_value());
  EXPECT_EQ(trailer->stamp_min, 4u);
  EXPECT_EQ(trailer->stamp_max, 5u);
  EXPECT_EQ(disk::decode_table(all.first(48), *trailer), items);
  EXPECT_FALSE(disk::decode_trailer(all.last(disk::kTrailerBytes), cache_id(), 8).has_value());
}

TEST(EdgeDiskFormat, EntryIsGolden) {
  const std::string bytes = disk::encode_entry(full_entry());
  EXPECT_EQ(hex_of(bytes),
            "3f010203040506070800cb00000000000000050000018bcfe56800000001a318"
            "5c500000000000000007d00000000000000bb80000000000000fa00000000000"
            "00138815736974650a687474703a2f2f686f73743a38302f6104736974650322"
            "65220f485454502f312e3120323033200d0a02046e6577730573706f72740105"
            "47726f7570020c636f6e74656e742d747970650a746578742f706c61696e0178"
            "00");
  auto entry = disk::decode_entry(as_bytes(bytes));
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(disk::encode_entry(*entry), bytes);
  const Entry want = full_entry();
  EXPECT_EQ(entry->id, want.id);
  EXPECT_EQ(entry->key, want.key);
  EXPECT_EQ(entry->site, want.site);
  EXPECT_EQ(entry->tags, want.tags);
  EXPECT_EQ(entry->groups, want.groups);
  EXPECT_EQ(entry->status, want.status);
  EXPECT_EQ(entry->headers.get("content-type"), "text/plain");
  EXPECT_EQ(entry->headers.size(), 2u);
  EXPECT_EQ(entry->length, want.length);
  EXPECT_EQ(entry->lifetime.received, want.lifetime.received);
  EXPECT_EQ(entry->lifetime.age_then, want.lifetime.age_then);
  EXPECT_EQ(entry->lifetime.fresh, want.lifetime.fresh);
  EXPECT_EQ(entry->lifetime.while_revalidate, want.lifetime.while_revalidate);
  EXPECT_EQ(entry->lifetime.if_error, want.lifetime.if_error);
  EXPECT_TRUE(entry->lifetime.heuristic && entry->lifetime.validate_always && entry->lifetime.never_stale);
  EXPECT_EQ(entry->etag, want.etag);
  EXPECT_EQ(entry->last_modified, want.last_modified);
  EXPECT_TRUE(entry->ranges);
  EXPECT_EQ(entry->h1_head, want.h1_head);
  for (size_t i = 0; i < bytes.size(); ++i)
    EXPECT_EQ(disk::decode_entry(as_bytes(std::string_view(bytes).substr(0, i))), nullptr);
}

TEST(EdgeDiskFormat, LogOfPurgesIsGolden) {
  PurgeBook::Snapshot snapshot{7, 2, 1, {{6, PurgeScope::prefix, true, 20, {0x11, 0x22}}}, {{0x33, 0x44, 9}}};
  const std::string log = encode_purge_log(cache_id(), snapshot);
  EXPECT_EQ(hex_of(log),
            "415243484544475002a0a1a2a3a4a5a6a7a8a9aaabacadaeaf00000000000000"
            "07000000000000000200000000000000010000000000000000000000466b2119"
            "0000000000000006020100000000001400000000000000110000000000000022"
            "00000000621ee59a0000000000000009060000000000000000000000000000330000000000"
            "00004400000000ebb4eed7");
  auto read = decode_purge_log(as_bytes(log), cache_id());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->purges, snapshot.purges);
  EXPECT_EQ(read->latest, 7u);
  EXPECT_EQ(read->forgotten_hard, 2u);
  EXPECT_EQ(read->forgotten_soft, 1u);
  EXPECT_EQ(read->heard, snapshot.heard);
}

TEST(EdgeDiskFormat, ALogOfPurgesOfTheVersionBeforeIsRead) {
  const std::optional<std::string> log = unhex(
      "415243484544475001a0a1a2a3a4a5a6a7a8a9aaabacadaeaf00000000000000"
      "07000000000000000200000000000000010000000000000000000000af344a16"
      "0000000000000006020100000000001400000000000000110000000000000022"
      "00000000621ee59a");
  auto read = decode_purge_log(as_bytes(*log), cache_id());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->purges, (std::vector<Purge>{{6, PurgeScope::prefix, true, 20, {0x11, 0x22}}}));
  EXPECT_TRUE(read->heard.empty());
}

TEST(EdgeDiskFormat, WhatWasHeardLastCounts) {
  PurgeBook book{HashSecret{}};
  std::string log = encode_purge_log(cache_id(), book.snapshot());
  auto set = [&](const std::vector<HeardMark>& heard) {
    for (const Purge& line : book.set_heard(heard)) append_purge(log, line);
  };
  set({{1, 9, 5}, {2, 8, 1}});
  set({{1, 9, 5}, {2, 8, 1}});
  const size_t before = log.size();
  set({{1, 9, 6}, {3, 7, 1}});
  EXPECT_EQ(log.size() - before, 3 * 40u) << "what has changed, and no more";
  auto read = decode_purge_log(as_bytes(log), cache_id());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->heard, (std::vector<HeardMark>{{1, 9, 6}, {3, 7, 1}}));
  EXPECT_EQ(read->latest, 0u) << "numbers of other edges are none of ours";
  EXPECT_TRUE(read->purges.empty());
}

TEST(EdgeDiskFormat, NothingFlippedIsAccepted) {
  const std::string header = disk::encode_region_header(cache_id(), 9);
  disk::RecordHeader made;
  made.sequence = 9;
  std::string record;
  disk::append_record_header(record, made);
  for (size_t bit = 0; bit < header.size() * 8; ++bit) {
    std::string wrong = header;
    wrong[bit / 8] ^= static_cast<char>(1 << bit % 8);
    EXPECT_FALSE(disk::decode_region_header(as_bytes(wrong), cache_id()).has_value());
  }
  for (size_t bit = 0; bit < record.size() * 8; ++bit) {
    std::string wrong = record;
    wrong[bit / 8] ^= static_cast<char>(1 << bit % 8);
    EXPECT_FALSE(disk::decode_record_header(as_bytes(wrong)).has_value());
  }
}

TEST(EdgeDiskFormat, ExpiryIsKnownOnlyOfWhatCannotBeValidated) {
  Entry entry;
  entry.lifetime.received = 1'800'000'000'000;
  entry.lifetime.age_then = 1000;
  entry.lifetime.fresh = 60'000;
  EXPECT_EQ(disk::expires_of(entry), 1'800'000'059'000u);
  entry.lifetime.if_error = 5000;
  EXPECT_EQ(disk::expires_of(entry), 1'800'000'064'000u);
  entry.lifetime.never_stale = true;
  EXPECT_EQ(disk::expires_of(entry), 1'800'000'059'000u);
  entry.lifetime.fresh = INT64_MAX;
  EXPECT_GT(disk::expires_of(entry), 1'800'000'059'000u);
  entry.etag = "\"e\"";
  EXPECT_EQ(disk::expires_of(entry), 0u);
}

}  // namespace
}  // namespace archipel::edge
