#include "base/metrics.h"
#include "extent/extent_fixture.h"
#include "island/health.h"

namespace archipel::extent {
namespace {

using island::MemIsland;
using std::chrono::hours;
using std::chrono::milliseconds;

// Every test holds for both ways to read: all cells verified at once, or only when somebody who can tell says that bytes are wrong.
enum class Way { verified, sealed };

class ReaderTest : public ExtentFixture, public testing::WithParamInterface<Way> {
 protected:
  static io::Task<Result<Buffer>> read_and_drain(ReaderTest& test, ExtentRef ref, uint64_t offset,
                                                 uint64_t length, Duration patience) {
    Deadline deadline = io::Loop::current()->now() + patience;
    Result<Buffer> result = Buffer{};
    if (GetParam() == Way::verified) {
      result = co_await test.reader_->read(ref, offset, length, deadline);
    } else {
      result = co_await test.read_sealed(ref, offset, length, deadline);
    }
    for (auto& island : test.islands_) island->release(MemIsland::Op::get);
    co_await test.reader_->drain();
    co_return result;
  }
  // Stands in for a seal: knows what was written.
  io::Task<Result<Buffer>> read_sealed(ExtentRef ref, uint64_t offset, uint64_t length, Deadline deadline) {
    std::string right =
        offset <= stored_[ref.id.counter].size() ? stored_[ref.id.counter].substr(offset, length) : "";
    std::string got;
    auto open = [&right, &got](std::span<const ByteView> runs) {
      got.clear();
      for (ByteView run : runs) got += as_text(run);
      return got == right;
    };
    Result<void> done = co_await reader_->read_sealed(ref, offset, length, deadline, open);
    if (!done) co_return fail(done.error());
    co_return Buffer::copy_of(as_bytes(got));
  }
  Result<std::string> read(const ExtentRef& ref, uint64_t offset, uint64_t length,
                           Duration patience = hours(1)) {
    auto bytes = io::run_blocking([&] { return read_and_drain(*this, ref, offset, length, patience); });
    if (!bytes) return fail(bytes.error());
    return std::string(as_text(*bytes));
  }
  // The bytes, or what went wrong.
  std::string text(const ExtentRef& ref, uint64_t offset, uint64_t length) {
    auto result = read(ref, offset, length);
    return result ? *result : result.error().describe();
  }
  uint64_t gets() {
    uint64_t total = 0;
    for (auto& island : islands_) total += island->counts().gets;
    return total;
  }
  void make_reader(HedgeRule rule) { reader_ = make_extent_reader(*keys_, placement_, *workers_, rule); }

