// Bytes of snapshots and head slots, and what the view says of them: round trips, hostile bytes, what may be truncated.
#include <gtest/gtest.h>

#include "index/head_slots.h"
#include "index/overlay.h"
#include "index/snapshot_entries.h"

namespace archipel::index {
namespace {

class SnapshotFormat : public testing::Test {
 protected:
  SnapshotManifest manifest(uint64_t number, size_t chunks = 3) {
    SnapshotManifest m;
    m.number = number;
    m.position = {7, number * 10, random_->bytes<32>(), random_->bytes<8>()};
    m.created_ms = 1'700'000'000'000;
    m.entries = 12;
    m.digest = random_->bytes<32>();
    m.stream.data_id = random_->bytes<16>();
    m.stream.salt = random_->bytes<32>();
    m.stream.commitment = random_->bytes<32>();
    m.stream.length = (chunks - 1) * 2 * extent::kSegmentPlain + 70'000;
    m.stream.segments = (m.stream.length + extent::kSegmentPlain - 1) / extent::kSegmentPlain;
    m.wrapped_key = random_->bytes<60>();
    m.code = {6, 3};
    m.chunk_segments = 2;
    for (size_t i = 0; i < chunks; ++i) m.chunks.push_back({{7, 100 + i}, random_->bytes<16>(), 0x3f});
    return m;
  }
  HeadSlot slot() {
    HeadSlot s;
    s.number = 5;
    s.position = {7, 31, random_->bytes<32>(), random_->bytes<8>()};
    s.written_ms = 1'700'000'000'001;
    s.journal_bytes = 1234;
    s.code = {6, 3};
    s.w = 4;
    for (int i = 0; i < 6; ++i)
      s.roster.push_back({"island-" + std::to_string(i), random_->bytes<16>(), RosterEntry::State::counted});
    s.snapshots = {manifest(3), manifest(2)};
    return s;
  }
  std::string name(const std::string& island = "island-1", int which = 1) {
    return extent::head_slot_name(*keys_, island, which);
  }

  std::unique_ptr<Random> random_ = seeded_random(3);
  std::unique_ptr<crypto::Keyring> keys_ = crypto::Keyring::generate(*random_);
};

TEST_F(SnapshotFormat, AManifestIsReadAsItWasWritten) {
  const SnapshotManifest m = manifest(4);
  const std::string bytes = encode_manifest(m);
  Result<SnapshotManifest> read = decode_manifest(as_bytes(bytes));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->position, m.position);
  EXPECT_EQ(encode_manifest(*read), bytes);
  ASSERT_EQ(read->refs().size(), 3u);
  EXPECT_EQ(read->ref(0).geometry.length, 2u * extent::kSegmentSealed);
  EXPECT_EQ(read->ref(2).geometry.length, 70'000u + 2 * extent::kTagBytes);
  EXPECT_EQ(read->sealed_bytes(),
            read->ref(0).geometry.length + read->ref(1).geometry.length + read->ref(2).geometry.length);
}

TEST_F(SnapshotFormat, AManifestThatIsCutOrLongerIsRefused) {
  const std::string bytes = encode_manifest(manifest(4));
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_manifest(as_bytes(bytes.substr(0, size)))) << size;
  EXPECT_FALSE(decode_manifest(as_bytes(bytes + '\0')));
}

TEST_F(SnapshotFormat, AManifestOfALaterVersionIsNamedSo) {
  std::string bytes = encode_manifest(manifest(4));
  bytes[0] = 2;
  EXPECT_EQ(decode_manifest(as_bytes(bytes)).error().code, Code::unsupported);
}

// Whatever is changed, what is accepted has chunks whose geometry can be.
TEST_F(SnapshotFormat, ChangedManifestsAreRefusedOrHarmless) {
  const std::string bytes = encode_manifest(manifest(4));
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = bytes;
    for (uint64_t n = 1 + random_->u64() % 3; n > 0; --n)
      changed[random_->u64() % changed.size()] = static_cast<char>(random_->u64());
    Result<SnapshotManifest> read = decode_manifest(as_bytes(changed));
    if (!read) continue;
    for (const extent::ExtentRef& ref : read->refs()) EXPECT_TRUE(extent::check_geometry(ref.geometry));
  }
}

