// Config: the file of `archipel edge --config`, TOML, read once and checked whole. An unknown key, a value out of its range or a contradiction is
// an error with file, line and column; nothing is guessed.
//
// Sizes are texts such as "256M", times such as "10s". Paths are relative to the file's directory.
//
//   [listen]   http, https = "ADDR:PORT"
//   [[tls]]    hosts = ["www.example.org"], cert, key = PEM files; the first is shown to clients that name nobody we know
//   [cache]    memory = "256M", disk = DIR, disk_size = "10G", disk_write_rate = "50M" (a second; none: no bound)
//   [admin]    listen = "ADDR:PORT", token_file = FILE (0600): /metrics, /healthz, /readyz, and with the token /purge, /sites, /drain
//   [log]      level = debug|info|warn|error, format = logfmt|json; access = "off"|"stdout"|FILE, access_format = json|logfmt,
//              access_buffer = "4M": lines that wait to be written; more are dropped and counted
//   [limits]   threads (0: one per core), connections, header_timeout, idle_timeout, body_timeout, drain_timeout, upload_bytes_per_second_min,
//              rate_table = 65536 (clients that rates are kept of), reader_memory (held for those who read slowly;
//              as much as [cache] memory, at least 256M)
//   [proxy]    name = "archipel" (in Via and Cache-Status), trust = ["10.0.0.0/8"]: peers whose X-Forwarded-* are believed; take_over = DIR: where
//              edge.sock lies, through which a successor gets the listening sockets; geo_database = FILE (MaxMind's format)
//   [peers]    self = "http://10.0.0.1:8002", list = [URL]: edges that share the cache, each the owner of some keys; shield = [URL]: edges that are
//              asked instead of the origins; purge = [URL]: further ones that are told what is purged here; log = DIR: where what they have
//              yet to hear is kept ("peers" in [cache] disk, if there is one); token_file = FILE (0600), the same on all; interval, hot_requests, hot_time
//   [[site]]   name, hosts, origins = ["http://10.0.0.1:8000"], host_header, https_only, connect_timeout, response_timeout, origin_connections,
//              origin_idle, origin_idle_timeout, ca_file
//     [site.balance]    algorithm = ewma|round-robin|least-requests|hash, weights = [3, 1], hash_bound, decay, slow_start, requests, queue,
//                       queue_timeout, whole_timeout
//     [site.health]     path = "/health" (none: no checks), method, host, status_min, status_max, interval, timeout, rise, fall, failures,
//                       ejection, ejection_max, ejected_max, outliers, panic
//     [site.retry]      tries, budget, budget_min, try_timeout, statuses, hedge, hedge_budget, hedge_min
//     [site.cache]      on, heuristic, heuristic_max, default_ttl, negative_ttl, stale_while_revalidate, stale_if_error, hit_for_miss,
//                       client_directives, normalise_languages, slices, status_field, object_max
//     [[site.ttl]]      status = [404], path = "/img/*", type = "image/*", ttl = "1h", override
//     [site.key]        query = "all" | ["id"], ignore = ["utm_source"], sort, headers = ["x-country"], host
//     [site.headers]    request_set, response_set, response_add = ["name: value"], request_remove, response_remove = ["name"], security
//     [[site.redirect]] path, to, status
//     [site.signed]     paths = ["/private/*"], key_files = [FILE]
//     [site.limit]      methods, body, rate, burst (requests a second, per address), key_header, key_rate, key_burst
//     [site.geo]        allow, deny = ["FR"], header = "x-country"
//     [site.compress]   on, types, minimum, precompressed
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "edge/address.h"
#include "edge/cache.h"
#include "edge/peer_policy.h"
#include "edge/policy.h"
#include "http/limits.h"

namespace archipel {
struct TomlValue;
}

namespace archipel::edge {

inline constexpr size_t kConfigBytesMax = 1u << 20;
inline constexpr size_t kSitesMax = 10'000;
inline constexpr size_t kHostsMax = 1000;  // of one site
inline constexpr size_t kOriginsMax = 64;  // of one site
inline constexpr size_t kRulesMax = 1000;  // of one kind, of one site
inline constexpr size_t kListMax = 256;    // values of other lists
inline constexpr size_t kTlsTablesMax = 10'000;

struct TlsTable {
  std::vector<std::string> hosts;
  std::string cert, key;
  std::string where;  // "edge.toml:12:1"
};

struct AccessLogConfig {
  std::string path;  // empty: off; "-": stdout
  bool json = true;
  size_t buffer_bytes = 4u << 20;
};

struct Config {
  std::string file;
  std::string listen;  // empty: only https
  std::optional<std::string> tls_listen;
  std::vector<TlsTable> tls;
  CacheConfig cache;
  std::string admin_listen;      // empty: none
  std::string admin_token_file;  // empty: only what needs no token
  std::string log_level = "info";
  bool log_json = false;
  AccessLogConfig access;
  int threads = 0;
  int rate_clients_max = 65'536;
  http::Limits limits;
  uint64_t reader_bytes = 0;  // reader_memory.h; never 0 once it is loaded
  std::string name = "archipel";
  std::vector<AddressRange> trust;
  std::string take_over_dir;  // empty: none
  std::string geo_database;
  PeerPolicy peers;
  std::vector<SitePolicy> sites;  // never empty
};

// Blocks on files. not_found, invalid, limit, io.
Result<Config> load_config(const std::string& file);
// [edge] of a gateway's archipel.toml, `table`: the same tables, but for what is the gateway's: its threads, its log, its certificates, its end. Sites may have
// `origins = ["local"]`; without a site, all hosts are local. Paths are relative to `base`.
Result<Config> read_inner_config(const TomlValue& table, const std::string& file, const std::string& base);
// From its text; what it names is read too (the keys of signed URLs). `base`: the directory that paths are relative to.
Result<Config> parse_config(std::string_view text, const std::string& file, const std::string& base);

}  // namespace archipel::edge
