#include "app/config.h"

#include <fmt/format.h>
#include <filesystem>
#include <set>

#include "base/text_file.h"
#include "base/toml.h"
#include "exposure/facts_file.h"

namespace archipel::app {
namespace {

constexpr size_t kConfigBytesMax = 1u << 20;
constexpr size_t kTlsTablesMax = 1000;
constexpr std::string_view kTopLevel = "the top level";

// Facts about islands and their owner stand in the same tables; who reads them checks them (exposure/facts_file.h).
void leave_facts(TomlTable& table) {
  std::string_view name = table.name();  // "[owner]", "[[island]]"
  const bool top = name == kTopLevel;
  name.remove_prefix(std::min(name.find_first_not_of('['), name.size()));
  name = name.substr(0, name.find(']'));
  for (const TomlEntry& entry : table.value().entries) {
    const bool fact = top ? exposure::is_facts_table(entry.key) : exposure::is_facts_key(name, entry.key);
    if (fact) table.take(entry.key);
  }
}
Result<void> finish(TomlTable& table) {
  leave_facts(table);
  return table.finish();
}

bool is_island_id(const std::string& id) {
  if (id.empty() || id.size() > 63 || id.front() == '-') return false;
  for (char c : id)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  return true;
}

bool is_state(const std::string& cc) {
  return cc.size() == 2 && cc[0] >= 'A' && cc[0] <= 'Z' && cc[1] >= 'A' && cc[1] <= 'Z';
}

// A DNS name, "*." before one, or "*".
bool is_host_pattern(std::string_view host) {
  if (host == "*") return true;
  if (host.starts_with("*.")) host.remove_prefix(2);
  if (host.empty() || host.size() > 253 || host.front() == '.' || host.back() == '.') return false;
  for (size_t i = 0; i < host.size(); ++i) {
    char c = host[i];
    bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (!fits || (c == '.' && host[i - 1] == '.')) return false;
  }
  return true;
}

struct Loader {
  const std::string& file;
  std::filesystem::path base;
  Config config;

  std::string resolve(const std::string& path) const {
    return (base / path).lexically_normal().string();  // an absolute path stays as it is
  }

  // Hands the table `name` (or an empty one) to `read`.
  template <class F>
  Result<void> section(TomlTable& root, std::string_view name, F read) {
    const TomlValue* node = root.take(name);
    if (node == nullptr) return {};
    if (!node->is(TomlValue::Kind::table))
      return root.error(*node, fmt::format("`{}` must be a table: [{}]", name, name));
    TomlTable section(file, *node, fmt::format("[{}]", name));
    RETURN_IF_ERROR(read(section));
    return finish(section);
  }

  Result<void> realm(TomlTable& t) {
    std::string dir;
    RETURN_IF_ERROR(t.text("dir", dir));
    if (!dir.empty()) config.dir = resolve(dir);
    const TomlValue* node = t.take("code");
    if (node == nullptr) return {};
    const std::vector<TomlValue>& pair = node->items;
    if (pair.size() != 2 || !pair[0].is(TomlValue::Kind::integer) || !pair[1].is(TomlValue::Kind::integer))
      return t.error(*node, "`code` must be [n, k], such as [6, 3]");
    int64_t n = pair[0].integer, k = pair[1].integer;
    bool in_range = n > 0 && n < 256 && k > 0 && k < 256;
    if (in_range) config.code = {static_cast<int>(n), static_cast<int>(k)};
    Result<void> admitted = in_range ? erasure::check_code(config.code) : fail(Code::invalid, "");
    if (!admitted)
      return t.error(
          *node, fmt::format("code [{}, {}] is not admitted; choose [4, 2], [5, 3], [6, 3], [7, 4] or [9, 6]",
                             n, k));
    return {};
  }

  Result<void> log(TomlTable& t) {
    RETURN_IF_ERROR(t.text("level", config.log_level));
    static const std::set<std::string> kLevels = {"debug", "info", "warn", "error"};
    if (!kLevels.contains(config.log_level))
      return t.error(*t.take("level"), "`level` must be debug, info, warn or error");
    std::string format = "logfmt";
    RETURN_IF_ERROR(t.text("format", format));
    if (format != "logfmt" && format != "json")
      return t.error(*t.take("format"), "`format` must be logfmt or json");
    config.log_json = format == "json";
    return {};
  }

