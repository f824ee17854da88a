// DiskHome: a directory that belongs to a disk tier: locked, with an identity (id and hash secret) and a log of purges that can be read.
#pragma once

#include <memory>

#include "base/random.h"
#include "edge/disk_files.h"
#include "edge/disk_format.h"
#include "edge/purges.h"

namespace archipel::edge {

struct DiskHome {
  std::shared_ptr<DiskFiles> files;
  std::unique_ptr<DiskLock> lock;
  disk::Identity identity;
};

// Blocks. invalid: the directory holds what no disk tier put there; nothing in it was touched. exists: another process has it. io.
// A damaged identity of ours becomes a new one, with which nothing that is stored can be read: it is forgotten.
Result<DiskHome> open_disk_home(std::shared_ptr<DiskFiles> files, Random& random);
// The identity that another process's directory has, without the lock; nothing: it has none, or a damaged one. Blocks. io.
Result<std::optional<disk::Identity>> open_identity(DiskFiles& files);
// A new identity, because what the old one promised cannot be kept; all that is stored is forgotten.
Result<void> begin_anew(DiskHome& home, Random& random);

}  // namespace archipel::edge
