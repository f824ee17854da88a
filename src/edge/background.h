// Background: what runs on a node's loops beside requests: health checks, and tries that lost a race. One for a node; it outlives all that spawn into it.
#pragma once

#include <memory>
#include <vector>

#include "io/loop.h"
#include "io/sync.h"

namespace archipel::edge {

class Background {
 public:
  explicit Background(const std::vector<io::Loop*>& loops);
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // The scope of the calling loop, which is one of `loops`.
  io::TaskScope& here();
  // Waits until nothing runs on any of them. Whoever spawned is told to stop before. On one of the loops; before destruction, if anything was spawned.
  io::Task<void> close();

 private:
  struct OfLoop {
    io::Loop* loop;
    io::TaskScope scope;
  };
  std::vector<std::unique_ptr<OfLoop>> loops_;
};

}  // namespace archipel::edge
