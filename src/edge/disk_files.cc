#include "edge/disk_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace archipel::edge {
namespace {

constexpr const char* kLockName = "lock";

// An open file, closed at the end.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Result<Fd> open_at(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail_errno(errno, path);
  return Fd(fd);
}

Result<void> write_all(int fd, ByteView bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, what);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

class RealData final : public DataFile {
 public:
  RealData(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<void> read(uint64_t offset, MutableBytes first, MutableBytes rest) override {
    while (!first.empty() || !rest.empty()) {
      iovec parts[2] = {{first.data(), first.size()}, {rest.data(), rest.size()}};
      const ssize_t n = ::preadv(fd_.get(), parts, 2, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(errno, path_);
      if (n == 0) return fail(Code::io, path_ + " is shorter than it was made");
      offset += static_cast<uint64_t>(n);
      const size_t of_first = std::min(first.size(), static_cast<size_t>(n));
      first = first.subspan(of_first);
      rest = rest.subspan(static_cast<size_t>(n) - of_first);
    }
    return {};
  }

  bool read_at_hand(uint64_t offset, MutableBytes first, MutableBytes rest) override {
    iovec parts[2] = {{first.data(), first.size()}, {rest.data(), rest.size()}};
    const ssize_t n = ::preadv2(fd_.get(), parts, 2, static_cast<off_t>(offset), RWF_NOWAIT);
    // EOPNOTSUPP: the file system cannot tell. Whatever else went wrong, read() says better.
    return n >= 0 && static_cast<size_t>(n) == first.size() + rest.size();
  }

  Result<void> write(uint64_t offset, ByteView bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(errno, path_);
      offset += static_cast<uint64_t>(n);
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return {};
  }

 private:
  Fd fd_;
  std::string path_;
};

class RealLog final : public LogFile {
 public:
  RealLog(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<void> append(ByteView bytes) override { return write_all(fd_.get(), bytes, path_); }
  Result<void> sync() override {
    if (::fdatasync(fd_.get()) != 0) return fail_errno(errno, path_);
    return {};
  }

 private:
  Fd fd_;
  std::string path_;
};

class RealLock final : public DiskLock {
 public:
  explicit RealLock(Fd fd) : fd_(std::move(fd)) {}

 private:
  Fd fd_;
};

class RealFiles final : public DiskFiles {
 public:
  explicit RealFiles(std::string dir) : dir_(std::move(dir)) {}

  Result<std::unique_ptr<DiskLock>> lock() override {
    ASSIGN_OR_RETURN(Fd fd, open_at(path_of(kLockName), O_RDWR | O_CREAT));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return fail_errno(errno, path_of(kLockName));
      return fail(Code::exists, "another process uses the cache in " + dir_);
    }
    return std::unique_ptr<DiskLock>(std::make_unique<RealLock>(std::move(fd)));
  }

  Result<std::vector<std::string>> list() override {
    std::error_code error;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator at(dir_, error), end; !error && at != end; at.increment(error))
      names.push_back(at->path().filename().string());
    if (error) return fail_errno(error.value(), dir_);
    return names;
  }

  Result<std::optional<std::string>> read_whole(const std::string& name) override {
    const std::string path = path_of(name);
    auto fd = open_at(path, O_RDONLY);
    if (!fd && fd.error().code == Code::not_found) return std::optional<std::string>();
    if (!fd) return fail(fd.error());
    std::string out;
    char piece[65536];
    for (;;) {
      const ssize_t n = ::read(fd->get(), piece, sizeof piece);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(errno, path);
      if (n == 0) return std::optional<std::string>(std::move(out));
      out.append(piece, static_cast<size_t>(n));
      if (out.size() > kWholeBytesMax) return fail(Code::limit, path + " is too long to be a cache's");
    }
  }

  Result<void> write_whole(const std::string& name, ByteView bytes) override {
    const std::string path = path_of(name), fresh = path + ".new";
    {
      ASSIGN_OR_RETURN(Fd fd, open_at(fresh, O_WRONLY | O_CREAT | O_TRUNC));
      RETURN_IF_ERROR(write_all(fd.get(), bytes, fresh));
      if (::fsync(fd.get()) != 0) return fail_errno(errno, fresh);
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno(errno, path);
    ASSIGN_OR_RETURN(Fd dir, open_at(dir_, O_RDONLY | O_DIRECTORY));
    if (::fsync(dir.get()) != 0) return fail_errno(errno, dir_);
    return {};
  }

  Result<std::unique_ptr<DataFile>> open_data(const std::string& name, uint64_t bytes) override {
    const std::string path = path_of(name);
    ASSIGN_OR_RETURN(Fd fd, open_at(path, O_RDWR | O_CREAT));
    struct stat before{};
    if (::fstat(fd.get(), &before) != 0) return fail_errno(errno, path);
    struct statvfs whole{};
    if (::fstatvfs(fd.get(), &whole) != 0) return fail_errno(errno, path);
    const uint64_t held = static_cast<uint64_t>(before.st_blocks) * 512;
    if (bytes > held &&
        !leaves_room(whole.f_bavail * whole.f_frsize, whole.f_blocks * whole.f_frsize, bytes - held))
      return fail(Code::unavailable, "too little room is left for " + path);
    const int error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
    // What was taken of too little room is given back.
    if (error != 0 && ::ftruncate(fd.get(), before.st_size) != 0) return fail_errno(errno, path);
    if (error != 0) return fail_errno(error, path);
    // Records are read one by one, from anywhere: what lies behind one is not wanted with it. A hint.
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_RANDOM);
    return std::unique_ptr<DataFile>(std::make_unique<RealData>(std::move(fd), path));
  }

  Result<std::unique_ptr<LogFile>> open_log(const std::string& name) override {
    ASSIGN_OR_RETURN(Fd fd, open_at(path_of(name), O_WRONLY | O_APPEND | O_CREAT));
    return std::unique_ptr<LogFile>(std::make_unique<RealLog>(std::move(fd), path_of(name)));
  }

  std::string where() const override { return dir_; }

 private:
  std::string path_of(const std::string& name) const { return dir_ + "/" + name; }
  const std::string dir_;
};

}  // namespace

bool leaves_room(uint64_t free, uint64_t total, uint64_t more) {
  const uint64_t left = std::min(kDiskLeftBytes, total / 20);
  return free >= left && free - left >= more;
}

Result<std::shared_ptr<DiskFiles>> open_disk_files(const std::string& dir) {
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno(errno, dir);
  struct stat about{};
  if (::stat(dir.c_str(), &about) != 0) return fail_errno(errno, dir);
  if (!S_ISDIR(about.st_mode)) return fail(Code::invalid, dir + " is not a directory");
  return std::shared_ptr<DiskFiles>(std::make_shared<RealFiles>(dir));
}

}  // namespace archipel::edge
