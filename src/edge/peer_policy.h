// [peers]: the other edges of a node. Values.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "edge/policy.h"

namespace archipel::edge {

struct PeerPolicy {
  std::string self;                   // how the others reach this edge: "http://10.0.0.1:8002"
  std::vector<OriginAddress> list;    // the edges that share the cache, this one left out; empty: none do
  std::vector<OriginAddress> shield;  // edges that are asked instead of the origins; empty: none
  std::vector<OriginAddress> purge;   // further edges that are told what is purged here
  std::string log_dir;                // where what they have yet to hear is kept; empty: nowhere
  std::string token;                  // by which they know each other; never empty if there is anybody else
  Duration interval = std::chrono::seconds(1);  // between checks of each
  int hot_requests = 16;  // of a key that is another's, within ten seconds: from then on a copy is kept here
  Duration hot_time = std::chrono::seconds(10);  // for so long
  // Whether anybody is told what is purged here.
  bool somebody() const { return !list.empty() || !shield.empty() || !purge.empty(); }
  bool used() const { return !list.empty() || !shield.empty(); }
  bool operator==(const PeerPolicy&) const = default;
};

}  // namespace archipel::edge
