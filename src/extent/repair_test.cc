// Scrub and repair of one work item: every fault found, named, and repaired bit for bit.
#include "extent/repair.h"

#include <bit>

#include "extent/extent_fixture.h"
#include "extent/repair_table.h"
#include "island/health.h"

namespace archipel::extent {
namespace {

using island::MemIsland;

class FreePace final : public Pace {
 public:
  io::Task<void> spend(uint64_t bytes) override {
    spent += bytes;
    co_return;
  }
  bool stopping() const override { return stopped; }
  uint64_t spent = 0;
  bool stopped = false;
};

class RepairTest : public ExtentFixture {
 protected:
  explicit RepairTest(erasure::Code code = {6, 3}) : ExtentFixture(code), workers_(io::make_workers(2)) {}

  std::shared_ptr<const WorkItem> item_of(const ExtentRef& ref) {
    auto item = std::make_shared<WorkItem>();
    item->ref = ref;
    for (int i = 0; i < item->n(); ++i) {
      item->names.push_back(name_of(ref, i));
      item->next_names.push_back(name_of(ref, i, 1));
    }
    EXPECT_TRUE(check_work_item(*item));
    return item;
  }
  // A journal blob on six islands: headers that differ, one record, and cells.
  std::shared_ptr<const WorkItem> store_journal_blob(size_t record_bytes, std::string_view section) {
    ExtentRef ref = make_ref(section.size(), 16, ExtentRef::Kind::section);
    ref.base = static_cast<uint32_t>(kShardHeaderBytes + record_bytes);
    auto item = std::make_shared<WorkItem>();
    item->ref = ref;
    std::string record = random_bytes(record_bytes);
    item->record.emplace();
    item->record->bytes = static_cast<uint32_t>(record_bytes);
    item->record->digest = crypto::blake2b_256(as_bytes(record));
    std::optional<CodedExtent> coded;
    if (!section.empty()) coded = encode(ref, section);
    for (size_t i = 0; i < 6; ++i) {
      item->names.push_back(shard_name(*keys_, islands_[i]->id(), ref, static_cast<int>(i)));
      item->record->headers.push_back(random_->bytes<kShardHeaderBytes>());
      std::string& stored = islands_[i]->blobs()[item->names[i]];
      stored = std::string(as_text(item->record->headers[i])) + record;
      if (coded) stored += as_text(coded->shards[i]);
    }
    EXPECT_TRUE(check_work_item(*item));
    return item;
  }
  CellWork work() { return {cell_keys_, placement_, *workers_, pace_}; }
  Verdict scrub_now(std::shared_ptr<const WorkItem> item) {
    return io::run_blocking([&] { return scrub(work(), item); });
  }
  struct Round {
    Verdict before;
    std::optional<Error> refused;
    PutBack put;
  };
  static io::Task<Round> go_round(CellWork work, std::shared_ptr<const WorkItem> item) {
    Round round;
    round.before = co_await scrub(work, item);
    Result<Rebuilt> rebuilt = co_await rebuild(work, item, round.before, round.before.broken());
    if (!rebuilt)
      round.refused = rebuilt.error();
    else
      round.put = co_await put_back(work, item, round.before, std::move(*rebuilt));
    co_return round;
  }
  static io::Task<PutBack> rebuild_and_put(CellWork work, std::shared_ptr<const WorkItem> item,
                                           const Verdict& before) {
    Result<Rebuilt> rebuilt = co_await rebuild(work, item, before, before.broken());
    EXPECT_TRUE(rebuilt);
    PutBack put = co_await put_back(work, item, before, std::move(*rebuilt));
    co_return put;
  }
  Round repair_now(std::shared_ptr<const WorkItem> item) {
    return io::run_blocking([&] { return go_round(work(), item); });
  }
  // Everything that the islands hold, and how many writes they were asked for.
  std::vector<std::map<std::string, std::string>> snapshot() {
    std::vector<std::map<std::string, std::string>> all;
    for (auto& island : islands_) all.push_back(island->blobs());
    return all;
  }

