// Directory island: blobs as files under one directory, on any local or mounted file system.
//
//   PATH/marker            the marker (island/marker.h)
//   PATH/ab/ab12…(40 hex)  a blob; 256 fan-out directories are made when the island joins, so a put syncs exactly one of them
//   PATH/tmp/…             files being written; leftovers of a crash are removed by the next process that reads the marker
//
// Files are 0600, directories 0700. Each operation is one job on a thread of the island's own lane, with blocking system calls; only a small get() of what the kernel
// has in memory is answered on the loop (openat2 with RESOLVE_CACHED, preadv2 with RWF_NOWAIT; Linux 5.12, else always on a thread). A put is durable when it succeeds:
// temporary file, write, fdatasync, rename without replacement, fsync of the fan-out directory.
//
// Without marker the island is lost: every operation is `unavailable` and names the island and the path; nothing is ever recreated but by
// write_marker(). A full disk is `unavailable`.
//
// A system call under way (an fsync) cannot be interrupted, and on a dead mount it never comes back: at its deadline an operation ends with
// `timeout` all the same, and the call stays behind on its thread with copies of what it needs; it may take effect later. While all threads of
// the island hang, and when too much is under way, operations are `unavailable` at once. Nothing of this touches other islands.
#pragma once

#include <memory>
#include <string>

#include "island/island.h"
#include "island/lane.h"

namespace archipel::island {

// `path` need not exist before write_marker(); its parent must. The island's threads are its own. The
// destructor waits for them only as long as `limits` says.
//
// read_marker(): not_found also if PATH itself does not exist while its parent does, so that a new place can be joined; a PATH that
// cannot be read is unavailable, and so is one whose marker is there while fan-out directories are missing.
std::unique_ptr<Island> make_dir_island(std::string id, std::string path, LaneLimits limits = {});

}  // namespace archipel::island
