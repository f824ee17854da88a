#include "island/dir_ops.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/log.h"
#include "island/marker.h"

namespace archipel::island {
namespace {

constexpr size_t kNameHex = 40;
constexpr int kFanOut = 256;
constexpr size_t kPieceBytes = 256u << 10;  // per write: what is copied for it stays in the processor's cache
constexpr size_t kListMax = 50'000'000;     // names one listing may hold

bool is_blob_name(std::string_view name) {
  return name.size() == kNameHex && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Fd open_at(const std::string& path, int flags, mode_t mode = 0) {
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode);
  while (fd < 0 && errno == EINTR);
  return Fd(fd);
}

// O_NONBLOCK: the open of a FIFO that somebody put here must not wait for its other end. Files do not care.
Fd open_to_read(const std::string& path) {
  return open_at(path, O_RDONLY | O_NONBLOCK);
}

// Opens a file for reading if its path can be walked in memory alone. O_NONBLOCK: a FIFO must not hold up the caller. O_NOATIME: noting the
// time of the read may wait for the file system's journal.
int open_cached(const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOATIME;
  how.resolve = RESOLVE_CACHED;
  return static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how));
}

// True for file systems of this machine alone. On others (NFS, FUSE) even the open of what is in memory may ask a server, which may be dead.
bool is_local(const std::string& path) {
  constexpr uint32_t kZfs = 0x2fc12fc1, kBcachefs = 0xca451a4e;
  struct statfs info;
  if (::statfs(path.c_str(), &info) != 0) return false;
  switch (static_cast<uint32_t>(info.f_type)) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
    case kZfs:
    case kBcachefs:
      return true;
    default:
      return false;
  }
}

// 0, or errno.
int write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return 0;
}

int sync_directory(const std::string& path) {
  Fd directory = open_at(path, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) return errno;
  return ::fsync(directory.get()) == 0 ? 0 : errno;
}

// rename(2) that never replaces; file systems without RENAME_NOREPLACE get link and unlink, which is as safe.
int rename_without_replacing(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  ::unlink(from.c_str());
  return 0;
}

int make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return 0;
  return errno;
}

std::string fan_out_name(int i) {
  auto byte = static_cast<uint8_t>(i);
  return hex(ByteView(&byte, 1));
}

// Names in a directory without "." and ".."; errno in `error`.
std::vector<std::string> entries(const std::string& path, int& error) {
  std::vector<std::string> names;
  DIR* directory = ::opendir(path.c_str());
  error = directory == nullptr ? errno : 0;
  if (directory == nullptr) return names;
  errno = 0;
  while (dirent* entry = ::readdir(directory)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  error = errno;
  ::closedir(directory);
  return names;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

struct DirOps::Temp {
  std::string path;
  bool renamed = false;
  explicit Temp(std::string p) : path(std::move(p)) {}
  Temp(const Temp&) = delete;
  Temp& operator=(const Temp&) = delete;
  ~Temp() {
    if (!renamed) ::unlink(path.c_str());
  }
};

DirOps::DirOps(std::string id, std::string path, Sync sync)
    : id_(std::move(id)), path_(std::move(path)), sync_(sync) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();  // so that parent_path() is the parent
}

std::unexpected<Error> DirOps::fail_call(int errno_value, const std::string& what) {
  std::string subject = "island " + id_ + ": " + what;
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return fail(Code::unavailable, subject + ": no space left; free some, or evacuate the island");
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP: {
      auto error = fail_errno(errno_value, subject);
      error.error().code = Code::unavailable;
      error.error().message += "; check that the directory is mounted, and its permissions";
      return error;
    }
    default:
      return fail_errno(errno_value, subject);
  }
}

Error DirOps::no_file(const std::string& path) const {
  return Error{Code::unavailable, "island " + id_ + ": " + path + " is not a file", {}};
}

Result<void> DirOps::need_marker() {
  std::string marker = path_ + "/marker";
  struct stat info;
  if (::lstat(marker.c_str(), &info) == 0 && S_ISREG(info.st_mode)) return {};
  return fail(
      Code::unavailable,
      "island " + id_ + ": " + path_ +
          " has no marker: the directory is missing, not mounted or was wiped; bring it back, or rejoin "
          "the island");
}

