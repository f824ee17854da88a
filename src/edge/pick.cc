#include "edge/pick.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "crypto/short_hash.h"

namespace archipel::edge {
namespace {

// An origin of which nothing is known counts as fast, but not as free: until its first answer comes it gets one request and not all of them.
constexpr double kUnknownNs = 1e6;

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t text_hash(std::string_view text, uint64_t seed) {
  std::array<uint8_t, 16> key{};
  for (size_t i = 0; i < 8; ++i) key[i] = static_cast<uint8_t>(seed >> (8 * i));
  return crypto::short_hash(key, as_bytes(text)).high;
}

double cost(const Candidate& c) {
  const double latency = c.latency > 0 ? c.latency : kUnknownNs * (1 + 9.0 * c.in_flight);
  return latency * (c.in_flight + 1) / c.weight;
}

}  // namespace

Rendezvous::Rendezvous(std::vector<std::string> names, uint64_t seed) : seed_(seed) {
  for (const std::string& name : names) nodes_.push_back(text_hash(name, seed));
}

uint64_t Rendezvous::hash(std::string_view key) const {
  return text_hash(key, ~seed_);
}

double Rendezvous::score(size_t node, uint64_t key_hash, double weight) const {
  // Uniform in (0, 1); -w / ln u is larger than everybody else's with a chance proportional to w.
  const uint64_t z = mix(nodes_[node] ^ mix(key_hash));
  const double u = (static_cast<double>(z >> 11) + 0.5) * 0x1.0p-53;
  return -weight / std::log(u);
}

size_t pick_bounded(const Rendezvous& nodes, std::span<const Candidate> candidates, uint64_t key_hash,
                    double bound) {
  CHECK(!candidates.empty());
  double weights = 0, load = 1;
  for (const Candidate& c : candidates) {
    weights += c.weight;
    load += c.in_flight;
  }
  size_t best = 0, owner = 0;
  double best_score = -1, owner_score = -1;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    const double score = nodes.score(c.origin, key_hash, c.weight);
    if (score > owner_score) {
      owner = i;
      owner_score = score;
    }
    if (c.in_flight + 1 > std::ceil(bound * load * c.weight / weights)) continue;
    if (score > best_score) {
      best = i;
      best_score = score;
    }
  }
  // The capacities add up to more than the load, so somebody has room; rounding is the only way not to.
  return best_score < 0 ? owner : best;
}

Picker::Picker(Algorithm algorithm, double hash_bound, std::vector<std::string> names)
    : algorithm_(algorithm), hash_bound_(hash_bound), nodes_(names), turn_(names.size(), 0) {}

size_t Picker::pick(std::span<const Candidate> candidates, std::string_view hash_key, Random& random) {
  CHECK(!candidates.empty());
  if (candidates.size() == 1) return 0;
  switch (algorithm_) {
    case Algorithm::ewma:
      return two_choices(candidates, random);
    case Algorithm::round_robin:
      return in_turn(candidates);
    case Algorithm::least_requests:
      return least(candidates, random);
    case Algorithm::hash:
      break;
  }
  return pick_bounded(nodes_, candidates, nodes_.hash(hash_key), hash_bound_);
}

size_t Picker::two_choices(std::span<const Candidate> candidates, Random& random) const {
  const uint64_t chance = random.u64();
  const size_t n = candidates.size();
  const size_t a = static_cast<size_t>((chance & 0xffffffffu) % n);
  size_t b = static_cast<size_t>((chance >> 32) % (n - 1));
  if (b >= a) ++b;
  const double cost_a = cost(candidates[a]), cost_b = cost(candidates[b]);
  return cost_b < cost_a ? b : a;
}

size_t Picker::in_turn(std::span<const Candidate> candidates) {
  // Each is owed its weight; who is owed most pays for all. (Smooth weighted round robin.)
  double total = 0;
  size_t best = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    turn_[c.origin] += c.weight;
    total += c.weight;
    if (turn_[c.origin] > turn_[candidates[best].origin]) best = i;
  }
  turn_[candidates[best].origin] -= total;
  return best;
}

size_t Picker::least(std::span<const Candidate> candidates, Random& random) const {
  double lowest = std::numeric_limits<double>::infinity();
  size_t best = 0, equals = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double load = (candidates[i].in_flight + 1) / candidates[i].weight;
    if (load > lowest) continue;
    equals = load < lowest ? 1 : equals + 1;
    lowest = load;
    // Among equals by chance, or an idle pool would send everything to its first.
    if (equals == 1 || random.u64() % equals == 0) best = i;
  }
  return best;
}

}  // namespace archipel::edge