  std::unique_ptr<io::Workers> workers_;
  CellKeys cell_keys_{*keys_};
  FreePace pace_;
};

TEST_F(RepairTest, FindsNothingWrongWithWhatIsRight) {
  for (uint64_t length : {1u, 16u, 47u, 48u, 49u, 500u}) {
    Verdict verdict = scrub_now(item_of(store(random_bytes(length), 16)));
    for (const ShardVerdict& shard : verdict.shards) EXPECT_EQ(shard.reason, "") << length;
    EXPECT_TRUE(verdict.all_good());
  }
  EXPECT_TRUE(scrub_now(store_journal_blob(300, random_bytes(100))).all_good());
  EXPECT_TRUE(scrub_now(store_journal_blob(300, "")).all_good());
}

TEST_F(RepairTest, ReadsLargeShardsInPiecesAndWholly) {
  ExtentRef ref = store(random_bytes(8'000'000), kCellBytesMax);
  Verdict verdict = scrub_now(item_of(ref));
  EXPECT_TRUE(verdict.all_good());
  uint64_t stored = 0;
  for (int i = 0; i < 6; ++i) stored += blob(ref, i).size();
  EXPECT_EQ(verdict.bytes_read, stored);
  EXPECT_GE(islands_[0]->counts().gets, 3u);
  EXPECT_EQ(pace_.spent, stored + 6);  // one byte more is asked for at each end
  blob(ref, 2)[2'500'000] ^= 1;
  EXPECT_EQ(scrub_now(item_of(ref)).broken(), 1u << 2);
}

TEST_F(RepairTest, NamesAndRepairsEveryKindOfFaultBitForBit) {
  struct Fault {
    const char* name;
    ShardState state;
    std::function<void(const ExtentRef&, const ExtentRef& other)> cause;
    bool replaced;
  };
  const size_t cell = kShardHeaderBytes;
  const std::vector<Fault> faults = {
      {"missing", ShardState::missing,
       [&](const ExtentRef& r, const ExtentRef&) { islands_[1]->forget(item_of(r)->names[1]); }, false},
      {"bit in the header", ShardState::wrong,
       [&](const ExtentRef& r, const ExtentRef&) { blob(r, 1)[40] ^= 16; }, true},
      {"bit in a cell", ShardState::wrong,
       [&](const ExtentRef& r, const ExtentRef&) { blob(r, 1)[cell + 3] ^= 1; }, true},
      {"bit in a tag", ShardState::wrong,
       [&](const ExtentRef& r, const ExtentRef&) { blob(r, 1)[cell + 17] ^= 1; }, true},
      {"cut", ShardState::wrong, [&](const ExtentRef& r, const ExtentRef&) { blob(r, 1).pop_back(); }, true},
      {"cut to nothing", ShardState::wrong, [&](const ExtentRef& r, const ExtentRef&) { blob(r, 1).clear(); },
       true},
      {"longer", ShardState::wrong, [&](const ExtentRef& r, const ExtentRef&) { blob(r, 1).push_back('x'); },
       true},
      {"swapped with another shard", ShardState::wrong,
       [&](const ExtentRef& r, const ExtentRef&) { blob(r, 1) = blob(r, 0); }, true},
      {"of another extent", ShardState::wrong,
       [&](const ExtentRef& r, const ExtentRef& o) { blob(r, 1) = blob(o, 1); }, true},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.name);
    ExtentRef ref = store(random_bytes(500), 16), other = store(random_bytes(500), 16);
    auto item = item_of(ref);
    const std::string right = blob(ref, 1);
    fault.cause(ref, other);
    const uint64_t blamed = islands_[1]->health().wrong_cells();
    Round round = repair_now(item);
    for (size_t i = 0; i < 6; ++i)
      EXPECT_EQ(round.before.shards[i].state, i == 1 ? fault.state : ShardState::good)
          << i << round.before.shards[i].reason;
    EXPECT_EQ(islands_[1]->health().wrong_cells() > blamed, fault.state == ShardState::wrong);
    EXPECT_FALSE(round.refused) << round.refused->message;
    EXPECT_EQ(round.put.repaired, 2u) << round.put.failed;
    EXPECT_EQ(round.put.moved, fault.replaced ? 2u : 0u);
    if (!fault.replaced) {
      EXPECT_EQ(blob(ref, 1), right);
      EXPECT_TRUE(scrub_now(item).all_good());
      continue;
    }
    // The same tagged bytes under the next name; only the header's mask differs.
    const std::string& moved = islands_[1]->blobs().at(item->next_names[1]);
    EXPECT_EQ(moved.substr(kShardHeaderBytes), right.substr(kShardHeaderBytes));
    auto now = std::make_shared<WorkItem>(*item);
    now->names[1] = item->next_names[1];
    EXPECT_TRUE(scrub_now(now).all_good());
  }
  EXPECT_EQ(islands_[0]->health().wrong_cells(), 0u);
}

TEST_F(RepairTest, SaysWhichCellsAreWrong) {
  ExtentRef ref = store(random_bytes(500), 16);
  for (size_t stripe : {0u, 3u, 10u}) blob(ref, 4)[kShardHeaderBytes + stripe * 32] ^= 1;
  Verdict verdict = scrub_now(item_of(ref));
  EXPECT_EQ(verdict.shards[4].wrong, (std::vector<uint64_t>{0, 3, 10}));
  EXPECT_EQ(verdict.shards[4].reason, "3 cells wrong (stripes 0 3 10)");
  EXPECT_TRUE(verdict.shards[4].prefix_good);
}

TEST_F(RepairTest, RepairsAnyThreeLostShards) {
  ExtentRef ref = store(random_bytes(777), 16);
  auto item = item_of(ref);
  const auto right = snapshot();
  for (unsigned lost = 0; lost < 1u << 6; ++lost) {
    if (std::popcount(lost) != 3) continue;
    for (size_t i = 0; i < 6; ++i)
      if ((lost >> i & 1) != 0) islands_[i]->forget(item->names[i]);
    Round round = repair_now(item);
    EXPECT_EQ(round.put.repaired, lost) << round.put.failed;
    ASSERT_EQ(snapshot(), right);
  }
}

TEST_F(RepairTest, RebuildsFromDifferentShardsStripeByStripe) {
  // No shard but two is whole, and every stripe has just three good cells.
  std::string bytes = random_bytes(96);  // two stripes
  ExtentRef ref = store(bytes, 16);
  auto item = item_of(ref);
  std::string right = blob(ref, 3);
  blob(ref, 0)[kShardHeaderBytes] ^= 1;
  blob(ref, 1)[kShardHeaderBytes + 32] ^= 1;
  blob(ref, 2)[kShardHeaderBytes] ^= 1;
  blob(ref, 3)[kShardHeaderBytes + 32] ^= 1;
  islands_[4]->down();
  Round round = repair_now(item);
  ASSERT_FALSE(round.refused) << round.refused->message;  // stripe 0: shards 1 3 5, stripe 1: shards 0 2 5
  EXPECT_EQ(round.put.moved, 0b1111u) << round.put.failed;
  EXPECT_EQ(islands_[3]->blobs().at(item->next_names[3]).substr(kShardHeaderBytes),
            right.substr(kShardHeaderBytes));
}

TEST_F(RepairTest, RefusesWithNamesAndWritesNothingWhenTooFewAreGood) {
  ExtentRef ref = store(random_bytes(500), 16);
  auto item = item_of(ref);
  islands_[0]->forget(item->names[0]);
  blob(ref, 1)[kShardHeaderBytes] ^= 1;
  islands_[2]->forget(item->names[2]);
  islands_[5]->down();
  const auto before = snapshot();
  Round round = repair_now(item);
  ASSERT_TRUE(round.refused);
  for (std::string part :
       {"island-0: missing", "island-1: wrong", "island-2: missing", "island-5: unreachable", "needs 1 more"})
    EXPECT_NE(round.refused->message.find(part), std::string::npos) << round.refused->message;
  EXPECT_EQ(round.refused->message.find("island-3"), std::string::npos);
  EXPECT_EQ(snapshot(), before);
  for (auto& island : islands_) EXPECT_EQ(island->counts().puts, 0u);
}

TEST_F(RepairTest, CallsItCorruptWhenOnlyLiesAreInTheWay) {
  ExtentRef ref = store(random_bytes(100), 16);
  for (int i = 0; i < 4; ++i) blob(ref, i)[kShardHeaderBytes] ^= 1;
  Round round = repair_now(item_of(ref));
  ASSERT_TRUE(round.refused);
  EXPECT_EQ(round.refused->code, Code::corrupt);
}

TEST_F(RepairTest, LeavesUnreachableIslandsAlone) {
  ExtentRef ref = store(random_bytes(500), 16);
  auto item = item_of(ref);
  islands_[0]->forget(item->names[0]);
  islands_[1]->down();
  Round round = repair_now(item);
  EXPECT_EQ(round.before.shards[1].state, ShardState::unreachable);
  EXPECT_EQ(round.put.repaired, 1u);
  EXPECT_EQ(round.put.failed, "");
}

TEST_F(RepairTest, SaysWhichIslandDoesNotTakeItsShard) {
  ExtentRef ref = store(random_bytes(500), 16);
  auto item = item_of(ref);
  islands_[0]->forget(item->names[0]);
  islands_[3]->forget(item->names[3]);
  islands_[3]->fail_next(MemIsland::Op::put, {Code::unavailable, "island island-3: full", {}}, 5);
  Round round = repair_now(item);
  EXPECT_EQ(round.put.repaired, 1u);
  EXPECT_NE(round.put.failed.find("island-3"), std::string::npos);
}

TEST_F(RepairTest, EndsInTheSameBytesAfterALostReplyAtEveryPut) {
  ExtentRef ref = store(random_bytes(500), 16);
  auto item = item_of(ref);
  const auto right = snapshot();
  for (size_t i : {0u, 4u}) islands_[i]->forget(item->names[i]);
  islands_[0]->lose_put_replies(1);  // stored, and yet not confirmed: as a crash before the answer
  Round round = repair_now(item);
  EXPECT_EQ(round.put.repaired, 1u << 4);
  EXPECT_EQ(snapshot(), right);
  EXPECT_TRUE(scrub_now(item).all_good());
}

TEST_F(RepairTest, FindsAnEarlierRepairUnderTheNextName) {
  ExtentRef ref = store(random_bytes(500), 16);
  auto item = item_of(ref);
  blob(ref, 2)[200] ^= 1;
  Round first = repair_now(item), second = repair_now(item);  // the first was not recorded: a crash
  EXPECT_EQ(first.put.moved, 4u);
  EXPECT_EQ(second.put.moved, 4u);
  EXPECT_EQ(second.put.failed, "");
}

// As the next repair found it: the write of the one before was torn.
TEST_F(RepairTest, ReplacesATornWriteOfAnEarlierRepair) {
  ExtentRef ref = store(random_bytes(500), 16);
  auto item = item_of(ref);
  blob(ref, 2)[200] ^= 1;
  repair_now(item);
  std::string& torn = islands_[2]->blobs()[item->next_names[2]];
  const std::string right = torn;
  torn.resize(torn.size() / 2);
  Round round = repair_now(item);
  EXPECT_EQ(round.put.failed, "");
  EXPECT_EQ(round.put.moved, 4u);
  EXPECT_EQ(islands_[2]->blobs()[item->next_names[2]], right);
}

TEST_F(RepairTest, DoesNotTakeOtherBytesForItsOwn) {
  ExtentRef ref = store(random_bytes(500), 16);
  auto item = item_of(ref);
  islands_[2]->forget(item->names[2]);
  Verdict before = scrub_now(item);
  islands_[2]->blobs()[item->names[2]] = "something else";  // came meanwhile, under the name that is read
  PutBack put = io::run_blocking([&] { return rebuild_and_put(work(), item, before); });
  EXPECT_EQ(put.repaired, 0u);
  EXPECT_NE(put.failed.find("other bytes"), std::string::npos);
  EXPECT_EQ(blob(ref, 2), "something else");
}

TEST_F(RepairTest, RepairsJournalBlobsInPlace) {
  for (size_t section : {0u, 100u, 500u}) {
    auto item = store_journal_blob(300, random_bytes(section));
    const auto right = snapshot();
    for (size_t at : {5u, 200u, section > 0 ? 430u : 420u}) {
      islands_[1]->blobs().at(item->names[1])[at] ^= 1;
      islands_[4]->forget(item->names[4]);
      Round round = repair_now(item);
      EXPECT_EQ(round.before.shards[1].state, ShardState::wrong);
      EXPECT_EQ(round.put.repaired, 0b10010u) << round.put.failed;
      EXPECT_EQ(round.put.moved, 0u);
      ASSERT_EQ(snapshot(), right);
    }
  }
}

TEST_F(RepairTest, RemovesAWrongJournalBlobOnlyWhileEnoughOthersAreWhole) {
  auto item = store_journal_blob(300, random_bytes(96));
  // Each stripe has three good cells and the record is there, but only two blobs are whole.
  for (size_t i : {0u, 1u}) islands_[i]->blobs().at(item->names[i])[428] ^= 1;
  for (size_t i : {2u, 3u}) islands_[i]->blobs().at(item->names[i])[428 + 32] ^= 1;
  const auto before = snapshot();
  Round round = repair_now(item);
  EXPECT_FALSE(round.refused);
  EXPECT_EQ(round.put.repaired, 0u);
  for (std::string id : {"island-0", "island-1", "island-2", "island-3"})
    EXPECT_NE(round.put.failed.find(id), std::string::npos);
  EXPECT_EQ(snapshot(), before);
}

TEST_F(RepairTest, ACrashBetweenRemovalAndPutLeavesAMissingBlobThatTheNextRunPuts) {
  auto item = store_journal_blob(300, random_bytes(96));
  const auto right = snapshot();
  islands_[1]->blobs().at(item->names[1])[200] ^= 1;
  islands_[1]->fail_next(MemIsland::Op::put, {Code::unavailable, "gone", {}}, 1);
  Round cut = repair_now(item);
  EXPECT_EQ(cut.put.repaired, 0u);
  Round next = repair_now(item);
  EXPECT_EQ(next.before.shards[1].state, ShardState::missing);
  EXPECT_EQ(snapshot(), right);
}

TEST_F(RepairTest, NeverPutsARecordThatIsNotTheOneOfTheItem) {
  auto item = store_journal_blob(300, "");
  for (size_t i = 0; i < 6; ++i)
    islands_[i]->blobs().at(item->names[i])[200] ^= 1;  // all islands, the same lie
  const auto before = snapshot();
  Round round = repair_now(item);
  ASSERT_TRUE(round.refused);
  EXPECT_EQ(snapshot(), before);
}

TEST_F(RepairTest, StopsWhenToldTo) {
  ExtentRef ref = store(random_bytes(500), 16);
  pace_.stopped = true;
  Verdict verdict = scrub_now(item_of(ref));
  EXPECT_EQ(verdict.count(ShardState::unreachable), 6);
}

TEST_F(RepairTest, WorkItemsSurviveTheirEncoding) {
  auto data = item_of(store(random_bytes(100), 16));
  auto journal = store_journal_blob(40, random_bytes(20));
  for (const auto& item : {data, journal}) {
    std::string bytes = encode_work_item(*item);
    auto decoded = decode_work_item(as_bytes(bytes));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(encode_work_item(*decoded), bytes);
    for (size_t cut = 0; cut < bytes.size(); ++cut)
      EXPECT_FALSE(decode_work_item(as_bytes(bytes).first(cut))) << cut;
    for (size_t at = 0; at < bytes.size(); ++at) {
      std::string flipped = bytes;
      flipped[at] ^= 0x55;
      auto other = decode_work_item(as_bytes(flipped));
      if (other) EXPECT_EQ(encode_work_item(*other), flipped);
    }
  }
}

// Extents of four shards on the islands 5, 0, 3 and 2 of the six.
class PlacedRepairTest : public RepairTest {
 protected:
  PlacedRepairTest() : RepairTest({4, 2}) { homes_ = *Homes::of(std::vector<uint8_t>{5, 0, 3, 2}); }
};

TEST_F(PlacedRepairTest, RepairsAnyTwoLostShardsWhereTheyBelongAndAsksNobodyElse) {
  ExtentRef ref = store(random_bytes(777), 16);
  auto item = item_of(ref);
  EXPECT_TRUE(scrub_now(item).all_good());
  const auto right = snapshot();
  for (unsigned lost = 0; lost < 1u << 4; ++lost) {
    if (std::popcount(lost) != 2) continue;
    for (int i = 0; i < 4; ++i)
      if ((lost >> i & 1) != 0) home_of(ref, i).forget(item->names[static_cast<size_t>(i)]);
    Round round = repair_now(item);
    EXPECT_EQ(round.before.broken(), lost);
    EXPECT_EQ(round.put.repaired, lost) << round.put.failed;
    ASSERT_EQ(snapshot(), right);
  }
  for (size_t i : {1u, 4u}) EXPECT_EQ(islands_[i]->counts().gets + islands_[i]->counts().puts, 0u);
}

TEST_F(PlacedRepairTest, NamesTheIslandThatLiedAndMovesItsShard) {
  ExtentRef ref = store(random_bytes(500), 16);
  blob(ref, 0)[300] ^= 1;
  auto item = item_of(ref);
  Round round = repair_now(item);
  EXPECT_EQ(round.put.moved, 1u) << round.put.failed;
  EXPECT_TRUE(islands_[5]->blobs().contains(item->next_names[0]));
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(islands_[i]->health().wrong_cells() > 0, i == 5) << i;
  for (size_t i : {0u, 3u}) islands_[i]->down();
  blob(ref, 0).clear();
  Round refused = repair_now(item);
  ASSERT_TRUE(refused.refused);
  for (std::string part : {"island-5: wrong", "island-0: unreachable", "island-3: unreachable"})
    EXPECT_NE(refused.refused->message.find(part), std::string::npos) << refused.refused->message;
  EXPECT_EQ(refused.refused->message.find("island-1"), std::string::npos);
}

TEST_F(PlacedRepairTest, HomesOfAWorkItemSurviveItsEncodingAndAreDifferentIslandsOfTheRoster) {
  auto item = item_of(store(random_bytes(100), 16));
  const std::string bytes = encode_work_item(*item);
  EXPECT_EQ(bytes[0], 2);
  auto decoded = decode_work_item(as_bytes(bytes));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->ref.homes, homes_);
  const size_t at = bytes.find(std::string("\x05\x00\x03\x02", 4));
  ASSERT_NE(at, std::string::npos);
  for (int place : {3, 16, 255}) {
    std::string other = bytes;
    other[at] = static_cast<char>(place);
    EXPECT_FALSE(decode_work_item(as_bytes(other))) << place;
  }
  std::string standard = bytes;
  for (size_t i = 0; i < 4; ++i) standard[at + i] = static_cast<char>(i);
  EXPECT_FALSE(decode_work_item(as_bytes(standard)));
}