Error DirOps::absent(const BlobName& name) {
  auto marker = need_marker();
  if (!marker) return marker.error();
  struct stat info;
  if (::lstat(fan_out(name).c_str(), &info) != 0) return fail_call(errno, fan_out(name)).error();
  return Error{Code::not_found, "island " + id_ + ": no such blob", {}};
}

Result<void> DirOps::write_temp(const Temp& temp, LentBytes& bytes) {
  Fd file = open_at(temp.path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file.ok()) return fail_call(errno, temp.path);
  ::flock(file.get(), LOCK_EX | LOCK_NB);  // tells clean_temps() of another process that this one is alive
  // Through a piece of our own: a write that hangs must not hold the caller's memory.
  Buffer piece(std::min(kPieceBytes, bytes.size()));
  for (;;) {
    std::optional<size_t> n = bytes.next(piece.span());
    if (!n)
      return fail(Code::timeout, "island " + id_ + ": the deadline passed while a blob was being written");
    if (*n == 0) break;
    int error = write_all(file.get(), piece.view().first(*n));
    if (error != 0) return fail_call(error, temp.path);
  }
  if (::fdatasync(file.get()) != 0) return fail_call(errno, temp.path);
  return {};
}

Result<void> DirOps::store(const std::string& directory, const std::string& name, LentBytes& bytes,
                           Replace replace) {
  uint64_t number = temp_number_.fetch_add(1, std::memory_order_relaxed);
  Temp temp(path_ + "/tmp/" + std::to_string(::getpid()) + "-" + std::to_string(number) + "-" + name);
  RETURN_IF_ERROR(write_temp(temp, bytes));
  std::string target = directory + "/" + name;
  int error = 0;
  if (replace == Replace::always)
    error = ::rename(temp.path.c_str(), target.c_str()) == 0 ? 0 : errno;
  else
    error = rename_without_replacing(temp.path, target);
  if (error == EEXIST) return fail(Code::exists, "island " + id_ + ": a blob of that name is there already");
  if (error != 0) return fail_call(error, target);
  temp.renamed = true;
  return {};
}

Result<void> DirOps::sync_fan_out(const BlobName& name) {
  std::string path = fan_out(name);
  Entries& entries = entries_[static_cast<size_t>(std::stoi(name.substr(0, 2), nullptr, 16))];
  // One at a time: the kernel tells an error once, and what else was not written then looks clean to the next sync.
  std::lock_guard lock(entries.mutex);
  if (entries.lost) {
    return fail(
        Code::unavailable,
        "island " + id_ + ": " + path +
            " could not be synced before, and what became of its entries is not known; check the disk, "
            "then restart");
  }
  Fd directory = open_at(path, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) return fail_call(errno, path);
  if (sync_(directory.get()) == 0) return {};
  int error = errno;
  entries.lost = true;
  log::error("island.sync_failed", {{"island", id_}, {"directory", path}, {"errno", error}});
  return fail_call(error, path);
}

Result<void> DirOps::put(const BlobName& name, LentBytes& bytes) {
  CHECK(is_blob_name(name));
  RETURN_IF_ERROR(need_marker());
  // A cheap look first: a resent blob need not be written and synced again to learn that it is there.
  struct stat info;
  if (::lstat((fan_out(name) + "/" + name).c_str(), &info) == 0) {
    // Its first writer may have died between rename and sync: "exists" must mean durable.
    RETURN_IF_ERROR(sync_fan_out(name));
    return fail(Code::exists, "island " + id_ + ": a blob of that name is there already");
  }
  auto stored = store(fan_out(name), name, bytes, Replace::never);
  // "exists": another one made it meanwhile, and may not have synced it yet.
  if (!stored && stored.error().code != Code::exists) return stored;
  RETURN_IF_ERROR(sync_fan_out(name));
  return stored;
}

