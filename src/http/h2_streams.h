// The streams of one HTTP/2 connection by their numbers, and what is remembered of those that are over. No I/O.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"

namespace archipel::http {

// Clients number their streams upwards, and the oldest usually end first: a sorted run, searched by halves.
template <class Stream>
class H2StreamTable {
 public:
  using Place = std::pair<uint32_t, std::unique_ptr<Stream>>;

  Stream* find(uint32_t id) const {
    auto found = std::ranges::lower_bound(begin(), end(), id, {}, &Place::first);
    return found == end() || found->first != id ? nullptr : found->second.get();
  }
  // CHECK: `id` is larger than any before.
  Stream& add(uint32_t id, std::unique_ptr<Stream> stream) {
    CHECK(empty() || all_.back().first < id);
    return *all_.emplace_back(id, std::move(stream)).second;
  }
  void erase(uint32_t id) {
    const auto first = all_.begin() + static_cast<ptrdiff_t>(gone_);
    auto found = first != all_.end() && first->first == id
                     ? first
                     : std::ranges::lower_bound(first, all_.end(), id, {}, &Place::first);
    if (found == all_.end() || found->first != id) return;
    if (found != first) {
      all_.erase(found);
      return;
    }
    // The places of the oldest are given up together, when they are more than those that are left.
    const std::unique_ptr<Stream> ended = std::move(found->second);
    if (++gone_ <= all_.size() / 2) return;
    all_.erase(all_.begin(), all_.begin() + static_cast<ptrdiff_t>(gone_));
    gone_ = 0;
  }
  bool empty() const { return gone_ == all_.size(); }
  void clear() {
    all_.clear();
    gone_ = 0;
  }
  auto begin() const { return all_.begin() + static_cast<ptrdiff_t>(gone_); }
  auto end() const { return all_.end(); }

 private:
  std::vector<Place> all_;
  size_t gone_ = 0;  // places at the front whose streams have ended
};

// Streams that we reset while their client could still send: what it had sent before it knew is dropped (RFC 9113 §5.1, "closed"). A client knows of a reset before
// it can have opened twice as many streams as it may, so no more of them are remembered.
class H2Graces {
 public:
  explicit H2Graces(size_t most) : most_(most) {}
  void add(uint32_t id) {
    if (ids_.size() < most_) {
      ids_.push_back(id);
      return;
    }
    ids_[next_] = id;
    next_ = (next_ + 1) % most_;
  }
  bool contains(uint32_t id) const { return std::ranges::find(ids_, id) != ids_.end(); }

 private:
  const size_t most_;
  size_t next_ = 0;
  std::vector<uint32_t> ids_;
};

// Numbers that a client passed over when it opened a later stream (§5.1.1). Clients do not do that; a few ranges are remembered.
class H2Skipped {
 public:
  // `id` is opened behind `highest`.
  void opened(uint32_t id, uint32_t highest) {
    if (id > highest + 2 && ranges_.size() < kRangesMax) ranges_.emplace_back(highest + 1, id - 1);
  }
  bool contains(uint32_t id) const {
    return std::ranges::any_of(ranges_, [id](const auto& r) { return id >= r.first && id <= r.second; });
  }

 private:
  static constexpr size_t kRangesMax = 8;
  std::vector<std::pair<uint32_t, uint32_t>> ranges_;
};

}  // namespace archipel::http
