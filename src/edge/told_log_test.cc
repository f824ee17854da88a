#include "edge/told_log.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "crypto/checksum.h"
#include "edge/disk_files_test_util.h"

namespace archipel::edge {
namespace {

// Does at once what it is given; or later, when a test says so.
class HandWorkers final : public io::Workers {
 public:
  void submit(io::Callback job) override {
    if (!held) return job();
    jobs.push_back(std::move(job));
  }
  void work() {
    while (!jobs.empty()) {
      io::Callback job = std::move(jobs.front());
      jobs.erase(jobs.begin());
      job();
    }
  }
  bool held = false;
  std::vector<io::Callback> jobs;
};

std::string record(uint64_t number) {
  return "{\"url\":\"http://www/" + std::to_string(number) + "\"}";
}

struct ToldLogTest : ::testing::Test {
  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
  std::unique_ptr<Random> random = seeded_random(7);
  HandWorkers workers;

  std::unique_ptr<ToldLog> start() {
    auto log = std::make_unique<ToldLog>(*random);
    auto attached = log->attach(disk->files(), workers);
    EXPECT_TRUE(attached) << attached.error().message;
    return log;
  }
  void add(ToldLog& log, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i <= to; ++i) EXPECT_EQ(log.add(record(i)), i);
  }
  static void expect_records(const ToldLog& log, uint64_t after, uint64_t to) {
    const ToldLog::Run run = log.read(after, SIZE_MAX, SIZE_MAX);
    EXPECT_FALSE(run.lost);
    EXPECT_EQ(run.first, after + 1);
    ASSERT_EQ(run.records.size(), to - after);
    for (uint64_t i = 0; i < run.records.size(); ++i) EXPECT_EQ(run.records[i], record(after + 1 + i));
    EXPECT_EQ(log.latest(), to);
  }
};

TEST_F(ToldLogTest, GoesOnWithTheNumbersOfTheStartBefore) {
  uint64_t first_id = 0, second_id = 0;
  {
    auto log = start();
    first_id = log->id();
    EXPECT_TRUE(log->was().empty());
    add(*log, 1, 5);
    EXPECT_TRUE(log->sync(5));
    disk->kill();
  }
  {
    auto log = start();
    second_id = log->id();
    EXPECT_NE(second_id, first_id);
    EXPECT_EQ(log->was(), (std::vector<EarlierStart>{{first_id, 5, 5, 5}}));
    expect_records(*log, 0, 5);
    add(*log, 6, 8);
  }
  auto log = start();
  EXPECT_EQ(log->was(), (std::vector<EarlierStart>{{second_id, 8, 8, 8}, {first_id, 5, 5, 5}}));
  expect_records(*log, 2, 8);
}

TEST_F(ToldLogTest, WhatWasSyncedOutlivesTheMachineAndWhatWasWrittenTheProcess) {
  auto log = start();
  add(*log, 1, 3);
  EXPECT_TRUE(log->sync(2)) << "with all before it";
  add(*log, 4, 6);
  disk->kill();
  expect_records(*start(), 0, 6);
  disk->kill();
  log = start();
  add(*log, 7, 7);
  EXPECT_TRUE(log->sync(7));
  add(*log, 8, 9);
  disk->power_off();
  expect_records(*start(), 0, 7);
}

TEST_F(ToldLogTest, DoesNotTellItsRestartWhatTheDiskDidNotTake) {
  auto log = start();
  add(*log, 1, 2);
  disk->fails_to_write = [](const std::string&) { return true; };
  add(*log, 3, 3);
  EXPECT_FALSE(log->sync(3));
  disk->fails_to_write = nullptr;
  add(*log, 4, 4);
  EXPECT_TRUE(log->sync(4)) << "a disk that works again has it all";
  disk->power_off();
  expect_records(*start(), 0, 4);
}

TEST_F(ToldLogTest, WithoutADirectoryItKeepsNothingAndSaysSo) {
  ToldLog log(*random);
  add(log, 1, 2);
  expect_records(log, 0, 2);
  auto kept = log.sync(2);
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, Code::unavailable);
}

TEST_F(ToldLogTest, ADiskThatIsFullAtTheStartIsTriedAgain) {
  disk->fails_to_write = [](const std::string&) { return true; };
  auto log = start();
  add(*log, 1, 1);
  EXPECT_FALSE(log->sync(1));
  disk->fails_to_write = nullptr;
  EXPECT_TRUE(log->sync(1));
  disk->power_off();
  expect_records(*start(), 0, 1);
}

