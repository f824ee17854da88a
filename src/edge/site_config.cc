#include "edge/site_config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/text_file.h"
#include "edge/balance_config.h"
#include "edge/config.h"
#include "edge/units.h"
#include "http/h1_parser.h"

namespace archipel::edge {
namespace {

using Kind = TomlValue::Kind;
constexpr Duration kMillisecond = std::chrono::milliseconds(1);
constexpr Duration kYear = std::chrono::hours(24 * 366);
constexpr Duration kTimeoutMax = std::chrono::hours(24);
constexpr size_t kKeyFileBytesMax = 4096;
constexpr size_t kSignedKeyBytesMin = 16;

int64_t in_ms(Duration time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// Fields that edits and rules must not touch: framing and routing are ours.
bool is_ours(std::string_view name) {
  static constexpr std::string_view kOurs[] = {"connection", "content-length",    "host",
                                               "keep-alive", "proxy-connection",  "te",
                                               "trailer",    "transfer-encoding", "upgrade"};
  return std::ranges::find(kOurs, name) != std::end(kOurs);
}

struct SiteLoader {
  TomlTable& table;
  const std::string& base;
  SitePolicy site;

  template <class F>
  Result<void> section(std::string_view key, F read) {
    const TomlValue* value = table.take(key);
    if (value == nullptr) return {};
    if (!value->is(Kind::table))
      return table.error(*value, fmt::format("`{0}` must be a table: [site.{0}]", key));
    TomlTable inner(table.file(), *value, fmt::format("[site.{}]", key));
    RETURN_IF_ERROR(read(inner));
    return inner.finish();
  }

  template <class F>
  Result<void> sections(std::string_view key, F read) {
    ASSIGN_OR_RETURN(auto all, take_tables(table, key, kRulesMax));
    for (const TomlValue* value : all) {
      TomlTable inner(table.file(), *value, fmt::format("[[site.{}]]", key));
      RETURN_IF_ERROR(read(inner));
      RETURN_IF_ERROR(inner.finish());
    }
    return {};
  }

  std::string resolve(const std::string& path) const {
    return (std::filesystem::path(base) / path).lexically_normal().string();
  }

  static Result<void> field_name(TomlTable& t, std::string_view key, std::string& name) {
    name = lower(name);
    if (!http::is_token(name) || name.size() > 256)
      return t.error(*t.take(key), fmt::format("'{}' is no name of a header field", name));
    if (is_ours(name))
      return t.error(*t.take(key),
                     fmt::format("the field '{}' is the proxy's own; it cannot be named here", name));
    return {};
  }
  Result<void> field_names(TomlTable& t, std::string_view key, std::vector<std::string>& out) {
    RETURN_IF_ERROR(t.texts(key, out, kListMax));
    for (std::string& name : out) RETURN_IF_ERROR(field_name(t, key, name));
    return {};
  }
  Result<void> edits(TomlTable& t, std::string_view key, std::vector<HeaderEdit>& out) {
    std::vector<std::string> lines;
    RETURN_IF_ERROR(t.texts(key, lines, kListMax));
    for (const std::string& line : lines) {
      size_t colon = line.find(':');
      if (colon == std::string::npos)
        return t.error(*t.take(key),
                       fmt::format("`{}` holds 'name: value', and '{}' has no colon", key, line));
      HeaderEdit edit{line.substr(0, colon), line.substr(colon + 1)};
      size_t begin = edit.value.find_first_not_of(" \t");
      edit.value = begin == std::string::npos ? "" : edit.value.substr(begin);
      edit.value.erase(edit.value.find_last_not_of(" \t") + 1);
      RETURN_IF_ERROR(field_name(t, key, edit.name));
      if (!http::is_field_value(edit.value))
        return t.error(*t.take(key), fmt::format("the value of '{}' holds control characters", edit.name));
      out.push_back(std::move(edit));
    }
    return {};
  }

  Result<OriginAddress> origin(const std::string& url) {
    auto out = parse_origin(url);
    if (!out) return table.error(*table.take("origins"), out.error().message);
    return out;
  }

  Result<void> itself() {
    RETURN_IF_ERROR(table.texts("hosts", site.hosts, kHostsMax));
    if (site.hosts.empty()) return table.error("[[site]] needs `hosts`, such as [\"*\"]");
    for (std::string& host : site.hosts) {
      host = lower(host);
      if (!is_host_pattern(host))
        return table.error(*table.take("hosts"),
                           fmt::format("'{}' is no host name, \"*.NAME\" or \"*\"", host));
    }
    site.name = site.hosts.front();
    RETURN_IF_ERROR(table.text("name", site.name));
    if (site.name.size() > 253 || !http::is_field_value(site.name) ||
        site.name.find_first_of(" \"\\\n") != std::string::npos)
      return table.error(*table.take("name"), "`name` must be a word of at most 253 characters");
    RETURN_IF_ERROR(table.truth("https_only", site.https_only));
    return {};
  }

  Result<void> origins() {
    OriginPolicy& o = site.origin;
    std::vector<std::string> urls;
    RETURN_IF_ERROR(table.texts("origins", urls, kOriginsMax));
    if (urls.empty()) return table.error("[[site]] needs `origins`, such as [\"http://127.0.0.1:8000\"]");
    if (urls == std::vector<std::string>{"local"}) {
      o.local = true;
      // Every change is known at once: what says nothing about its freshness may be kept.
      site.cache.heuristic = false;
      site.cache.default_fresh = 3'600'000;
      site.cache.negative_fresh = 60'000;
      urls.clear();
    }
    for (const std::string& url : urls) {
      ASSIGN_OR_RETURN(OriginAddress address, origin(url));
      o.origins.push_back(std::move(address));
    }
    RETURN_IF_ERROR(table.text("host_header", o.host_header));
    if (!o.host_header.empty() &&
        (!is_host_pattern(lower(o.host_header)) || o.host_header.find('*') != std::string::npos))
      return table.error(*table.take("host_header"), "`host_header` must be a host name, maybe with a port");
    RETURN_IF_ERROR(take_duration(table, "connect_timeout", o.connect_timeout, kMillisecond, kTimeoutMax));
    RETURN_IF_ERROR(take_duration(table, "response_timeout", o.response_timeout, kMillisecond, kTimeoutMax));
    RETURN_IF_ERROR(take_duration(table, "origin_idle_timeout", o.idle_timeout, kMillisecond, kTimeoutMax));
    RETURN_IF_ERROR(table.number("origin_connections", o.connections_max, 1, 100'000));
    RETURN_IF_ERROR(table.number("origin_idle", o.idle_max, 0, 100'000));
    RETURN_IF_ERROR(table.text("ca_file", o.ca_file));
    if (!o.ca_file.empty()) o.ca_file = resolve(o.ca_file);
    return {};
  }

  Result<void> cache(TomlTable& t) {
    CachePolicy& c = site.cache;
    bool status_field = true;
    RETURN_IF_ERROR(t.truth("on", c.enabled));
    RETURN_IF_ERROR(t.truth("heuristic", c.heuristic));
    RETURN_IF_ERROR(t.truth("client_directives", c.obey_clients));
    RETURN_IF_ERROR(t.truth("status_field", status_field));
    RETURN_IF_ERROR(t.truth("slices", c.slices));
    RETURN_IF_ERROR(t.truth("normalise_languages", c.normalise_languages));
    RETURN_IF_ERROR(take_size(t, "object_max", c.object_bytes_max, 0, uint64_t{1} << 50));
    for (auto [key, out] : {std::pair{"stale_while_revalidate", &c.while_revalidate},
                            {"stale_if_error", &c.if_error},
                            {"heuristic_max", &c.heuristic_max},
                            {"default_ttl", &c.default_fresh},
                            {"negative_ttl", &c.negative_fresh},
                            {"hit_for_miss", &c.hit_for_miss}}) {
      Duration time = std::chrono::milliseconds(*out);
      RETURN_IF_ERROR(take_duration(t, key, time, Duration{0}, kYear));
      *out = in_ms(time);
    }
    if (!status_field) c.status_name.clear();
    return {};
  }

  Result<void> ttl(TomlTable& t) {
    TtlRule rule;
    if (const TomlValue* value = t.take("status"); value != nullptr) {
      if (!value->is(Kind::array) || value->items.empty() || value->items.size() > kListMax)
        return t.error(*value, "`status` must be a list such as [200, 404]");
      for (const TomlValue& item : value->items) {
        if (!item.is(Kind::integer) || item.integer < 200 || item.integer > 599)
          return t.error(item, "a status is a whole number from 200 to 599");
        rule.statuses.push_back(static_cast<int>(item.integer));
      }
    }
    RETURN_IF_ERROR(t.text("path", rule.path));
    RETURN_IF_ERROR(t.text("type", rule.type));
    rule.type = lower(rule.type);
    Duration time{-1};
    RETURN_IF_ERROR(take_duration(t, "ttl", time, Duration{0}, kYear));
    if (time < Duration{0}) return t.error("[[site.ttl]] needs the key `ttl`");
    rule.ttl_ms = in_ms(time);
    RETURN_IF_ERROR(t.truth("override", rule.override_));
    site.ttl_rules.push_back(std::move(rule));
    return {};
  }

  Result<void> key(TomlTable& t) {
    KeyPolicy& k = site.cache.key;
    const TomlValue* query = t.take("query");
    if (query != nullptr && query->is(Kind::text)) {
      if (query->text != "all") return t.error(*query, "`query` must be \"all\" or a list of names");
    } else if (query != nullptr) {
      k.whole_query = false;
      RETURN_IF_ERROR(t.texts("query", k.query_names, kListMax));
    }
    RETURN_IF_ERROR(t.texts("ignore", k.ignored_names, kListMax));
    if (!k.whole_query && !k.ignored_names.empty())
      return t.error(*t.take("ignore"),
                     "`ignore` says nothing beside a list in `query`: leave one of them out");
    RETURN_IF_ERROR(t.truth("sort", k.sort_query));
    RETURN_IF_ERROR(field_names(t, "headers", k.header_names));
    RETURN_IF_ERROR(t.truth("host", k.host));
    const bool named = std::ranges::any_of(
        site.hosts, [](const std::string& host) { return host.find('*') == std::string::npos; });
    if (!k.host && !named)
      return t.error(
          *t.take("host"),
          "`host = false` needs a host without a star among `hosts`: the one that the origin is told");
    return {};
  }

  Result<void> headers(TomlTable& t) {
    HeaderPolicy& h = site.headers;
    RETURN_IF_ERROR(field_names(t, "request_remove", h.request_remove));
    RETURN_IF_ERROR(field_names(t, "response_remove", h.response_remove));
    RETURN_IF_ERROR(edits(t, "request_set", h.request_set));
    RETURN_IF_ERROR(edits(t, "response_set", h.response_set));
    RETURN_IF_ERROR(edits(t, "response_add", h.response_add));
    return t.truth("security", h.security);
  }

  Result<void> redirect(TomlTable& t) {
    RedirectRule rule;
    RETURN_IF_ERROR(t.text("path", rule.path, true));
    RETURN_IF_ERROR(t.text("to", rule.to, true));
    if (!http::is_field_value(rule.to) || rule.to.find(' ') != std::string::npos ||
        !(rule.to.starts_with('/') || rule.to.starts_with("http://") || rule.to.starts_with("https://")))
      return t.error(*t.take("to"), "`to` must be a path or a URL without spaces");
    RETURN_IF_ERROR(t.number("status", rule.status, 301, 308));
    if (rule.status > 303 && rule.status < 307)
      return t.error(*t.take("status"), "`status` must be 301, 302, 303, 307 or 308");
    site.redirects.push_back(std::move(rule));
    return {};
  }

  Result<void> signed_(TomlTable& t) {
    std::vector<std::string> files;
    RETURN_IF_ERROR(t.texts("paths", site.signed_.paths, kListMax));
    RETURN_IF_ERROR(t.texts("key_files", files, 16));
    if (site.signed_.paths.empty() || files.empty())
      return t.error("[site.signed] needs `paths`, such as [\"/private/*\"], and `key_files`");
    for (const std::string& name : files) {
      std::string path = resolve(name);
      struct stat info{};
      if (stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRGRP | S_IROTH)) != 0)
        return t.error(*t.take("key_files"),
                       fmt::format("the key {0} may be read by others; run: chmod 600 {0}", path));
      auto text = read_text_file(path, "file", kKeyFileBytesMax);
      if (!text) return t.error(*t.take("key_files"), text.error().message);
      text->erase(text->find_last_not_of(" \t\r\n") + 1);
      if (text->size() < kSignedKeyBytesMin)
        return t.error(*t.take("key_files"),
                       fmt::format("the key {} is shorter than {} bytes; make one with: "
                                   "openssl rand -hex 32",
                                   path, kSignedKeyBytesMin));
      site.signed_.keys.push_back(std::move(*text));
    }
    return {};
  }

  static Result<void> rate(TomlTable& t, std::string_view key, double& out) {
    const TomlValue* value = t.take(key);
    if (value == nullptr) return {};
    double number = value->is(Kind::integer) ? static_cast<double>(value->integer)
                    : value->is(Kind::real)  ? value->real
                                             : -1;
    if (!(number > 0 && number <= 1e6))
      return t.error(*value, fmt::format("`{}` must be a number above 0, at most a million (a second)", key));
    out = number;
    return {};
  }

  Result<void> limit(TomlTable& t) {
    LimitPolicy& l = site.limit;
    RETURN_IF_ERROR(t.texts("methods", l.methods, 64));
    for (const std::string& method : l.methods)
      if (!http::is_token(method) || method == "CONNECT" || method == "TRACE")
        return t.error(*t.take("methods"), fmt::format("'{}' is no method that is passed on", method));
    uint64_t body = UINT64_MAX;
    RETURN_IF_ERROR(take_size(t, "body", body, 0, uint64_t{1} << 50));
    if (body != UINT64_MAX) l.body_bytes_max = body;
    RETURN_IF_ERROR(rate(t, "rate", l.rate));
    l.burst = std::max(1.0, l.rate);
    RETURN_IF_ERROR(rate(t, "burst", l.burst));
    RETURN_IF_ERROR(rate(t, "key_rate", l.key_rate));
    l.key_burst = std::max(1.0, l.key_rate);
    RETURN_IF_ERROR(rate(t, "key_burst", l.key_burst));
    RETURN_IF_ERROR(t.text("key_header", l.key_header));
    if (!l.key_header.empty()) RETURN_IF_ERROR(field_name(t, "key_header", l.key_header));
    if (l.key_header.empty() != (l.key_rate == 0))
      return t.error(
          "`key_header` and `key_rate` go together: which field names a client, and how often it may ask");
    return {};
  }

  Result<void> geo(TomlTable& t) {
    GeoPolicy& g = site.geo;
    for (auto [key, out] : {std::pair{"allow", &g.allow}, {"deny", &g.deny}}) {
      RETURN_IF_ERROR(t.texts(key, *out, kListMax));
      for (const std::string& cc : *out)
        if (cc.size() != 2 || !std::ranges::all_of(cc, [](char c) { return c >= 'A' && c <= 'Z'; }))
          return t.error(*t.take(key), fmt::format("'{}' is no ISO 3166-1 alpha-2 code such as \"DE\"", cc));
    }
    RETURN_IF_ERROR(t.text("header", g.header));
    if (!g.header.empty()) RETURN_IF_ERROR(field_name(t, "header", g.header));
    return {};
  }

  Result<void> compress(TomlTable& t) {
    CompressPolicy& c = site.compress;
    c.on = true;
    RETURN_IF_ERROR(t.truth("on", c.on));
    c.types = {"text/*",
               "application/json",
               "application/javascript",
               "application/xml",
               "image/svg+xml",
               "application/manifest+json",
               "application/wasm",
               "application/rss+xml",
               "application/atom+xml",
               "application/xhtml+xml",
               "font/ttf",
               "font/otf"};
    RETURN_IF_ERROR(t.texts("types", c.types, kListMax));
    for (std::string& type : c.types) type = lower(type);
    RETURN_IF_ERROR(take_size(t, "minimum", c.bytes_min, 0, 1u << 30));
    return t.truth("precompressed", c.precompressed);
  }

  Result<void> load() {
    RETURN_IF_ERROR(itself());
    RETURN_IF_ERROR(origins());
    OriginPolicy& o = site.origin;
    RETURN_IF_ERROR(section("balance", [&](TomlTable& t) { return load_balance(t, o); }));
    RETURN_IF_ERROR(section("health", [&](TomlTable& t) { return load_health(t, o); }));
    RETURN_IF_ERROR(section("retry", [&](TomlTable& t) { return load_retry(t, o); }));
    RETURN_IF_ERROR(section("cache", [&](TomlTable& t) { return cache(t); }));
    RETURN_IF_ERROR(sections("ttl", [&](TomlTable& t) { return ttl(t); }));
    RETURN_IF_ERROR(section("key", [&](TomlTable& t) { return key(t); }));
    RETURN_IF_ERROR(section("headers", [&](TomlTable& t) { return headers(t); }));
    RETURN_IF_ERROR(sections("redirect", [&](TomlTable& t) { return redirect(t); }));
    RETURN_IF_ERROR(section("signed", [&](TomlTable& t) { return signed_(t); }));
    RETURN_IF_ERROR(section("limit", [&](TomlTable& t) { return limit(t); }));
    RETURN_IF_ERROR(section("geo", [&](TomlTable& t) { return geo(t); }));
    return section("compress", [&](TomlTable& t) { return compress(t); });
  }
};

}  // namespace

Result<OriginAddress> parse_origin(const std::string& url) {
  auto bad = [&](std::string_view why) {
    return fail(Code::invalid,
                fmt::format("'{}' is no origin ({}); write http://HOST:PORT or https://HOST", url, why));
  };
  OriginAddress out;
  out.url = url;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    out.secure = true;
    out.port = 443;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad("unknown scheme");
  }
  if (rest.ends_with('/')) {
    rest.remove_suffix(1);
    out.url.pop_back();
  }
  if (rest.find_first_of("/?#@") != std::string_view::npos) return bad("it has a path, a query or a user");
  std::string_view port;
  if (rest.starts_with('[')) {
    size_t end = rest.find(']');
    if (end == std::string_view::npos) return bad("bracket");
    out.host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
    if (!parse_ip(out.host)) return bad("address");
  } else {
    size_t colon = rest.find(':');
    out.host = lower(rest.substr(0, colon));
    port = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon);
    if (!is_host_pattern(out.host) || out.host.find_first_of("*[]") != std::string::npos) return bad("host");
  }
  if (!port.empty()) {
    auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), out.port);
    if (port.front() != ':' || error != std::errc() || end != port.data() + port.size() || out.port == 0)
      return bad("port");
  }
  return out;
}

Result<SitePolicy> load_site(TomlTable& table, const std::string& base) {
  SiteLoader loader{table, base, {}};
  RETURN_IF_ERROR(loader.load());
  return std::move(loader.site);
}

}  // namespace archipel::edge
