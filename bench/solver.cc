// How long the solver takes: the best placement over 20 islands with every admitted code, the proof that there is none, and larger clouds, beside
// judging every placement with the engine (measured on some of them, and multiplied).
//
//   bench_solver [SEEDS]      clouds made at random for each case; 5 by default
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "exposure/policy.h"

namespace {

using namespace archipel;
using namespace archipel::exposure;

constexpr exposure::Code kCodes[] = {{4, 2}, {5, 3}, {6, 3}, {7, 4}, {9, 6}};
constexpr const char* kStates[] = {"DE", "IE", "FR", "FI", "US", "JP", "CH", "SG",
                                   "CN", "GB", "CA", "AU", "BR", "IN", "KR", "NL"};

struct Case {
  const char* name;
  size_t islands, states, providers;
  int reach;  // states that reach an island
  std::vector<std::string> adversaries;
  bool read_bound, europe;  // enforce; residency
};

Facts some_facts(const Case& what, unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  Facts facts;
  for (size_t i = 0; i < what.islands; ++i) {
    Party island{.id = "island-" + std::to_string(i),
                 .provider = "provider-" + std::to_string(below(what.providers)),
                 .region = {},
                 .edges = {},
                 .where = {}};
    for (int edge = 0; edge < what.reach; ++edge) {
      const Basis basis = edge == 0 ? Basis::place : edge == 1 ? Basis::operator_ : Basis::parent;
      island.edges.push_back({.state = kStates[below(what.states)],
                              .basis = basis,
                              .source = "made",
                              .date = "2026-11-22",
                              .where = {}});
    }
    facts.islands.push_back(std::move(island));
  }
  return facts;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double choose(size_t n, int k) {
  double product = 1;
  for (int i = 0; i < k; ++i) product = product * static_cast<double>(n - static_cast<size_t>(i)) / (i + 1);
  return product;
}

// Seconds to judge every placement with the engine, from a few hundred of them.
double brute_force(const Facts& facts, size_t islands) {
  double total = 0;
  std::mt19937 random(7);
  for (const auto code : kCodes) {
    constexpr int kSamples = 60;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kSamples; ++i) {
      Placing placing{.policy = "sample", .code = code, .islands = {}, .where = {}};
      std::vector<size_t> order(islands);
      for (size_t at = 0; at < islands; ++at) order[at] = at;
      std::shuffle(order.begin(), order.end(), random);
      for (int shard = 0; shard < code.n; ++shard) {
        placing.islands.push_back(facts.islands[order[static_cast<size_t>(shard)]].id);
      }
      const auto lens = lens_of(facts, placing, Lens::Kind::states);
      const auto structure = structure_of(facts, placing, *lens);
      if (!least_coalition(*structure, Question::read) || !least_coalition(*structure, Question::cut))
        return -1;
    }
    total += seconds_since(start) / kSamples * choose(islands, code.n);
  }
  return total;
}

int run(unsigned seeds) {
  const auto world = World::load();
  if (!world) {
    std::fprintf(stderr, "bench: %s\n", world.error().message.c_str());
    return 1;
  }
  const Case cases[] = {
      {"20 islands, 16 states, 8 providers", 20, 16, 8, 3, {}, false, false},
      {"  with US kept from reading", 20, 16, 8, 3, {"US"}, true, false},
      {"  on European ground", 20, 16, 8, 3, {"US"}, true, true},
      {"20 islands, each of one state and provider", 20, 16, 20, 1, {}, false, false},
      {"20 islands, two providers", 20, 16, 2, 3, {"US"}, true, false},
      {"20 islands, EU, US, CN, FVEY, each kept out", 20, 12, 8, 3, {"EU", "US", "CN", "FVEY"}, true, false},
      {"20 islands, six states", 20, 6, 8, 2, {"US"}, true, false},
      {"40 islands, 16 states, 12 providers", 40, 16, 12, 3, {"US"}, true, false},
      {"64 islands, 16 states, 20 providers", 64, 16, 20, 3, {"US"}, true, false},
  };
  std::printf("%-44s %9s %9s %10s %9s %8s %12s\n", "case", "median ms", "worst ms", "steps", "no answer",
              "given up", "x brute f.");
  for (const Case& what : cases) {
    std::vector<double> times;
    uint64_t steps = 0;
    int none = 0, given_up = 0;
    double slow = 0;
    for (unsigned seed = 1; seed <= seeds; ++seed) {
      const Facts facts = some_facts(what, seed);
      Policy policy;
      policy.name = "bench";
      if (what.europe) policy.allow = {"EU"};
      policy.adversaries = what.adversaries;
      policy.read_bound = what.read_bound ? Bound::enforce : Bound::warn;
      const auto start = std::chrono::steady_clock::now();
      const auto solved = solve(facts, policy, kCodes, {}, **world);
      times.push_back(seconds_since(start));
      if (!solved) {
        ++given_up;
      } else if (solved->solution) {
        steps = std::max(steps, solved->solution->tried);
      } else {
        ++none;
      }
      if (seed == 1) slow = brute_force(facts, what.islands);
    }
    std::ranges::sort(times);
    std::printf("%-44s %9.2f %9.2f %10llu %9d %8d %12.0f\n", what.name, times[times.size() / 2] * 1e3,
                times.back() * 1e3, static_cast<unsigned long long>(steps), none, given_up,
                slow / times[times.size() / 2]);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int seeds = argc > 1 ? std::atoi(argv[1]) : 5;
  return run(static_cast<unsigned>(std::clamp(seeds, 1, 1000)));
}