  std::unique_ptr<io::Workers> workers_ = io::make_workers(2);
  // Tests that are not about time never hedge.
  std::unique_ptr<ExtentReader> reader_ =
      make_extent_reader(*keys_, placement_, *workers_, {hours(1), hours(1)});
};

TEST_P(ReaderTest, ReturnsExactlyTheBytesAskedForEveryRange) {
  std::string bytes = random_bytes(77);
  ExtentRef ref = store(bytes, 8);
  for (uint64_t offset = 0; offset <= bytes.size(); ++offset) {
    for (uint64_t length = 0; length <= bytes.size() - offset; ++length) {
      auto result = read(ref, offset, length);
      ASSERT_TRUE(result);
      ASSERT_EQ(*result, bytes.substr(offset, length)) << offset << "+" << length;
    }
  }
}

TEST_P(ReaderTest, AsksOneIslandOnceForASmallRangeAndEachDataIslandOnceForALargeOne) {
  std::string bytes = random_bytes(3'000'000);
  ExtentRef ref = store(bytes, kCellBytesMax);
  EXPECT_EQ(text(ref, 70'000, 4096), bytes.substr(70'000, 4096));
  EXPECT_EQ(gets(), 1u);
  EXPECT_EQ(islands_[1]->counts().get_bytes, kCellBytesMax + kTagBytes);
  EXPECT_EQ(text(ref, 0, bytes.size()), bytes);
  EXPECT_EQ(gets(), 4u);
  for (size_t i : {3u, 4u, 5u}) EXPECT_EQ(islands_[i]->counts().gets, 0u);
}

TEST_P(ReaderTest, ReadsSectionsBehindTheirBase) {
  std::string bytes = random_bytes(500);
  ExtentRef ref = make_ref(500, 64, ExtentRef::Kind::section);
  ref.open = {1, 2, 3};
  CodedExtent coded = encode(ref, bytes);
  ref.base = 1000;
  auto names = names_of(ref);
  for (size_t i = 0; i < 6; ++i)
    islands_[i]->blobs()[names[i]] = std::string(1000, 'r') + std::string(as_text(coded.shards[i]));
  EXPECT_EQ(text(ref, 100, 300), bytes.substr(100, 300));
  islands_[0]->down();
  EXPECT_EQ(text(ref, 0, 500), bytes);
}

TEST_P(ReaderTest, SurvivesTheLossOfAnyThreeIslands) {
  std::string bytes = random_bytes(500);
  ExtentRef ref = store(bytes, 16);
  for (unsigned lost = 0; lost < 1u << 6; ++lost) {
    if (std::popcount(lost) != 3) continue;
    for (size_t i = 0; i < 6; ++i) (lost >> i & 1) != 0 ? islands_[i]->down() : islands_[i]->up();
    auto result = read(ref, 3, 400);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(*result, bytes.substr(3, 400));
  }
}

TEST_P(ReaderTest, RefusesClearlyWhenTooManyAreGone) {
  ExtentRef ref = store(random_bytes(500), 16);
  for (size_t i : {0u, 1u, 3u, 5u}) islands_[i]->down();
  auto result = read(ref, 0, 500);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::unavailable);
  for (std::string part : {"island-0", "island-1", "needs 1 more"}) {
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }
}

TEST_P(ReaderTest, RepairsEveryFlippedBitOnTheFlyAndBlamesTheIsland) {
  std::string bytes = random_bytes(48);
  ExtentRef ref = store(bytes, 16);
  for (int shard = 0; shard < 3; ++shard) {
    std::string& stored = blob(ref, shard);
    for (size_t at = kShardHeaderBytes; at < stored.size(); ++at) {
      auto& island = *islands_[static_cast<size_t>(shard)];
      uint64_t before = reader_->wrong_cells(island.id());
      stored[at] = static_cast<char>(stored[at] ^ 4);
      ASSERT_EQ(text(ref, 0, 48), bytes) << "shard " << shard << " byte " << at;
      // A cell's tag is not looked at while what it proves is proved otherwise.
      bool harmless = GetParam() == Way::sealed && (at - kShardHeaderBytes) % 32 >= 16;
      EXPECT_EQ(reader_->wrong_cells(island.id()), before + (harmless ? 0 : 1));
      stored[at] = static_cast<char>(stored[at] ^ 4);
    }
  }
  for (size_t i : {3u, 4u, 5u}) EXPECT_EQ(reader_->wrong_cells(islands_[i]->id()), 0u);
}

TEST_P(ReaderTest, RebuildsDifferentCellsOfOneStripeFromWhateverIsGood) {
  std::string bytes = random_bytes(96);
  ExtentRef ref = store(bytes, 16);
  blob(ref, 0)[kShardHeaderBytes] ^= 1;       // stripe 0 lacks shard 0
  blob(ref, 1)[kShardHeaderBytes + 32] ^= 1;  // stripe 1 lacks shard 1
  blob(ref, 3)[kShardHeaderBytes] ^= 1;       // and parity is wrong too
  blob(ref, 4)[kShardHeaderBytes + 32] ^= 1;
  EXPECT_EQ(text(ref, 0, 96), bytes);
}

TEST_P(ReaderTest, SaysCorruptWhenLiesAndNotAbsenceLeaveTooFew) {
  ExtentRef ref = store(random_bytes(48), 16);
  for (int shard : {0, 1, 2, 3}) blob(ref, shard)[kShardHeaderBytes] ^= 1;
  auto result = read(ref, 0, 48);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::corrupt);
}

TEST_P(ReaderTest, IsNotFooledByShardsThatWereSwappedReplayedOrCut) {
  std::string bytes = random_bytes(96), other_bytes = random_bytes(96);
  ExtentRef ref = store(bytes, 16), other = store(other_bytes, 16);
  blob(ref, 0) = blob(ref, 1);
  blob(ref, 1) = blob(other, 1);
  blob(ref, 2).resize(kShardHeaderBytes + 20);
  EXPECT_EQ(text(ref, 0, 96), bytes);
  for (int i = 0; i < 3; ++i)
    EXPECT_GT(reader_->wrong_cells(islands_[static_cast<size_t>(i)]->id()), 0u) << i;
}

