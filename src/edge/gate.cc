#include "edge/gate.h"

#include <algorithm>

#include "edge/directives.h"
#include "edge/signed_url.h"

namespace archipel::edge {
namespace {

constexpr size_t kForwardedMax = 32;  // addresses of X-Forwarded-For that are looked at
constexpr int kDecodeRounds = 2;      // percent-decoding of a guarded path: origins decode once, some twice
constexpr size_t kKeyHeaderBytesMax = 1024;  // longer ones count as none

Decision answer(int status, std::string_view reason, std::string body) {
  Decision out;
  out.answer.emplace();
  out.answer->status = status;
  out.answer->headers.add("content-type", "text/plain; charset=utf-8");
  // What is decided here belongs to one client and one moment.
  out.answer->headers.add("cache-control", "no-store");
  out.body = std::move(body) + "\n";
  out.reason = reason;
  return out;
}

Decision redirect(int status, std::string_view reason, std::string to) {
  Decision out = answer(status, reason, "moved");
  out.answer->headers.set("location", std::move(to));
  out.answer->headers.set("cache-control", status == 301 || status == 308 ? "max-age=3600" : "no-cache");
  return out;
}

std::string fill_in(std::string_view pattern, const std::vector<std::string_view>& stars,
                    std::string_view query) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '$' && i + 1 < pattern.size() && pattern[i + 1] >= '1' && pattern[i + 1] <= '9') {
      auto star = static_cast<size_t>(pattern[++i] - '1');
      if (star < stars.size()) out += stars[star];
    } else {
      out += pattern[i];
    }
  }
  // "//host" would leave the site.
  if (pattern.starts_with('/')) {
    size_t slashes = std::min(out.find_first_not_of("/\\"), out.size());
    if (slashes > 1) out.erase(0, slashes - 1);
    if (out.starts_with('\\')) out.front() = '/';
  }
  if (!query.empty()) {
    out += out.find('?') == std::string::npos ? '?' : '&';
    out += query;
  }
  return out;
}

bool allows(const GeoPolicy& geo, const std::string& country) {
  if (std::ranges::find(geo.deny, country) != geo.deny.end()) return false;
  return geo.allow.empty() || std::ranges::find(geo.allow, country) != geo.allow.end();
}

// IPv6 networks give each customer at least a /64.
std::string rate_name(const IpAddress& client) {
  size_t bytes = client.v4() ? 16 : 8;
  return {reinterpret_cast<const char*>(client.bytes.data()), bytes};
}

std::optional<Decision> limit_rate(const SitePolicy& policy, const http::Request& request,
                                   const GateContext& context) {
  const LimitPolicy& limit = policy.limit;
  if (context.rates == nullptr) return std::nullopt;
  int wait_s = 1;
  bool admitted = true;
  std::string_view key;
  if (!limit.key_header.empty()) key = request.headers.get(limit.key_header);
  if (!key.empty() && key.size() <= kKeyHeaderBytesMax)
    admitted = context.rates->take("k" + policy.name + '\0' + std::string(key), limit.key_rate,
                                   limit.key_burst, context.now, wait_s);
  // Also for those who name a key: made-up keys must not be a way around it.
  if (admitted && limit.rate > 0)
    admitted = context.rates->take("a" + policy.name + '\0' + rate_name(context.client), limit.rate,
                                   limit.burst, context.now, wait_s);
  if (admitted) return std::nullopt;
  Decision out = answer(429, "rate", "too many requests; try again later");
  out.answer->headers.set("retry-after", std::to_string(wait_s));
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decode_once(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size();
    const int high = escape ? hex_digit(text[i + 1]) : -1, low = escape ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

// As an origin may understand a path: up to a NUL, backslashes as slashes, without parameters of segments, empty
// segments and dots, and without a slash at its end.
std::string resolve_dots(std::string_view path) {
  path = path.substr(0, path.find('\0'));
  std::vector<std::string_view> segments;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find_first_of("/\\", begin), path.size());
    std::string_view segment = path.substr(begin, end - begin);
    begin = end + 1;
    segment = segment.substr(0, segment.find(';'));
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
  }
  std::string out;
  for (std::string_view segment : segments) (out += '/') += segment;
  return out.empty() ? "/" : out;
}

