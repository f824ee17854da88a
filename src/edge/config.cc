#include "edge/config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/text_file.h"
#include "base/toml.h"
#include "edge/balance_config.h"
#include "edge/reader_memory.h"
#include "edge/site_config.h"
#include "edge/units.h"
#include "http/h1_parser.h"

namespace archipel::edge {

Result<void> take_size(TomlTable& table, std::string_view key, uint64_t& out, uint64_t min, uint64_t max) {
  const TomlValue* value = table.take(key);
  if (value == nullptr) return {};
  std::optional<uint64_t> size;
  if (value->is(TomlValue::Kind::text)) size = parse_size(value->text);
  if (value->is(TomlValue::Kind::integer) && value->integer >= 0)
    size = static_cast<uint64_t>(value->integer);
  if (!size)
    return table.error(*value, fmt::format("`{}` must be a size such as \"256M\" (K, M, G, T)", key));
  if (*size < min || *size > max)
    return table.error(*value, fmt::format("`{}` must be from {} to {} bytes", key, min, max));
  out = *size;
  return {};
}

Result<void> take_duration(TomlTable& table, std::string_view key, Duration& out, Duration min,
                           Duration max) {
  const TomlValue* value = table.take(key);
  if (value == nullptr) return {};
  std::optional<Duration> time;
  if (value->is(TomlValue::Kind::text)) time = parse_duration(value->text);
  if (!time)
    return table.error(*value, fmt::format("`{}` must be a time such as \"10s\" (ms, s, m, h, d)", key));
  if (*time < min || *time > max)
    return table.error(*value,
                       fmt::format("`{}` must be from {} to {} ms", key,
                                   std::chrono::duration_cast<std::chrono::milliseconds>(min).count(),
                                   std::chrono::duration_cast<std::chrono::milliseconds>(max).count()));
  out = *time;
  return {};
}

Result<std::vector<const TomlValue*>> take_tables(TomlTable& table, std::string_view key, size_t count_max) {
  std::vector<const TomlValue*> out;
  const TomlValue* value = table.take(key);
  if (value == nullptr) return out;
  auto wrong = [&] { return table.error(*value, fmt::format("`{0}` must be tables: [[{0}]]", key)); };
  if (!value->is(TomlValue::Kind::array)) return wrong();
  if (value->items.size() > count_max)
    return table.error(*value, fmt::format("there are {} of [[{}]], and at most {} are read",
                                           value->items.size(), key, count_max));
  for (const TomlValue& item : value->items) {
    if (!item.is(TomlValue::Kind::table)) return wrong();
    out.push_back(&item);
  }
  return out;
}

bool is_host_pattern(std::string_view host) {
  if (host == "*") return true;
  if (host.starts_with("*.")) host.remove_prefix(2);
  if (host.empty() || host.size() > 253 || host.front() == '.' || host.back() == '.') return false;
  for (size_t i = 0; i < host.size(); ++i) {
    char c = host[i];
    bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '[' ||
                c == ']' || c == ':' || c == '_';
    if (!fits || (c == '.' && host[i - 1] == '.')) return false;
  }
  return true;
}

namespace {

using Kind = TomlValue::Kind;
constexpr Duration kTimeoutMax = std::chrono::hours(24);
constexpr Duration kMillisecond = std::chrono::milliseconds(1);

TomlValue text_value(std::string text) {
  TomlValue out;
  out.kind = Kind::text;
  out.text = std::move(text);
  return out;
}
TomlValue list_value(std::string text) {
  TomlValue out;
  out.kind = Kind::array;
  out.items.push_back(text_value(std::move(text)));
  return out;
}

struct Loader {
  const std::string& file;
  std::string base;
  Config config;
  bool inner = false;  // a gateway's

  std::string name_of(std::string_view key) const { return fmt::format("[{}{}]", inner ? "edge." : "", key); }
  // What an edge inside a gateway leaves to it.
  Result<void> gateways(TomlTable& t, std::string_view key, std::string_view where) {
    const TomlValue* value = inner ? t.take(key) : nullptr;
    if (value == nullptr) return {};
    return t.error(*value, fmt::format("`{}` is the gateway's: set it in {}", key, where));
  }