TEST_P(ReaderTest, TakesAForgottenBlobForAbsentAndNotForALie) {
  std::string bytes = random_bytes(48);
  ExtentRef ref = store(bytes, 16);
  for (int shard : {0, 2, 4}) {
    auto& island = *islands_[static_cast<size_t>(shard)];
    island.forget(shard_name(*keys_, island.id(), ref, shard));
  }
  EXPECT_EQ(text(ref, 0, 48), bytes);
  for (auto& island : islands_) EXPECT_EQ(reader_->wrong_cells(island->id()), 0u);
}

TEST_P(ReaderTest, AsksUnconfirmedIslandsLast) {
  std::string bytes = random_bytes(48);
  ExtentRef ref = store(bytes, 16);
  ref.confirmed = 0b111010;
  EXPECT_EQ(text(ref, 0, 48), bytes);
  EXPECT_EQ(islands_[0]->counts().gets + islands_[2]->counts().gets, 0u);
  for (size_t i : {3u, 4u}) islands_[i]->down();
  EXPECT_EQ(text(ref, 0, 48), bytes) << "but they are asked when nobody else is left";
}

TEST_P(ReaderTest, ReadsAroundASlowIsland) {
  make_reader({milliseconds(1), milliseconds(1)});
  std::string bytes = random_bytes(96);
  ExtentRef ref = store(bytes, 16);
  islands_[1]->hold(MemIsland::Op::get);
  EXPECT_EQ(text(ref, 0, 96), bytes);
  EXPECT_EQ(text(ref, 0, 96), bytes) << "the late answer of the first read does no harm";
}

TEST_P(ReaderTest, KeepsHedgesWithinTheirBudget) {
  make_reader({milliseconds(1), milliseconds(1)});
  std::string bytes = random_bytes(16);
  ExtentRef ref = store(bytes, 16);
  const int kReads = 100;
  int failed = 0;
  for (int i = 0; i < kReads; ++i) {
    islands_[0]->hold(MemIsland::Op::get);
    auto result = read(ref, 0, 16, milliseconds(4));
    if (!result) ++failed;
    // This is about slowness: the breaker is kept out of it.
    islands_[0]->health().record(island::Health::Op::get, system_clock().now(), milliseconds(1), 1, nullptr);
  }
  uint64_t extra = gets() - kReads;
  EXPECT_GT(extra, 0u);
  EXPECT_LE(extra, 20u + kReads * 5 / 100) << "20 saved up and 5 % of the requests";
  EXPECT_GT(failed, 0) << "without budget a slow island is waited for";
}

TEST_P(ReaderTest, GoesOnBesideAnIslandThatNeverAnswers) {
  make_reader({milliseconds(1), milliseconds(1), milliseconds(1)});
  std::string bytes = random_bytes(16);
  ExtentRef ref = store(bytes, 16);
  for (int i = 0; i < 100; ++i) {  // more than the hedge budget has saved up
    islands_[0]->hold(MemIsland::Op::get);
    auto result = read(ref, 0, 16, std::chrono::seconds(20));
    ASSERT_TRUE(result) << i << ": " << result.error().message;
    EXPECT_EQ(*result, bytes);
  }
}

TEST_P(ReaderTest, EndsAtItsDeadlineAndNamesWhoDidNotAnswer) {
  ExtentRef ref = store(random_bytes(48), 16);
  for (size_t i : {1u, 3u, 4u, 5u}) islands_[i]->hold(MemIsland::Op::get);
  auto result = read(ref, 0, 48, milliseconds(5));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::unavailable);
  EXPECT_NE(result.error().message.find("island-1"), std::string::npos) << result.error().message;
}

