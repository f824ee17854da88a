// Attacks on head slots and snapshots: what a start without DIR begins with.
#include <fmt/format.h>

#include "cloud.h"
#include "extent/names.h"

namespace archipel::adversary {
namespace {

using State = Cloud::Outcome::State;

std::string& slot_of(Cloud& cloud, size_t island, int slot) {
  SpyIsland& place = *cloud.islands[island];
  return place.blobs()[extent::head_slot_name(*cloud.keys, place.id(), slot)];
}

// Two snapshots with commits before, between and after; then stopped.
io::Task<bool> with_snapshots(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  for (uint64_t i = 0; i < 2; ++i) {
    Result<void> snapshot = co_await cloud.snapshot();
    CO_ASSERT(snapshot.has_value());
    Result<void> put = co_await cloud.put("after/" + std::to_string(i), pattern(700, i + 70));
    CO_ASSERT(put.has_value());
  }
  co_await cloud.stop();
  co_return true;
}

io::Task<bool> expect_served(Cloud& cloud, std::string what) {
  Cloud::Outcome outcome = co_await cloud.start_and_look(what);
  EXPECT_TRUE(outcome.serves_all()) << what << ": " << outcome.why.describe()
                                    << (outcome.newest ? "" : ", not the newest state ")
                                    << (outcome.verdict.errors.empty() ? "" : outcome.verdict.errors.front());
  co_await cloud.stop();
  co_return true;
}

// A slot is a hint: whatever one island says in it, and whatever any number of islands garble, a start finds the truth. Slots that are old
// everywhere tell of a past from which the journal itself leads on.
io::Task<bool> slots(Cloud& cloud) {
  bool made = co_await with_snapshots(cloud);
  CO_ASSERT(made);
  const Cloud::Stored before = cloud.save();
  io::Dice dice(5);
  for (size_t liars = 1; liars <= kIslands; ++liars) {
    for (int attack = 0; attack < 5; ++attack) {
      cloud.restore(before);
      cloud.dir.lose_all();
      for (size_t i = 0; i < liars; ++i) {
        std::string &one = slot_of(cloud, i, 0), &two = slot_of(cloud, i, 1);
        if (attack == 0) one[dice.pick(one.size())] ^= 1, two[dice.pick(two.size())] ^= 1;
        if (attack == 1) std::swap(one, two);
        if (attack == 2) one = slot_of(cloud, (i + 1) % kIslands, 0);
        if (attack == 3) one.resize(one.size() / 2), two.clear();
        if (attack == 4) one = two = pattern(5000, i);
      }
      co_await expect_served(cloud, fmt::format("attack {} on the slots of {} islands", attack, liars));
      if (testing::Test::HasFailure()) co_return false;
    }
  }
  co_return true;
}
TEST(Attack, Row12HeadSlotsAreHints) {
  Cloud().run(slots);
}

// Old slots, put back on all islands.
io::Task<bool> old_slots(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  Result<void> first = co_await cloud.snapshot();
  CO_ASSERT(first.has_value());
  const Cloud::Stored old = cloud.save();
  Result<void> put = co_await cloud.put("later", pattern(700, 3));
  CO_ASSERT(put.has_value());
  Result<void> second = co_await cloud.snapshot();
  CO_ASSERT(second.has_value());
  put = co_await cloud.put("still/later", pattern(700, 4));
  CO_ASSERT(put.has_value());
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  for (size_t liars = 1; liars <= kIslands; ++liars) {
    cloud.restore(before);
    cloud.dir.lose_all();
    for (size_t i = 0; i < liars; ++i)
      for (int slot : {0, 1}) {
        const std::string name = extent::head_slot_name(*cloud.keys, cloud.islands[i]->id(), slot);
        auto then = old.blobs[i].find(name);
        if (then == old.blobs[i].end())
          cloud.islands[i]->blobs().erase(name);
        else
          cloud.islands[i]->blobs()[name] = then->second;
      }
    co_await expect_served(cloud, fmt::format("old slots on {} islands", liars));
    if (testing::Test::HasFailure()) co_return false;
  }
  co_return true;
}
TEST(Attack, Row12OldHeadSlotsHideNothing) {
  Cloud().run(old_slots);
}

// Snapshots themselves: wrong on up to n-k islands they are rebuilt; wrong everywhere they are not believed.
io::Task<bool> doctored_snapshots(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  std::vector<size_t> seen;
  for (const auto& island : cloud.islands) seen.push_back(island->seen.size());
  Result<void> snapshot = co_await cloud.snapshot();
  CO_ASSERT(snapshot.has_value());
  std::vector<std::vector<island::BlobName>> written(kIslands);
  for (size_t i = 0; i < kIslands; ++i)
    for (size_t at = seen[i]; at < cloud.islands[i]->seen.size(); ++at)
      if (cloud.islands[i]->seen[at].what == "put") written[i].push_back(cloud.islands[i]->seen[at].name);
  CO_ASSERT(!written[0].empty());
  Result<void> put = co_await cloud.put("later", pattern(700, 3));
  CO_ASSERT(put.has_value());
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  for (size_t liars = 1; liars <= kIslands; ++liars) {
    cloud.restore(before);
    cloud.dir.lose_all();
    // Of what the snapshot wrote only its extents, the first put; its commit is a link of the chain.
    for (size_t i = 0; i < liars; ++i) {
      std::string& bytes = cloud.islands[i]->blobs().at(written[i].front());
      for (size_t at = 0; at < bytes.size(); at += 100) bytes[at] = static_cast<char>(bytes[at] ^ 2);
    }
    std::string what = fmt::format("the snapshot doctored on {} islands", liars);
    Cloud::Outcome outcome = co_await cloud.start_and_look(what);
    if (liars <= kIslands - kNeeded)
      EXPECT_TRUE(outcome.serves_all()) << what << ": " << outcome.why.describe();
    if (outcome.state == State::serving) EXPECT_TRUE(outcome.newest) << what;
    co_await cloud.stop();
  }
  co_return true;
}
TEST(Attack, Row13DoctoredSnapshotsAreRebuiltOrNotBelieved) {
  Cloud().run(doctored_snapshots);
}

// Every bit of what slots and snapshots are made of, and a start without DIR.
io::Task<bool> flips(Cloud& cloud) {
  bool made = co_await with_snapshots(cloud);
  CO_ASSERT(made);
  const Cloud::Stored before = cloud.save();
  const char* set = std::getenv("ARCHIPEL_FLIPS");
  const bool all = set != nullptr && std::string_view(set) == "all";
  io::Dice dice(6);
  size_t bits = 0, attributed = 0;
  for (int slot : {0, 1}) {
    const size_t size = slot_of(cloud, 0, slot).size();
    for (uint64_t bit = 0; bit < size * 8; bit += all ? 1 : 1 + dice.pick(200)) {
      uint64_t blamed = cloud.blamed(0);
      std::string& bytes = slot_of(cloud, 0, slot);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      cloud.dir.lose_all();
      co_await expect_served(cloud, fmt::format("bit {} of slot {} on island 0", bit, slot));
      attributed += cloud.blamed(0) > blamed;
      ++bits;
      cloud.restore(before);
      if (testing::Test::HasFailure()) co_return false;
    }
  }
  std::printf(
      "bit flips of head slots: 2 files, %zu bits flipped, %zu right, 0 named errors, 0 wrong, %zu "
      "attributed\n",
      bits, bits, attributed);
  EXPECT_EQ(attributed, bits);
  co_return true;
}
TEST(Flips, OfHeadSlots) {
  Cloud().run(flips);
}

}  // namespace
}  // namespace archipel::adversary
