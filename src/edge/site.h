// PolicySite: a Site as the configuration describes it: how its requests look to the origin, and its responses to the cache.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge/address.h"
#include "edge/policy.h"

namespace archipel::edge {

class Peers;

// What is the same for all sites of a node.
struct ProxyPolicy {
  std::string name = "archipel";       // in Via
  std::vector<AddressRange> trust;     // peers whose X-Forwarded-* are believed
  std::string loop_name = "archipel";  // in CDN-Loop: the same for all edges that know each other
  std::string peer_token = {};  // of requests of other edges (peers.h), believed too; empty: there are none
};

// Of one site, over all reloads.
struct SiteStats {
  static constexpr size_t kHows = 8;  // Served::How, and last what the gate answered
  static constexpr std::string_view kNames[kHows] = {"hit",  "stale", "validated", "joined",
                                                     "miss", "pass",  "refused",   "policy"};
  std::atomic<uint64_t> requests[kHows] = {};
  std::atomic<uint64_t> client_bytes = 0, saved_bytes = 0, origin_bytes = 0;
};

class PolicySite final : public Site {
 public:
  PolicySite(SitePolicy policy, std::shared_ptr<const ProxyPolicy> proxy, std::shared_ptr<Upstream> upstream,
             std::shared_ptr<SiteStats> stats, std::shared_ptr<Peers> peers = nullptr);

  const SitePolicy& policy() const { return policy_; }
  const std::string& name() const override { return policy_.name; }
  const CachePolicy& cache() const override { return policy_.cache; }
  Upstream& upstream() const override { return *whole_; }
  const std::shared_ptr<Upstream>& shared_upstream() const { return upstream_; }
  const std::shared_ptr<SiteStats>& stats() const { return stats_; }
  // Target as it is; end-to-end fields; Host, Via, X-Forwarded-* and the normalised Accept-Encoding as we say them; without what only some
  // servers take for the method or the target (X-HTTP-Method-Override, X-Original-URL and their like), which would poison what is stored.
  FetchRequest origin_request(const http::Request& request) const override;
  void edit_response(const http::Request& request, int status, http::Headers& headers) const override;
  Duration fetch_timeout() const override { return policy_.origin.response_timeout; }

 private:
  std::string public_host(const http::Request& request) const;
  bool is_the_edges(std::string_view name) const;
  void apply_ttl(const http::Request& request, int status, http::Headers& headers) const;

  const SitePolicy policy_;
  const std::shared_ptr<const ProxyPolicy> proxy_;
  const std::shared_ptr<Upstream> upstream_, whole_;  // the origins; with peers and compression around them
  const std::shared_ptr<SiteStats> stats_;
};

// Sites by host: exact names, then the longest "*.suffix" (any number of labels in place of the star), then "*".
class SiteTable {
 public:
  void add(std::shared_ptr<const PolicySite> site);
  // `host` as in the request: any case, maybe with a port. nullptr: none.
  const std::shared_ptr<const PolicySite>* find(std::string_view host) const;
  const std::vector<std::shared_ptr<const PolicySite>>& all() const { return sites_; }

 private:
  std::vector<std::shared_ptr<const PolicySite>> sites_;
  std::vector<std::pair<std::string, size_t>> exact_, suffixes_;  // sorted
  std::optional<size_t> any_;
};

// Codings that we make: best first among those a client takes. "br", "zstd", "gzip", or "" (identity).
std::string_view best_coding(const http::Headers& request);

}  // namespace archipel::edge