// What readers do with what repairs changed.
class RepairedReads : public RepairTest {
 protected:
  Result<std::string> read(const ExtentRef& ref, uint64_t length) {
    struct Run {
      static io::Task<Result<std::string>> go(ExtentReader& reader, ExtentRef ref, uint64_t length) {
        Result<Buffer> bytes =
            co_await reader.read(ref, 0, length, io::Loop::current()->now() + std::chrono::seconds(10));
        co_await reader.drain();
        if (!bytes) co_return fail(bytes.error());
        co_return std::string(as_text(*bytes));
      }
    };
    auto reader = make_extent_reader(*keys_, placement_, *workers_, {}, table_);
    return io::run_blocking([&] { return Run::go(*reader, ref, length); });
  }
  std::shared_ptr<RepairTable> table_ = std::make_shared<RepairTable>();
};

TEST_F(RepairedReads, AskForTheRepairedNameAndNeedNoRebuild) {
  std::string bytes = random_bytes(48);
  ExtentRef ref = store(bytes, 16);
  blob(ref, 0)[kShardHeaderBytes] ^= 1;
  EXPECT_EQ(*read(ref, 48), bytes);
  auto suspects = table_->take_suspects();
  ASSERT_EQ(suspects.size(), 1u);
  EXPECT_EQ(suspects[0].shards, 1u);
  EXPECT_EQ(suspects[0].ref.id, ref.id);
  EXPECT_TRUE(table_->take_suspects().empty());

  Round round = repair_now(item_of(ref));
  ASSERT_EQ(round.put.moved, 1u);
  table_->set(ref.kind, ref.id, {0x3f, {1}});
  const uint64_t lies = islands_[0]->health().wrong_cells(), parity = islands_[3]->counts().gets;
  EXPECT_EQ(*read(ref, 48), bytes);
  EXPECT_EQ(islands_[0]->health().wrong_cells(), lies);
  EXPECT_EQ(islands_[3]->counts().gets, parity);
}

TEST_F(RepairedReads, AskShardsThatAreConfirmedNow) {
  std::string bytes = random_bytes(48);
  ExtentRef ref = store(bytes, 16);
  ref.confirmed = 0b111100;  // when it was written
  table_->set(ref.kind, ref.id, {0b111111, {}});
  EXPECT_EQ(*read(ref, 48), bytes);
  EXPECT_EQ(islands_[0]->counts().gets, 1u);
  EXPECT_EQ(islands_[3]->counts().gets, 0u);
}

TEST_F(RepairedReads, ReportAShardThatShouldBeThereAndIsNot) {
  std::string bytes = random_bytes(48);
  ExtentRef ref = store(bytes, 16);
  islands_[1]->forget(item_of(ref)->names[1]);
  EXPECT_EQ(*read(ref, 48), bytes);
  auto suspects = table_->take_suspects();
  ASSERT_EQ(suspects.size(), 1u);
  EXPECT_EQ(suspects[0].shards, 2u);
}

}  // namespace
}  // namespace archipel::extent
