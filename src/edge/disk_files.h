// The files of a disk tier: one directory, as an interface, so that tests can tear, fill and break a disk. Calls block: on a worker, or before
// serving. Thread-safe where said.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace archipel::edge {

// A file of fixed size. Any thread; who writes a range while it is read may give the reader anything.
class DataFile {
 public:
  virtual ~DataFile() = default;
  // Fills `first`, then `rest`, from `offset` on. io: the device failed, or the file ends before.
  virtual Result<void> read(uint64_t offset, MutableBytes first, MutableBytes rest) = 0;
  // The same if it takes no waiting for the device; else false, and what the buffers hold means nothing. The device may have been asked for it by then.
  virtual bool read_at_hand(uint64_t offset, MutableBytes first, MutableBytes rest) = 0;
  virtual Result<void> write(uint64_t offset, ByteView bytes) = 0;
};

// A file that grows at its end. One thread at a time.
class LogFile {
 public:
  virtual ~LogFile() = default;
  // A crash of the process keeps it when this returned.
  virtual Result<void> append(ByteView bytes) = 0;
  // A crash of the machine keeps all that was appended when this returned.
  virtual Result<void> sync() = 0;
};

class DiskLock {
 public:
  virtual ~DiskLock() = default;
};

class DiskFiles {
 public:
  static constexpr size_t kWholeBytesMax = 64u << 20;

  virtual ~DiskFiles() = default;
  // exists: another process has it. Held until destruction or the end of the process.
  virtual Result<std::unique_ptr<DiskLock>> lock() = 0;
  virtual Result<std::vector<std::string>> list() = 0;
  // A file as a whole; nothing if there is none. limit: longer than kWholeBytesMax.
  virtual Result<std::optional<std::string>> read_whole(const std::string& name) = 0;
  // Replaces a file as a whole, mode 0600; bytes and name are on the disk when it returns. A crash before leaves the old one or the new one.
  virtual Result<void> write_whole(const std::string& name, ByteView bytes) = 0;
  // Opened, or made, and all its room taken. unavailable: there is none left (leaves_room).
  virtual Result<std::unique_ptr<DataFile>> open_data(const std::string& name, uint64_t bytes) = 0;
  virtual Result<std::unique_ptr<LogFile>> open_log(const std::string& name) = 0;
  virtual std::string where() const = 0;  // for messages
};

// Room for `more` bytes on a file system of `total` bytes of which `free` are: something is left to others, its own log of purges among them. A cache
// whose disk_size is a slip must not stop the machine that it runs on.
inline constexpr uint64_t kDiskLeftBytes = uint64_t{1} << 30;  // or a twentieth, if that is less
bool leaves_room(uint64_t free, uint64_t total, uint64_t more);

// The real ones, in the directory `dir`, made with mode 0700 if it is absent.
Result<std::shared_ptr<DiskFiles>> open_disk_files(const std::string& dir);

}  // namespace archipel::edge
