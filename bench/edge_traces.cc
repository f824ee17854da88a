// Miss ratios of the edge's memory tier, beside two simulators that share no code with it: S3-FIFO as its paper has it (Yang et al., SOSP'23, algorithm 1),
// and LRU. Traces come from a seed: Zipf-distributed requests, with objects that are asked for once, and with scans.
//
//   bench_edge_traces [requests [seed]]      default: 2,000,000, 1
//
// Sizes are bytes: 64 B to 256 KiB, most of them small. "4 shards" is what a cache of 256 MiB has. Prints; exit code 1 if the tier misses more than 1.01 times as often
// as the reference, or more than LRU, in any cell.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <list>
#include <random>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "edge/s3fifo.h"

namespace {

struct Request {
  uint64_t object;
  uint32_t bytes;
};
using Trace = std::vector<Request>;

uint64_t mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdu;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53u;
  return x ^ x >> 33;
}

// Log-normal around 4 KiB, in units of 64 bytes, so that nobody's rounding counts.
uint32_t size_of(uint64_t object) {
  const double u1 = (static_cast<double>(mix(object) >> 11) + 1) / 9007199254740993.0;
  const double u2 = static_cast<double>(mix(object ^ 0x5bd1e995) >> 11) / 9007199254740992.0;
  const double normal = std::sqrt(-2 * std::log(u1)) * std::cos(6.283185307179586 * u2);
  const double bytes = std::min(std::exp(std::log(4096.0) + 1.3 * normal), 262144.0);
  return static_cast<uint32_t>(bytes / 64 + 1) * 64;
}

struct Mix {
  const char* name;
  double alpha;
  double once;  // share of requests for objects that nobody asks for again
  bool scans;   // a tenth of the requests walks through a long row of objects, again and again
};

Trace make_trace(const Mix& mix_of, size_t requests, uint64_t seed) {
  constexpr size_t kObjects = 200'000, kScanned = 60'000, kScanRun = 6'000;
  std::vector<double> sum(kObjects);
  double all = 0;
  for (size_t i = 0; i < kObjects; ++i) sum[i] = all += std::pow(static_cast<double>(i + 1), -mix_of.alpha);
  std::mt19937_64 dice(seed);
  std::uniform_real_distribution<double> unit(0, 1);
  Trace trace;
  trace.reserve(requests);
  uint64_t once = uint64_t{1} << 40, scanned = 0;
  while (trace.size() < requests) {
    uint64_t object = 0;
    if (mix_of.scans && trace.size() % (10 * kScanRun) < kScanRun) {
      object = (uint64_t{1} << 41) + scanned++ % kScanned;
    } else if (unit(dice) < mix_of.once) {
      object = once++;
    } else {
      object = static_cast<uint64_t>(std::ranges::lower_bound(sum, unit(dice) * all) - sum.begin());
    }
    trace.push_back({object, size_of(object)});
  }
  return trace;
}

// --- the reference

class PlainS3Fifo {
 public:
  explicit PlainS3Fifo(uint64_t bytes) : max_(bytes) {}
  bool ask(const Request& r) {
    auto found = known_.find(r.object);
    if (found != known_.end()) {
      found->second->freq = std::min(found->second->freq + 1, 3);
      return true;
    }
    if (r.bytes > max_) return false;
    while (small_bytes_ + main_bytes_ + r.bytes > max_) evict();
    if (ghost_set_.contains(r.object)) {
      ghost_set_.erase(r.object);
      main_.push_front({r.object, r.bytes, 0});
      main_bytes_ += r.bytes;
      known_[r.object] = main_.begin();
    } else {
      small_.push_front({r.object, r.bytes, 0});
      small_bytes_ += r.bytes;
      known_[r.object] = small_.begin();
    }
    return false;
  }

 private:
  struct Item {
    uint64_t object;
    uint32_t bytes;
    int freq;
  };
  void evict() {
    if (small_bytes_ * 10 >= max_ || main_.empty())
      evict_small();
    else
      evict_main();
  }
  void evict_small() {
    while (!small_.empty()) {
      Item item = small_.back();
      small_.pop_back();
      small_bytes_ -= item.bytes;
      if (item.freq > 1) {
        item.freq = 0;
        main_.push_front(item);
        main_bytes_ += item.bytes;
        known_[item.object] = main_.begin();
        continue;
      }
      known_.erase(item.object);
      ghost_.push_front(item.object);
      ghost_set_.insert(item.object);
      while (ghost_.size() > std::max<size_t>(main_.size(), 64)) {
        ghost_set_.erase(ghost_.back());
        ghost_.pop_back();
      }
      return;
    }
  }
  void evict_main() {
    while (!main_.empty()) {
      Item item = main_.back();
      main_.pop_back();
      if (item.freq > 0) {
        --item.freq;
        main_.push_front(item);
        known_[item.object] = main_.begin();
        continue;
      }
      main_bytes_ -= item.bytes;
      known_.erase(item.object);
      return;
    }
  }
  uint64_t max_, small_bytes_ = 0, main_bytes_ = 0;
  std::list<Item> small_, main_;
  std::list<uint64_t> ghost_;
  std::unordered_set<uint64_t> ghost_set_;
  std::unordered_map<uint64_t, std::list<Item>::iterator> known_;
};