  template <class F>
  Result<void> section(TomlTable& root, std::string_view key, F read) {
    const TomlValue* value = root.take(key);
    if (value == nullptr) return {};
    if (!value->is(Kind::table)) return root.error(*value, fmt::format("`{0}` must be a table: [{0}]", key));
    TomlTable table(file, *value, name_of(key));
    RETURN_IF_ERROR(read(table));
    return table.finish();
  }

  std::string resolve(const std::string& path) const {
    return (std::filesystem::path(base) / path).lexically_normal().string();
  }

  Result<void> socket(TomlTable& t, std::string_view key, std::string& out, bool required = false) {
    RETURN_IF_ERROR(t.text(key, out, required));
    if (out.empty() || is_socket_address(out)) return {};
    return t.error(*t.take(key),
                   fmt::format("'{}' is no address to listen on; write ADDR:PORT such as \"127.0.0.1:8002\", "
                               "\"0.0.0.0:80\" for all of IPv4, or \"[::]:80\"",
                               out));
  }

  Result<void> listen(TomlTable& t) {
    std::string secure;
    RETURN_IF_ERROR(socket(t, "http", config.listen));
    RETURN_IF_ERROR(socket(t, "https", secure));
    if (!secure.empty()) config.tls_listen = secure;
    RETURN_IF_ERROR(t.finish());
    if (config.listen.empty() && secure.empty())
      return t.error("[listen] names no address: set http = \"127.0.0.1:8002\", https, or both");
    return {};
  }

  Result<void> tls(TomlTable& t) {
    TlsTable one;
    RETURN_IF_ERROR(t.texts("hosts", one.hosts, kHostsMax));
    for (const std::string& host : one.hosts)
      if (!is_host_pattern(host))
        return t.error(*t.take("hosts"),
                       fmt::format("'{}' is no host name in lower case, \"*.NAME\" or \"*\"", host));
    if (one.hosts.empty()) return t.error("[[tls]] needs `hosts`, such as [\"www.example.org\"]");
    RETURN_IF_ERROR(t.text("cert", one.cert, true));
    RETURN_IF_ERROR(t.text("key", one.key, true));
    one.cert = resolve(one.cert);
    one.key = resolve(one.key);
    one.where = t.where();
    config.tls.push_back(std::move(one));
    return {};
  }

  Result<void> cache(TomlTable& t) {
    uint64_t memory = config.cache.memory_bytes;
    RETURN_IF_ERROR(take_size(t, "memory", memory, 1u << 20, uint64_t{1} << 44));
    config.cache.memory_bytes = memory;
    RETURN_IF_ERROR(t.text("disk", config.cache.disk_dir));
    if (!config.cache.disk_dir.empty()) config.cache.disk_dir = resolve(config.cache.disk_dir);
    RETURN_IF_ERROR(take_size(t, "disk_size", config.cache.disk_bytes, 64u << 20, uint64_t{1} << 50));
    RETURN_IF_ERROR(
        take_size(t, "disk_write_rate", config.cache.disk_write_bytes_per_s, 1u << 16, uint64_t{1} << 40));
    if (config.cache.disk_dir.empty() != (config.cache.disk_bytes == 0))
      return t.error("`disk` and `disk_size` go together: where the disk tier lies and how large it is");
    return {};
  }

  Result<void> admin(TomlTable& t) {
    RETURN_IF_ERROR(socket(t, "listen", config.admin_listen, true));
    RETURN_IF_ERROR(t.text("token_file", config.admin_token_file));
    if (!config.admin_token_file.empty()) config.admin_token_file = resolve(config.admin_token_file);
    return {};
  }

  Result<void> one_of(TomlTable& t, std::string_view key, std::string& out, std::vector<std::string> words) {
    RETURN_IF_ERROR(t.text(key, out));
    if (std::ranges::find(words, out) == words.end())
      return t.error(*t.take(key), fmt::format("`{}` must be one of: {}", key, fmt::join(words, ", ")));
    return {};
  }

  Result<void> log(TomlTable& t) {
    RETURN_IF_ERROR(gateways(t, "level", "[log]"));
    RETURN_IF_ERROR(gateways(t, "format", "[log]"));
    RETURN_IF_ERROR(one_of(t, "level", config.log_level, {"debug", "info", "warn", "error"}));
    std::string format = "logfmt", access_format = "json", access = "off";
    RETURN_IF_ERROR(one_of(t, "format", format, {"logfmt", "json"}));
    RETURN_IF_ERROR(one_of(t, "access_format", access_format, {"logfmt", "json"}));
    RETURN_IF_ERROR(t.text("access", access));
    config.log_json = format == "json";
    config.access.json = access_format == "json";
    if (access == "stdout")
      config.access.path = "-";
    else if (access != "off")
      config.access.path = resolve(access);
    uint64_t buffer = config.access.buffer_bytes;
    RETURN_IF_ERROR(take_size(t, "access_buffer", buffer, 64u << 10, 1u << 30));
    config.access.buffer_bytes = buffer;
    return {};
  }