  Result<void> island(TomlTable& t) {
    IslandConfig island;
    std::string type;
    RETURN_IF_ERROR(t.text("id", island.id, true));
    if (!is_island_id(island.id))
      return t.error(*t.take("id"), "`id` must be 1 to 63 characters of a-z, 0-9 and -, not starting with -");
    RETURN_IF_ERROR(t.text("type", type, true));
    if (type != "dir")
      return t.error(*t.take("type"),
                     fmt::format("island type \"{}\" is unknown; this version has \"dir\"", type));
    RETURN_IF_ERROR(t.text("path", island.path, true));
    island.path = resolve(island.path);
    RETURN_IF_ERROR(t.text("provider", island.provider));
    for (auto [key, out] :
         {std::pair{"place", &island.place}, {"operator", &island.operator_}, {"parent", &island.parent}}) {
      RETURN_IF_ERROR(t.text(key, *out));
      if (!out->empty() && !is_state(*out))
        return t.error(*t.take(key),
                       fmt::format("`{}` must be an ISO 3166-1 alpha-2 code such as \"DE\"", key));
    }
    for (const IslandConfig& other : config.islands) {
      if (other.id == island.id) return t.error(fmt::format("island id \"{}\" is used twice", island.id));
      if (other.path == island.path)
        return t.error(fmt::format("islands \"{}\" and \"{}\" share the directory {}", other.id, island.id,
                                   island.path));
    }
    config.islands.push_back(std::move(island));
    return {};
  }

  Result<void> islands(TomlTable& root) {
    const TomlValue* node = root.take("island");
    if (node == nullptr || !node->is(TomlValue::Kind::array))
      return root.error(fmt::format("no islands: add {} [[island]] tables", config.code.n));
    for (const TomlValue& item : node->items) {
      if (!item.is(TomlValue::Kind::table)) return root.error(item, "`island` must be tables: [[island]]");
      TomlTable t(file, item, "[[island]]");
      RETURN_IF_ERROR(island(t));
      RETURN_IF_ERROR(finish(t));
    }
    if (config.islands.size() != static_cast<size_t>(config.code.n))
      return root.error(*node,
                        fmt::format("code [{}, {}] needs exactly {} islands, {} are given", config.code.n,
                                    config.code.k, config.code.n, config.islands.size()));
    return {};
  }

