// What balancers and peers tell of themselves, as Prometheus text. Internal to the admin interface.
#pragma once

#include <string>

#include "edge/balance.h"
#include "edge/peers.h"

namespace archipel::edge {

// Families must stay together: lines are collected by family over all pools.
class BalanceText {
 public:
  BalanceText();
  // `pool`: the site's name, "(peers)" or "(shield)".
  void add(const std::string& pool, const Balancer& balancer);
  void add(const PeerStats& stats);
  std::string text() const;

 private:
  std::string state_, share_, in_flight_, latency_, events_, queue_, peers_;
};

}  // namespace archipel::edge
