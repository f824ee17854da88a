#include "edge/s3fifo.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/random.h"
#include "edge/disk_index.h"

namespace archipel::edge {
namespace {

using Kind = S3Fifo::Kind;

Key key_of(uint64_t i) {
  return {i, i * 0x9E3779B97F4A7C15u};
}

// The paper's algorithm over a map and deques; the ghost as a map of when. Written without a look at s3fifo.cc.
class Model {
 public:
  explicit Model(size_t max) : max_(max) {}
  bool use(uint64_t id) {
    auto at = sizes_.find(id);
    if (at == sizes_.end()) return false;
    at->second.uses = std::min(at->second.uses + 1, 3);
    return true;
  }
  void insert(uint64_t id, size_t size) {
    if (size > max_) return;
    while (bytes(small_) + bytes(main_) + size > max_) evict();
    auto ghost = ghosts_.find(id);
    const bool back = ghost != ghosts_.end() && left_ - ghost->second < ghosts_max_;
    if (back) ghosts_.erase(ghost);
    sizes_[id] = {size, 0};
    (back ? main_ : small_).push_back(id);
  }
  void erase(uint64_t id) {
    sizes_.erase(id);
    std::erase(small_, id);
    std::erase(main_, id);
  }
  void resize(uint64_t id, size_t size) {
    sizes_[id].size = size;
    while (bytes(small_) + bytes(main_) > max_) evict();
  }
  std::set<uint64_t> ids() const {
    std::set<uint64_t> out;
    for (const auto& [id, item] : sizes_) out.insert(id);
    return out;
  }
  size_t all_bytes() const { return bytes(small_) + bytes(main_); }