  Result<void> tls_hosts(TomlTable& t, TlsConfig& tls) {
    const TomlValue* node = t.take("hosts");
    if (node == nullptr) return t.error("[[tls]] needs the key `hosts`");
    if (node->items.empty())
      return t.error(*node,
                     "`hosts` must be a list of names, such as [\"s3.example.org\", \"*.s3.example.org\"]");
    for (const TomlValue& item : node->items) {
      std::string host = item.is(TomlValue::Kind::text) ? item.text : "";
      for (char& c : host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      if (!is_host_pattern(host))
        return t.error(item, "a host is a name such as \"s3.example.org\", \"*.s3.example.org\" or \"*\"");
      tls.hosts.push_back(std::move(host));
    }
    return {};
  }

  Result<void> tls(TomlTable& root) {
    const TomlValue* node = root.take("tls");
    if (node == nullptr) {
      const bool edge = config.edge && config.edge->tls_listen;
      if (config.tls_listen || config.website.https || edge)
        return root.error(
            fmt::format("[{}] https needs a certificate: add a [[tls]] table with hosts, cert and key",
                        config.tls_listen      ? "listen"
                        : config.website.https ? "website"
                                               : "edge.listen"));
      return {};
    }
    if (!node->is(TomlValue::Kind::array)) return root.error(*node, "`tls` must be tables: [[tls]]");
    if (!config.tls_listen && !config.website.https && !(config.edge && config.edge->tls_listen))
      return root.error(
          *node, "[[tls]] is for https in [listen], [website] or [edge.listen], and none of them is set");
    if (node->items.size() > kTlsTablesMax)
      return root.error(*node, fmt::format("at most {} [[tls]] tables are read", kTlsTablesMax));
    for (const TomlValue& item : node->items) {
      if (!item.is(TomlValue::Kind::table)) return root.error(item, "`tls` must be tables: [[tls]]");
      TomlTable t(file, item, "[[tls]]");
      TlsConfig one;
      one.where = t.where();
      RETURN_IF_ERROR(tls_hosts(t, one));
      RETURN_IF_ERROR(t.text("cert", one.cert, true));
      RETURN_IF_ERROR(t.text("key", one.key, true));
      RETURN_IF_ERROR(finish(t));
      one.cert = resolve(one.cert);
      one.key = resolve(one.key);
      config.tls.push_back(std::move(one));
    }
    return {};
  }

  Result<void> load(const TomlValue& document) {
    TomlTable root(file, document, std::string(kTopLevel));
    config.keyring_path = "keyring";
    RETURN_IF_ERROR(section(root, "realm", [&](TomlTable& t) { return realm(t); }));
    RETURN_IF_ERROR(section(root, "keyring", [&](TomlTable& t) -> Result<void> {
      RETURN_IF_ERROR(t.text("path", config.keyring_path));
      RETURN_IF_ERROR(t.text("passphrase_file", config.passphrase_file));
      return {};
    }));
    RETURN_IF_ERROR(section(root, "listen", [&](TomlTable& t) -> Result<void> {
      std::string admin;
      RETURN_IF_ERROR(t.text("http", config.listen));
      std::string https;
      RETURN_IF_ERROR(t.text("https", https));
      if (!https.empty()) config.tls_listen = https;
      RETURN_IF_ERROR(t.text("admin", admin));
      if (!admin.empty()) config.admin_listen = admin;
      return {};
    }));
    RETURN_IF_ERROR(section(root, "s3", [&](TomlTable& t) -> Result<void> {
      RETURN_IF_ERROR(t.text("region", config.region));
      RETURN_IF_ERROR(t.text("virtual_host_base", config.virtual_host_base));
      RETURN_IF_ERROR(t.truth("sigv2", config.sigv2));
      return {};
    }));
    RETURN_IF_ERROR(section(root, "website", [&](TomlTable& t) -> Result<void> {
      std::string clear, secure;
      RETURN_IF_ERROR(t.text("http", clear));
      RETURN_IF_ERROR(t.text("https", secure));
      RETURN_IF_ERROR(t.text("domain", config.website.domain));
      if (!clear.empty()) config.website.http = clear;
      if (!secure.empty()) config.website.https = secure;
      return {};
    }));
    if (const TomlValue* table = root.take("edge"); table != nullptr) {
      if (!table->is(TomlValue::Kind::table))
        return root.error(*table, "`edge` must be a table: [edge.listen], [[edge.site]] and so on");
      ASSIGN_OR_RETURN(config.edge, edge::read_inner_config(*table, file, base.string()));
    }
    RETURN_IF_ERROR(section(root, "owner", [&](TomlTable& t) -> Result<void> {
      std::string path;
      RETURN_IF_ERROR(t.text("credentials_file", path));
      if (!path.empty()) config.credentials_file = resolve(path);
      return {};
    }));
    RETURN_IF_ERROR(section(root, "limits", [&](TomlTable& t) -> Result<void> {
      RETURN_IF_ERROR(t.number("threads", config.threads, 0, 64));
      RETURN_IF_ERROR(t.number("memory_budget_mib", config.memory_budget_mib, 64, 1 << 20));
      RETURN_IF_ERROR(t.number("connections", config.connections_max, 16, 1'000'000));
      RETURN_IF_ERROR(t.number("upload_bytes_per_second_min", config.upload_rate_min, 0, 1 << 30));
      return {};
    }));
    RETURN_IF_ERROR(section(root, "collection", [&](TomlTable& t) -> Result<void> {
      constexpr int kYear = 365 * 24 * 3600;
      Config::Collection& c = config.collection;
      RETURN_IF_ERROR(t.number("interval_s", c.interval_s, 1, 24 * 3600));
      RETURN_IF_ERROR(t.number("grace_s", c.grace_s, 0, kYear));
      RETURN_IF_ERROR(t.number("repeat_s", c.repeat_s, 1, kYear));
      RETURN_IF_ERROR(t.number("truncation_delay_s", c.truncation_delay_s, 0, kYear));
      RETURN_IF_ERROR(t.number("snapshot_mib", c.snapshot_mib, 1, 1 << 20));
      RETURN_IF_ERROR(t.number("compact_mib", c.compact_mib, 1, 1 << 20));
      return {};
    }));
    RETURN_IF_ERROR(section(root, "lifecycle", [&](TomlTable& t) -> Result<void> {
      RETURN_IF_ERROR(t.number("interval_s", config.lifecycle.interval_s, 1, 24 * 3600));
      RETURN_IF_ERROR(t.number("day_seconds", config.lifecycle.day_seconds, 1, 24 * 3600));
      return {};
    }));
    RETURN_IF_ERROR(section(root, "access_log", [&](TomlTable& t) -> Result<void> {
      return t.number("interval_s", config.access_log_interval_s, 1, 24 * 3600);
    }));
    RETURN_IF_ERROR(section(root, "log", [&](TomlTable& t) { return log(t); }));
    RETURN_IF_ERROR(tls(root));
    RETURN_IF_ERROR(islands(root));
    config.keyring_path = resolve(config.keyring_path);
    if (!config.passphrase_file.empty()) config.passphrase_file = resolve(config.passphrase_file);
    return finish(root);
  }
};

}  // namespace

Result<Config> load_config(const std::string& file) {
  ASSIGN_OR_RETURN(std::string text, read_text_file(file, "config file", kConfigBytesMax));
  ASSIGN_OR_RETURN(TomlValue document, parse_toml(text, file));
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(file, error);
  Loader loader{file, absolute.parent_path(), {}};
  loader.config.file = file;
  loader.config.dir = loader.base.string();
  RETURN_IF_ERROR(loader.load(document));
  return std::move(loader.config);
}

}  // namespace archipel::app
