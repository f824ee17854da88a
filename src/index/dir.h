// DIR: what the journal keeps beside the view. `lock` admits one process; `head` says how far the journal was acknowledged
// (docs/formats/journal.md). Calls block for a moment: a worker, or before serving.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "crypto/keyring.h"
#include "index/record.h"

namespace archipel::index {

class DirFiles;

// A lock on DIR, held until destruction or the end of the process.
class DirLock {
 public:
  // Of the directory `dir`; as DirFiles::lock().
  static Result<std::unique_ptr<DirLock>> acquire(const std::string& dir);
  virtual ~DirLock() = default;
};

// A small file of DIR that is overwritten in place, again and again.
class InPlaceFile {
 public:
  virtual ~InPlaceFile() = default;
  // From the start, at most `bytes_max`; empty if it was just made. io.
  virtual Result<std::string> read(size_t bytes_max) = 0;
  // Replaces the first bytes by one write. A crash of the process keeps it; a crash of the machine may lose it, or tear it, unless `sync`: then
  // it and all writes before it are on the disk when this returns.
  virtual Result<void> write(ByteView bytes, bool sync) = 0;
};

// The files of DIR. An interface, so that a simulator can crash the machine that DIR lies on. Calls block: a worker, or before serving.
class DirFiles {
 public:
  static constexpr size_t kSmallFileBytesMax = 64u << 10;

  virtual ~DirFiles() = default;

  // exists: another process holds it; the sentence names DIR and that process. io.
  virtual Result<std::unique_ptr<DirLock>> lock() = 0;

  // `name`: one path component, no dots at its start. The file is made if absent, mode 0600, and its name survives a crash of the machine.
  virtual Result<std::unique_ptr<InPlaceFile>> open_in_place(const std::string& name) = 0;

  // A small file, whole; nothing if there is none. limit: it is longer than kSmallFileBytesMax.
  virtual Result<std::optional<std::string>> read(const std::string& name) = 0;
  // Replaces a small file as a whole, mode 0600. When it returns, bytes and name are on the disk; a crash before leaves the old or the new file.
  virtual Result<void> write_atomically(const std::string& name, ByteView bytes) = 0;

  // Directories in DIR, such as the view's.
  virtual Result<bool> exists(const std::string& name) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove_all(const std::string& name) = 0;  // absent already = success

  // For messages, and for those who open something in DIR by its path, such as the view.
  virtual std::string path_of(const std::string& name) const = 0;
  // Tells this very directory from a copy of it, as far as that can be told; the same after a restart. At most 256 bytes, perhaps none.
  virtual std::string identity() { return {}; }
  // Differs after every start of the machine; at most 36 bytes. Empty if it cannot be told: then nothing that was not synced can be trusted.
  virtual std::string boot_id() = 0;
};

// The real ones, in the directory `dir`, which exists.
std::shared_ptr<DirFiles> open_dir_files(std::string dir);

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
    bool exact = false, clean = false;
  };
  // Opens the file, made if absent with mode 0600. `keys` must outlive it.
  static Result<std::unique_ptr<HeadFile>> open(DirFiles& files, const crypto::Keyring& keys);
  static Result<std::unique_ptr<HeadFile>> open(const std::string& dir, const crypto::Keyring& keys);

  // What it said when it was opened; nothing if it was not there, empty or torn. invalid: it
  // belongs to another realm; unsupported: to another version.
  const std::optional<Contents>& found() const { return found_; }
  // `clean`: nothing is under way any more, and it is synced; otherwise it is synced only if `sync`.
  Result<void> write(const HeadPosition& position, bool clean, bool sync);
  // What was found is part of a copy of DIR: the gateway went on after that copy was made, for all that is known. From now on, and after a crash
  // too, it is not exact, unless it was written at a clean end.
  Result<void> found_in_a_copy();

 private:
  HeadFile(std::unique_ptr<InPlaceFile> file, std::string path, std::string boot, const crypto::Keyring& keys)
      : file_(std::move(file)), path_(std::move(path)), boot_(std::move(boot)), keys_(keys) {}
  Result<void> read();
  Result<void> write_as(const std::string& boot, const HeadPosition& position, bool clean, bool sync);
  std::unique_ptr<InPlaceFile> file_;
  std::string path_;
  std::string boot_;  // of this start of the machine; empty if not known
  const crypto::Keyring& keys_;
  std::optional<Contents> found_;
};

}  // namespace archipel::index
