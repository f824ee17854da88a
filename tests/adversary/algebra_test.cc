// Cut and paste, and single bits, against the real store and against formats that must fall.
#include "target.h"

namespace archipel::adversary {
namespace {

size_t scaled(size_t in_tests) {
  const char* factor = std::getenv("ARCHIPEL_ADVERSARY_FACTOR");  // ./dev soak sets it
  return factor == nullptr ? in_tests : in_tests * static_cast<size_t>(std::atoi(factor));
}

io::Task<bool> populate_with_old_versions(Cloud& cloud) {
  bool populated = co_await cloud.populate();
  CO_ASSERT(populated);
  // Overwritten objects leave blobs on the islands that were right once.
  for (const char* key : {"small/a", "large/a"}) {
    Result<void> done = co_await cloud.put(key, pattern(cloud.model[key].size(), 99));
    CO_ASSERT(done.has_value());
  }
  co_return true;
}

io::Task<bool> algebra(Cloud& cloud) {
  bool populated = co_await populate_with_old_versions(cloud);
  CO_ASSERT(populated);
  CloudTarget target(cloud);
  Report report = co_await cut_and_paste(target, 11, scaled(150));
  EXPECT_TRUE(report.holds()) << report.describe();
  EXPECT_GT(report.right, report.programs * 4) << report.describe();
  EXPECT_GT(report.refused, 0u) << "attacks on four islands and more must be felt: " << report.describe();
  EXPECT_GT(report.programs_with_blame, report.programs / 4) << report.describe();
  std::printf("cut and paste: %s\n", report.describe().c_str());
  co_return true;
}

io::Task<bool> flips(Cloud& cloud) {
  bool populated = co_await populate_with_old_versions(cloud);
  CO_ASSERT(populated);
  CloudTarget target(cloud);
  Report report = co_await flip_bits(target, 12, scaled(150));
  EXPECT_TRUE(report.holds()) << report.describe();
  EXPECT_EQ(report.refused, 0u) << report.describe();
  std::printf("bit flips: %s\n", report.describe().c_str());
  co_return true;
}

template <WeakTarget::Weakness weakness>
io::Task<bool> weak_algebra(Cloud&) {
  WeakTarget target(weakness);
  Report report = co_await cut_and_paste(target, 11, 300);
  EXPECT_FALSE(report.holds()) << "the suite does not bite: " << report.describe();
  EXPECT_GT(report.wrong, 100u) << report.describe();
  co_return true;
}

io::Task<bool> weak_flips(Cloud&) {
  WeakTarget untagged(WeakTarget::Weakness::untagged), unbound(WeakTarget::Weakness::unbound);
  Report falls = co_await flip_bits(untagged, 12, 300);
  EXPECT_GT(falls.wrong, 50u) << "the suite does not bite: " << falls.describe();
  // A tag per chunk is enough against bits; that it does not stop the rest is what the algebra shows.
  Report holds = co_await flip_bits(unbound, 12, 300);
  EXPECT_EQ(holds.wrong, 0u) << holds.describe();
  co_return true;
}

TEST(Algebra, CutAndPasteNeverGivesAWrongByte) {
  Cloud().run(algebra);
}
TEST(Algebra, OneFlippedBitAnywhereIsSurvivedAndAttributed) {
  Cloud().run(flips);
}
TEST(AlgebraControl, AFormatWithoutTagsFalls) {
  Cloud().run(weak_algebra<WeakTarget::Weakness::untagged>);
}
TEST(AlgebraControl, AFormatThatDoesNotBindItsChunksFalls) {
  Cloud().run(weak_algebra<WeakTarget::Weakness::unbound>);
}
TEST(AlgebraControl, FlippedBitsAreSeenWhereNothingAuthenticates) {
  Cloud().run(weak_flips);
}

// The same attacks, and then a start that has to rebuild the view from what the islands now say.
io::Task<bool> restart_after_attack(Cloud& cloud) {
  bool populated = co_await populate_with_old_versions(cloud);
  CO_ASSERT(populated);
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  CloudTarget target(cloud);
  size_t held_back = 0, reads = 0;
  for (size_t i = 0; i < scaled(60); ++i) {
    io::Dice dice(i + 77);
    size_t touched = 1 + dice.pick(kIslands);
    for (size_t island = 0; island < touched; ++island) {
      Blobs& blobs = cloud.islands[(island + i) % kIslands]->blobs();
      for (auto& [name, bytes] : blobs) {
        if (dice.chance(1, 3)) continue;
        size_t at = dice.pick(bytes.size());
        switch (dice.pick(4)) {
          case 0:
            bytes[at] = static_cast<char>(bytes[at] ^ 64);
            break;
          case 1:
            bytes.resize(at);
            break;
          case 2:
            bytes = std::next(blobs.begin(), static_cast<ptrdiff_t>(dice.pick(blobs.size())))->second;
            break;
          default:
            bytes.insert(at, "x");
        }
      }
    }
    bool without_dir = dice.chance(1, 2);
    if (without_dir)
      cloud.dir.lose_all();
    else
      cloud.dir.lose_view();
    std::string what = "attack " + std::to_string(i) + " on " + std::to_string(touched) + " islands";
    Cloud::Outcome outcome = co_await cloud.start_and_look(what);
    bool serving = outcome.state == Cloud::Outcome::State::serving;
    // More than f liars and no memory of DIR: an older state can then not be told from the newest.
    if (serving && !without_dir) EXPECT_TRUE(outcome.newest) << what;
    if (serving && touched <= kIslands - kNeeded)
      EXPECT_TRUE(outcome.serves_all())
          << what << (without_dir ? ", DIR lost: " : ": ") << (outcome.newest ? "" : "not the newest ")
          << (outcome.verdict.errors.empty() ? "" : outcome.verdict.errors[0]);
    if (touched <= kIslands - kConfirm)
      EXPECT_TRUE(outcome.serves_all()) << what << ": " << outcome.why.describe();
    held_back += !serving;
    reads += outcome.verdict.right;
    co_await cloud.stop();
    cloud.restore(before);
  }
  EXPECT_GT(reads, 0u);
  EXPECT_GT(held_back, 0u);
  co_return true;
}

TEST(Algebra, AStartAfterAnyAttackShowsTheTruthOrRefusesByName) {
  Cloud().run(restart_after_attack);
}

}  // namespace
}  // namespace archipel::adversary
