#include "app/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace archipel::app {
namespace {

struct Fd {
  int fd;
  ~Fd() {
    if (fd >= 0) close(fd);
  }
};

Result<void> sync_parent(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (parent.empty()) parent = ".";
  Fd dir{open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (dir.fd < 0 || fsync(dir.fd) != 0) return fail_errno(errno, "cannot sync the directory " + parent);
  return {};
}

}  // namespace

Result<void> write_private_file(const std::string& path, std::string_view content) {
  Fd file{open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (file.fd < 0) return fail_errno(errno, "cannot create " + path);
  Result<void> outcome;
  for (size_t done = 0; done < content.size();) {
    ssize_t n = write(file.fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      outcome = fail_errno(errno, "cannot write " + path);
      break;
    }
    done += static_cast<size_t>(n);
  }
  if (outcome && fsync(file.fd) != 0) outcome = fail_errno(errno, "cannot sync " + path);
  if (!outcome) {
    unlink(path.c_str());  // a half-written secret is worse than none
    return outcome;
  }
  return sync_parent(path);
}

Result<std::string> read_small_file(const std::string& path, size_t bytes_max, bool secret) {
  Fd file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return fail_errno(errno, "cannot read " + path);
  struct stat info{};
  if (fstat(file.fd, &info) != 0) return fail_errno(errno, "cannot read " + path);
  if (secret && (info.st_mode & 077) != 0)
    return fail(Code::invalid, path + " holds a secret and others may read it; run: chmod 600 " + path);
  std::string content;
  char buffer[4096];
  for (;;) {
    ssize_t n = read(file.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot read " + path);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > bytes_max)
      return fail(Code::limit, path + " is larger than " + std::to_string(bytes_max) + " bytes");
  }
}

Result<void> make_private_directory(const std::string& path) {
  std::string prefix;
  for (const auto& part : std::filesystem::path(path)) {
    prefix = prefix.empty() ? part.string() : (std::filesystem::path(prefix) / part).string();
    if (mkdir(prefix.c_str(), 0700) == 0) {
      RETURN_IF_ERROR(sync_parent(prefix));
    } else if (errno != EEXIST && errno != EISDIR) {
      return fail_errno(errno, "cannot make the directory " + prefix);
    }
  }
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    return fail(Code::invalid, path + " is not a directory");
  return {};
}

}  // namespace archipel::app