TEST_F(SnapshotFormat, AHeadSlotIsReadAsItWasWritten) {
  const HeadSlot s = slot();
  Result<std::string> bytes = seal_head_slot(*keys_, *random_, name(), s);
  ASSERT_TRUE(bytes.has_value());
  Result<HeadSlot> read = open_head_slot(*keys_, name(), as_bytes(*bytes));
  ASSERT_TRUE(read.has_value()) << read.error().describe();
  EXPECT_EQ(read->number, 5u);
  EXPECT_EQ(read->position, s.position);
  EXPECT_EQ(read->journal_bytes, 1234u);
  EXPECT_EQ(read->w, 4);
  ASSERT_EQ(read->roster.size(), 6u);
  EXPECT_EQ(read->roster[3].incarnation, s.roster[3].incarnation);
  ASSERT_EQ(read->snapshots.size(), 2u);
  EXPECT_EQ(encode_manifest(read->snapshots[0]), encode_manifest(s.snapshots[0]));
}

TEST_F(SnapshotFormat, NoByteOfAHeadSlotCanBeChanged) {
  Result<std::string> bytes = seal_head_slot(*keys_, *random_, name(), slot());
  ASSERT_TRUE(bytes.has_value());
  for (size_t at = 0; at < bytes->size(); ++at) {
    std::string changed = *bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 << random_->u64() % 8));
    EXPECT_FALSE(open_head_slot(*keys_, name(), as_bytes(changed))) << at;
  }
  for (size_t size : {size_t{0}, size_t{31}, size_t{47}, bytes->size() - 1})
    EXPECT_FALSE(open_head_slot(*keys_, name(), as_bytes(bytes->substr(0, size))));
}

TEST_F(SnapshotFormat, AHeadSlotOfAnotherIslandOrPlaceOrRealmIsNone) {
  Result<std::string> bytes = seal_head_slot(*keys_, *random_, name(), slot());
  ASSERT_TRUE(bytes.has_value());
  EXPECT_FALSE(open_head_slot(*keys_, name("island-2"), as_bytes(*bytes)));
  EXPECT_FALSE(open_head_slot(*keys_, name("island-1", 0), as_bytes(*bytes)));
  auto others = crypto::Keyring::generate(*random_);
  EXPECT_FALSE(open_head_slot(*others, name(), as_bytes(*bytes)));
}

// Two versions under one name must not tell what changed between them.
TEST_F(SnapshotFormat, TwoWritesOfOneSlotHaveNothingInCommon) {
  const HeadSlot s = slot();
  Result<std::string> one = seal_head_slot(*keys_, *random_, name(), s);
  Result<std::string> two = seal_head_slot(*keys_, *random_, name(), s);
  ASSERT_TRUE(one.has_value() && two.has_value());
  ASSERT_EQ(one->size(), two->size());
  size_t same = 0;
  for (size_t i = 0; i < one->size(); ++i) same += (*one)[i] == (*two)[i] ? 1 : 0;
  EXPECT_LT(same, one->size() / 64);
}

TEST(SnapshotEntries, AreReadAsTheyWereWritten) {
  std::string chunk;
  append_entry(chunk, "a", "");
  append_entry(chunk, "b", std::string(300, 'x'));
  EXPECT_EQ(chunk.size(), entry_bytes("a", "") + entry_bytes("b", std::string(300, 'x')));
  chunk.resize(1000, '\0');
  Result<std::vector<Entry>> read = parse_entries(as_bytes(chunk));
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0], Entry("a", ""));
  EXPECT_EQ((*read)[1].second.size(), 300u);
}