// Does one of the globs stand for this path in any of the ways that an origin may read it? The edge passes targets on as they came; a path that is
// guarded must not be had by writing it another way. Capitals are one of them: there are file systems that know none.
bool guards(const std::vector<std::string>& globs, std::string_view path) {
  auto any = [&](std::string_view reading) {
    const std::string small = lower_case(reading);
    return std::ranges::any_of(
        globs, [&](const std::string& glob) { return glob_matches(lower_case(glob), small); });
  };
  if (any(path)) return true;
  std::string text(path);
  for (int round = 0; round <= kDecodeRounds; ++round) {
    const std::string resolved = resolve_dots(text);
    if (any(text) || any(resolved) || (text.ends_with('/') && any(resolved + '/'))) return true;
    std::string next = decode_once(text);
    if (next == text) break;
    text = std::move(next);
  }
  return false;
}

}  // namespace

bool is_trusted(const http::Request& request, const std::vector<AddressRange>& trust) {
  if (trust.empty()) return false;
  std::optional<IpAddress> peer = parse_ip(request.peer);
  return peer && contains(trust, *peer);
}

std::optional<IpAddress> client_of(const http::Request& request, const std::vector<AddressRange>& trust) {
  std::optional<IpAddress> client = parse_ip(request.peer);
  if (!client || trust.empty()) return client;
  std::string all;
  for (const auto& [name, value] : request.headers)
    if (name == "x-forwarded-for") all += (all.empty() ? "" : ",") + value;
  std::string_view rest = all;
  // From the right: each trusted proxy vouches for the address before its own.
  for (size_t i = 0; i < kForwardedMax && !rest.empty() && contains(trust, *client); ++i) {
    size_t comma = rest.rfind(',');
    std::string_view last = comma == std::string_view::npos ? rest : rest.substr(comma + 1);
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(0, comma);
    while (last.starts_with(' ')) last.remove_prefix(1);
    while (last.ends_with(' ')) last.remove_suffix(1);
    std::optional<IpAddress> next = parse_ip(last);
    if (!next) break;
    client = next;
  }
  return client;
}

Decision decide(const SitePolicy& policy, const http::Request& request, std::optional<uint64_t> body_length,
                const GateContext& context) {
  const LimitPolicy& limit = policy.limit;
  if (!limit.methods.empty() && std::ranges::find(limit.methods, request.method) == limit.methods.end()) {
    std::string allow;
    for (const std::string& method : limit.methods) allow += (allow.empty() ? "" : ", ") + method;
    Decision out = answer(405, "method", "the method is not allowed here");
    out.answer->headers.set("allow", allow);
    return out;
  }
  Decision out;
  if (policy.geo.used()) {
    std::string country = context.geo == nullptr ? "" : context.geo->country(context.client);
    if (!allows(policy.geo, country)) return answer(403, "country", "not available in your country");
    // Also when it is not known: a client's own field must never pass for ours.
    if (!policy.geo.header.empty())
      out.set_headers.push_back({policy.geo.header, country.empty() ? "XX" : country});
  }
  if (auto limited = limit_rate(policy, request, context)) return std::move(*limited);
  if (limit.body_bytes_max && body_length && *body_length > *limit.body_bytes_max)
    return answer(413, "body", "the request body is too large");
  if (policy.https_only && !request.secure && !request.headers.get("host").empty()) {
    std::string host(request.headers.get("host"));
    host = host.substr(0, host.starts_with('[') ? host.find(']') + 1 : host.find(':'));
    return redirect(308, "https", "https://" + host + request.target);
  }
  if (!policy.signed_.paths.empty()) {
    // Both what is asked for and what it would be without a signature: neither may be a way around the other.
    const std::vector<std::string>& paths = policy.signed_.paths;
    if (guards(paths, request.path()) || guards(paths, signed_path(request.target))) {
      auto open =
          check_signed(request.headers.get("host"), request.target, policy.signed_.keys, context.unix_ms);
      if (!open) return answer(403, "signature", "this link is not valid, or not any more");
      out.target = std::move(open->target);
    }
  }
  std::vector<std::string_view> stars;
  const std::string_view target =
      out.target ? std::string_view(*out.target) : std::string_view(request.target);
  const std::string_view path = target.substr(0, target.find('?'));
  for (const RedirectRule& rule : policy.redirects)
    if (glob_captures(rule.path, path, stars))
      return redirect(
          rule.status, "redirect",
          fill_in(rule.to, stars, path.size() == target.size() ? "" : target.substr(path.size() + 1)));
  return out;
}

bool lets_pass(const SitePolicy& policy, const http::Request& request) {
  const LimitPolicy& limit = policy.limit;
  const bool listed =
      limit.methods.empty() || std::ranges::find(limit.methods, request.method) != limit.methods.end();
  return listed && limit.rate <= 0 && limit.key_header.empty() && !policy.geo.used() &&
         (!policy.https_only || request.secure) && policy.signed_.paths.empty() && policy.redirects.empty();
}

}  // namespace archipel::edge