// Random liars against random ranges: with at most n-k bad islands the right bytes, with more the right bytes or an error; never other bytes.
TEST_P(ReaderTest, NeverReturnsAWrongByteWhateverTheIslandsDo) {
  auto below = [&](uint64_t bound) { return random_->u64() % bound; };
  int refused = 0;
  for (int program = 0; program < 400; ++program) {
    std::string bytes = random_bytes(1 + below(300));
    ExtentRef ref = store(bytes, static_cast<uint32_t>(1 + below(40)));
    ExtentRef other = store(random_bytes(bytes.size()), ref.geometry.cell_bytes);
    uint64_t bad = below(6), first = below(6);
    for (uint64_t i = 0; i < bad; ++i) {
      int shard = static_cast<int>((first + i) % 6);
      std::string& stored = blob(ref, shard);
      switch (below(5)) {
        case 0:
          stored.resize(below(stored.size() + 1));
          break;
        case 1:
          for (char& c : stored) c = static_cast<char>(c ^ (below(4) == 0 ? 1 << below(8) : 0));
          break;
        case 2:
          stored = blob(ref, static_cast<int>(below(6)));
          break;
        case 3:
          stored = blob(other, shard);
          break;
        default:
          islands_[static_cast<size_t>(shard)]->fail_next(MemIsland::Op::get, {Code::unavailable, "down", {}},
                                                          1000);
          break;
      }
    }
    uint64_t offset = below(bytes.size()), length = below(bytes.size() - offset + 1);
    auto result = read(ref, offset, length);
    if (result)
      ASSERT_EQ(*result, bytes.substr(offset, length)) << "program " << program;
    else
      ++refused;
    if (bad <= 3) ASSERT_TRUE(result) << "program " << program << ": " << result.error().message;
    for (auto& island : islands_) island->fail_next(MemIsland::Op::get, {}, 0);
  }
  EXPECT_GT(refused, 0) << "the liars must bite";
}

TEST_P(ReaderTest, RefusesRangesAndGeometriesThatCannotBe) {
  ExtentRef ref = store(random_bytes(48), 16);
  EXPECT_EQ(read(ref, 40, 9).error().code, Code::invalid);
  EXPECT_EQ(read(ref, 49, 0).error().code, Code::invalid);
  EXPECT_EQ(read(ref, ~uint64_t{0}, 2).error().code, Code::invalid);
  ref.geometry.cell_bytes = 0;
  EXPECT_EQ(read(ref, 0, 1).error().code, Code::invalid);
}

// Extents of four shards on the islands 5, 0, 3 and 2 of the six.
class PlacedReaderTest : public ReaderTest {
 protected:
  PlacedReaderTest() {
    coder_ = erasure::Coder({4, 2});
    homes_ = *Homes::of(std::vector<uint8_t>{5, 0, 3, 2});
  }
};

TEST_P(PlacedReaderTest, AsksTheIslandsOfItsHomesAndNoOther) {
  std::string bytes = random_bytes(500);
  ExtentRef ref = store(bytes, 16);
  EXPECT_EQ(text(ref, 3, 400), bytes.substr(3, 400));
  for (size_t i : {1u, 2u, 3u, 4u}) EXPECT_EQ(islands_[i]->counts().gets, 0u) << i;  // parity, or nothing
  for (unsigned lost = 0; lost < 1u << 4; ++lost) {
    if (std::popcount(lost) != 2) continue;
    for (int i = 0; i < 4; ++i) (lost >> i & 1) != 0 ? home_of(ref, i).down() : home_of(ref, i).up();
    EXPECT_EQ(text(ref, 3, 400), bytes.substr(3, 400)) << lost;
  }
  for (size_t i : {1u, 4u}) EXPECT_EQ(islands_[i]->counts().gets, 0u) << i;
  for (int i = 0; i < 4; ++i) home_of(ref, i).up();
  for (size_t i : {0u, 3u, 5u}) islands_[i]->down();
  auto refused = read(ref, 0, 500);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  for (std::string id : {"island-0", "island-3", "island-5"})
    EXPECT_NE(refused.error().message.find(id), std::string::npos) << refused.error().message;
  EXPECT_EQ(refused.error().message.find("island-1"), std::string::npos);
}

TEST_P(PlacedReaderTest, BlamesTheIslandThatHoldsTheShard) {
  std::string bytes = random_bytes(500);
  ExtentRef ref = store(bytes, 16);
  blob(ref, 0)[kShardHeaderBytes + 3] ^= 1;
  EXPECT_EQ(text(ref, 0, 500), bytes);
  EXPECT_GT(reader_->wrong_cells("island-5"), 0u);
  EXPECT_EQ(reader_->wrong_cells("island-0"), 0u);
}

