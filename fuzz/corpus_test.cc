// Every fuzzer replays its corpus, and what becomes of each seed when it is cut and changed, in the ordinary test run. A property that
// does not hold aborts the process, as it would under libFuzzer.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/random.h"
#include "seeds.h"
#include "support/source_dir.h"

// One entry per *_fuzz.cc, made by fuzz/replay.cmake.
struct Fuzzer {
  const char* name;
  int (*run)(const uint8_t*, size_t);
};
extern const Fuzzer kFuzzers[];
extern const size_t kFuzzersCount;

namespace archipel {
namespace {

constexpr int kMutants = 60;     // per seed; the fuzzers proper do millions
constexpr size_t kCutsMax = 64;  // lengths a seed is cut to
constexpr size_t kSeedBytesMax = 16u << 10;

std::vector<std::string> seeds_of(const std::string& fuzzer) {
  std::vector<std::string> out;
  auto directory = testing::source_dir() / "fuzz/corpus" / fuzzer;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream in(entry.path(), std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    EXPECT_LE(out.back().size(), kSeedBytesMax) << entry.path() << ": the repository keeps small seeds";
  }
  EXPECT_FALSE(out.empty()) << directory << " holds no seeds";
  // What the encoders of today make, whatever the files are.
  for (const auto& [where, bytes] : fuzz::seeds())
    if (where.first == fuzzer) out.push_back(bytes);
  return out;
}

void run(const Fuzzer& fuzzer, const std::string& input) {
  // An exact allocation, so that a read past the end is seen.
  std::unique_ptr<uint8_t[]> copy(new uint8_t[input.size()]);
  std::copy(input.begin(), input.end(), copy.get());
  EXPECT_EQ(fuzzer.run(copy.get(), input.size()), 0);
}

class Corpus : public ::testing::TestWithParam<size_t> {};

TEST_P(Corpus, IsReplayedWholeCutAndChanged) {
  const Fuzzer& fuzzer = kFuzzers[GetParam()];
  std::unique_ptr<Random> random = seeded_random(GetParam() + 1);
  run(fuzzer, "");
  for (const std::string& seed : seeds_of(fuzzer.name)) {
    run(fuzzer, seed);
    for (size_t i = 0; i < kCutsMax; ++i) run(fuzzer, seed.substr(0, seed.size() * i / kCutsMax));
    for (int i = 0; i < kMutants && !seed.empty(); ++i) {
      std::string mutant = seed;
      for (uint64_t changes = random->u64() % 4; changes-- > 0;)
        mutant[random->u64() % mutant.size()] = static_cast<char>(random->u64());
      if (i % 5 == 0) mutant.insert(random->u64() % mutant.size(), seed.substr(random->u64() % seed.size()));
      run(fuzzer, mutant);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzzers, Corpus, ::testing::Range<size_t>(0, kFuzzersCount),
                         [](const auto& named) { return std::string(kFuzzers[named.param].name); });

}  // namespace
}  // namespace archipel
