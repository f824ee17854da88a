// PurgeLog: the purges on the disk, so that none comes undone. A file that is written whole now and then, and appended to for each purge.
// docs/formats/edge-disk.md
//
// One thread at a time. Calls block.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge/disk_files.h"
#include "edge/disk_format.h"
#include "edge/purges.h"

namespace archipel::edge {

std::string encode_purge_log(const disk::CacheId& id, const PurgeBook::Snapshot& snapshot);
void append_purge(std::string& out, const Purge& purge);
// Nothing if purges may be missing that were promised: another cache's file, damage in front of whole records. An end that was cut off while it was
// written is nobody's promise.
std::optional<PurgeBook::Snapshot> decode_purge_log(ByteView bytes, const disk::CacheId& id);

class PurgeLog {
 public:
  static constexpr const char* kName = "purges";
  // Appended records after which the file is written anew, if it is more than twice what is kept.
  static constexpr size_t kAppendedMax = size_t{1} << 16;

  // corrupt: what was purged cannot be known any more; everything stored under this id has to be forgotten. io.
  static Result<std::unique_ptr<PurgeLog>> open(DiskFiles& files, const disk::CacheId& id, PurgeBook& book);

  // All of them by one write; on the disk when it returns, if `sync`.
  Result<void> append(const std::vector<Purge>& purges, bool sync);
  // The file anew from the book; also after a write has failed, whose rest may be in the middle of it.
  Result<void> rewrite();
  bool wants_rewrite() const { return broken_ || appended_ > kAppendedMax; }

 private:
  PurgeLog(DiskFiles& files, const disk::CacheId& id, PurgeBook& book)
      : files_(files), id_(id), book_(book) {}
  DiskFiles& files_;
  const disk::CacheId id_;
  PurgeBook& book_;
  std::unique_ptr<LogFile> file_;
  size_t appended_ = 0;
  bool broken_ = false;
};

}  // namespace archipel::edge
