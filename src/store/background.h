// Background: tasks that outlive the request that began them, such as the read-ahead of a GET whose client has gone. One scope per
// loop, so that no task is ever detached. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "io/sync.h"

namespace archipel::store {

class Background {
 public:
  // Adopts a task of the current loop.
  void spawn(io::Task<void> task);
  // Waits for everything adopted so far, on every loop; resumes on the caller's. The loops must be running.
  io::Task<void> drain();

 private:
  struct Room {
    io::TaskScope scope;
    std::atomic<int> active{0};
  };
  static io::Task<void> counted(io::Task<void> task, Room* room);

  std::mutex mutex_;
  std::unordered_map<io::Loop*, std::unique_ptr<Room>> rooms_;  // never shrinks: as many as there are loops
};

}  // namespace archipel::store
