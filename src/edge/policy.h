// Policy: what one [[site]] of the configuration asks for. Values: read once, checked whole, then immutable and shared by all loops.
//
// What is decided where, in the order of a request:
//   gate.h       before the cache: methods, sizes, redirects, signed URLs, country, rates
//   serve.h      in the cache: CachePolicy
//   site.h       on the way to the origin and back: forwarding fields, HeaderPolicy, CompressPolicy. What is stored is what it returns, so that a
//                hit needs no editing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "edge/balance_policy.h"
#include "edge/serve.h"

namespace archipel::edge {

// "/a/*" and the like: '*' stands for any bytes, also none and also '/'; everything else for itself. Matches paths as they came (without query).
// Cost: pattern times path, at most.
bool glob_matches(std::string_view pattern, std::string_view text);
// What the stars stood for; false: no match.
bool glob_captures(std::string_view pattern, std::string_view text, std::vector<std::string_view>& stars);

// [[site.ttl]]: the first rule that matches a response replaces its freshness lifetime, whatever the origin said, as a targeted field does
// (RFC 9213; kTtlField). What says no-store, private or no-cache is left alone unless the rule says `override`.
struct TtlRule {
  std::vector<int> statuses;  // empty: those that are heuristically cacheable (RFC 9110 §15.1)
  std::string path = "*";     // glob
  std::string type;           // "text/html", "image/*"; empty: all
  int64_t ttl_ms = 0;         // 0: not stored
  bool override_ = false;     // key `override`
};
// What a rule decided, from edit_response() to the cache: first among CachePolicy::targeted.
inline constexpr std::string_view kTtlField = "archipel-cache-control";

struct HeaderEdit {
  std::string name, value;  // name in lower case
};
// [site.headers]: removed first, then set (replacing), then added. Hop-by-hop fields, content-length and host cannot be named.
struct HeaderPolicy {
  std::vector<std::string> request_remove, response_remove;
  std::vector<HeaderEdit> request_set, response_set, response_add;
  bool security =
      false;  // nosniff, referrer-policy, frame-options and (over TLS) HSTS, where the origin says nothing about them
};

// [[site.redirect]]: the first whose path matches answers. `to` may hold $1…$9, the stars of `path`; the query is kept.
struct RedirectRule {
  std::string path, to;
  int status = 301;
};

// [site.signed]: paths that are served only with a signature (signed_url.h).
struct SignedPolicy {
  std::vector<std::string> paths;  // globs; empty: none needs one
  std::vector<std::string>
      keys;  // secrets; any of them may have signed, so that they can be changed one after the other
};

// [site.limit]
struct LimitPolicy {
  std::vector<std::string> methods;        // empty: all but CONNECT and TRACE, which are never passed on
  std::optional<uint64_t> body_bytes_max;  // of requests
  double rate = 0, burst = 0;              // requests/s per client address (IPv6: per /64); 0: no limit
  std::string key_header;                  // for clients that name themselves so, instead of the address
  double key_rate = 0, key_burst = 0;
};

// [site.geo]
struct GeoPolicy {
  std::vector<std::string> allow,
      deny;  // ISO 3166-1 alpha-2; with `allow`, all others are denied, unknown ones too
  std::string
      header;  // the request field that carries the country to the origin (and to [site.key] headers); lower case
  bool used() const { return !allow.empty() || !deny.empty() || !header.empty(); }
};

// [site.compress]: responses that come uncompressed are stored and served compressed, one variant for each coding that clients take.
struct CompressPolicy {
  bool on = false;
  std::vector<std::string> types;  // "text/*", "application/json"
  uint64_t bytes_min = 1024;       // smaller ones stay as they are
  bool precompressed = false;      // ask the origin for PATH.br, PATH.zst, PATH.gz first
};

struct OriginAddress {
  bool secure = false;  // https
  std::string host;     // name or address; IPv6 without brackets
  uint16_t port = 80;
  std::string url;  // "http://127.0.0.1:8000", for logs and metrics
  std::string authority() const { return url.substr(url.find("://") + 3); }  // for Host
  bool operator==(const OriginAddress&) const = default;
};

// How the origins are reached; two equal ones may share connections.
struct OriginPolicy {
  std::vector<OriginAddress> origins;
  bool local =
      false;  // `origins = ["local"]`, and nobody else: the websites of the gateway that this edge is in
  std::string host_header;  // instead of the client's Host; empty: as the client said
  Duration connect_timeout = std::chrono::seconds(3);
  Duration response_timeout =
      std::chrono::seconds(30);  // to the head of the response; then between two bytes of its body
  int connections_max = 256;     // to each origin, of one loop
  int idle_max = 32;             // kept open, of one loop
  Duration idle_timeout = std::chrono::seconds(30);
  std::string ca_file;  // PEM; empty: the system's
  BalancePolicy balance;
  HealthPolicy health;
  RetryPolicy retry;
  bool operator==(const OriginPolicy&) const = default;
};

struct SitePolicy {
  std::string name;                // for logs, metrics, purges; unique
  std::vector<std::string> hosts;  // "www.example.org", "*.example.org", "*"
  bool https_only = false;         // requests without TLS are redirected
  OriginPolicy origin;
  CachePolicy cache;  // serve.h; with the key
  std::vector<TtlRule> ttl_rules;
  HeaderPolicy headers;
  std::vector<RedirectRule> redirects;
  SignedPolicy signed_;
  LimitPolicy limit;
  GeoPolicy geo;
  CompressPolicy compress;
};

}  // namespace archipel::edge
