// Directory island: blobs as files under one directory, on any local or mounted file system.
//
//   PATH/marker            the marker (island/marker.h)
//   PATH/ab/ab12…(40 hex)  a blob; 256 fan-out directories are made when the island joins, so a put syncs exactly one of them
//   PATH/tmp/…             files being written; leftovers of a crash are removed by the next process that reads the marker
//
// Files are 0600, directories 0700. Each operation is one job on a worker, with blocking system calls; only a small get() of what the kernel
// has in memory is answered on the loop (openat2 with RESOLVE_CACHED, preadv2 with RWF_NOWAIT; Linux 5.12, else always on a worker). A put is durable when it succeeds:
// temporary file, write, fdatasync, rename without replacement, fsync of the fan-out directory.
//
// Without marker the island is lost: every operation is `unavailable` and names the island and the path; nothing is ever recreated but by
// write_marker(). A full disk is `unavailable`.
//
// Deadlines are checked before an operation starts. A system call under way (an fsync) cannot be interrupted: an operation may end
// after its deadline, with its true outcome.
#pragma once

#include <memory>
#include <string>

#include "io/workers.h"
#include "island/island.h"

namespace archipel::island {

// `path` need not exist before write_marker(); its parent must. `workers` must outlive the island. A put blocks a worker for two syncs: the pool
// wants at least two threads per island.
//
// read_marker(): not_found also if PATH itself does not exist while its parent does, so that a new place can be joined; a PATH that
// cannot be read is unavailable.
std::unique_ptr<Island> make_dir_island(std::string id, std::string path, io::Workers& workers);

}  // namespace archipel::island
