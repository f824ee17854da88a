// Every bit of everything that is stored, one at a time, and random pairs: right bytes or a named error, and the island named whenever the
// bytes were looked at. ARCHIPEL_FLIPS=all flips every bit, a number so many times the sample, which meets every file.
#include <fmt/format.h>

#include "cloud.h"
#include "crypto/keyring_file.h"
#include "extent/names.h"
#include "quiet.h"

namespace archipel::adversary {
namespace {

bool every_bit() {
  const char* set = std::getenv("ARCHIPEL_FLIPS");
  return set != nullptr && std::string_view(set) == "all";
}

size_t times_the_sample() {
  const char* set = std::getenv("ARCHIPEL_FLIPS");
  return set == nullptr ? 1 : static_cast<size_t>(std::max(1, std::atoi(set)));
}

void flip(std::string& bytes, uint64_t bit) {
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
}

struct Tally {
  size_t files = 0, bits = 0, right = 0, refused = 0, attributed = 0;
  void print(const char* what) const {
    std::printf(
        "bit flips of %s: %zu files, %zu bits flipped, %zu right, %zu named errors, 0 wrong, %zu "
        "attributed\n",
        what, files, bits, right, refused, attributed);
  }
};

// Small, so that its bits can be counted.
io::Task<bool> small_cloud(Cloud& cloud, bool with_large) {
  Result<void> started = co_await cloud.start();
  CO_ASSERT(started.has_value());
  Result<void> made = co_await cloud.store().create_bucket(kBucket, kOwner);
  CO_ASSERT(made.has_value());
  Result<void> one = co_await cloud.put("one", pattern(90, 1));
  CO_ASSERT(one.has_value());
  Result<void> two = co_await cloud.put("two", pattern(200, 2));
  CO_ASSERT(two.has_value());
  if (!with_large) co_return true;
  Result<void> large = co_await cloud.put("large", pattern(131'073, 3));
  CO_ASSERT(large.has_value());
  co_return true;
}

// The bits of one file: all, or some of each part of it.
std::vector<uint64_t> bits_of(size_t bytes, uint64_t seed, size_t sample) {
  std::vector<uint64_t> bits;
  if (every_bit()) {
    for (uint64_t bit = 0; bit < bytes * 8; ++bit) bits.push_back(bit);
    return bits;
  }
  io::Dice dice(seed);
  sample *= times_the_sample();
  for (size_t i = 0; i < sample; ++i) bits.push_back((bytes * 8 * i + dice.pick(bytes * 8)) / sample);
  return bits;
}

// --- journal blobs, markers and DIR: a start for every bit ---

// Right or a named error after a start; nothing else.
io::Task<bool> start_and_judge(Cloud& cloud, Tally& tally, bool must_serve, std::string what,
                               std::optional<int> flipped = std::nullopt) {
  Cloud::Outcome outcome = co_await cloud.start_and_look(what);
  if (outcome.state == Cloud::Outcome::State::serving)
    EXPECT_TRUE(outcome.serves_all()) << what;
  else
    EXPECT_FALSE(must_serve) << what << ": " << outcome.why.describe();
  ++(outcome.serves_all() ? tally.right : tally.refused);
  // What nobody had to read to start and to serve, scrub reads, and names.
  if (flipped && outcome.serves_all()) {
    Result<store::ScrubReport> report = co_await cloud.scrub(false);
    const bool named =
        report && report->islands[static_cast<size_t>(*flipped)].wrong == 1 && report->unrepaired == 1;
    EXPECT_TRUE(named) << what << " was not attributed";
    tally.attributed += named;
  }
  co_await cloud.stop();
  co_return true;
}

bool is_overwritten(const Cloud& cloud, size_t island, const std::string& name) {
  const std::string& id = cloud.islands[island]->id();
  return name == extent::lease_name(*cloud.keys, id) || name == extent::head_slot_name(*cloud.keys, id, 0) ||
         name == extent::head_slot_name(*cloud.keys, id, 1);
}

io::Task<bool> flip_journal(Cloud& cloud) {
  size_t unattributed = 0;
  bool made = co_await small_cloud(cloud, false);
  CO_ASSERT(made);
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  Tally tally;
  for (size_t i = 0; i < cloud.islands.size(); ++i) {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : before.blobs[i]) names.push_back(name);
    for (const std::string& name : names) {
      ++tally.files;
      for (uint64_t bit : bits_of(before.blobs[i].at(name).size(), tally.files, 12)) {
        flip(cloud.islands[i]->blobs().at(name), bit);
        // Without the view, everything is read again; every other time without DIR, so that nothing is known beforehand.
        if (bit % 2 == 0)
          cloud.dir.lose_all();
        else
          cloud.dir.lose_view();
        std::string what = fmt::format("bit {} of {} on island {}", bit, name, i);
        // What is overwritten all the time (slots, lease) is written anew before anybody scrubs.
        const bool overwritten = is_overwritten(cloud, i, name);
        co_await start_and_judge(cloud, tally, true, what,
                                 overwritten ? std::nullopt : std::optional<int>(static_cast<int>(i)));
        unattributed += overwritten;
        for (size_t other = 0; other < cloud.islands.size(); ++other)
          EXPECT_TRUE(other == i || cloud.blamed(static_cast<int>(other)) == 0 ||
                      tally.files > before.blobs[0].size())
              << what << ": island " << other << " was blamed";
        ++tally.bits;
        cloud.restore(before);
        if (testing::Test::HasFailure()) co_return false;
      }
    }
  }
  tally.print("journal blobs");
  EXPECT_EQ(tally.right, tally.bits);
  EXPECT_EQ(tally.attributed + unattributed, tally.bits);
  co_return true;
}

io::Task<bool> flip_markers(Cloud& cloud) {
  bool made = co_await small_cloud(cloud, false);
  CO_ASSERT(made);
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  Tally tally;
  for (size_t i = 0; i < cloud.islands.size(); ++i) {
    ++tally.files;
    for (uint64_t bit : bits_of(before.markers[i]->size(), i, 40)) {
      take_log();
      flip(*cloud.islands[i]->marker(), bit);
      cloud.dir.lose_view();
      co_await start_and_judge(cloud, tally, true, fmt::format("bit {} of the marker of island {}", bit, i));
      bool named = false;
      for (const std::string& event : take_log())
        named = named || (event.starts_with("island.marker_refused") &&
                          event.find("island-" + std::to_string(i)) != std::string::npos);
      EXPECT_TRUE(named) << "bit " << bit << " of marker " << i;
      tally.attributed += named;
      ++tally.bits;
      cloud.restore(before);
      if (testing::Test::HasFailure()) co_return false;
    }
  }
  tally.print("markers");
  co_return true;
}

io::Task<bool> flip_dir(Cloud& cloud) {
  bool made = co_await small_cloud(cloud, false);
  CO_ASSERT(made);
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  Tally tally;
  for (const auto& [name, bytes] : before.files) {
    if (bytes.empty()) continue;
    ++tally.files;
    for (uint64_t bit : bits_of(bytes.size(), tally.files, 150)) {
      flip(cloud.dir.files[name], bit);
      if (bit % 3 == 0) cloud.dir.lose_view();
      co_await start_and_judge(cloud, tally, false, fmt::format("bit {} of DIR/{}", bit, name));
      ++tally.bits;
      cloud.restore(before);
      if (testing::Test::HasFailure()) co_return false;
    }
  }
  EXPECT_GT(tally.files, 0u);
  tally.print("DIR");
  co_return true;
}

io::Task<bool> flip_pairs(Cloud& cloud) {
  bool made = co_await small_cloud(cloud, false);
  CO_ASSERT(made);
  co_await cloud.stop();
  const Cloud::Stored before = cloud.save();
  Tally tally;
  io::Dice dice(31);
  for (size_t pairs = every_bit() ? 20'000 : 150 * times_the_sample(); pairs > 0; --pairs) {
    for (int two = 0; two < 2; ++two) {
      Blobs& blobs = cloud.islands[dice.pick(kIslands)]->blobs();
      std::string& bytes = std::next(blobs.begin(), static_cast<ptrdiff_t>(dice.pick(blobs.size())))->second;
      flip(bytes, dice.pick(bytes.size() * 8));
    }
    if (dice.chance(1, 2))
      cloud.dir.lose_all();
    else
      cloud.dir.lose_view();
    co_await start_and_judge(cloud, tally, true, "a pair of bits");
    tally.bits += 2;
    cloud.restore(before);
    if (testing::Test::HasFailure()) co_return false;
  }
  tally.print("random pairs");
  co_return true;
}

// --- data: a read for every bit ---

struct Shards {
  std::vector<std::string> names;  // of the large object's one extent, by island
};

// What came before the last commit.
Shards data_shards(Cloud& cloud) {
  Shards shards;
  for (const auto& island : cloud.islands)
    shards.names.push_back(island->seen.at(island->seen.size() - 2).name);
  return shards;
}

// One bit of shard i. With all islands the answer is right. With just k islands, this one among them, a bit that counts is an error that
// names it; with one island more the answer is right again.
io::Task<bool> flip_one_of_data(Cloud& cloud, Tally& tally, size_t i, uint64_t bit, std::string name) {
  const size_t at = bit / 8;
  std::string what = fmt::format("bit {} of shard {}", bit, i);
  std::string& bytes = cloud.islands[i]->blobs().at(name);
  flip(bytes, bit);
  // A range in the segment that the cell of this island carries, or all of it where parity has to help.
  store::Store::Range range{0, 131'072};
  if (i < kNeeded) range = {i * 65'536, std::min<uint64_t>(131'072, i * 65'536 + 9)};
  const std::string expected = cloud.model["large"].substr(*range.first, *range.last - *range.first + 1);

  uint64_t blamed = cloud.blamed(static_cast<int>(i));
  Result<std::string> got = co_await cloud.get("large", range);
  EXPECT_TRUE(got && *got == expected) << what << ": " << (got ? "wrong" : got.error().describe());
  ++tally.right;

  for (size_t down = 0, left = kIslands - kNeeded; down < cloud.islands.size() && left > 0; ++down)
    if (down != i) cloud.islands[down]->down(), --left;
  got = co_await cloud.get("large", store::Store::Range{0, 131'072});
  bool header = at < 128;  // looked at by scrub, not by reads
  if (header) {
    EXPECT_TRUE(got && *got == cloud.model["large"]) << what;
  } else {
    EXPECT_TRUE(!got && Cloud::named_error(got.error())) << what << " was not noticed";
    if (!got)
      EXPECT_NE(got.error().message.find("island-" + std::to_string(i)), std::string::npos)
          << got.error().message;
    ++tally.refused;
  }
  for (auto& island : cloud.islands) island->up();
  bool named = cloud.blamed(static_cast<int>(i)) > blamed;
  EXPECT_TRUE(named || header) << what << " was not attributed";
  tally.attributed += named;
  ++tally.bits;
  flip(bytes, bit);
  co_return true;
}

io::Task<bool> flip_data(Cloud& cloud) {
  bool made = co_await small_cloud(cloud, true);
  CO_ASSERT(made);
  Shards shards = data_shards(cloud);
  Tally tally;
  for (size_t i = 0; i < cloud.islands.size(); ++i) {
    ++tally.files;
    for (uint64_t bit : bits_of(cloud.islands[i]->blobs().at(shards.names[i]).size(), i, 60)) {
      co_await flip_one_of_data(cloud, tally, i, bit, shards.names[i]);
      if (testing::Test::HasFailure()) co_return false;
      if (tally.bits % 1024 == 0) take_log();
    }
  }
  for (int i = 0; i < kIslands; ++i) EXPECT_GT(cloud.blamed(i), 0u);
  tally.print("data shards");
  co_return true;
}

TEST(Flips, OfJournalBlobs) {
  Cloud().run(flip_journal);
}
TEST(Flips, OfMarkers) {
  Cloud().run(flip_markers);
}
TEST(Flips, OfDir) {
  Cloud().run(flip_dir);
}
TEST(Flips, OfRandomPairs) {
  Cloud().run(flip_pairs);
}
TEST(Flips, OfDataShards) {
  Cloud().run(flip_data);
}

// Argon2 takes a tenth of a second: the header wholly in the long run, and a sample of the rest.
TEST(Flips, OfTheKeyring) {
  std::unique_ptr<Random> random = seeded_random(8);
  crypto::KeyringSecrets secrets;
  random->fill(secrets.realm);
  random->fill(secrets.root.mutable_view());
  for (crypto::Secret32& kek : secrets.keks) random->fill(kek.mutable_view());
  Result<std::string> file = crypto::encode_keyring(secrets, "open sesame", {}, *random);
  ASSERT_TRUE(file.has_value());
  Tally tally;
  tally.files = 1;
  std::vector<uint64_t> bits;
  io::Dice dice(9);
  const uint64_t header_bits = crypto::kKeyringHeaderBytes * 8;
  for (uint64_t bit = 0; bit < header_bits; bit += every_bit() ? 1 : 1 + dice.pick(80)) bits.push_back(bit);
  for (size_t i = 0; i < (every_bit() ? 300u : 6u); ++i)
    bits.push_back(header_bits + dice.pick(file->size() * 8 - header_bits));
  for (uint64_t bit : bits) {
    // More passes or gigabytes are within the limits and take their time before they are refused.
    bool costly = bit / 8 >= 12 && bit / 8 < 20;
    if (costly && !every_bit()) continue;
    flip(*file, bit);
    crypto::KeyringSecrets out;
    Result<void> opened = crypto::decode_keyring(as_bytes(*file), "open sesame", out);
    ASSERT_FALSE(opened.has_value()) << "bit " << bit;
    ++tally.refused;
    ++tally.bits;
    flip(*file, bit);
  }
  crypto::KeyringSecrets out;
  EXPECT_TRUE(crypto::decode_keyring(as_bytes(*file), "open sesame", out).has_value());
  tally.print("the keyring");
}

}  // namespace
}  // namespace archipel::adversary
