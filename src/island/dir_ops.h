// The blocking half of the directory island: plain system calls, no coroutines. Internal to src/island; runs on the threads of a lane.
#pragma once

#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "island/island.h"
#include "island/lent_bytes.h"

namespace archipel::island {

// A file descriptor that closes itself. A failed close is ignored: what had to be durable was synced before.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd();
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Operations as in Island, but blocking. Thread-safe.
class DirOps {
 public:
  using Sync = int (*)(int);  // fsync(2); for tests
  DirOps(std::string id, std::string path, Sync sync = ::fsync);

  // `bytes` may be withdrawn meanwhile: timeout, unless all was written by then.
  Result<void> put(const BlobName& name, LentBytes& bytes);
  Result<void> overwrite(const BlobName& name, ByteView bytes);
  Result<Buffer> get(const BlobName& name, uint64_t offset, uint64_t length);
  // get() of something small if that needs no waiting: the directory entries and the pages are in memory. nullopt = not so, or anything at all
  // is unusual: get() tells. Not before read_marker() or write_marker() saw a local file system. For event loops.
  std::optional<Buffer> try_get(const BlobName& name, uint64_t offset, uint64_t length);
  Result<uint64_t> size(const BlobName& name);
  Result<void> remove(const BlobName& name);
  Result<std::vector<BlobName>> list();
  Result<Buffer> read_marker();
  Result<void> write_marker(ByteView bytes);

 private:
  enum class Replace { never, always };

  // A temporary file with the blob in it, synced; removed again unless it was renamed.
  struct Temp;
  Result<void> write_temp(const Temp& temp, LentBytes& bytes);
  // Temporary file, sync, rename into `directory` as `name`. `directory` is not synced.
  Result<void> store(const std::string& directory, const std::string& name, LentBytes& bytes,
                     Replace replace);

  // Makes the entry of a blob durable. A directory whose sync failed once is not believed again before a restart: the kernel drops what it could
  // not write, and the entry is still seen.
  Result<void> sync_fan_out(const BlobName& name);

  // unavailable unless the marker is there.
  Result<void> need_marker();
  // ENOENT on a blob is an absence only if the marker and the fan-out directory are there.
  Error absent(const BlobName& name);
  // The error of a failed system call on `what` (a path below the root).
  std::unexpected<Error> fail_call(int errno_value, const std::string& what);
  Error no_file(const std::string& path) const;
  std::string fan_out(const BlobName& name) const { return path_ + "/" + name.substr(0, 2); }
  // unavailable if directories that came with the marker are not there any more. Makes tmp/ anew.
  Result<void> check_directories();
  void clean_temps();

  struct Entries {
    std::mutex mutex;
    bool lost = false;
  };

  std::string id_, path_;
  Sync sync_;
  std::array<Entries, 256> entries_;
  std::atomic<uint64_t> temp_number_{0};
  std::atomic<bool> cleaned_{false};
  // From the marker on, if the file system is local, until the kernel or the file system says that it cannot read without waiting.
  std::atomic<bool> may_try_{false};
};

}  // namespace archipel::island
