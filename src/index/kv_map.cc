// The ordered-map twin of the Kv, for tests and simulation: a write copies the whole map, if somebody holds a snapshot of it.
#include <atomic>
#include <map>
#include <mutex>

#include "index/kv.h"

namespace archipel::index {
namespace {

using Map = std::map<std::string, std::string, std::less<>>;

struct State {
  Map map;
  mutable std::atomic<int> snapshots{0};  // that somebody holds
};

class MapSnapshot final : public Snapshot {
 public:
  explicit MapSnapshot(std::shared_ptr<const State> state) : state_(std::move(state)) { ++state_->snapshots; }
  ~MapSnapshot() override { state_->snapshots.fetch_sub(1, std::memory_order_release); }
  MapSnapshot(const MapSnapshot&) = delete;
  MapSnapshot& operator=(const MapSnapshot&) = delete;

  Result<std::optional<std::string>> get(std::string_view key) const override {
    auto found = state_->map.find(key);
    if (found == state_->map.end()) return std::nullopt;
    return found->second;
  }

  Result<void> scan(std::string_view from, std::string_view to, const Visitor& visit) const override {
    auto at = state_->map.lower_bound(from);
    std::string seek_to;
    while (at != state_->map.end() && (to.empty() || at->first < to)) {
      seek_to.clear();
      if (!visit(at->first, at->second, &seek_to)) break;
      if (seek_to.empty()) {
        ++at;
        continue;
      }
      if (seek_to <= at->first) return fail(Code::internal, "a scan was asked to go back to an earlier key");
      at = state_->map.lower_bound(seek_to);
    }
    return {};
  }

 private:
  std::shared_ptr<const State> state_;
};

class MapKv final : public Kv {
 public:
  std::shared_ptr<const Snapshot> snapshot() const override {
    std::lock_guard lock(mutex_);
    return std::make_shared<MapSnapshot>(state_);
  }

  std::optional<Result<Found>> try_get(std::string_view key) const override {
    std::lock_guard lock(mutex_);
    auto found = state_->map.find(key);
    if (found == state_->map.end()) return Found{};
    return Found(found->second);
  }

  Result<void> write(const std::vector<Mutation>& mutations) override {
    std::lock_guard lock(mutex_);
    if (state_->snapshots.load(std::memory_order_acquire) > 0) {
      auto copy = std::make_shared<State>();
      copy->map = state_->map;
      state_ = std::move(copy);
    }
    for (const Mutation& mutation : mutations) {
      if (mutation.value) {
        state_->map[mutation.key] = *mutation.value;
      } else {
        state_->map.erase(mutation.key);
      }
    }
    return {};
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Bounded by what fits in memory anyway: the twins' views.
class CollectingLoad final : public BulkLoad {
 public:
  explicit CollectingLoad(Kv& kv) : kv_(kv) {}
  Result<void> add(Run run) override {
    std::lock_guard lock(mutex_);
    for (const auto& [key, value] : run) all_.push_back({std::string(key), std::string(value)});
    return {};
  }
  Result<void> finish() override { return kv_.write(all_); }

 private:
  Kv& kv_;
  std::mutex mutex_;
  std::vector<Mutation> all_;
};

}  // namespace

Result<std::unique_ptr<BulkLoad>> Kv::bulk_load() {
  return std::make_unique<CollectingLoad>(*this);
}

std::optional<Result<Kv::Found>> Kv::try_get(std::string_view) const {
  return std::nullopt;
}

std::unique_ptr<Kv> make_map_kv() {
  return std::make_unique<MapKv>();
}

}  // namespace archipel::index
