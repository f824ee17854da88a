#include "edge/site.h"

#include <algorithm>
#include <charconv>

#include "edge/compress.h"
#include "edge/directives.h"
#include "edge/gate.h"
#include "edge/hop.h"
#include "edge/peers.h"
#include "edge/purges_heard.h"
#include "http/h1_parser.h"

namespace archipel::edge {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// Fields that serve() puts in itself, or that frame the message.
bool is_serves(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "range",    "if-range",      "content-length",    "expect",
      "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

// Fields that some servers let replace the method or the target: what they answer would be stored under another request's key.
bool is_poison(std::string_view name) {
  static constexpr std::string_view kNames[] = {"x-http-method-override",
                                                "x-http-method",
                                                "x-method-override",
                                                "x-original-url",
                                                "x-rewrite-url",
                                                "x-original-host",
                                                "x-host",
                                                "x-http-host-override",
                                                "x-http-destinationurl",
                                                "x-http-path-override",
                                                "x-override-url",
                                                "x-middleware-subrequest",
                                                "x-middleware-invoke",
                                                "x-invoke-path",
                                                "x-invoke-query",
                                                "x-invoke-status",
                                                "x-now-route-matches",
                                                "x-amz-website-redirect-location",
                                                "proxy"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

bool is_forwarding(std::string_view name) {
  return name.starts_with("x-forwarded-") || name == "forwarded" || name == "x-real-ip" ||
         name == "true-client-ip" || name == "x-client-ip";
}

// Is it, or are fields of it, for one client alone, or to be asked about each time? A rule about how long it lasts does not know those fields.
bool keeps_to_itself(const Directives& said) {
  return said.no_store || said.is_private || said.no_cache || !said.private_fields.empty() ||
         !said.no_cache_fields.empty();
}

// RFC 9110 §15.1.
bool heuristically_cacheable(int status) {
  static constexpr int kStatuses[] = {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501};
  return std::ranges::find(kStatuses, status) != std::end(kStatuses);
}

bool type_matches(const std::string& wanted, std::string_view type) {
  if (wanted.empty()) return true;
  return glob_matches(wanted, lower(http::trim_blanks(type.substr(0, type.find(';')))));
}

// "X_Forwarded_For": CGI, WSGI and their kind read '_' and '-' alike. Empty: there is no '_' in it.
std::string with_dashes(std::string_view name) {
  if (name.find('_') == std::string_view::npos) return {};
  std::string out(name);
  std::ranges::replace(out, '_', '-');
  return out;
}

std::string version_of(const http::Request& request) {
  return request.major_version == 1 ? "1." + std::to_string(request.minor_version)
                                    : std::to_string(request.major_version);
}

// "0.5" in thousandths; what is no weight counts as 1.
int weight(std::string_view text) {
  text = http::trim_blanks(text);
  if (text.size() > 5 || text.empty() || (text[0] != '0' && text[0] != '1')) return 1000;
  int value = (text[0] - '0') * 1000, place = 100;
  for (size_t i = 2; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i, place /= 10)
    value += (text[i] - '0') * place;
  return std::min(value, 1000);
}

}  // namespace

std::string_view best_coding(const http::Headers& request) {
  // gzip also by its old name; the rest by the star.
  static constexpr std::string_view kNames[] = {"br", "zstd", "gzip"};
  int weights[3] = {-1, -1, -1}, star = -1;
  for (const auto& [name, value] : request) {
    if (name != "accept-encoding") continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      size_t comma = rest.find(',');
      std::string_view part = rest.substr(0, comma);
      rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
      size_t semicolon = part.find(';');
      std::string coding = lower(http::trim_blanks(part.substr(0, semicolon)));
      int w = 1000;
      if (semicolon != std::string_view::npos) {
        std::string parameter = lower(http::trim_blanks(part.substr(semicolon + 1)));
        if (parameter.starts_with("q=")) w = weight(std::string_view(parameter).substr(2));
      }
      if (coding == "*") star = w;
      for (size_t i = 0; i < 3; ++i)
        if (coding == kNames[i] || (i == 2 && coding == "x-gzip")) weights[i] = w;
    }
  }
  std::string_view best;
  int most = 0;
  for (size_t i = 0; i < 3; ++i) {
    int w = weights[i] >= 0 ? weights[i] : star;
    if (w > most) {
      most = w;
      best = kNames[i];
    }
  }
  return best;
}

PolicySite::PolicySite(SitePolicy policy, std::shared_ptr<const ProxyPolicy> proxy,
                       std::shared_ptr<Upstream> upstream, std::shared_ptr<SiteStats> stats,
                       std::shared_ptr<Peers> peers)
    : policy_(std::move(policy)),
      proxy_(std::move(proxy)),
      upstream_(std::move(upstream)),
      whole_(compressing(peered(std::move(peers), upstream_), policy_.compress)),
      stats_(std::move(stats)) {}

// Hosts that share what is stored share one name towards the origin: what it makes of another would be stored for all.
std::string PolicySite::public_host(const http::Request& request) const {
  if (!policy_.cache.key.host)
    for (const std::string& host : policy_.hosts)
      if (host.find('*') == std::string::npos) return host;
  std::string host = keyed_host(request);
  // HTTP/1.0 needs none; an origin does.
  if (host.empty() && !policy_.origin.origins.empty()) host = policy_.origin.origins.front().authority();
  return host;
}

// What the edge itself says to the origin, and clients do not.
bool PolicySite::is_the_edges(std::string_view name) const {
  return name == "host" || name == "via" || name == "accept-encoding" || name == kPeerField ||
         name == "cdn-loop" || name == "transfer-encoding" || is_serves(name) || is_poison(name) ||
         is_forwarding(name) || (!policy_.geo.header.empty() && name == policy_.geo.header) ||
         std::ranges::any_of(policy_.headers.request_set,
                             [&](const HeaderEdit& edit) { return edit.name == name; });
}

FetchRequest PolicySite::origin_request(const http::Request& request) const {
  FetchRequest out;
  out.method = request.method;
  out.target = request.target;
  const bool trusted = is_trusted(request, proxy_->trust) ||
                       is_peer_token(request.headers.get(kPeerField), proxy_->peer_token);
  std::string via, forwarded_for, proto = request.secure ? "https" : "http";
  auto removed = [&](const std::string& name) {
    const HeaderPolicy& edits = policy_.headers;
    return std::ranges::find(edits.request_remove, name) != edits.request_remove.end() ||
           std::ranges::any_of(edits.request_set, [&](const HeaderEdit& edit) { return edit.name == name; });
  };
  const std::string host = public_host(request);
  out.headers.add("host", policy_.origin.host_header.empty() ? host : policy_.origin.host_header);
  const http::Headers fields = without_hop_fields(request.headers);
  for (const auto& [name, value] : fields) {
    if (name == "host" || name == "accept-encoding" || is_serves(name) || is_poison(name) ||
        name == kPeerField || name == kPurgesField)
      continue;
    if (const std::string dashed = with_dashes(name); !dashed.empty() && is_the_edges(dashed)) continue;
    if (name == "via") {
      via += (via.empty() ? "" : ", ") + value;
    } else if (is_forwarding(name)) {
      if (!trusted) continue;
      if (name == "x-forwarded-for")
        forwarded_for += (forwarded_for.empty() ? "" : ", ") + value;
      else if (name == "x-forwarded-proto" && (value == "http" || value == "https"))
        proto = value;
    } else if (!removed(name)) {
      out.headers.add(name, value);
    }
  }
  // What the key holds, or the gate has put in, reaches the origin: Connection must not be a way to store one answer under another's key.
  auto restore = [&](const std::string& name) {
    if (fields.find(name) != nullptr || is_serves(name) || is_poison(name) || is_forwarding(name) ||
        removed(name))
      return;
    for (const auto& [n, value] : request.headers)
      if (n == name) out.headers.add(name, value);
  };
  if (request.headers.find("connection") != nullptr) {
    for (const std::string& name : policy_.cache.key.header_names) restore(name);
    if (!policy_.geo.header.empty()) restore(policy_.geo.header);
  }
  std::string_view coding = best_coding(request.headers);
  if (!coding.empty()) out.headers.add("accept-encoding", std::string(coding));
  std::optional<IpAddress> peer = parse_ip(request.peer);
  out.headers.add("via", (via.empty() ? "" : via + ", ") + version_of(request) + " " + proxy_->name);
  if (peer)
    out.headers.add("x-forwarded-for", (forwarded_for.empty() ? "" : forwarded_for + ", ") + peer->text());
  out.headers.add("x-forwarded-proto", proto);
  // Not what another proxy says: nothing that the key does not hold.
  if (!host.empty()) out.headers.add("x-forwarded-host", host);
  for (const HeaderEdit& edit : policy_.headers.request_set) out.headers.set(edit.name, edit.value);
  add_to_loop(out.headers, proxy_->loop_name);
  return out;
}

void PolicySite::apply_ttl(const http::Request& request, int status, http::Headers& headers) const {
  // Whatever the origin says under our own name is not ours.
  headers.remove(kTtlField);
  for (const TtlRule& rule : policy_.ttl_rules) {
    bool fits = rule.statuses.empty() ? heuristically_cacheable(status)
                                      : std::ranges::find(rule.statuses, status) != rule.statuses.end();
    if (!fits || !glob_matches(rule.path, request.path()) ||
        !type_matches(rule.type, headers.get("content-type")))
      continue;
    const bool forbidden = keeps_to_itself(parse_cache_control(headers)) ||
                           keeps_to_itself(read_instructions(headers, policy_.cache.targeted).directives) ||
                           headers.find("set-cookie") != nullptr;
    if (forbidden && !rule.override_) return;
    headers.add(std::string(kTtlField),
                rule.ttl_ms == 0 ? "no-store" : "max-age=" + std::to_string(rule.ttl_ms / 1000));
    return;
  }
}

void PolicySite::edit_response(const http::Request& request, int status, http::Headers& headers) const {
  // Another edge has edited it already, under the same policy. (peers.cc marks it so; only edges know the token.)
  const bool edited = is_peer_token(headers.get(kPeerField), proxy_->peer_token);
  headers.remove(kPeerField);
  static const HeaderPolicy kNone;
  const HeaderPolicy& edits = edited ? kNone : policy_.headers;
  for (const std::string& name : edits.response_remove) headers.remove(name);
  if (!policy_.ttl_rules.empty()) apply_ttl(request, status, headers);
  for (const HeaderEdit& edit : edits.response_set) headers.set(edit.name, edit.value);
  for (const HeaderEdit& edit : edits.response_add) headers.add(edit.name, edit.value);
  std::string via;
  for (const auto& [name, value] : headers)
    if (name == "via") via += (via.empty() ? "" : ", ") + value;
  headers.set("via", (via.empty() ? "" : via + ", ") + "1.1 " + proxy_->name);
  if (!edits.security) return;
  auto unless_said = [&](std::string_view name, std::string_view value) {
    if (headers.find(name) == nullptr) headers.add(std::string(name), std::string(value));
  };
  unless_said("x-content-type-options", "nosniff");
  unless_said("referrer-policy", "strict-origin-when-cross-origin");
  unless_said("x-frame-options", "SAMEORIGIN");
  if (request.secure) unless_said("strict-transport-security", "max-age=31536000");
}

void SiteTable::add(std::shared_ptr<const PolicySite> site) {
  const size_t index = sites_.size();
  // Where it belongs at once: ten thousand sites are no ten thousand sorts.
  auto put = [index](std::vector<std::pair<std::string, size_t>>& table, std::string host) {
    std::pair<std::string, size_t> entry(std::move(host), index);
    table.insert(std::ranges::upper_bound(table, entry), std::move(entry));
  };
  for (const std::string& host : site->policy().hosts) {
    if (host == "*")
      any_ = index;
    else if (host.starts_with("*."))
      put(suffixes_, host.substr(1));
    else
      put(exact_, host);
  }
  sites_.push_back(std::move(site));
}

const std::shared_ptr<const PolicySite>* SiteTable::find(std::string_view host) const {
  if (exact_.empty() && suffixes_.empty()) return any_ ? &sites_[*any_] : nullptr;
  host = host.substr(0, host.starts_with('[') ? host.find(']') + 1 : host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string name = lower(host);
  auto look = [&](const std::vector<std::pair<std::string, size_t>>& table,
                  std::string_view text) -> std::optional<size_t> {
    auto at = std::ranges::lower_bound(table, text, std::less<>{},
                                       [](const auto& pair) { return std::string_view(pair.first); });
    if (at == table.end() || at->first != text) return std::nullopt;
    return at->second;
  };
  if (auto found = look(exact_, name)) return &sites_[*found];
  if (!suffixes_.empty())
    for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
      if (auto found = look(suffixes_, std::string_view(name).substr(dot))) return &sites_[*found];
  return any_ ? &sites_[*any_] : nullptr;
}

}  // namespace archipel::edge
