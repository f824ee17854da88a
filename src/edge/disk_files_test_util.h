// A disk in memory that can be torn, filled and broken. For tests only.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "edge/disk_files.h"

namespace archipel::edge {

// Lives longer than the processes that use it. Thread-safe.
class FakeDisk : public std::enable_shared_from_this<FakeDisk> {
 public:
  // What the next process sees. Its files reach the disk until kill().
  std::shared_ptr<DiskFiles> files();

  // The process is gone: what it wrote stays, its lock does not, what it still writes has no effect.
  void kill() {
    std::lock_guard lock(mutex);
    ++process;
    locked = false;
  }
  // The machine is gone: of each log what was not synced is lost.
  void power_off() {
    kill();
    std::lock_guard lock(mutex);
    for (auto& [name, size] : synced) contents[name].resize(size);
  }

  std::mutex mutex;
  std::map<std::string, std::string> contents;
  std::map<std::string, size_t> synced;  // of logs
  uint64_t room = UINT64_MAX;            // bytes of data files
  uint64_t process = 0;
  bool locked = false;
  // Faults; each is asked with its file's name. True: it fails.
  std::function<bool(const std::string& name)> fails_to_read, fails_to_write;
  // Whether what a read wants is in the page cache, as it were: every second time, unless a test says otherwise.
  std::function<bool()> at_hand;
  std::atomic<uint64_t> asked_at_hand{0}, waited{0};  // reads of data
  std::function<void()> before_read;                  // called without the lock
  // Only so many bytes of the next data write arrive; then the process is gone.
  std::optional<size_t> tear_at;
};

namespace fake_disk_detail {

inline std::unexpected<Error> broken(const std::string& name) {
  return fail(Code::io, name + ": Input/output error");
}

class Data final : public DataFile {
 public:
  Data(std::shared_ptr<FakeDisk> disk, std::string name) : disk_(std::move(disk)), name_(std::move(name)) {
    process_ = disk_->process;
  }
  Result<void> read(uint64_t offset, MutableBytes first, MutableBytes rest) override {
    ++disk_->waited;
    return read_now(offset, first, rest);
  }
  bool read_at_hand(uint64_t offset, MutableBytes first, MutableBytes rest) override {
    const uint64_t number = disk_->asked_at_hand.fetch_add(1);
    const bool there = disk_->at_hand ? disk_->at_hand() : number % 2 == 0;
    return there && read_now(offset, first, rest).has_value();
  }
  Result<void> write(uint64_t offset, ByteView in) override {
    std::lock_guard lock(disk_->mutex);
    if (process_ != disk_->process) return broken(name_);
    if (disk_->fails_to_write && disk_->fails_to_write(name_)) return broken(name_);
    std::string& bytes = disk_->contents[name_];
    CHECK(offset + in.size() <= bytes.size());
    const bool tear = disk_->tear_at.has_value() && in.size() > *disk_->tear_at;
    std::memcpy(bytes.data() + offset, in.data(), tear ? *disk_->tear_at : in.size());
    if (!tear) return {};
    ++disk_->process;
    disk_->locked = false;
    disk_->tear_at.reset();
    return broken(name_);
  }

 private:
  Result<void> read_now(uint64_t offset, MutableBytes first, MutableBytes rest) {
    if (disk_->before_read) disk_->before_read();
    std::lock_guard lock(disk_->mutex);
    if (disk_->fails_to_read && disk_->fails_to_read(name_)) return broken(name_);
    const std::string& bytes = disk_->contents[name_];
    if (offset + first.size() + rest.size() > bytes.size()) return broken(name_);
    if (!first.empty()) std::memcpy(first.data(), bytes.data() + offset, first.size());
    if (!rest.empty()) std::memcpy(rest.data(), bytes.data() + offset + first.size(), rest.size());
    return {};
  }