 private:
  struct Item {
    size_t size = 0;
    int uses = 0;
  };
  size_t bytes(const std::deque<uint64_t>& queue) const {
    size_t sum = 0;
    for (uint64_t id : queue) sum += sizes_.at(id).size;
    return sum;
  }
  void evict() {
    if (main_.empty() || (bytes(small_) * 10 >= max_ && !small_.empty())) {
      while (!small_.empty()) {
        const uint64_t id = small_.front();
        small_.pop_front();
        if (sizes_[id].uses > 1) {
          sizes_[id].uses = 0;
          main_.push_back(id);
          continue;
        }
        sizes_.erase(id);
        ghosts_[id] = ++left_;
        ghosts_max_ = std::max<size_t>(64, main_.size());
        return;
      }
      return;
    }
    while (!main_.empty()) {
      const uint64_t id = main_.front();
      main_.pop_front();
      if (sizes_[id].uses-- > 0) {
        main_.push_back(id);
        continue;
      }
      sizes_.erase(id);
      return;
    }
  }
  const size_t max_;
  std::map<uint64_t, Item> sizes_;
  std::deque<uint64_t> small_, main_;  // oldest first
  std::map<uint64_t, size_t> ghosts_;  // when they left, counted in those who left
  size_t left_ = 0, ghosts_max_ = 64;
};

RC_GTEST_PROP(S3FifoModel, HoldsWhatTheModelHolds, ()) {
  const size_t max = *rc::gen::inRange<size_t>(20, 200) * S3Fifo::kUnit;
  S3Fifo fifo(max);
  Model model(max);
  S3Fifo::Gone gone;
  const auto steps = *rc::gen::container<std::vector<std::tuple<uint8_t, uint8_t, uint8_t>>>(
      300, rc::gen::arbitrary<std::tuple<uint8_t, uint8_t, uint8_t>>());
  for (const auto& [what, which, size_byte] : steps) {
    const uint64_t id = which % 60;
    const size_t size = (size_byte % 12 + 1) * S3Fifo::kUnit;
    const uint32_t at = fifo.find(key_of(id));
    RC_ASSERT((at != S3Fifo::kNone) == model.ids().contains(id));
    if (at != S3Fifo::kNone && what % 16 == 0) {
      fifo.erase(at, gone);
      model.erase(id);
    } else if (at != S3Fifo::kNone && what % 16 == 1) {
      fifo.resize(at, size, gone, nullptr, 0);
      model.resize(id, size);
    } else if (at != S3Fifo::kNone) {
      fifo.use(fifo.at(at));
      model.use(id);
    } else {
      fifo.insert(key_of(id), Kind::entry, size, gone, nullptr, 0);
      model.insert(id, size);
    }
    RC_ASSERT(fifo.bytes() == model.all_bytes());
    RC_ASSERT(fifo.bytes() <= max);
  }
  for (uint64_t id = 0; id < 60; ++id)
    RC_ASSERT((fifo.find(key_of(id)) != S3Fifo::kNone) == model.ids().contains(id));
  RC_ASSERT(fifo.nodes() == model.ids().size());
}

TEST(S3Fifo, KeysThatShareTheirPrintAreToldApart) {
  S3Fifo fifo(1 << 20);
  S3Fifo::Gone gone;
  for (uint64_t i = 0; i < 200; ++i) fifo.insert({i, 7 + (i << 32)}, Kind::entry, 64, gone, nullptr, 0);
  for (uint64_t i = 0; i < 200; i += 2) fifo.erase(fifo.find({i, 7 + (i << 32)}), gone);
  for (uint64_t i = 0; i < 200; ++i) EXPECT_EQ(fifo.find({i, 7 + (i << 32)}) != S3Fifo::kNone, i % 2 == 1);
}

TEST(S3Fifo, UselessNodesGoHoweverOftenTheyWereUsed) {
  S3Fifo fifo(10 * 64);
  S3Fifo::Gone gone;
  for (uint64_t i = 0; i < 10; ++i) {
    const uint32_t at = fifo.insert(key_of(i), Kind::entry, 64, gone, nullptr, 0);
    for (int use = 0; use < 3; ++use) fifo.use(fifo.at(at));
  }
  auto odd = [](const S3Fifo::Node& node, UnixMs) { return node.key.high % 2 == 1; };
  for (uint64_t i = 100; i < 110; i += 2) fifo.insert(key_of(i), Kind::entry, 64, gone, odd, 0);
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(fifo.find(key_of(i)) != S3Fifo::kNone, i % 2 == 0) << i;
}

TEST(Ghost, RemembersTheLastOnesAndNoOthers) {
  Ghost ghost(10'000);
  ghost.set_capacity(1000);
  auto hash = [](uint64_t i) { return i * 0x9E3779B97F4A7C15u >> 16; };
  for (uint64_t i = 0; i < 5000; ++i) ghost.remember(hash(i));
  size_t recent = 0, old = 0;
  for (uint64_t i = 4000; i < 5000; ++i) recent += ghost.knows(hash(i));
  for (uint64_t i = 0; i < 4000; ++i) old += ghost.knows(hash(i));
  EXPECT_GT(recent, 985u);  // a bucket may be full of younger ones
  EXPECT_EQ(old, 0u);
  EXPECT_LE(ghost.bytes(), 1000 * 8 * 4u);
  ghost.forget(hash(4999));
  EXPECT_FALSE(ghost.knows(hash(4999)));
}

// --- the index of the disk tier

RC_GTEST_PROP(DiskIndexModel, IsAMap, ()) {
  DiskIndex index;
  std::map<uint64_t, DiskIndex::Place> model;
  const auto steps = *rc::gen::container<std::vector<std::pair<uint8_t, uint16_t>>>(
      600, rc::gen::arbitrary<std::pair<uint8_t, uint16_t>>());
  for (const auto& [what, which] : steps) {
    // Few parts and few homes, so that they crowd.
    const uint64_t id = which % 150;
    const uint64_t hash = (id % 2) | (id / 2 % 4) << 62 | id << 32 | (id & 0x1FF) << 6;
    const DiskIndex::Place place{what % 7u, which % 1000u + 1, 5};
    if (what % 4 == 0) {
      RC_ASSERT(index.erase(hash) == (model.erase(hash) > 0));
    } else if (what % 64 == 1) {
      index.erase_region(place.region);
      std::erase_if(model, [&](const auto& at) { return at.second.region == place.region; });
    } else if (what % 4 == 1) {
      const auto at = model.find(hash);
      const bool same =
          at != model.end() && at->second.region == place.region && at->second.unit == place.unit;
      RC_ASSERT(index.erase_if(hash, place.region, place.unit) == same);
      if (same) model.erase(at);
    } else {
      index.put(hash, place);
      model[hash] = place;
    }
    RC_ASSERT(index.size() == model.size());
  }
  for (const auto& [hash, place] : model) RC_ASSERT(index.find(hash) == place);
}

TEST(DiskIndex, TakesSixteenBytesAnObjectOnAverage) {
  DiskIndex index;
  std::unique_ptr<Random> random = seeded_random(1);
  double sum = 0, worst = 0;
  int samples = 0;
  for (uint64_t i = 1; i <= 400'000; ++i) {
    index.put(random->u64(), {1, 1, 1});
    if (i < 50'000 || i % 5000 != 0) continue;
    const double each = static_cast<double>(index.bytes()) / static_cast<double>(index.size());
    sum += each;
    worst = std::max(worst, each);
    ++samples;
  }
  EXPECT_LT(sum / samples, 16.5);
  EXPECT_LT(worst, 17.5);
}

TEST(DiskIndex, WhatWasPutAnewIsNotUsedYet) {
  DiskIndex index;
  index.put(77, {1, 2, 3});
  EXPECT_FALSE(index.used(77));
  EXPECT_EQ(index.use(77), (DiskIndex::Place{1, 2, 3}));
  EXPECT_TRUE(index.used(77));
  index.put(77, {2, 2, 3});
  EXPECT_FALSE(index.used(77));
}

}  // namespace
}  // namespace archipel::edge