TEST_F(ToldLogTest, IsBoundedInMemoryAndOnTheDiskAndSaysWhatIsLost) {
  auto log = start();
  workers.held = true;
  const uint64_t all = 3 * ToldLog::kRecordsMax + 10;
  for (uint64_t i = 1; i <= all; ++i) {
    log->add(record(i));
    if (i % 1000 == 0) workers.work();
    ASSERT_LT(disk->contents[ToldLog::kName].size(), DiskFiles::kWholeBytesMax);
  }
  workers.work();
  EXPECT_LT(disk->contents[ToldLog::kName].size(), 4 * ToldLog::kRecordsMax * 60);
  disk->kill();
  log = start();
  EXPECT_EQ(log->latest(), all);
  const uint64_t oldest = all - ToldLog::kRecordsMax + 1;
  EXPECT_FALSE(log->read(oldest - 1, 1, SIZE_MAX).lost);
  const ToldLog::Run run = log->read(oldest - 2, 2, SIZE_MAX);
  EXPECT_TRUE(run.lost);
  EXPECT_EQ(run.first, oldest);
  EXPECT_EQ(run.records, (std::vector<std::string>{record(oldest), record(oldest + 1)}));
  workers.work();
}

TEST_F(ToldLogTest, ADiskThatIsFarBehindGetsTheWholeInsteadOfAllThatWaits) {
  auto log = start();
  workers.held = true;
  const std::string large(100'000, 'x');
  for (int i = 0; i < 400; ++i) log->add(large);  // 40 MB while no worker comes
  workers.work();
  EXPECT_LT(disk->contents[ToldLog::kName].size(), ToldLog::kBytesMax + 1'000'000);
  const ToldLog::Run run = log->read(0, SIZE_MAX, SIZE_MAX);
  EXPECT_TRUE(run.lost);
  EXPECT_LE(run.records.size() * large.size(), ToldLog::kBytesMax);
  disk->kill();
  EXPECT_EQ(start()->read(0, SIZE_MAX, SIZE_MAX).records.size(), run.records.size());
}

// A process ends between any two of its steps: after each write of the file, in the middle of each.
TEST_F(ToldLogTest, NothingSyncedIsMissedWhereverTheProcessEnds) {
  for (size_t cut = 0;; ++cut) {
    disk = std::make_shared<FakeDisk>();
    uint64_t promised = 0;
    {
      auto log = start();
      add(*log, 1, 3);
      EXPECT_TRUE(log->sync(3));
    }
    std::string before = disk->contents[ToldLog::kName];
    {
      auto log = start();
      before = disk->contents[ToldLog::kName];
      add(*log, 4, 4);
      EXPECT_TRUE(log->sync(4));
      add(*log, 5, 6);
      promised = 4;
      disk->kill();
    }
    std::string& bytes = disk->contents[ToldLog::kName];
    if (cut > bytes.size() - before.size()) break;
    const size_t synced = disk->synced[ToldLog::kName];
    // kill -9 keeps whole writes; a machine that stops keeps what was synced, and anything of the rest.
    bytes.resize(std::max(bytes.size() - cut, synced));
    auto log = start();
    const ToldLog::Run run = log->read(0, SIZE_MAX, SIZE_MAX);
    EXPECT_FALSE(run.lost);
    ASSERT_GE(run.records.size(), promised) << "cut " << cut;
    for (size_t i = 0; i < run.records.size(); ++i) EXPECT_EQ(run.records[i], record(i + 1));
    // And it goes on behind the cut end.
    log->add(record(run.records.size() + 1));
    disk->kill();
    EXPECT_EQ(start()->latest(), run.records.size() + 1);
  }
}

// A write of the whole file that fails leaves the one before, whatever the step.
TEST_F(ToldLogTest, AStartThatCannotWriteLosesNothing) {
  {
    auto log = start();
    add(*log, 1, 3);
    EXPECT_TRUE(log->sync(3));
  }
  const std::string before = disk->contents[ToldLog::kName];
  disk->fails_to_write = [](const std::string&) { return true; };
  {
    auto log = start();
    expect_records(*log, 0, 3);
    disk->kill();
  }
  EXPECT_EQ(disk->contents[ToldLog::kName], before);
  disk->fails_to_write = nullptr;
  expect_records(*start(), 0, 3);
}

TEST_F(ToldLogTest, ASuccessorBeginsWithWhatIsToldAndGetsTheRestWhenTheDirectoryIsLeft) {
  auto old = start();
  add(*old, 1, 3);
  ToldLog fresh(*random);
  auto attached = fresh.attach(disk->files(), workers);
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code, Code::exists);
  expect_records(fresh, 0, 3);
  EXPECT_EQ(fresh.was(), (std::vector<EarlierStart>{{old->id(), 3, 3, 3}}));
  add(fresh, 4, 4);
  EXPECT_FALSE(fresh.sync(4)) << "the directory is another's";
  old->add(record(100));
  old->add(record(101));
  EXPECT_FALSE(fresh.attach(disk->files(), workers));
  old->release();
  ASSERT_TRUE(fresh.attach(disk->files(), workers));
  EXPECT_EQ(fresh.latest(), 6u);
  EXPECT_EQ(fresh.read(3, SIZE_MAX, SIZE_MAX).records,
            (std::vector<std::string>{record(4), record(100), record(101)}));
  EXPECT_EQ(fresh.was(), (std::vector<EarlierStart>{{old->id(), 3, 5, 6}}))
      << "five of the one before are among the six";
  EXPECT_TRUE(fresh.sync(6));
  disk->power_off();
  EXPECT_EQ(start()->latest(), 6u);
  old->add(record(102));
  EXPECT_FALSE(old->sync(6)) << "it has let go";
}