  std::shared_ptr<FakeDisk> disk_;
  std::string name_;
  uint64_t process_;
};

class Log final : public LogFile {
 public:
  Log(std::shared_ptr<FakeDisk> disk, std::string name) : disk_(std::move(disk)), name_(std::move(name)) {
    process_ = disk_->process;
  }
  Result<void> append(ByteView in) override {
    std::lock_guard lock(disk_->mutex);
    if (process_ != disk_->process) return broken(name_);
    if (disk_->fails_to_write && disk_->fails_to_write(name_)) {
      disk_->contents[name_].append(as_text(in.first(in.size() / 2)));  // half of it arrived
      return broken(name_);
    }
    disk_->contents[name_].append(as_text(in));
    return {};
  }
  Result<void> sync() override {
    std::lock_guard lock(disk_->mutex);
    if (process_ != disk_->process) return broken(name_);
    if (disk_->fails_to_write && disk_->fails_to_write(name_)) return broken(name_);
    disk_->synced[name_] = disk_->contents[name_].size();
    return {};
  }

 private:
  std::shared_ptr<FakeDisk> disk_;
  std::string name_;
  uint64_t process_;
};

class Lock final : public DiskLock {
 public:
  explicit Lock(std::shared_ptr<FakeDisk> disk) : disk_(std::move(disk)), process_(disk_->process) {}
  ~Lock() override {
    std::lock_guard lock(disk_->mutex);
    if (process_ == disk_->process) disk_->locked = false;
  }

 private:
  std::shared_ptr<FakeDisk> disk_;
  uint64_t process_;
};

class Files final : public DiskFiles {
 public:
  explicit Files(std::shared_ptr<FakeDisk> disk) : disk_(std::move(disk)) {}
  Result<std::unique_ptr<DiskLock>> lock() override {
    std::lock_guard lock(disk_->mutex);
    if (std::exchange(disk_->locked, true)) return fail(Code::exists, "another process uses the cache");
    return std::unique_ptr<DiskLock>(std::make_unique<Lock>(disk_));
  }
  Result<std::vector<std::string>> list() override {
    std::lock_guard lock(disk_->mutex);
    std::vector<std::string> out;
    for (const auto& [name, bytes] : disk_->contents) out.push_back(name);
    return out;
  }
  Result<std::optional<std::string>> read_whole(const std::string& name) override {
    std::lock_guard lock(disk_->mutex);
    if (disk_->fails_to_read && disk_->fails_to_read(name)) return broken(name);
    auto found = disk_->contents.find(name);
    if (found == disk_->contents.end()) return std::optional<std::string>();
    return std::optional<std::string>(found->second);
  }
  Result<void> write_whole(const std::string& name, ByteView bytes) override {
    std::lock_guard lock(disk_->mutex);
    if (disk_->fails_to_write && disk_->fails_to_write(name)) return broken(name);
    disk_->contents[name] = std::string(as_text(bytes));
    disk_->synced[name] = bytes.size();
    return {};
  }
  Result<std::unique_ptr<DataFile>> open_data(const std::string& name, uint64_t bytes) override {
    std::lock_guard lock(disk_->mutex);
    if (disk_->fails_to_write && disk_->fails_to_write(name)) return broken(name);
    uint64_t others = 0;
    for (const auto& [other, held] : disk_->contents)
      if (other.starts_with("data.") && other != name) others += held.size();
    if (others + bytes > disk_->room) return fail(Code::unavailable, name + ": No space left on device");
    disk_->contents[name].resize(bytes, '\0');
    return std::unique_ptr<DataFile>(std::make_unique<Data>(disk_, name));
  }
  Result<std::unique_ptr<LogFile>> open_log(const std::string& name) override {
    std::lock_guard lock(disk_->mutex);
    disk_->contents[name];
    return std::unique_ptr<LogFile>(std::make_unique<Log>(disk_, name));
  }
  std::string where() const override { return "a disk in memory"; }

 private:
  std::shared_ptr<FakeDisk> disk_;
};

}  // namespace fake_disk_detail

inline std::shared_ptr<DiskFiles> FakeDisk::files() {
  return std::make_shared<fake_disk_detail::Files>(shared_from_this());
}

}  // namespace archipel::edge
