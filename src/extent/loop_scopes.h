// LoopScopes: background tasks of an object that is used from several loops, each task owned by a TaskScope of its loop.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "io/sync.h"

namespace archipel::extent {

// Destroy only after drain(), or after the loops that spawned tasks have stopped with nothing under way (CHECK in TaskScope).
class LoopScopes {
 public:
  // Keeps `task`, which was started on the current loop, until it finishes. Any loop.
  void spawn(io::Task<void> task);
  // Waits until nothing is under way on any loop; those loops must be running. Any loop; resumes there.
  io::Task<void> drain();

 private:
  struct PerLoop {
    io::TaskScope scope;
    std::atomic<int> running{0};  // read by drain() from other threads, where scope.active() may not be
  };
  static io::Task<void> counted(PerLoop& loop, io::Task<void> task);

  std::mutex mutex_;
  std::map<io::Loop*, std::unique_ptr<PerLoop>> loops_;  // one entry per loop of the process; never shrinks
};

}  // namespace archipel::extent