TEST_F(ToldLogTest, DamageInTheMiddleIsToldToAllAsALoss) {
  {
    auto log = start();
    add(*log, 1, 9);
    EXPECT_TRUE(log->sync(9));
  }
  std::string& bytes = disk->contents[ToldLog::kName];
  bytes[bytes.size() / 2] ^= 1;
  auto log = start();
  EXPECT_TRUE(log->read(0, 1, 1).lost);
  EXPECT_TRUE(log->was().empty()) << "nobody may take what it heard for all";
  add(*log, 2, 2);
  EXPECT_FALSE(log->read(1, 1, 1).lost) << "who was told to let go goes on from there";
  disk->kill();
  EXPECT_TRUE(start()->read(0, 1, 1).lost);
}

TEST_F(ToldLogTest, AnotherVersionIsLeftAlone) {
  told::State state;
  state.id = 7;
  std::string bytes = told::encode(state);
  bytes[8] = 2;
  bytes.resize(bytes.size() - 4);
  crypto::Crc32c crc;
  crc.update(as_bytes(bytes));
  Writer(bytes).u32(crc.value());
  disk->contents[ToldLog::kName] = bytes;
  ToldLog log(*random);
  auto attached = log.attach(disk->files(), workers);
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code, Code::unsupported);
  EXPECT_EQ(disk->contents[ToldLog::kName], bytes);
}

// --- the bytes ------------------------------------------------------------------------------------------------------------

TEST(ToldFormat, IsGolden) {
  told::State state;
  state.id = 0x1122334455667788;
  state.before = 6;
  state.was = {{0xaabb, 5, 6, 6}};
  state.records = {"{}"};
  const std::string bytes = told::encode(state);
  EXPECT_EQ(hex(as_bytes(bytes)),
            "415243484544475401010000000000001122334455667788000000000000000600000000"
            "0000aabb0000000000000005000000000000000600000000000000064bddec6e"
            "0000000200000000000000077b7df18e6d93");
  auto read = told::decode(as_bytes(bytes));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, state);
}

TEST(ToldFormat, NothingFlippedIsAcceptedButForAnEndThatIsCutOff) {
  told::State state;
  state.id = 3;
  state.was = {{9, 1, 2, 3}, {8, 1, 2, 3}};
  state.records = {"one", "two", "three"};
  const std::string bytes = told::encode(state);
  const size_t last = bytes.size() - 16 - 5;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string wrong = bytes;
    wrong[bit / 8] ^= static_cast<char>(1 << bit % 8);
    auto read = told::decode(as_bytes(wrong));
    if (bit / 8 < last) {
      EXPECT_FALSE(read) << bit;
    } else {
      ASSERT_TRUE(read) << bit;
      EXPECT_EQ(read->records.size(), 2u);
    }
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    auto read = told::decode(as_bytes(std::string_view(bytes).substr(0, size)));
    if (read) EXPECT_EQ(read->id, 3u);
    if (read) EXPECT_LT(read->records.size(), 3u);
  }
}

RC_GTEST_PROP(ToldFormat, SaysTheSameThereAndBackWithAnyRestBehindIt, ()) {
  told::State state;
  state.id = *rc::gen::arbitrary<uint64_t>();
  state.before = *rc::gen::inRange<uint64_t>(0, uint64_t{1} << 40);
  for (int i = *rc::gen::inRange(0, 9); i > 0; --i)
    state.was.push_back({*rc::gen::arbitrary<uint64_t>(), 1, 2, 3});
  const auto records = *rc::gen::container<std::vector<std::string>>(rc::gen::arbitrary<std::string>());
  state.records.assign(records.begin(), records.end());
  std::string bytes = told::encode(state);
  const std::string rest = *rc::gen::arbitrary<std::string>();
  auto read = told::decode(as_bytes(bytes + rest));
  RC_ASSERT(read.has_value());
  RC_ASSERT(*read == state);
}

}  // namespace
}  // namespace archipel::edge