// A reference out of a realm with more islands, or a damaged one.
TEST_P(PlacedReaderTest, RefusesHomesBeyondTheRoster) {
  ExtentRef ref = store(random_bytes(50), 16);
  ref.homes = *Homes::of(std::vector<uint8_t>{5, 0, 6, 2});
  auto refused = read(ref, 0, 50);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("island 6"), std::string::npos) << refused.error().message;
}

INSTANTIATE_TEST_SUITE_P(Ways, PlacedReaderTest, testing::Values(Way::verified, Way::sealed),
                         [](const auto& way) { return way.param == Way::verified ? "Verified" : "Sealed"; });
INSTANTIATE_TEST_SUITE_P(Ways, ReaderTest, testing::Values(Way::verified, Way::sealed), [](const auto& info) {
  return info.param == Way::verified ? "Verified" : "Sealed";
});

class SealedReadTest : public ReaderTest {
 protected:
  // The result and how often, with how many runs at last, `open` was called.
  struct Seen {
    Result<void> result;
    int calls = 0;
    size_t runs = 0, longest = 0;
  };
  static io::Task<Seen> watch(SealedReadTest& test, ExtentRef ref, uint64_t length,
                              std::function<bool(std::string)> judge) {
    Seen seen;
    auto open = [&seen, &judge](std::span<const ByteView> runs) {
      ++seen.calls;
      seen.runs = runs.size();
      std::string all;
      for (ByteView run : runs) {
        all += as_text(run);
        seen.longest = std::max(seen.longest, run.size());
      }
      return judge(all);
    };
    seen.result = co_await test.reader_->read_sealed(ref, 0, length, kNoDeadline, open);
    co_await test.reader_->drain();
    co_return seen;
  }
};

TEST_P(SealedReadTest, HandsOutTheCellsAsTheyCame) {
  std::string bytes = random_bytes(500'000);
  ExtentRef ref = store(bytes, kCellBytesMax);
  Seen seen = io::run_blocking(
      [&] { return watch(*this, ref, bytes.size(), [&](const std::string& all) { return all == bytes; }); });
  EXPECT_TRUE(seen.result);
  EXPECT_EQ(seen.calls, 1);
  EXPECT_EQ(seen.runs, 8u);
  EXPECT_EQ(seen.longest, kCellBytesMax);
}

TEST_P(SealedReadTest, BlamesALieThatIsNeverRepeated) {
  for (size_t size : {48u, 500'000u}) {
    std::string bytes = random_bytes(size);
    ExtentRef ref = store(bytes, static_cast<uint32_t>(std::min<size_t>(size / 3, kCellBytesMax)));
    uint64_t before = reader_->wrong_cells(islands_[1]->id());
    islands_[1]->tamper_get = [this](const island::BlobName&, uint64_t, Buffer& answer) {
      answer.data()[5] ^= 1;
      islands_[1]->tamper_get = nullptr;
    };
    Seen seen = io::run_blocking(
        [&] { return watch(*this, ref, size, [&](const std::string& all) { return all == bytes; }); });
    EXPECT_TRUE(seen.result);
    EXPECT_EQ(seen.calls, 2);
    EXPECT_EQ(reader_->wrong_cells(islands_[1]->id()), before + 1);
    EXPECT_EQ(islands_[1]->counts().gets, size == 48 ? 1u : 2u)
        << "what it said is verified, it is not asked again";
  }
}

TEST_P(SealedReadTest, SaysCorruptWhenVerifiedBytesAreRefused) {
  ExtentRef ref = store(random_bytes(48), 16);
  Seen seen =
      io::run_blocking([&] { return watch(*this, ref, 48, [](const std::string&) { return false; }); });
  ASSERT_FALSE(seen.result);
  EXPECT_EQ(seen.result.error().code, Code::corrupt);
  EXPECT_EQ(seen.calls, 2);
  for (auto& island : islands_) EXPECT_EQ(reader_->wrong_cells(island->id()), 0u) << "nobody lied";
}

INSTANTIATE_TEST_SUITE_P(Ways, SealedReadTest, testing::Values(Way::sealed));

}  // namespace
}  // namespace archipel::extent
