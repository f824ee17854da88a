// DIR: what the journal keeps beside the view. `lock` admits one process; `head` says how far the journal was acknowledged
// (docs/formats/journal.md). Calls block for a moment: a worker, or before serving.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "crypto/keyring.h"
#include "index/record.h"

namespace archipel::index {

// A lock on DIR, held until destruction or the end of the process.
class DirLock {
 public:
  // exists: another process holds it; the sentence names DIR and that process. io.
  static Result<std::unique_ptr<DirLock>> acquire(const std::string& dir);
  ~DirLock();
  DirLock(const DirLock&) = delete;
  DirLock& operator=(const DirLock&) = delete;

 private:
  explicit DirLock(int fd) : fd_(fd) {}
  int fd_;
};

// The position that was last acknowledged to a client, or about to be. Epoch 0: a realm is being created.
struct HeadPosition {
  uint64_t epoch = 0, seq = 0;
  Digest32 hash{};
};

// The file DIR/head: 256 bytes, authenticated, overwritten in place by one write. A crash of the process keeps the last write; so after one,
// and after a clean end, the position is exact. After a crash of the machine it may be an older one.
class HeadFile {
 public:
  struct Contents {
    HeadPosition position;
    bool exact = false;
  };
  // Opens the file, made if absent with mode 0600. `keys` must outlive it.
  static Result<std::unique_ptr<HeadFile>> open(const std::string& dir, const crypto::Keyring& keys);
  ~HeadFile();
  HeadFile(const HeadFile&) = delete;
  HeadFile& operator=(const HeadFile&) = delete;

  // What it said when it was opened; nothing if it was not there, empty or torn. invalid: it
  // belongs to another realm; unsupported: to another version.
  const std::optional<Contents>& found() const { return found_; }
  // `clean`: nothing is under way any more, and it is synced; otherwise it is synced only if `sync`.
  Result<void> write(const HeadPosition& position, bool clean, bool sync);

 private:
  HeadFile(int fd, std::string path, const crypto::Keyring& keys)
      : fd_(fd), path_(std::move(path)), keys_(keys) {}
  Result<void> read();
  int fd_;
  std::string path_;
  const crypto::Keyring& keys_;
  std::optional<Contents> found_;
};

}  // namespace archipel::index
