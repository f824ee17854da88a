// The real files of DIR.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "index/dir.h"

namespace archipel::index {
namespace {

constexpr size_t kBootIdBytes = 36;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

class RealLock final : public DirLock {
 public:
  explicit RealLock(int fd) : fd_(fd) {}

 private:
  Descriptor fd_;
};

class RealInPlaceFile final : public InPlaceFile {
 public:
  RealInPlaceFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Result<std::string> read(size_t bytes_max) override {
    std::string bytes(bytes_max, '\0');
    ssize_t n = pread(fd_.get(), bytes.data(), bytes.size(), 0);
    if (n < 0) return fail_errno(errno, "reading " + path_);
    bytes.resize(static_cast<size_t>(n));
    return bytes;
  }

  Result<void> write(ByteView bytes, bool sync) override {
    ssize_t n = pwrite(fd_.get(), bytes.data(), bytes.size(), 0);
    if (n != static_cast<ssize_t>(bytes.size())) return fail_errno(n < 0 ? errno : EIO, "writing " + path_);
    if (sync && fdatasync(fd_.get()) != 0) return fail_errno(errno, "syncing " + path_);
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
};

Result<void> write_whole(int fd, ByteView bytes, const std::string& path) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "writing " + path);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  if (fsync(fd) != 0) return fail_errno(errno, "syncing " + path);
  return {};
}

class RealDirFiles final : public DirFiles {
 public:
  explicit RealDirFiles(std::string dir) : dir_(std::move(dir)) {}

  Result<std::unique_ptr<DirLock>> lock() override {
    const std::string path = path_of("lock");
    Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (fd.get() < 0) return fail_errno(errno, "opening " + path);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return fail_errno(errno, "locking " + path);
      return fail(Code::exists, "another process" + holder(fd.get()) + " is using " + dir_ +
                                    "; stop it first, or use another directory");
    }
    std::string pid = std::to_string(getpid()) + "\n";
    if (ftruncate(fd.get(), 0) != 0 ||
        pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
      return fail_errno(errno, "writing " + path);
    }
    return std::make_unique<RealLock>(fd.release());
  }

  Result<std::unique_ptr<InPlaceFile>> open_in_place(const std::string& name) override {
    std::string path = path_of(name);
    Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (fd.get() < 0) return fail_errno(errno, "opening " + path);
    const off_t size = lseek(fd.get(), 0, SEEK_END);
    if (size < 0) return fail_errno(errno, "reading " + path);
    if (size == 0) RETURN_IF_ERROR(sync_dir());
    return std::make_unique<RealInPlaceFile>(fd.release(), std::move(path));
  }

  Result<std::optional<std::string>> read(const std::string& name) override {
    const std::string path = path_of(name);
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0 && errno == ENOENT) return std::nullopt;
    if (fd.get() < 0) return fail_errno(errno, "opening " + path);
    std::string bytes(kSmallFileBytesMax + 1, '\0');
    size_t have = 0;
    while (have < bytes.size()) {
      ssize_t n = ::read(fd.get(), bytes.data() + have, bytes.size() - have);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(errno, "reading " + path);
      if (n == 0) break;
      have += static_cast<size_t>(n);
    }
    if (have > kSmallFileBytesMax)
      return fail(Code::limit, path + " is longer than anything this program writes there");
    bytes.resize(have);
    return bytes;
  }

  Result<void> write_atomically(const std::string& name, ByteView bytes) override {
    const std::string path = path_of(name), fresh = path + ".new";
    Descriptor fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (fd.get() < 0) return fail_errno(errno, "opening " + fresh);
    RETURN_IF_ERROR(write_whole(fd.get(), bytes, fresh));
    if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno(errno, "replacing " + path);
    return sync_dir();
  }

  Result<bool> exists(const std::string& name) override {
    std::error_code error;
    bool there = std::filesystem::exists(path_of(name), error);
    if (error) return fail_errno(error.value(), "looking for " + path_of(name));
    return there;
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    std::error_code error;
    std::filesystem::rename(path_of(from), path_of(to), error);
    if (error) return fail_errno(error.value(), "renaming " + path_of(from) + " to " + path_of(to));
    return {};
  }

  Result<void> remove_all(const std::string& name) override {
    std::error_code error;
    std::filesystem::remove_all(path_of(name), error);
    if (error) return fail_errno(error.value(), "deleting " + path_of(name));
    return {};
  }

  std::string path_of(const std::string& name) const override { return dir_ + "/" + name; }

  std::string identity() override {
    struct stat status{};
    if (::stat(dir_.c_str(), &status) != 0) return {};
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  }

  std::string boot_id() override {
    Descriptor fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return {};
    char text[kBootIdBytes];
    ssize_t n = ::read(fd.get(), text, sizeof text);
    return n == static_cast<ssize_t>(sizeof text) ? std::string(text, sizeof text) : std::string();
  }

 private:
  // " (pid 123)" as the holder of the lock wrote it, or nothing.
  static std::string holder(int fd) {
    char text[32] = {};
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    std::string pid;
    for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; ++i) pid.push_back(text[i]);
    return pid.empty() ? std::string() : " (pid " + pid + ")";
  }

  // So that a new file's name survives a crash of the machine.
  Result<void> sync_dir() const {
    Descriptor fd(::open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return fail_errno(errno, "opening " + dir_);
    if (fsync(fd.get()) != 0) return fail_errno(errno, "syncing " + dir_);
    return {};
  }

  std::string dir_;
};

}  // namespace

std::shared_ptr<DirFiles> open_dir_files(std::string dir) {
  return std::make_shared<RealDirFiles>(std::move(dir));
}

Result<std::unique_ptr<DirLock>> DirLock::acquire(const std::string& dir) {
  return open_dir_files(dir)->lock();
}

}  // namespace archipel::index
