#include "index/dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"

namespace archipel::index {
namespace {

constexpr size_t kHeadFileBytes = 256;
constexpr std::string_view kHeadMagic = "archipel-head 0\n";
constexpr size_t kMacBytes = 32;
constexpr size_t kBootIdBytes = 36;

// Differs after every start of the machine. Empty if the system does not tell: then no head from another run is exact unless clean.
std::string boot_id() {
  int fd = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[kBootIdBytes];
  ssize_t n = ::read(fd, text, sizeof text);
  ::close(fd);
  return n == static_cast<ssize_t>(sizeof text) ? std::string(text, sizeof text) : std::string();
}

std::string padded(std::string text) {
  text.resize(kBootIdBytes, '\0');
  return text;
}

Digest32 mac_of(const crypto::Keyring& keys, ByteView bytes) {
  return crypto::hmac_sha256(keys.subkey("head").view(), bytes);
}

// So that a new file's name survives a crash of the machine.
Result<void> sync_parent(const std::string& path) {
  const std::string parent = path.substr(0, path.rfind('/'));
  int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "opening " + parent);
  int failed = fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed != 0) return fail_errno(failed, "syncing " + parent);
  return {};
}

}  // namespace

Result<std::unique_ptr<DirLock>> DirLock::acquire(const std::string& dir) {
  const std::string path = dir + "/lock";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno(errno, "opening " + path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    int error = errno;
    char text[32] = {};
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    ::close(fd);
    if (error != EWOULDBLOCK) return fail_errno(error, "locking " + path);
    std::string pid;
    for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; ++i) pid.push_back(text[i]);
    return fail(Code::exists, "another process" + (pid.empty() ? std::string() : " (pid " + pid + ")") +
                                  " is using " + dir + "; stop it first, or use another directory");
  }
  std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    int error = errno;
    ::close(fd);
    return fail_errno(error, "writing " + path);
  }
  return std::unique_ptr<DirLock>(new DirLock(fd));
}

DirLock::~DirLock() {
  ::close(fd_);
}

Result<std::unique_ptr<HeadFile>> HeadFile::open(const std::string& dir, const crypto::Keyring& keys) {
  std::string path = dir + "/head";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno(errno, "opening " + path);
  std::unique_ptr<HeadFile> file(new HeadFile(fd, std::move(path), keys));
  RETURN_IF_ERROR(file->read());
  return file;
}

HeadFile::~HeadFile() {
  ::close(fd_);
}

Result<void> HeadFile::read() {
  Buffer bytes(kHeadFileBytes + 1);
  ssize_t n = pread(fd_, bytes.data(), bytes.size(), 0);
  if (n < 0) return fail_errno(errno, "reading " + path_);
  if (n == 0) return sync_parent(path_);
  ByteView content = bytes.view().first(kHeadFileBytes - kMacBytes);
  bool good =
      n == static_cast<ssize_t>(kHeadFileBytes) &&
      crypto::constant_time_equal(mac_of(keys_, content), bytes.view().subspan(content.size(), kMacBytes));
  if (!good) {
    // Recovery then goes by the islands alone, which is stricter, never looser.
    log::warn("journal.head_unreadable",
              {{"file", path_}, {"consequence", "recovering from the islands alone"}});
    return {};
  }
  Reader r(content);
  if (as_text(r.raw(kHeadMagic.size())) != kHeadMagic) {
    return fail(Code::unsupported,
                path_ + " was written by another version of this program; use that version");
  }
  crypto::RealmId realm{};
  r.fixed(realm);
  Contents contents;
  contents.position.epoch = r.u64();
  contents.position.seq = r.u64();
  r.fixed(contents.position.hash);
  bool clean = r.u8() == 1;
  std::string boot(as_text(r.raw(kBootIdBytes)));
  if (!r.ok() || realm != keys_.realm())
    return fail(Code::invalid, path_ + " belongs to another realm than the keyring");
  std::string now = boot_id();
  contents.exact = clean || (!now.empty() && boot == padded(now));
  found_ = contents;
  return {};
}

Result<void> HeadFile::write(const HeadPosition& position, bool clean, bool sync) {
  static const std::string boot = padded(boot_id());
  std::string out;
  Writer w(out);
  w.raw(kHeadMagic)
      .raw(ByteView(keys_.realm()))
      .u64(position.epoch)
      .u64(position.seq)
      .raw(ByteView(position.hash));
  w.u8(clean ? 1 : 0).raw(boot);
  out.resize(kHeadFileBytes - kMacBytes, '\0');
  Digest32 mac = mac_of(keys_, as_bytes(out));
  w.raw(ByteView(mac));
  ssize_t n = pwrite(fd_, out.data(), out.size(), 0);
  if (n != static_cast<ssize_t>(out.size())) return fail_errno(n < 0 ? errno : EIO, "writing " + path_);
  if ((clean || sync) && fdatasync(fd_) != 0) return fail_errno(errno, "syncing " + path_);
  return {};
}

}  // namespace archipel::index
