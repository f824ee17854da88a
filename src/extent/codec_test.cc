// Names, headers, encoding and decoding: what can be said of an extent without any island.
#include <bit>
#include <set>

#include "extent/extent_fixture.h"

namespace archipel::extent {
namespace {

class Codec : public ExtentFixture {
 protected:
  std::vector<std::optional<ByteView>> cells_of(const CodedExtent& coded) {
    std::vector<std::optional<ByteView>> cells;
    cells.reserve(coded.shards.size());
    for (ByteView shard : coded.shards)
      cells.emplace_back(shard.subspan(coded.ref.kind == ExtentRef::Kind::data ? kShardHeaderBytes : 0));
    return cells;
  }
  Result<std::string> decode(const ExtentRef& ref, const std::vector<std::optional<ByteView>>& cells,
                             std::vector<uint64_t>* wrong = nullptr) {
    ASSIGN_OR_RETURN(Buffer bytes, decode_extent(*keys_, coder_, ref, cells, wrong));
    return std::string(as_text(bytes));
  }
};

TEST_F(Codec, NamesNeverRepeatAcrossIslandsShardsAttemptsAndKinds) {
  std::set<std::string> names;
  size_t made = 0;
  auto add = [&](std::string name) {
    EXPECT_EQ(name.size(), 40u);
    EXPECT_EQ(name.find_first_not_of("0123456789abcdef"), std::string::npos);
    names.insert(std::move(name));
    ++made;
  };
  ExtentRef ref = make_ref(100, 10), again = ref;
  again.attempt = random_->bytes<16>();
  OpenBits open{1}, other_open{2};
  for (std::string id : {"a", "b"}) {
    for (int shard = 0; shard < 6; ++shard) add(shard_name(*keys_, id, ref, shard));
    add(shard_name(*keys_, id, again, 0));
    add(commit_blob_name(*keys_, id, 3, open, 1));
    add(commit_blob_name(*keys_, id, 3, open, 2));
    add(commit_blob_name(*keys_, id, 3, other_open, 1));
    for (uint64_t epoch : {0, 1}) add(claim_name(*keys_, id, epoch));
    for (uint64_t epoch : {0, 1}) add(open_name(*keys_, id, epoch));
    for (int slot : {0, 1}) add(head_slot_name(*keys_, id, slot));
    add(lease_name(*keys_, id));
  }
  EXPECT_EQ(names.size(), made);
}

TEST_F(Codec, NamesASectionsShardsAfterTheirCommitBlob) {
  ExtentRef ref = make_ref(100, 10, ExtentRef::Kind::section);
  ref.open = {9, 8, 7};
  for (int shard = 0; shard < 6; ++shard) {
    EXPECT_EQ(shard_name(*keys_, "a", ref, shard),
              commit_blob_name(*keys_, "a", ref.id.epoch, ref.open, ref.id.counter));
  }
}

TEST_F(Codec, DecodesAfterEveryAdmittedErasure) {
  for (uint64_t length : {1u, 15u, 16u, 17u, 48u, 49u, 64u, 80u, 96u, 200u}) {
    std::string bytes = random_bytes(length);
    CodedExtent coded = encode(make_ref(length, 16), bytes);
    for (unsigned kept = 0; kept < 1u << 6; ++kept) {
      if (std::popcount(kept) != 3) continue;
      auto cells = cells_of(coded);
      for (size_t i = 0; i < 6; ++i) {
        if ((kept >> i & 1) == 0) cells[i].reset();
      }
      auto decoded = decode(coded.ref, cells);
      ASSERT_TRUE(decoded) << decoded.error().message;
      EXPECT_EQ(*decoded, bytes) << "length " << length << " kept " << kept;
    }
  }
}

TEST_F(Codec, SizesShardsAsTheGeometrySays) {
  for (uint64_t length : {1u, 1000u, 65'552u, 65'553u, 400'000u}) {
    CodedExtent coded = encode(make_ref(length, kCellBytesMax), random_bytes(length));
    EXPECT_EQ(coded.ref.base, kShardHeaderBytes);
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(coded.shards[static_cast<size_t>(i)].size(),
                kShardHeaderBytes + coded.ref.geometry.shard_bytes(i));
    }
  }
}

TEST_F(Codec, CodesAnEmptySectionToNothing) {
  CodedExtent coded = encode(make_ref(0, 16, ExtentRef::Kind::section), "");
  for (ByteView shard : coded.shards) EXPECT_TRUE(shard.empty());
}

TEST_F(Codec, IsDeterministicWithinAnAttempt) {
  std::string bytes = random_bytes(200);
  ExtentRef ref = make_ref(200, 16);
  CodedExtent once = encode(ref, bytes), twice = encode(ref, bytes);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(as_text(once.shards[i]), as_text(twice.shards[i]));
}

TEST_F(Codec, BuildsTheSameInPlaceWhetherOrNotTheLengthWasKnown) {
  for (uint64_t length : {1u, 16u, 40u, 48u, 96u, 100u}) {
    std::string bytes = random_bytes(length);
    ExtentRef ref = make_ref(length, 16);
    CodedExtent expected = encode(ref, bytes);
    ExtentRef announced = ref;
    announced.geometry.length = 500;
    ExtentBuilder builder(*keys_, coder_, announced);
    for (size_t done = 0; done < length;) {
      MutableBytes cell = builder.next_cell();
      ASSERT_EQ(cell.size(), 16u);
      size_t n = std::min<size_t>(cell.size(), length - done);
      std::memcpy(cell.data(), bytes.data() + done, n);
      builder.commit(n);
      done += n;
    }
    EXPECT_EQ(builder.length(), length);
    CodedExtent built = builder.finish(names_of(ref));
    EXPECT_EQ(built.ref.geometry, expected.ref.geometry);
    for (size_t i = 0; i < 6; ++i)
      EXPECT_EQ(as_text(built.shards[i]), as_text(expected.shards[i])) << length << " shard " << i;
  }
}

TEST_F(Codec, DetectsEveryFlippedBitAndBlamesItsShard) {
  std::string bytes = random_bytes(70);
  CodedExtent coded = encode(make_ref(70, 16), bytes);
  for (size_t shard = 0; shard < 6; ++shard) {
    ByteView view = coded.shards[shard].subspan(kShardHeaderBytes);
    auto* data = const_cast<uint8_t*>(view.data());
    for (size_t bit = 0; bit < view.size() * 8; ++bit) {
      data[bit / 8] = static_cast<uint8_t>(data[bit / 8] ^ (1 << bit % 8));
      std::vector<uint64_t> wrong;
      auto decoded = decode(coded.ref, cells_of(coded), &wrong);
      ASSERT_TRUE(decoded);
      ASSERT_EQ(*decoded, bytes);
      for (size_t i = 0; i < 6; ++i)
        ASSERT_EQ(wrong[i], i == shard ? 1u : 0u) << "shard " << shard << " bit " << bit;
      data[bit / 8] = static_cast<uint8_t>(data[bit / 8] ^ (1 << bit % 8));
    }
  }
}

TEST_F(Codec, RefusesCellsFromAnotherPlaceAttemptOrGeometry) {
  std::string bytes = random_bytes(96);
  ExtentRef ref = make_ref(96, 16);
  CodedExtent coded = encode(ref, bytes);
  auto is_refused = [&](const ExtentRef& as, std::vector<std::optional<ByteView>> cells) {
    auto decoded = decode(as, cells);
    return !decoded && decoded.error().code == Code::corrupt;
  };
  auto rotated = cells_of(coded);
  std::rotate(rotated.begin(), rotated.begin() + 1, rotated.end());
  EXPECT_TRUE(is_refused(ref, rotated)) << "every shard on a wrong island";

  ExtentRef other = ref;
  other.attempt[0] ^= 1;
  EXPECT_TRUE(is_refused(other, cells_of(coded))) << "stale attempt";
  other = ref;
  other.id.counter += 1;
  EXPECT_TRUE(is_refused(other, cells_of(coded))) << "another extent";
  other = ref;
  other.kind = ExtentRef::Kind::section;
  EXPECT_TRUE(is_refused(other, cells_of(coded))) << "another kind";
  other = ref;
  other.geometry.length = 95;
  EXPECT_TRUE(is_refused(other, cells_of(coded))) << "a shorter extent";

  std::string swapped(as_text(coded.shards[0].subspan(kShardHeaderBytes)));
  std::swap_ranges(swapped.begin(), swapped.begin() + 32, swapped.begin() + 32);
  std::vector<uint64_t> wrong;
  auto cells = cells_of(coded);
  cells[0] = as_bytes(swapped);
  EXPECT_EQ(*decode(ref, cells, &wrong), bytes) << "two cells of one shard exchanged";
  EXPECT_EQ(wrong[0], 2u);
}

TEST_F(Codec, ToleratesTruncatedShardsUpToTheLimit) {
  std::string bytes = random_bytes(200);
  CodedExtent coded = encode(make_ref(200, 16), bytes);
  auto cells = cells_of(coded);
  for (size_t cut : {0u, 1u, 15u, 33u}) {
    for (size_t i : {0u, 2u, 5u}) cells[i] = cells_of(coded)[i]->first(cut);
    auto decoded = decode(coded.ref, cells);
    ASSERT_TRUE(decoded) << cut;
    EXPECT_EQ(*decoded, bytes);
  }
  cells[1] = ByteView{};
  auto decoded = decode(coded.ref, cells);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, Code::corrupt);
  for (auto& cell : cells) cell.reset();
  decoded = decode(coded.ref, cells);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, Code::unavailable);
}

TEST_F(Codec, ChecksHeadersAgainstTheReference) {
  ExtentRef ref = make_ref(100, 16);
  CodedExtent coded = encode(ref, random_bytes(100));
  auto names = names_of(ref);
  auto check = [&](const ExtentRef& as, int shard, const std::string& name, ByteView header) {
    return check_shard_header(*keys_, as, shard, name, header).has_value();
  };
  ByteView header = coded.shards[2].first(kShardHeaderBytes);
  EXPECT_TRUE(check(ref, 2, names[2], header));
  EXPECT_FALSE(check(ref, 3, names[2], header));
  EXPECT_FALSE(check(ref, 2, names[3], header));
  ExtentRef other = ref;
  other.geometry.cell_bytes = 17;
  EXPECT_FALSE(check(other, 2, names[2], header));
  for (size_t bit = 0; bit < kShardHeaderBytes * 8; ++bit) {
    ShardHeader flipped;
    std::memcpy(flipped.data(), header.data(), flipped.size());
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(check(ref, 2, names[2], flipped)) << bit;
  }
  EXPECT_EQ(as_text(header).find("ARCHIPXT"), std::string_view::npos) << "the header is masked";
}

}  // namespace
}  // namespace archipel::extent