TEST(SnapshotEntries, OutOfOrderCutAndUnknownOnesAreRefused) {
  std::string unordered, doubled, good;
  append_entry(unordered, "b", "1");
  append_entry(unordered, "a", "1");
  append_entry(doubled, "a", "1");
  append_entry(doubled, "a", "2");
  append_entry(good, "a", "1");
  EXPECT_FALSE(parse_entries(as_bytes(unordered)));
  EXPECT_FALSE(parse_entries(as_bytes(doubled)));
  EXPECT_FALSE(parse_entries(as_bytes(good.substr(0, good.size() - 1))));
  EXPECT_FALSE(parse_entries(as_bytes(good + '\2')));
  EXPECT_FALSE(parse_entries(as_bytes(good + std::string("\0\1", 2))));
  EXPECT_FALSE(parse_entries({}));
  EXPECT_TRUE(parse_entries(as_bytes(good)));
}

// --- what is kept, and what may be truncated ---

class SnapshotKeys : public SnapshotFormat {
 protected:
  SnapshotKeys() { apply(mutations_of(open_, {})); }
  void apply(const std::vector<Mutation>& mutations) { CHECK(kv_->write(mutations).has_value()); }
  LayeredView view() { return LayeredView(kv_->snapshot(), {}); }
  Result<void> adopt(uint64_t number, UnixMs now, uint32_t confirmed = 0x3f) {
    SnapshotManifest made = manifest(number);
    made.chunks[1].confirmed = confirmed;
    ASSIGN_OR_RETURN(std::vector<Mutation> out, adopt_snapshot(view(), made, now));
    apply(out);
    return {};
  }
  void note(uint64_t number, UnixMs now) {
    auto out = note_head_confirmed(view(), number, now, kDelay);
    CHECK(out.has_value());
    apply(*out);
  }
  std::optional<CommitPosition> limit(UnixMs now) {
    auto out = truncation_limit(*kv_->snapshot(), now, kDelay);
    CHECK(out.has_value());
    return *out;
  }
  static constexpr Duration kDelay = std::chrono::milliseconds(6400);

  EpochOpen open_ = [] {
    EpochOpen open;
    open.epoch = 7;
    for (int i = 0; i < 6; ++i)
      open.roster.push_back({"island-" + std::to_string(i), {}, RosterEntry::State::counted});
    return open;
  }();
  std::unique_ptr<Kv> kv_ = make_map_kv();
};

TEST_F(SnapshotKeys, TwoAreKeptAndOlderOnesRetired) {
  for (uint64_t n = 1; n <= 4; ++n) ASSERT_TRUE(adopt(n, static_cast<UnixMs>(n)));
  auto kept = read_snapshots(*kv_->snapshot());
  ASSERT_TRUE(kept.has_value());
  ASSERT_EQ(kept->size(), 2u);
  EXPECT_EQ((*kept)[0].number, 3u);
  EXPECT_EQ((*kept)[1].number, 4u);
  auto retired = read_retired_snapshots(*kv_->snapshot());
  ASSERT_TRUE(retired.has_value());
  ASSERT_EQ(retired->size(), 2u);
  EXPECT_EQ((*retired)[1].manifest.number, 2u);
  EXPECT_EQ((*retired)[1].retired_ms, 4);
  apply({forget_retired_snapshot(1)});
  EXPECT_EQ(read_retired_snapshots(*kv_->snapshot())->size(), 1u);
}

TEST_F(SnapshotKeys, OneWhoseEpochWasClosedIsNotAdopted) {
  EpochOpen next;
  next.epoch = 8;
  apply(mutations_of(next, {}));
  EXPECT_EQ(adopt(1, 1).error().code, Code::precondition);
  EXPECT_TRUE(read_snapshots(*kv_->snapshot())->empty());
}

