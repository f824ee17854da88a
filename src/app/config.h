// Config: archipel.toml, read once and checked whole. Unknown keys are errors with line and column: a typo never becomes a default.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "edge/config.h"
#include "erasure/coder.h"

namespace archipel::app {

struct IslandConfig {
  std::string id;        // 1..63 of a-z 0-9 -
  std::string path;      // type "dir": the directory, absolute or relative to the config file
  std::string provider;  // who stores for us; free text
  std::string place, operator_,
      parent;  // ISO 3166-1 alpha-2: where the data lie, where the provider is incorporated, who controls it
};

struct TlsConfig {
  std::vector<std::string> hosts;  // lower case: "s3.example.org", "*.s3.example.org", "*"
  std::string cert, key;           // PEM files: the chain, leaf first; the leaf's key
  std::string where;               // "archipel.toml:12:1", for messages
};

struct Config {
  std::string file;             // the path it was read from, for messages
  std::string dir;              // [realm] dir: index/, head, lock. Default: the config file's directory
  erasure::Code code;           // [realm] code = [n, k]. Default [6, 3]; n = number of islands
  std::string keyring_path;     // [keyring] path. Default "keyring"
  std::string passphrase_file;  // [keyring] passphrase_file; empty = environment ARCHIPEL_PASSPHRASE
  std::string listen = "127.0.0.1:9000";  // [listen] http
  std::optional<std::string> tls_listen;  // [listen] https: S3 over TLS, beside http
  std::vector<TlsConfig> tls;             // [[tls]]; the first is shown to clients that name nobody we know
  std::optional<std::string>
      admin_listen;  // [listen] admin: /metrics, /healthz, /readyz on an address of their own
  std::string region = "archipel-1";               // [s3] region
  std::string virtual_host_base = "s3.localhost";  // [s3] virtual_host_base
  bool sigv2 = false;                              // [s3] sigv2: take Signature Version 2 too
  struct Website {                                 // [website]: buckets as websites (door/site)
    std::optional<std::string> http, https;        // addresses; none: no websites
    std::string domain = "website.localhost";      // BUCKET.DOMAIN; other hosts are buckets of that name
  } website;
  std::optional<edge::Config>
      edge;  // [edge]: an edge in this process, in front of the websites (edge/config.h)
  std::optional<std::string>
      credentials_file;  // [owner] credentials_file: the first account, in the form of an AWS credentials file
  int threads = 0;       // [limits] threads: loops; 0 = one per core (at most 64)
  int memory_budget_mib = 512;     // [limits] memory_budget_mib: bodies in flight, 64..1048576
  int connections_max = 10'000;    // [limits] connections: client connections, 16..1000000
  int upload_rate_min = 1024;      // [limits] upload_bytes_per_second_min: 0 (no limit)..1 GiB
  std::string log_level = "info";  // [log] level: debug | info | warn | error
  bool log_json = false;           // [log] format: "logfmt" | "json"
  struct Collection {              // [collection]: when what is not needed any more is deleted at the islands
    int interval_s = 60;           // between two rounds; compaction: ten times that
    int grace_s = 24 * 3600;       // from a delete or overwrite to the DELETEs at islands
    int repeat_s = 7 * 24 * 3600;  // from those to their repetition
    int truncation_delay_s = 86'400;  // how long a newer snapshot must have been safe before old commits go
    int snapshot_mib = 256;           // of journal between two snapshots, at least
    int compact_mib = 16;             // what a pass of compaction must gain, at least
  } collection;
  struct Lifecycle {           // [lifecycle]: when the lifecycle rules of buckets are acted on
    int interval_s = 3600;     // between two rounds
    int day_seconds = 86'400;  // how long a rule's day is; shorter for tests only
  } lifecycle;
  int access_log_interval_s = 300;    // [access_log] interval_s: from a request to its record's delivery
  std::vector<IslandConfig> islands;  // [[island]], in shard order
};

// Reads and checks `file`. Errors: not_found, invalid ("archipel.toml:12:3: unknown key …"), io.
Result<Config> load_config(const std::string& file);

}  // namespace archipel::app