  Result<void> limits(TomlTable& t) {
    http::Limits& l = config.limits;
    RETURN_IF_ERROR(gateways(t, "threads", "[limits]"));
    RETURN_IF_ERROR(t.number("threads", config.threads, 0, 64));
    RETURN_IF_ERROR(t.number("connections", l.connections_max, 16, 10'000'000));
    RETURN_IF_ERROR(take_size(t, "reader_memory", config.reader_bytes, 16u << 20, uint64_t{1} << 44));
    RETURN_IF_ERROR(t.number("rate_table", config.rate_clients_max, 1024, 16'777'216));
    RETURN_IF_ERROR(take_duration(t, "header_timeout", l.header_timeout, kMillisecond, kTimeoutMax));
    RETURN_IF_ERROR(take_duration(t, "idle_timeout", l.idle_timeout, kMillisecond, kTimeoutMax));
    RETURN_IF_ERROR(take_duration(t, "body_timeout", l.body_timeout, kMillisecond, kTimeoutMax));
    RETURN_IF_ERROR(take_duration(t, "drain_timeout", l.drain_timeout, kMillisecond, kTimeoutMax));
    int rate = static_cast<int>(l.body_rate_min);
    RETURN_IF_ERROR(t.number("upload_bytes_per_second_min", rate, 0, 1 << 30));
    l.body_rate_min = static_cast<uint32_t>(rate);
    return {};
  }

  Result<void> proxy(TomlTable& t) {
    RETURN_IF_ERROR(t.text("name", config.name));
    if (!http::is_token(config.name) || config.name.size() > 64)
      return t.error(*t.take("name"), "`name` must be a word of at most 64 letters, digits and -._");
    std::vector<std::string> trust;
    RETURN_IF_ERROR(t.texts("trust", trust, kListMax));
    for (const std::string& text : trust) {
      std::optional<AddressRange> range = parse_range(text);
      if (!range)
        return t.error(*t.take("trust"),
                       fmt::format("'{}' is no address or range such as \"10.0.0.0/8\"", text));
      config.trust.push_back(*range);
    }
    if (inner && t.take("take_over") != nullptr)
      return t.error(*t.take("take_over"),
                     "a gateway hands nothing over: `take_over` is for `archipel edge`");
    RETURN_IF_ERROR(t.text("take_over", config.take_over_dir));
    if (!config.take_over_dir.empty()) config.take_over_dir = resolve(config.take_over_dir);
    RETURN_IF_ERROR(t.text("geo_database", config.geo_database));
    if (!config.geo_database.empty()) config.geo_database = resolve(config.geo_database);
    return {};
  }

  // `tables`: where each of config.sites stands.
  Result<void> check_sites(TomlTable& root, const std::vector<const TomlValue*>& tables) {
    if (config.sites.empty()) return root.error("there is no [[site]]: name its hosts and origins");
    std::set<std::string> names, hosts;
    for (size_t i = 0; i < config.sites.size(); ++i) {
      const SitePolicy& site = config.sites[i];
      auto error = [&](const std::string& what) {
        return i < tables.size() ? root.error(*tables[i], what) : root.error(what);
      };
      if (site.origin.local && !inner)
        return error(
            fmt::format("site '{}': \"local\" is a gateway's own websites, in [edge] of its "
                        "archipel.toml; name an origin such as \"http://127.0.0.1:8000\"",
                        site.name));
      if (!names.insert(site.name).second)
        return error(fmt::format("two sites are named '{}'; give one of them another `name`", site.name));
      for (const std::string& host : site.hosts)
        if (!hosts.insert(host).second) return error(fmt::format("the host '{}' belongs to two sites", host));
      if (site.geo.used() && config.geo_database.empty())
        return error(
            fmt::format("site '{}' asks for countries, and there is no [proxy] geo_database", site.name));
      if (site.https_only && !config.tls_listen)
        return error(fmt::format("site '{}' is https_only, and there is no [listen] https", site.name));
    }
    return {};
  }

