#include "index/record.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "index/pack.h"

namespace archipel::index {
namespace {

class RecordTest : public testing::Test {
 protected:
  std::unique_ptr<Random> random = seeded_random(7);
  std::unique_ptr<crypto::Keyring> keys = crypto::Keyring::generate(*random);
  const std::string island = "island-0", name = std::string(40, 'a');

  Record sample() const {
    Record record;
    record.prev_hash[3] = 9;
    record.epoch = 2;
    record.seq = 17;
    record.commit_ms = 1700000000123;
    record.confirmed = {{2, 15, 0x3f}, {2, 16, 0x0f}};
    record.mutations = {{"key", "value"}, {"gone", std::nullopt}, {"", std::string(1000, 'x')}};
    return record;
  }
  std::string blob_of(const Record& record, size_t pad = 0) {
    Header header;
    header.epoch = record.epoch;
    header.seq = record.seq;
    random->fill(header.salt);
    Sealed sealed = seal(*keys, header, as_bytes(encode_record(record, pad)));
    HeaderBytes head = masked_header(*keys, island, name, sealed.header);
    return std::string(as_text(head)) + std::string(as_text(sealed.bytes));
  }
};

TEST_F(RecordTest, ComesBackAsItWasWritten) {
  for (size_t pad : {0u, 5000u}) {
    auto opened = open_blob(*keys, island, name, BlobKind::commit, 2, 17, as_bytes(blob_of(sample(), pad)));
    ASSERT_TRUE(opened) << opened.error().describe();
    auto record = decode_record(opened->plain);
    ASSERT_TRUE(record) << record.error().describe();
    EXPECT_EQ(record->prev_hash, sample().prev_hash);
    EXPECT_EQ(record->seq, 17u);
    EXPECT_EQ(record->commit_ms, 1700000000123);
    ASSERT_EQ(record->confirmed.size(), 2u);
    EXPECT_EQ(record->confirmed[1].mask, 0x0fu);
    ASSERT_EQ(record->mutations.size(), 3u);
    EXPECT_EQ(record->mutations[0].value, "value");
    EXPECT_FALSE(record->mutations[1].value);
    EXPECT_EQ(record->mutations[2].value->size(), 1000u);
  }
}

TEST_F(RecordTest, AnyFlippedOrMissingByteIsRefused) {
  const std::string blob = blob_of(sample());
  for (size_t i = 0; i < blob.size(); i += i < kHeaderBytes ? 1 : 37) {
    std::string bad = blob;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(open_blob(*keys, island, name, BlobKind::commit, 2, 17, as_bytes(bad))) << "byte " << i;
    EXPECT_FALSE(open_blob(*keys, island, name, BlobKind::commit, 2, 17, as_bytes(blob.substr(0, i))))
        << "cut to " << i;
  }
}

TEST_F(RecordTest, IsRefusedInAnotherPlace) {
  const std::string blob = blob_of(sample());
  EXPECT_FALSE(open_blob(*keys, island, name, BlobKind::commit, 2, 18, as_bytes(blob)));
  EXPECT_FALSE(open_blob(*keys, island, name, BlobKind::commit, 3, 17, as_bytes(blob)));
  EXPECT_FALSE(open_blob(*keys, island, name, BlobKind::open, 2, 17, as_bytes(blob)));
  EXPECT_FALSE(open_blob(*keys, "island-1", name, BlobKind::commit, 2, 17, as_bytes(blob)));
  EXPECT_FALSE(open_blob(*keys, island, std::string(40, 'b'), BlobKind::commit, 2, 17, as_bytes(blob)));
  auto other = crypto::Keyring::generate(*random);
  EXPECT_FALSE(open_blob(*other, island, name, BlobKind::commit, 2, 17, as_bytes(blob)));
}

TEST_F(RecordTest, EqualRecordsShareNoBytesOnTheIsland) {
  const std::string one = blob_of(sample()), two = blob_of(sample());
  ASSERT_EQ(one.size(), two.size());
  size_t same = 0, run = 0, longest = 0;
  for (size_t i = kHeaderBytes; i < one.size(); ++i) {
    run = one[i] == two[i] ? run + 1 : 0;
    same += one[i] == two[i] ? 1 : 0;
    longest = std::max(longest, run);
  }
  EXPECT_LT(longest, 6u);
  EXPECT_LT(same, one.size() / 16);
}

TEST_F(RecordTest, ClaimIsTheSameWhoeverWritesIt) {
  Sealed one = seal_claim(*keys, 5), two = seal_claim(*keys, 5), other = seal_claim(*keys, 6);
  EXPECT_EQ(hex(one.bytes), hex(two.bytes));
  EXPECT_NE(hex(one.bytes), hex(other.bytes));
}

TEST_F(RecordTest, OpenComesBackAsItWasWritten) {
  EpochOpen open;
  open.epoch = 9;
  open.bits = {1, 2, 3};
  open.parent_epoch = 7;
  open.parent_seq = 1234;
  open.w = 4;
  open.extent_range = 4096;
  open.attempt_seed.fill(7);
  for (int i = 0; i < 6; ++i)
    open.roster.push_back(
        {"island-" + std::to_string(i), {static_cast<uint8_t>(i)}, RosterEntry::State(i % 3)});
  auto back = decode_open(as_bytes(encode_open(open)));
  ASSERT_TRUE(back);
  EXPECT_EQ(encode_open(*back), encode_open(open));
  EXPECT_EQ(back->roster[5].state, RosterEntry::State::lost);
}

TEST_F(RecordTest, DecodersSurviveAnyBytes) {
  const std::string record = encode_record(sample(), 0);
  EXPECT_TRUE(rc::check([&] {
    std::string bytes = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
    (void)decode_record(as_bytes(bytes));
    (void)decode_open(as_bytes(bytes));
    (void)decode_header(as_bytes(bytes));
    std::string changed = record;
    for (int i = 0; i < 3; ++i)
      changed[*rc::gen::inRange<size_t>(0, changed.size())] = *rc::gen::arbitrary<char>();
    (void)decode_record(as_bytes(changed));
    (void)decode_record(as_bytes(changed.substr(0, *rc::gen::inRange<size_t>(0, changed.size()))));
  }));
}

TEST_F(RecordTest, AnnouncedLengthsBeyondTheLimitsAreRefused) {
  std::string huge;
  Writer(huge).raw(std::string(32 + 24 + 32, '\0')).varint(1u << 30);
  EXPECT_FALSE(decode_record(as_bytes(huge)));
  std::string many = std::string(32 + 24 + 32, '\0');
  Writer(many).varint(0).varint(uint64_t{1} << 40);
  EXPECT_FALSE(decode_record(as_bytes(many)));
}

// --- packing ---

TEST(Pack, NoSegmentStraddlesCellsOrOverlaps) {
  EXPECT_TRUE(rc::check([] {
    std::vector<uint32_t> sizes =
        *rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(1, extent::kCellBytesMax + 1));
    Packing packing = pack({6, 3}, sizes);
    RC_ASSERT(packing.offsets.size() == sizes.size());
    uint64_t end = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      RC_ASSERT(packing.offsets[i] >= end);
      end = packing.offsets[i] + sizes[i];
      RC_ASSERT(packing.offsets[i] / packing.geometry.cell_bytes == (end - 1) / packing.geometry.cell_bytes);
    }
    RC_ASSERT(packing.geometry.length == end);
    if (!sizes.empty()) RC_ASSERT(extent::check_geometry(packing.geometry).has_value());
  }));
}

TEST(Pack, SmallBatchIsSpreadOverAllDataShards) {
  Packing packing = pack({6, 3}, {1000, 900, 950});
  EXPECT_EQ(packing.geometry.cell_bytes, 1000u);
  EXPECT_EQ(packing.geometry.cells(), 3u);
  packing = pack({6, 3}, std::vector<uint32_t>(30, 100));
  EXPECT_EQ(packing.geometry.cell_bytes, 1000u);
  EXPECT_EQ(packing.geometry.length, 3000u);
}

TEST(Pack, LoneObjectTakesOneCell) {
  Packing packing = pack({6, 3}, {4112});
  EXPECT_EQ(packing.geometry.cells(), 1u);
  EXPECT_EQ(packing.geometry.cell_bytes, 4112u);
}

TEST(Pack, LargeBatchUsesFullCells) {
  Packing packing = pack({6, 3}, std::vector<uint32_t>(10, extent::kCellBytesMax));
  EXPECT_EQ(packing.geometry.cell_bytes, extent::kCellBytesMax);
  EXPECT_EQ(packing.geometry.cells(), 10u);
}

}  // namespace
}  // namespace archipel::index
