#include "edge/s3fifo.h"

#include <algorithm>

namespace archipel::edge {
namespace {
constexpr size_t kGhostsMin = 64;
// Ghosts at the smallest cost that an entry can have.
constexpr size_t kCostMin = 256;
constexpr uint32_t kUnitsMask = (1u << 20) - 1;
}  // namespace

S3Fifo::S3Fifo(size_t bytes_max)
    : bytes_max_(bytes_max), ghost_(std::max(kGhostsMin, bytes_max / kCostMin)), table_(kTableMin) {
  ghost_.set_capacity(kGhostsMin);
}

uint32_t S3Fifo::find(const Key& key) const {
  const auto print = static_cast<uint32_t>(key.low);
  const size_t mask = table_.size() - 1;
  for (size_t i = print & mask;; i = (i + 1) & mask) {
    const Place& place = table_[i];
    if (place.node == kNone) return kNone;
    if (place.print == print && at(place.node).key == key) return place.node;
  }
}

void S3Fifo::table_insert(uint32_t print, uint32_t node) {
  const size_t mask = table_.size() - 1;
  size_t i = print & mask;
  while (table_[i].node != kNone) i = (i + 1) & mask;
  table_[i] = {print, node};
}

void S3Fifo::table_grow() {
  LargePages<Place> old(table_.size() * 2);
  std::swap(old, table_);
  for (const Place& place : old)
    if (place.node != kNone) table_insert(place.print, place.node);
}

// Those behind it move up, so that no search ends too early and no grave is kept.
void S3Fifo::table_erase(const Key& key, uint32_t node) {
  const size_t mask = table_.size() - 1;
  size_t hole = static_cast<uint32_t>(key.low) & mask;
  while (table_[hole].node != node) hole = (hole + 1) & mask;
  for (size_t i = (hole + 1) & mask; table_[i].node != kNone; i = (i + 1) & mask) {
    size_t home = table_[i].print & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue;
    table_[hole] = table_[i];
    hole = i;
  }
  table_[hole] = {};
}

uint32_t S3Fifo::take_node() {
  if (free_ != kNone) {
    uint32_t index = free_;
    free_ = at(index).newer;
    return index;
  }
  if (next_new_ % kChunk == 0) chunks_.emplace_back(kChunk);
  return next_new_++;
}

void S3Fifo::push(Queue queue, uint32_t index) {
  Node& node = at(index);
  node.queue = queue;
  List& list = list_of(node);
  node.newer = kNone;
  node.older = list.newest;
  (list.newest == kNone ? list.oldest : at(list.newest).newer) = index;
  list.newest = index;
  list.bytes += node.units * kUnit;
  ++list.nodes;
}

void S3Fifo::unlink(uint32_t index) {
  Node& node = at(index);
  List& list = list_of(node);
  (node.newer == kNone ? list.newest : at(node.newer).older) = node.older;
  (node.older == kNone ? list.oldest : at(node.older).newer) = node.newer;
  list.bytes -= node.units * kUnit;
  --list.nodes;
}

void S3Fifo::release(uint32_t index, Gone& gone) {
  Node& node = at(index);
  table_erase(node.key, index);
  gone.push_back(std::move(node.payload));
  --of_kind_[static_cast<size_t>(node.kind)];
  node = Node();
  node.newer = free_;
  free_ = index;
  --used_;
}

void S3Fifo::erase(uint32_t index, Gone& gone) {
  unlink(index);
  release(index, gone);
}

void S3Fifo::resize(uint32_t index, size_t cost, Gone& gone, Useless useless, UnixMs now) {
  Node& node = at(index);
  List& list = list_of(node);
  list.bytes -= node.units * kUnit;
  node.units = static_cast<uint32_t>(std::min(cost + kUnit - 1, kCostMax) / kUnit) & kUnitsMask;
  list.bytes += node.units * kUnit;
  while (bytes() > bytes_max_) evict(gone, useless, now);
}

uint32_t S3Fifo::insert(const Key& key, Kind kind, size_t cost, Gone& gone, Useless useless, UnixMs now) {
  const size_t rounded = (cost + kUnit - 1) / kUnit * kUnit;
  if (rounded > bytes_max_ || rounded > kCostMax) return kNone;
  while (bytes() + rounded > bytes_max_) evict(gone, useless, now);
  if ((used_ + 1) * 4 > table_.size() * 3) table_grow();
  const uint32_t index = take_node();
  Node& node = at(index);
  node = Node();
  node.key = key;
  node.kind = kind;
  node.units = static_cast<uint32_t>(rounded / kUnit) & kUnitsMask;
  table_insert(static_cast<uint32_t>(key.low), index);
  const bool back = ghost_.knows(key.low);
  if (back) ghost_.forget(key.low);
  push(back ? Queue::main : Queue::small, index);
  ++used_;
  ++of_kind_[static_cast<size_t>(kind)];
  return index;
}

void S3Fifo::evict(Gone& gone, Useless useless, UnixMs now) {
  const bool small_is_full = small_.bytes * kSmallShare >= bytes_max_;
  if (main_.nodes == 0 || (small_is_full && small_.nodes > 0))
    evict_from_small(gone, useless, now);
  else
    evict_from_main(gone, useless, now);
}

void S3Fifo::evict_from_small(Gone& gone, Useless useless, UnixMs now) {
  while (small_.oldest != kNone) {
    const uint32_t index = small_.oldest;
    Node& node = at(index);
    unlink(index);
    const bool is_useless = useless != nullptr && useless(node, now);
    if (node.uses > 1 && !is_useless) {
      node.uses = 0;
      push(Queue::main, index);
      continue;
    }
    // As many ghosts as main has nodes.
    ghost_.set_capacity(std::max(kGhostsMin, main_.nodes));
    if (!is_useless) ghost_.remember(node.key.low);
    release(index, gone);
    ++evicted_;
    return;
  }
}

void S3Fifo::evict_from_main(Gone& gone, Useless useless, UnixMs now) {
  while (main_.oldest != kNone) {
    const uint32_t index = main_.oldest;
    Node& node = at(index);
    unlink(index);
    if (node.uses > 0 && !(useless != nullptr && useless(node, now))) {
      node.uses = (node.uses - 1) & kUsesMax;
      push(Queue::main, index);
      continue;
    }
    release(index, gone);
    ++evicted_;
    return;
  }
}

}  // namespace archipel::edge
