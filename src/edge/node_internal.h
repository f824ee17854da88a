// What the sources of Node share. Internal to src/edge.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "edge/node.h"

namespace archipel::edge {

// What belongs to one loop.
struct Node::Core {
  size_t index = 0;
  io::Loop* loop = nullptr;
  std::shared_ptr<const Snapshot> snapshot;
  std::unique_ptr<Front> front;
};

// A request as it went.
struct Node::Account {
  TimePoint began{};
  UnixMs began_ms = 0;
  std::string client;
  std::string_view site, how;
  size_t how_index = SiteStats::kHows - 1;  // the gate's, until it is served
  SiteStats* stats = nullptr;
  Served served;

  void take(Served&& outcome) {
    served = std::move(outcome);
    served_as(served.how);
  }
  void served_as(Served::How outcome) {
    how_index = static_cast<size_t>(outcome);
    how = SiteStats::kNames[how_index];
  }
};

}  // namespace archipel::edge