TEST_F(SnapshotKeys, AnOlderOneIsNotAdoptedAfterANewer) {
  ASSERT_TRUE(adopt(2, 1));
  EXPECT_EQ(adopt(2, 1).error().code, Code::precondition);
  EXPECT_EQ(adopt(1, 1).error().code, Code::precondition);
}

TEST_F(SnapshotKeys, TheOldersPositionIsTheLimitOnceTheNewersHeadIsOldEnough) {
  ASSERT_TRUE(adopt(1, 0));
  note(1, 0);
  EXPECT_FALSE(limit(1'000'000));
  ASSERT_TRUE(adopt(2, 10'000));
  EXPECT_FALSE(limit(1'000'000));  // its head has not been confirmed
  note(2, 10'000);
  EXPECT_FALSE(limit(16'399));
  EXPECT_EQ(limit(16'400), (CommitPosition{7, 10}));
  // Another snapshot takes nothing back, and moves the limit when it is old enough itself.
  ASSERT_TRUE(adopt(3, 20'000));
  EXPECT_EQ(limit(20'000), (CommitPosition{7, 10}));
  note(3, 20'000);
  EXPECT_EQ(limit(26'399), (CommitPosition{7, 10}));
  EXPECT_EQ(limit(26'400), (CommitPosition{7, 20}));
}

// Commits that all islands have are not given up for snapshots that some do not have.
TEST_F(SnapshotKeys, NothingIsTruncatedUnderSnapshotsThatIslandsMissed) {
  ASSERT_TRUE(adopt(1, 0, 0x0f));
  ASSERT_TRUE(adopt(2, 10'000, 0x1f));
  note(2, 10'000);
  EXPECT_FALSE(limit(1'000'000));
  ASSERT_TRUE(adopt(3, 20'000));
  note(3, 20'000);
  EXPECT_EQ(limit(1'000'000), (CommitPosition{7, 20}));
}

TEST_F(SnapshotKeys, AnIslandThatDoesNotCountIsNotWaitedFor) {
  open_.roster[4].state = RosterEntry::State::lost;
  open_.roster[5].state = RosterEntry::State::uncounted;
  apply(mutations_of(open_, {}));
  ASSERT_TRUE(adopt(1, 0, 0x0f));
  ASSERT_TRUE(adopt(2, 10'000, 0x0f));
  note(2, 10'000);
  EXPECT_EQ(limit(1'000'000), (CommitPosition{7, 10}));
}

TEST_F(SnapshotKeys, AClockThatGoesBackMakesNothingRipeSooner) {
  ASSERT_TRUE(adopt(1, 0));
  ASSERT_TRUE(adopt(2, 10'000));
  note(2, 10'000);
  ASSERT_TRUE(adopt(3, 1));
  note(3, 1);
  EXPECT_EQ(limit(16'500), (CommitPosition{7, 10}));
}

// Snapshots that follow each other faster than the delay still let the journal be truncated, and their notes stay few.
TEST_F(SnapshotKeys, FastSnapshotsStillTruncate) {
  UnixMs now = 0;
  for (uint64_t n = 1; n <= 1500; ++n) {
    now += 10;
    ASSERT_TRUE(adopt(n, now));
    note(n, now);
    if (n > 2) apply({forget_retired_snapshot(n - 2)});
  }
  std::optional<CommitPosition> last = limit(now);
  ASSERT_TRUE(last.has_value());
  EXPECT_GT(last->seq, 10u * (1500 - 640 - 20));
  EXPECT_LE(last->seq, 10u * (1500 - 640));
  size_t notes = 0;
  ASSERT_TRUE(
      kv_->snapshot()->scan("m/truncation/", "m/truncation0",
                            [&](std::string_view, std::string_view, std::string*) { return ++notes; }));
  EXPECT_LE(notes, static_cast<size_t>(kLimitsWaitingMax) + 2);
}

}  // namespace
}  // namespace archipel::index