Result<void> DirOps::overwrite(const BlobName& name, ByteView bytes) {
  CHECK(is_blob_name(name));
  RETURN_IF_ERROR(need_marker());
  LentBytes lent(std::span(&bytes, 1));
  RETURN_IF_ERROR(store(fan_out(name), name, lent, Replace::always));
  return sync_fan_out(name);
}

Result<Buffer> DirOps::get(const BlobName& name, uint64_t offset, uint64_t length) {
  CHECK(is_blob_name(name));
  std::string path = fan_out(name) + "/" + name;
  Fd file = open_to_read(path);
  if (!file.ok()) {
    if (errno == ENOENT) return fail(absent(name));
    return fail_call(errno, path);
  }
  struct stat info;
  if (::fstat(file.get(), &info) != 0) return fail_call(errno, path);
  if (!S_ISREG(info.st_mode)) return fail(no_file(path));
  uint64_t size = std::min<uint64_t>(static_cast<uint64_t>(info.st_size), kBlobBytesMax);
  if (offset >= size) return Buffer{};
  Buffer out(std::min(length, size - offset));
  size_t done = 0;
  while (done < out.size()) {
    ssize_t n = ::pread(file.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_call(errno, path);
    if (n == 0) break;  // it shrank under us; the caller's tags will tell
    done += static_cast<size_t>(n);
  }
  out.resize_within(done);
  return out;
}

std::optional<Buffer> DirOps::try_get(const BlobName& name, uint64_t offset, uint64_t length) {
  CHECK(is_blob_name(name));
  if (length == 0 || offset > kBlobBytesMax || length > kBlobBytesMax - offset) return std::nullopt;
  if (!may_try_.load(std::memory_order_relaxed)) return std::nullopt;
  Fd file(open_cached(fan_out(name) + "/" + name));
  if (!file.ok()) {
    // ENOSYS, EINVAL: an old kernel. EPERM: a sandbox, or files of another user. It will not change.
    if (errno == ENOSYS || errno == EINVAL || errno == EPERM)
      may_try_.store(false, std::memory_order_relaxed);
    return std::nullopt;
  }
  Buffer out(length);
  iovec target{out.data(), out.size()};
  ssize_t n = ::preadv2(file.get(), &target, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) may_try_.store(false, std::memory_order_relaxed);
  // Short: the end of the file, or of what is in memory. Only get() can tell.
  if (n < 0 || static_cast<uint64_t>(n) != length) return std::nullopt;
  struct stat info;
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return out;
}

Result<uint64_t> DirOps::size(const BlobName& name) {
  CHECK(is_blob_name(name));
  std::string path = fan_out(name) + "/" + name;
  struct stat info;
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) return fail(no_file(path));
    return static_cast<uint64_t>(info.st_size);
  }
  if (errno == ENOENT) return fail(absent(name));
  return fail_call(errno, path);
}

Result<void> DirOps::remove(const BlobName& name) {
  CHECK(is_blob_name(name));
  RETURN_IF_ERROR(need_marker());
  std::string path = fan_out(name) + "/" + name;
  // Not synced: a blob that comes back after a power cut is garbage that is collected again.
  if (::unlink(path.c_str()) == 0) return {};
  if (errno != ENOENT) return fail_call(errno, path);
  Error error = absent(name);
  if (error.code == Code::not_found) return {};
  return fail(std::move(error));
}

Result<std::vector<BlobName>> DirOps::list() {
  RETURN_IF_ERROR(need_marker());
  std::vector<BlobName> names;
  for (int i = 0; i < kFanOut; ++i) {
    std::string directory = path_ + "/" + fan_out_name(i);
    int error = 0;
    for (std::string& name : entries(directory, error)) {
      if (is_blob_name(name) && names.size() < kListMax) names.push_back(std::move(name));
    }
    if (error != 0) return fail_call(error, directory);
  }
  return names;
}

