#include "index/sim_dir.h"

#include <algorithm>

namespace archipel::index {
namespace {

constexpr std::string_view kRoot = "sim:/";

}  // namespace

class SimLock final : public DirLock {
 public:
  SimLock(bool& locked, std::shared_ptr<const bool> alive) : locked_(locked), alive_(std::move(alive)) {
    locked_ = true;
  }
  ~SimLock() override {
    if (*alive_) locked_ = false;
  }

 private:
  bool& locked_;
  std::shared_ptr<const bool> alive_;
};

class SimInPlace final : public InPlaceFile {
 public:
  SimInPlace(SimDisk& disk, std::string name, std::shared_ptr<const bool> alive)
      : disk_(disk), name_(std::move(name)), alive_(std::move(alive)) {}

  Result<std::string> read(size_t bytes_max) override {
    return disk_.files_[name_].bytes.substr(0, bytes_max);
  }

  Result<void> write(ByteView bytes, bool sync) override {
    if (!disk_.begin_write(*alive_)) return {};
    SimDisk::File& file = disk_.files_[name_];
    file.unsynced.push_back(file.bytes);
    file.bytes.replace(0, bytes.size(), as_text(bytes));
    if (sync) file.unsynced.clear();
    return {};
  }

 private:
  SimDisk& disk_;
  std::string name_;
  std::shared_ptr<const bool> alive_;
};

class SimFiles final : public DirFiles {
 public:
  SimFiles(SimDisk& disk, std::shared_ptr<const bool> alive) : disk_(disk), alive_(std::move(alive)) {}

  Result<std::unique_ptr<DirLock>> lock() override {
    if (disk_.locked_) return fail(Code::exists, "another process is using " + path_of(""));
    return std::make_unique<SimLock>(disk_.locked_, alive_);
  }
  Result<std::unique_ptr<InPlaceFile>> open_in_place(const std::string& name) override {
    return std::make_unique<SimInPlace>(disk_, name, alive_);
  }
  Result<std::optional<std::string>> read(const std::string& name) override {
    auto found = disk_.files_.find(name);
    if (found == disk_.files_.end()) return std::nullopt;
    return found->second.bytes;
  }
  Result<void> write_atomically(const std::string& name, ByteView bytes) override {
    if (disk_.begin_write(*alive_)) disk_.files_[name] = {std::string(as_text(bytes)), {}};
    return {};
  }
  Result<bool> exists(const std::string& name) override {
    return disk_.views_.contains(name) || disk_.files_.contains(name);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (!disk_.begin_write(*alive_)) return {};
    auto view = disk_.views_.extract(from);
    if (view.empty()) return fail(Code::not_found, "renaming " + path_of(from) + ": there is none");
    disk_.views_[to] = std::move(view.mapped());
    return {};
  }
  Result<void> remove_all(const std::string& name) override {
    if (disk_.begin_write(*alive_)) disk_.views_.erase(name);
    return {};
  }
  std::string path_of(const std::string& name) const override { return std::string(kRoot) + name; }
  std::string identity() override { return "directory " + std::to_string(disk_.directory_); }
  std::string boot_id() override { return "boot " + std::to_string(disk_.boot_); }

 private:
  SimDisk& disk_;
  std::shared_ptr<const bool> alive_;
};

// One process's open view: a map, and what the disk remembers of it.
class SimKv final : public Kv {
 public:
  SimKv(SimDisk& disk, std::shared_ptr<SimDisk::View> stored, std::shared_ptr<const bool> alive)
      : disk_(disk), stored_(std::move(stored)), alive_(std::move(alive)) {
    for (const auto& mutations : stored_->log) CHECK(map_->write(mutations).has_value());
  }
  std::shared_ptr<const Snapshot> snapshot() const override { return map_->snapshot(); }
  std::optional<Result<Found>> try_get(std::string_view key) const override { return map_->try_get(key); }
  Result<void> write(const std::vector<Mutation>& mutations) override {
    if (disk_.begin_write(*alive_)) stored_->log.push_back(mutations);
    return map_->write(mutations);
  }

 private:
  SimDisk& disk_;
  std::shared_ptr<SimDisk::View> stored_;
  std::shared_ptr<const bool> alive_;
  std::unique_ptr<Kv> map_ = make_map_kv();
};

std::shared_ptr<DirFiles> SimDisk::files(std::shared_ptr<const bool> alive) {
  return std::make_shared<SimFiles>(*this, std::move(alive));
}

std::function<Result<std::unique_ptr<Kv>>(const std::string& path)> SimDisk::open_view(
    std::shared_ptr<const bool> alive) {
  return [this, alive = std::move(alive)](const std::string& path) -> Result<std::unique_ptr<Kv>> {
    std::shared_ptr<View> view;
    if (*alive) {
      std::shared_ptr<View>& slot = views_[name_of(path)];
      if (!slot) slot = std::make_shared<View>();
      view = slot;
    } else {
      view = std::make_shared<View>();
    }
    if (view->damaged) return fail(Code::corrupt, "the view in " + path + " is damaged");
    return std::make_unique<SimKv>(*this, std::move(view), alive);
  };
}

std::string SimDisk::name_of(const std::string& path) {
  CHECK(path.starts_with(kRoot));
  return path.substr(kRoot.size());
}

bool SimDisk::begin_write(const bool& alive) {
  if (!alive) return false;
  ++writes_;
  if (before_write) before_write(writes_);
  return alive;
}

void SimDisk::machine_died() {
  process_died();
  ++boot_;
  for (auto& [name, file] : files_) {
    if (file.unsynced.empty()) continue;
    const size_t kept = dice_.pick(file.unsynced.size() + 1);  // writes that reached the disk
    if (kept < file.unsynced.size()) {
      const std::string after = kept + 1 < file.unsynced.size() ? file.unsynced[kept + 1] : file.bytes;
      std::string now = file.unsynced[kept];
      const size_t torn_at = dice_.chance(1, 4) ? dice_.pick(after.size() + 1) : 0;
      now.replace(0, torn_at, after.substr(0, torn_at));
      file.bytes = std::move(now);
    }
    file.unsynced.clear();
  }
  for (auto& [name, view] : views_) {
    const size_t loose = view->log.size() - view->synced;
    view->log.resize(view->synced + dice_.pick(loose + 1));
    view->synced = view->log.size();
  }
}

void SimDisk::lose_all() {
  files_.clear();
  views_.clear();
}

void SimDisk::make_copy() {
  copy_.emplace();
  copy_->files = files_;
  for (const auto& [name, view] : views_) copy_->views[name] = *view;
}

// Whoever restores it waits until it is on the disk.
void SimDisk::restore_copy(bool elsewhere) {
  CHECK(copy_.has_value());
  if (elsewhere) ++directory_;
  files_ = copy_->files;
  for (auto& [name, file] : files_) file.unsynced.clear();
  views_.clear();
  for (const auto& [name, view] : copy_->views) {
    views_[name] = std::make_shared<View>(view);
    views_[name]->synced = view.log.size();
  }
}

void SimDisk::damage_views() {
  for (auto& [name, view] : views_) view->damaged = true;
}

}  // namespace archipel::index
