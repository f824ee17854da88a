// The ordered-map twin of the Kv, for tests and simulation: snapshots are whole copies, shared until the next write.
#include <map>
#include <mutex>

#include "index/kv.h"

namespace archipel::index {
namespace {

using Map = std::map<std::string, std::string, std::less<>>;

class MapSnapshot final : public Snapshot {
 public:
  explicit MapSnapshot(std::shared_ptr<const Map> map) : map_(std::move(map)) {}

  Result<std::optional<std::string>> get(std::string_view key) const override {
    auto found = map_->find(key);
    if (found == map_->end()) return std::nullopt;
    return found->second;
  }

  Result<void> scan(std::string_view from, std::string_view to, const Visitor& visit) const override {
    auto at = map_->lower_bound(from);
    std::string seek_to;
    while (at != map_->end() && (to.empty() || at->first < to)) {
      seek_to.clear();
      if (!visit(at->first, at->second, &seek_to)) break;
      if (seek_to.empty()) {
        ++at;
        continue;
      }
      if (seek_to <= at->first) return fail(Code::internal, "a scan was asked to go back to an earlier key");
      at = map_->lower_bound(seek_to);
    }
    return {};
  }

 private:
  std::shared_ptr<const Map> map_;
};

class MapKv final : public Kv {
 public:
  std::shared_ptr<const Snapshot> snapshot() const override {
    std::lock_guard lock(mutex_);
    shared_ = true;
    return std::make_shared<MapSnapshot>(map_);
  }

  std::optional<Result<Found>> try_get(std::string_view key) const override {
    std::lock_guard lock(mutex_);
    auto found = map_->find(key);
    if (found == map_->end()) return Found{};
    return Found(found->second);
  }

  Result<void> write(const std::vector<Mutation>& mutations) override {
    std::lock_guard lock(mutex_);
    // Copy on write, only if a snapshot was taken of the old state.
    if (std::exchange(shared_, false)) map_ = std::make_shared<Map>(*map_);
    for (const Mutation& mutation : mutations) {
      if (mutation.value) {
        (*map_)[mutation.key] = *mutation.value;
      } else {
        map_->erase(mutation.key);
      }
    }
    return {};
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Map> map_ = std::make_shared<Map>();
  mutable bool shared_ = false;
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
