// Peers: edges that share a cache, and shields in front of origins.
//
// Every key has an owner among the edges that are alive (rendezvous hashing with bounded loads, pick.h): whoever is asked for what it does not hold asks the
// owner, and the owner asks the shield or the origin. So each object is fetched once for all edges, and one that leaves or joins moves only its
// own keys. What belongs to another is not kept here, until it is hot: then for a short time, so that no key can overload its owner.
//
// A request between edges says so: "archipel-peer: TOKEN" makes it one, and CDN-Loop (RFC 8586), which every request carries that leaves an edge, keeps it
// from going round: what came from an edge of ours is not passed to another owner, and what has passed kHopsMax of them is refused.
//
// A peer that does not answer is no failure: the origin is asked instead, at once; after one interval of checks nobody asks that peer any more.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "edge/balance.h"
#include "edge/peer_policy.h"
#include "edge/pick.h"

namespace archipel::edge {

inline constexpr std::string_view kPeerField = "archipel-peer";  // request: the token
inline constexpr std::string_view kPeerPath =
    "/.archipel/peer";              // answered 204 by an edge that serves, 503 by one that drains
inline constexpr int kHopsMax = 3;  // edges of ours that a request may have passed

// What CDN-Loop calls the edges that share a token; without one, `name`.
std::string loop_name(std::string_view token, const std::string& name);
// How often `name` stands in the CDN-Loop fields of a request.
int times_in_loop(const http::Headers& headers, std::string_view name);
// Adds it.
void add_to_loop(http::Headers& headers, std::string_view name);
// Constant time in the token's content. False without a token.
bool is_peer_token(std::string_view given, std::string_view token);

// How often each key was asked for in the last ten seconds, about: a table of fixed size in which keys share places rarely. Any thread.
class HotKeys {
 public:
  explicit HotKeys(int threshold) : threshold_(static_cast<uint32_t>(threshold)) {}
  // True from the threshold on.
  bool count(uint64_t key_hash, TimePoint now);

 private:
  static constexpr size_t kPlaces = 8192;
  static constexpr int64_t kSpanSeconds = 10;
  const uint32_t threshold_;
  // Span in the upper half, count in the lower.
  std::array<std::atomic<uint64_t>, kPlaces> places_{};
};

struct PeerStats {
  std::atomic<int64_t> asked = 0, failed = 0, hot = 0, own = 0, shielded = 0;
};

// One for all sites of a node. Any of its loops.
class Peers {
 public:
  // `name`: what CDN-Loop calls us.
  // `need`: what has to be known to an edge that answers (PurgeRelay::need); none: nothing.
  Peers(PeerPolicy policy, std::string name, BalanceParts parts, const Peers* before,
        std::function<std::string()> need = {});
  const PeerPolicy& policy() const { return policy_; }
  const PeerStats& stats() const { return stats_; }
  const Balancer* ring() const { return ring_.get(); }
  const Balancer* shield() const { return shield_.get(); }

 private:
  friend class PeeredUpstream;
  bool is_own(std::string_view hash_key);
  FetchRequest for_peer(const FetchRequest& request) const;

  const PeerPolicy policy_;
  const std::string name_;
  const std::function<std::string()> need_;
  std::unique_ptr<Balancer> ring_, shield_;  // null: none
  Rendezvous nodes_;                         // the ring's origins by number, then this edge
  HotKeys hot_;
  std::atomic<int> own_in_flight_ = 0;
  PeerStats stats_;
};

// `inner`: the origins. Requests that have no key, a body, or are not for all (other methods than GET and HEAD) go there.
std::shared_ptr<Upstream> peered(std::shared_ptr<Peers> peers, std::shared_ptr<Upstream> inner);

}  // namespace archipel::edge