Result<Buffer> DirOps::read_marker() {
  std::string path = path_ + "/marker";
  Fd file = open_to_read(path);
  if (!file.ok()) {
    if (errno != ENOENT) return fail_call(errno, path);
    struct stat info;
    std::string parent = std::filesystem::path(path_).parent_path().string();
    bool reachable = ::lstat(path_.c_str(), &info) == 0 ||
                     (errno == ENOENT && ::stat(parent.empty() ? "." : parent.c_str(), &info) == 0);
    if (!reachable) return fail_call(errno, path_);
    return fail(Code::not_found, "island " + id_ + ": " + path_ + " has no marker");
  }
  struct stat about;
  if (::fstat(file.get(), &about) != 0) return fail_call(errno, path);
  if (!S_ISREG(about.st_mode)) return fail(no_file(path));
  Buffer out(kMarkerBytesMax + 1);
  ssize_t n;
  do n = ::pread(file.get(), out.data(), out.size(), 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_call(errno, path);
  out.resize_within(static_cast<size_t>(n));
  RETURN_IF_ERROR(check_directories());
  may_try_.store(is_local(path_), std::memory_order_relaxed);
  if (!cleaned_.exchange(true)) clean_temps();
  return out;
}

Result<void> DirOps::write_marker(ByteView bytes) {
  int error = make_directory(path_);
  if (error != 0) return fail_call(error, path_);
  struct stat info;
  if (::lstat((path_ + "/marker").c_str(), &info) == 0) {
    return fail(Code::exists, "island " + id_ + ": " + path_ + " has a marker already");
  }
  std::vector<std::string> directories = {path_ + "/tmp"};
  for (int i = 0; i < kFanOut; ++i) directories.push_back(path_ + "/" + fan_out_name(i));
  for (const std::string& directory : directories) {
    error = make_directory(directory);
    if (error != 0) return fail_call(error, directory);
  }
  if (!cleaned_.exchange(true)) clean_temps();
  // The marker comes last: with it in place, everything below it is.
  error = sync_directory(path_);
  if (error != 0) return fail_call(error, path_);
  LentBytes lent(std::span(&bytes, 1));
  auto stored = store(path_, "marker", lent, Replace::never);
  if (!stored) {
    if (stored.error().code == Code::exists)
      stored.error().message = "island " + id_ + ": " + path_ + " has a marker already";
    return stored;
  }
  error = sync_directory(path_);
  if (error != 0) return fail_call(error, path_);
  std::string parent = std::filesystem::path(path_).parent_path().string();
  error = sync_directory(parent.empty() ? "." : parent);
  if (error != 0) return fail_call(error, parent);
  may_try_.store(is_local(path_), std::memory_order_relaxed);
  return {};
}

Result<void> DirOps::check_directories() {
  std::string temps = path_ + "/tmp";
  int error = make_directory(temps);  // nothing in it is ever missed
  if (error != 0) return fail_call(error, temps);
  auto is_directory = [](const std::string& path) {
    struct stat info;
    return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  };
  if (!is_directory(temps)) return fail_call(ENOTDIR, temps);
  int missing = 0;
  std::string first;
  for (int i = 0; i < kFanOut; ++i) {
    std::string name = fan_out_name(i);
    if (is_directory(path_ + "/" + name)) continue;
    if (missing++ == 0) first = name;
  }
  if (missing == 0) return {};
  return fail(Code::unavailable, "island " + id_ + ": damaged: " + std::to_string(missing) + " of " +
                                     std::to_string(kFanOut) + " directories are missing in " + path_ +
                                     ", the first is '" + first +
                                     "'; bring them back, or move the island's remains away and rejoin it");
}

void DirOps::clean_temps() {
  int error = 0;
  int removed = 0;
  for (const std::string& name : entries(path_ + "/tmp", error)) {
    std::string path = path_ + "/tmp/" + name;
    struct stat info;
    if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;  // none of ours
    Fd file = open_at(path, O_WRONLY | O_NONBLOCK);
    if (!file.ok() || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;  // somebody is writing it
    if (::unlink(path.c_str()) == 0) ++removed;
  }
  if (removed > 0) log::info("island.temps_removed", {{"island", id_}, {"files", removed}});
}

}  // namespace archipel::island