  Result<void> load(TomlTable& root) {
    RETURN_IF_ERROR(section(root, "listen", [&](TomlTable& t) { return listen(t); }));
    if (config.listen.empty() && !config.tls_listen)
      return root.error("there is no [listen]: set http = \"127.0.0.1:8002\", https, or both");
    RETURN_IF_ERROR(gateways(root, "tls", "[[tls]]"));
    ASSIGN_OR_RETURN(auto certificates, take_tables(root, "tls", kTlsTablesMax));
    for (const TomlValue* value : certificates) {
      TomlTable table(file, *value, "[[tls]]");
      RETURN_IF_ERROR(tls(table));
      RETURN_IF_ERROR(table.finish());
    }
    if (config.tls_listen && config.tls.empty() && !inner)
      return root.error("[listen] https needs a certificate: add [[tls]] with hosts, cert and key");
    RETURN_IF_ERROR(section(root, "cache", [&](TomlTable& t) { return cache(t); }));
    RETURN_IF_ERROR(section(root, "admin", [&](TomlTable& t) { return admin(t); }));
    RETURN_IF_ERROR(section(root, "log", [&](TomlTable& t) { return log(t); }));
    RETURN_IF_ERROR(section(root, "limits", [&](TomlTable& t) { return limits(t); }));
    RETURN_IF_ERROR(section(root, "proxy", [&](TomlTable& t) { return proxy(t); }));
    RETURN_IF_ERROR(section(root, "peers", [&](TomlTable& t) { return load_peers(t, base, config.peers); }));
    if (config.peers.log_dir.empty() && !config.cache.disk_dir.empty())
      config.peers.log_dir = config.cache.disk_dir + "/peers";
    ASSIGN_OR_RETURN(auto sites, take_tables(root, "site", kSitesMax));
    for (const TomlValue* value : sites) {
      TomlTable table(file, *value, inner ? "[[edge.site]]" : "[[site]]");
      ASSIGN_OR_RETURN(SitePolicy site, load_site(table, base));
      RETURN_IF_ERROR(table.finish());
      if (!site.cache.status_name.empty()) site.cache.status_name = config.name;
      if (!site.ttl_rules.empty())
        site.cache.targeted.insert(site.cache.targeted.begin(), std::string(kTtlField));
      config.sites.push_back(std::move(site));
    }
    // What is being sent lies in the memory tier as a rule; it may all be under way.
    if (config.reader_bytes == 0)
      config.reader_bytes = std::max<uint64_t>(kReaderBytesDefault, config.cache.memory_bytes);
    if (config.sites.empty() && inner) {
      TomlValue all;
      all.entries = {{"name", 0, 0, text_value("websites")},
                     {"hosts", 0, 0, list_value("*")},
                     {"origins", 0, 0, list_value("local")}};
      TomlTable table(file, all, "[[edge.site]]");
      ASSIGN_OR_RETURN(SitePolicy site, load_site(table, base));
      if (!site.cache.status_name.empty()) site.cache.status_name = config.name;
      config.sites.push_back(std::move(site));
    }
    RETURN_IF_ERROR(check_sites(root, sites));
    return root.finish();
  }
};

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& file, const std::string& base) {
  if (text.size() > kConfigBytesMax)
    return fail(Code::limit, "the config file " + file + " is larger than 1 MiB");
  ASSIGN_OR_RETURN(TomlValue parsed, parse_toml(text, file));
  TomlTable root(file, parsed, "the config file");
  Loader loader{file, base, {}, false};
  loader.config.file = file;
  RETURN_IF_ERROR(loader.load(root));
  return std::move(loader.config);
}

Result<Config> read_inner_config(const TomlValue& table, const std::string& file, const std::string& base) {
  TomlTable root(file, table, "[edge]");
  Loader loader{file, base, {}, true};
  loader.config.file = file;
  RETURN_IF_ERROR(loader.load(root));
  return std::move(loader.config);
}

Result<Config> load_config(const std::string& file) {
  ASSIGN_OR_RETURN(std::string text, read_text_file(file, "file", kConfigBytesMax));
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(file, error);
  return parse_config(text, file, absolute.parent_path().string());
}

}  // namespace archipel::edge
