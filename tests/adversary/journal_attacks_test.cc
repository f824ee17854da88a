// Rollback, fork, freeze, loss and forgery of the journal, on each side of the bound that the protocol states.
#include <fmt/format.h>

#include <bit>

#include "cloud.h"
#include "extent/names.h"

namespace archipel::adversary {
namespace {

// Everything acknowledged so far reads right, or this is what was acknowledged at an earlier time.
io::Task<bool> expect_all_right(Cloud& cloud, std::string what) {
  Cloud::Verdict verdict = co_await cloud.read_everything();
  EXPECT_TRUE(verdict.clean()) << what << ": " << verdict.complaints.front();
  EXPECT_EQ(verdict.refused, 0u) << what << ": " << (verdict.errors.empty() ? "" : verdict.errors.front());
  co_return true;
}

// A cloud, stopped; what it held earlier and what it holds now.
struct History {
  Cloud::Stored old_bytes, new_bytes;
};

io::Task<bool> make_history(Cloud& cloud, History& out) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  co_await cloud.stop();
  out.old_bytes = cloud.save();
  Result<void> started = co_await cloud.start();
  CO_ASSERT(started.has_value());
  const std::pair<const char*, size_t> later[] = {{"small/a", 800}, {"later", 800}, {"large/b", 250'000}};
  for (auto [key, size] : later) {
    Result<void> done = co_await cloud.put(key, pattern(size, 55));
    CO_ASSERT(done.has_value());
  }
  co_await cloud.stop();
  out.new_bytes = cloud.save();
  co_return true;
}

void roll_back(Cloud& cloud, const History& history, uint32_t mask) {
  for (size_t i = 0; i < cloud.islands.size(); ++i) {
    if ((mask >> i & 1) == 0) continue;
    cloud.islands[i]->blobs() = history.old_bytes.blobs[i];
    cloud.islands[i]->marker() = history.old_bytes.markers[i];
  }
}

using State = Cloud::Outcome::State;

// With DIR: what was acknowledged is known there, so no number of islands can take it back unseen.
io::Task<bool> rollback_with_dir(Cloud& cloud) {
  History history;
  bool made = co_await make_history(cloud, history);
  CO_ASSERT(made);
  for (bool keep_view : {true, false}) {
    for (uint32_t mask = 1; mask < 64; ++mask) {
      cloud.restore(history.new_bytes);
      if (!keep_view) cloud.dir.lose_view();
      roll_back(cloud, history, mask);
      std::string what = fmt::format("islands {:06b} rolled back{}", mask, keep_view ? "" : ", view lost");
      Cloud::Outcome outcome = co_await cloud.start_and_look(what);
      int liars = std::popcount(mask);
      if (liars <= kIslands - kConfirm)
        EXPECT_TRUE(outcome.serves_all()) << what << ": " << outcome.why.describe();
      if (outcome.state == State::serving)
        EXPECT_TRUE(outcome.newest) << what << ": an older state was shown";
      if (liars <= kIslands - kNeeded) EXPECT_EQ(outcome.verdict.refused, 0u) << what;
      if (liars == kIslands)
        EXPECT_NE(outcome.why.message.find("rollback"), std::string::npos) << outcome.why.describe();
      co_await cloud.stop();
    }
  }
  co_return true;
}
TEST(Attack, Row12RollbackIsSeenByDirWhateverTheIslandsDo) {
  Cloud().run(rollback_with_dir);
}

// Without DIR: up to f = 1 liar is outvoted. Beyond, it may happen that an older state is shown; but never a mixture, and all n islands
// rolled back are a perfect past, which only a witness outside could tell from the present.
io::Task<bool> rollback_without_dir(Cloud& cloud) {
  History history;
  bool made = co_await make_history(cloud, history);
  CO_ASSERT(made);
  int held_back = 0, newest = 0, past = 0;
  for (uint32_t mask = 1; mask < 64; ++mask) {
    cloud.restore(history.new_bytes);
    cloud.dir.lose_all();
    roll_back(cloud, history, mask);
    std::string what = fmt::format("islands {:06b} rolled back, DIR lost", mask);
    Cloud::Outcome outcome = co_await cloud.start_and_look(what);
    int liars = std::popcount(mask);
    if (liars == 1) EXPECT_TRUE(outcome.serves_all()) << what << ": " << outcome.why.describe();
    bool shows_past = outcome.state == State::serving && !outcome.newest;
    EXPECT_TRUE(!shows_past || liars > kIslands - kNeeded) << what << ": an older state was shown";
    ++(outcome.state != State::serving ? held_back : shows_past ? past : newest);
    co_await cloud.stop();
  }
  std::printf(
      "63 rollbacks without DIR: %d times the newest state, %d times no writes, %d times a past one (by four "
      "islands and more)\n",
      newest, held_back, past);
  EXPECT_GE(past, 1) << "all islands rolled back cannot be seen without DIR: the boundary";
  co_return true;
}
TEST(Attack, Row12RollbackWithoutDirNeedsMoreThanOneLiar) {
  Cloud().run(rollback_without_dir);
}

// Two gateways are shown the same past, each writes on, and the islands then show a part of each future.
io::Task<bool> fork(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  co_await cloud.stop();
  const Cloud::Stored past = cloud.save();
  const auto past_model = cloud.model;
  const auto past_moments = cloud.moments;
  std::vector<Cloud::Stored> futures;
  std::vector<std::vector<std::map<std::string, std::string>>> moments;
  for (int i = 0; i < 2; ++i) {
    cloud.restore(past);
    cloud.model = past_model;
    cloud.moments = past_moments;
    Result<void> started = co_await cloud.start();
    CO_ASSERT(started.has_value());
    for (const char* key : {"small/a", "mine"}) {
      Result<void> done = co_await cloud.put(key, pattern(700, static_cast<uint64_t>(i) + 60));
      CO_ASSERT(done.has_value());
    }
    co_await cloud.stop();
    futures.push_back(cloud.save());
    moments.push_back(cloud.moments);
  }
  int halted = 0;
  for (uint32_t mask = 1; mask < 63; ++mask) {
    for (bool with_dir : {true, false}) {
      cloud.restore(futures[0]);
      if (with_dir)
        cloud.dir.lose_view();
      else
        cloud.dir.lose_all();
      for (size_t i = 0; i < cloud.islands.size(); ++i)
        if ((mask >> i & 1) != 0) cloud.islands[i]->blobs() = futures[1].blobs[i];
      std::string what =
          fmt::format("islands {:06b} show the other future{}", mask, with_dir ? "" : ", DIR lost");
      // One future, whole; with DIR it is the one that this gateway acknowledged.
      cloud.moments = moments[0];
      if (!with_dir) cloud.moments.insert(cloud.moments.end(), moments[1].begin(), moments[1].end());
      cloud.model = moments[0].back();
      Cloud::Outcome outcome = co_await cloud.start_and_look(what);
      if (outcome.state == State::serving && with_dir) EXPECT_TRUE(outcome.newest) << what;
      halted += outcome.state != State::serving;
      co_await cloud.stop();
    }
  }
  EXPECT_GT(halted, 0) << "two opens of one number were never noticed";
  co_return true;
}
TEST(Attack, Row12AForkShowsOneFutureOrHalts) {
  Cloud().run(fork);
}

// Islands that confirm what they do not keep.
io::Task<bool> freeze(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  for (size_t frozen : {size_t{1}, size_t{2}}) {
    std::vector<Blobs> then;
    for (size_t i = 0; i < frozen; ++i) then.push_back(cloud.islands[i]->blobs());
    Result<void> small = co_await cloud.put("frozen/small", pattern(600, frozen));
    CO_ASSERT(small.has_value());
    Result<void> large = co_await cloud.put("frozen/large", pattern(200'000, frozen));
    CO_ASSERT(large.has_value());
    for (size_t i = 0; i < frozen; ++i) cloud.islands[i]->blobs() = then[i];
    co_await expect_all_right(cloud, "confirmed and not kept");
    co_await cloud.stop();
    cloud.dir.lose_all();
    Cloud::Outcome outcome = co_await cloud.start_and_look("confirmed and not kept, from ashes");
    EXPECT_TRUE(outcome.serves_all()) << outcome.why.describe();
    if (!outcome.serves_all()) co_return false;
  }
  co_return true;
}
TEST(Attack, Row12IslandsThatConfirmAndForget) {
  Cloud().run(freeze);
}

// Forged blobs under the very names that recovery will ask for. Only the keyring's holder can compute them; one island gets help.
io::Task<bool> forged_names(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  index::CommitPosition tail = cloud.journal().committer->applied();
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  // Commits of later epochs have unguessable bits in their names; claims and opens have not.
  for (size_t liars = 1; liars <= 6; ++liars) {
    for (bool copies : {false, true}) {
      for (size_t i = 0; i < liars; ++i) {
        SpyIsland& island = *cloud.islands[i];
        const std::string sample = copies ? island.blobs().begin()->second : pattern(700, i);
        for (uint64_t epoch = tail.epoch + 1; epoch < tail.epoch + 4; ++epoch) {
          island.blobs()[extent::claim_name(*cloud.keys, island.id(), epoch)] = sample;
          island.blobs()[extent::open_name(*cloud.keys, island.id(), epoch)] = sample;
        }
      }
      cloud.dir.lose_view();
      std::string what = fmt::format("{} islands with forged names", liars);
      Cloud::Outcome outcome = co_await cloud.start_and_look(what);
      if (liars == 1) EXPECT_TRUE(outcome.serves_all()) << what << ": " << outcome.why.describe();
      if (outcome.state == State::serving) EXPECT_TRUE(outcome.newest) << what;
      co_await cloud.stop();
      cloud.restore(before);
    }
  }
  co_return true;
}
TEST(Attack, Row11ForgedClaimsAndOpensOnOneIslandStopNobody) {
  Cloud().run(forged_names);
}

// --- P3 and P7 ---

io::Task<bool> cut_off(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  io::Dice dice(41);
  for (uint32_t mask = 1; mask < 64; ++mask) {
    int gone = std::popcount(mask);
    if (gone > kIslands - kNeeded) continue;
    std::string what = fmt::format("islands {:06b} gone", mask);
    auto cut = [&cloud, mask] {
      for (size_t i = 0; i < cloud.islands.size(); ++i)
        if ((mask >> i & 1) != 0) cloud.islands[i]->down();
    };
    // In the middle of a write: after some blob of it has arrived somewhere.
    auto countdown = std::make_shared<uint64_t>(1 + dice.pick(8));
    for (auto& island : cloud.islands)
      island->after_put = [countdown, cut](const island::BlobName&) {
        if (*countdown > 0 && --*countdown == 0) cut();
      };
    // The same bytes again, so that it does not matter whether an unanswered one counts.
    Result<void> put = co_await cloud.put("large/a", std::string(cloud.model["large/a"]));
    cut();
    for (auto& island : cloud.islands) island->after_put = nullptr;
    EXPECT_TRUE(put.has_value() || gone > kIslands - kConfirm) << what << ": " << put.error().describe();
    co_await expect_all_right(cloud, what + ", mid-write");
    // In the middle of a read.
    for (auto& island : cloud.islands) island->up();
    Result<store::Store::Opened> opened = co_await cloud.store().get(kBucket, "large/b", std::nullopt, {});
    CO_ASSERT(opened.has_value());
    std::string got;
    for (int piece_number = 0;; ++piece_number) {
      Result<Buffer> piece = co_await opened->reader->read();
      EXPECT_TRUE(piece.has_value()) << what << ": " << piece.error().describe();
      if (!piece || piece->empty()) break;
      got += as_text(*piece);
      if (piece_number == 0) cut();
    }
    EXPECT_EQ(got, cloud.model["large/b"]) << what << ", mid-read";
    // And writes go on while w answer.
    put = co_await cloud.put("small/b", std::string(cloud.model["small/b"]));
    EXPECT_EQ(put.has_value(), gone <= kIslands - kConfirm) << what;
    for (auto& island : cloud.islands) island->up();
    // A journal that gave up comes back by itself.
    for (int attempt = 0; attempt < 50 && !put; ++attempt) {
      co_await io::sleep_until(cloud.loop.now() + std::chrono::seconds(5));
      put = co_await cloud.put("small/b", std::string(cloud.model["small/b"]));
    }
    EXPECT_TRUE(put.has_value()) << what << ", all back: " << put.error().describe();
    if (testing::Test::HasFailure()) co_return false;
  }
  co_return true;
}
TEST(CutOff, AnyThreeIslandsMidWriteAndMidReadTakeNothing) {
  Cloud().run(cut_off);
}

io::Task<bool> ashes(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  for (uint32_t mask = 0; mask < 64; ++mask) {
    if (std::popcount(mask) != kIslands - kNeeded) continue;
    cloud.restore(before);
    cloud.dir.lose_all();
    for (size_t i = 0; i < cloud.islands.size(); ++i) {
      if ((mask >> i & 1) != 0) {
        cloud.islands[i]->wipe();
        continue;
      }
      // Those that are left are full of forgeries.
      Blobs& blobs = cloud.islands[i]->blobs();
      Blobs ours = blobs;
      uint64_t number = mask;
      for (const auto& [name, bytes] : ours) {
        blobs[hex(as_bytes(pattern(20, ++number)))] = bytes;
        blobs[hex(as_bytes(pattern(20, ++number)))] = pattern(bytes.size(), number);
      }
      // A wiped island's blobs, saved by somebody, are no better here.
      size_t from = static_cast<size_t>(std::countr_zero(mask));
      for (const auto& [name, bytes] : before.blobs[from]) blobs.try_emplace(name, bytes);
    }
    std::string what = fmt::format("islands {:06b} wiped, DIR lost, forgeries planted", mask);
    Cloud::Outcome outcome = co_await cloud.start_and_look(what);
    EXPECT_TRUE(outcome.serves_all()) << what << ": " << outcome.why.describe();
    if (!outcome.serves_all()) co_return false;
    co_await cloud.stop();
  }
  co_return true;
}
TEST(Ashes, KeyringAndAnyThreeIslandsAmongForgeriesGiveEverything) {
  Cloud().run(ashes);
}

}  // namespace
}  // namespace archipel::adversary