class Lru {
 public:
  explicit Lru(uint64_t bytes) : max_(bytes) {}
  bool ask(const Request& r) {
    auto found = known_.find(r.object);
    if (found != known_.end()) {
      items_.splice(items_.begin(), items_, found->second);
      return true;
    }
    if (r.bytes > max_) return false;
    while (bytes_ + r.bytes > max_) {
      bytes_ -= items_.back().bytes;
      known_.erase(items_.back().object);
      items_.pop_back();
    }
    items_.push_front(r);
    bytes_ += r.bytes;
    known_[r.object] = items_.begin();
    return false;
  }

 private:
  uint64_t max_, bytes_ = 0;
  std::list<Request> items_;
  std::unordered_map<uint64_t, std::list<Request>::iterator> known_;
};

// --- ours

class Tier {
 public:
  Tier(uint64_t bytes, size_t shards) {
    for (size_t i = 0; i < shards; ++i)
      shards_.push_back(std::make_unique<archipel::edge::S3Fifo>(bytes / shards));
  }
  bool ask(const Request& r) {
    const archipel::edge::Key key{mix(r.object + 1), mix(r.object ^ 0xabcdef)};
    archipel::edge::S3Fifo& shard = *shards_[key.high % shards_.size()];
    const uint32_t at = shard.find(key);
    if (at != archipel::edge::S3Fifo::kNone) {
      shard.use(shard.at(at));
      return true;
    }
    gone_.clear();
    shard.insert(key, archipel::edge::S3Fifo::Kind::entry, r.bytes, gone_, nullptr, 0);
    return false;
  }

 private:
  std::vector<std::unique_ptr<archipel::edge::S3Fifo>> shards_;
  archipel::edge::S3Fifo::Gone gone_;
};

template <class Cache>
double miss_ratio(const Trace& trace, Cache cache) {
  // The first tenth fills it.
  size_t misses = 0;
  const size_t from = trace.size() / 10;
  for (size_t i = 0; i < trace.size(); ++i)
    if (!cache.ask(trace[i]) && i >= from) ++misses;
  return static_cast<double>(misses) / static_cast<double>(trace.size() - from);
}

}  // namespace

int main(int argc, char** argv) {
  const size_t requests = argc > 1 ? static_cast<size_t>(std::atoll(argv[1])) : 2'000'000;
  const uint64_t seed = argc > 2 ? static_cast<uint64_t>(std::atoll(argv[2])) : 1;
  const std::vector<Mix> mixes = {
      {"zipf 0.8", 0.8, 0, false},
      {"zipf 0.9", 0.9, 0, false},
      {"zipf 1.0", 1.0, 0, false},
      {"zipf 1.1", 1.1, 0, false},
      {"zipf 0.8, 20% once", 0.8, 0.2, false},
      {"zipf 1.0, 20% once", 1.0, 0.2, false},
      {"zipf 1.1, 40% once", 1.1, 0.4, false},
      {"zipf 0.9, scans", 0.9, 0, true},
      {"zipf 1.0, 20% once, scans", 1.0, 0.2, true},
  };
  bool good = true;
  fmt::print("{:<27} {:>8}  {:>8} {:>8} {:>8} {:>8}  {:>9} {:>8}\n", "trace", "cache", "1 shard", "4 shards",
             "S3-FIFO", "LRU", "to S3FIFO", "to LRU");
  for (const Mix& m : mixes) {
    const Trace trace = make_trace(m, requests, seed);
    for (uint64_t mib : {16, 64, 256}) {
      const uint64_t bytes = mib << 20;
      const double one = miss_ratio(trace, Tier(bytes, 1)), four = miss_ratio(trace, Tier(bytes, 4));
      const double reference = miss_ratio(trace, PlainS3Fifo(bytes)), lru = miss_ratio(trace, Lru(bytes));
      const bool cell = std::max(one, four) <= 1.01 * reference && std::max(one, four) <= lru;
      good = good && cell;
      fmt::print("{:<27} {:>4} MiB  {:8.4f} {:8.4f} {:8.4f} {:8.4f}  {:9.4f} {:8.3f}{}\n", m.name, mib, one,
                 four, reference, lru, std::max(one, four) / reference, std::max(one, four) / lru,
                 cell ? "" : "  <--");
    }
  }
  return good ? 0 : 1;
}
