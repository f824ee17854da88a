#include "edge/freshness.h"

#include <algorithm>
#include <array>

#include "http/date.h"

namespace archipel::edge {
namespace {

constexpr int64_t kMs = 1000;
constexpr int64_t kClockSlack = 60 * kMs;  // what a clock may be set back without a question

size_t field_bytes(const http::Headers& headers) {
  size_t n = 0;
  for (const auto& [name, value] : headers) n += name.size() + value.size() + 4;
  return n;
}

// Answers to what one client sent, never to the next.
bool is_about_the_client(int status) {
  constexpr std::array kStatuses{407, 408, 412, 413, 416, 417, 421, 425, 426, 428, 429, 431};
  return std::find(kStatuses.begin(), kStatuses.end(), status) != kStatuses.end();
}

bool varies_by_anything(const http::Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (name != "vary") continue;
    for (std::string_view member : split_list(value))
      if (member == "*") return true;
  }
  return false;
}

bool has_validator(const http::Headers& headers) {
  return headers.find("etag") != nullptr || headers.find("last-modified") != nullptr;
}

// RFC 9111 §3. Empty: nothing forbids it.
std::string_view forbidden_by(const Received& r, const Directives& d) {
  if (r.status < 200 || r.status == 206 || r.status == 304 || is_about_the_client(r.status)) return "status";
  const bool understood = is_understood(r.status);
  if (d.must_understand && !understood) return "must-understand";
  if (d.no_store && !d.must_understand) return "no-store";
  if (d.is_private) return "private";
  if (parse_cache_control(*r.request).no_store) return "request no-store";
  if (r.request->find("authorization") != nullptr && !d.is_public && !d.s_maxage && !d.must_revalidate)
    return "authorization";
  if (varies_by_anything(*r.headers)) return "vary";
  if (r.status >= 400 && r.status != 404 && r.status != 410 &&
      field_bytes(*r.request) > kErrorRequestBytesMax)
    return "request too large";
  return {};
}

struct Fresh {
  std::optional<int64_t> explicit_ms;  // said by the response
  int64_t ms = 0;
  bool heuristic = false;
};

// RFC 9111 §4.2.1, §4.2.2.
Fresh freshness_lifetime(const Received& r, const Instructions& in, const CachePolicy& policy, UnixMs date) {
  Fresh out;
  if (in.directives.s_maxage) {
    out.explicit_ms = *in.directives.s_maxage * kMs;
  } else if (in.directives.max_age) {
    out.explicit_ms = *in.directives.max_age * kMs;
  } else if (!in.targeted && r.headers->find("expires") != nullptr) {
    auto expires = parse_date_field(*r.headers, "expires", r.received);
    out.explicit_ms = expires ? std::max<int64_t>(0, *expires - date) : 0;
  }
  out.ms = out.explicit_ms.value_or(0);
  // What sets a cookie is for all only if it says so; and no site's span makes a failure last.
  const bool usual = is_heuristically_cacheable(r.status) || in.directives.is_public;
  const bool personal = r.headers->find("set-cookie") != nullptr && !in.directives.is_public;
  if (policy.fresh && (out.explicit_ms || (usual && !personal))) {
    out.ms = std::max<int64_t>(0, *policy.fresh);
    return out;
  }
  if (out.explicit_ms || personal) return out;
  auto modified = parse_date_field(*r.headers, "last-modified", r.received);
  if (policy.heuristic && usual && modified && *modified < date) {
    out.ms = std::min((date - *modified) / 10, policy.heuristic_max);
    out.heuristic = true;
  } else if (r.status == 200) {
    out.ms = policy.default_fresh;
  } else if (r.status == 404 || r.status == 410) {
    out.ms = policy.negative_fresh;
  }
  return out;
}

// How stale it may be served: the response's own word, else the site's, unless the response forbids.
void allow_staleness(Lifetime& out, const Directives& d, const CachePolicy& policy) {
  out.never_stale = d.must_revalidate || d.proxy_revalidate || d.no_cache || d.s_maxage.has_value();
  if (d.must_revalidate || d.proxy_revalidate || d.no_cache) return;
  // s-maxage forbids too, but not what the same response allows by name.
  auto pick = [&](const std::optional<int64_t>& said, int64_t usual) {
    if (said) return *said * kMs;
    return out.never_stale ? 0 : std::max<int64_t>(0, usual);
  };
  out.while_revalidate = pick(d.stale_while_revalidate, policy.while_revalidate);
  out.if_error = pick(d.stale_if_error, policy.if_error);
}

}  // namespace

Storable judge_response(const Received& r, const CachePolicy& policy) {
  Storable out;
  const Instructions in = read_instructions(*r.headers, policy.targeted);
  const Directives& d = in.directives;
  out.why = policy.enabled ? forbidden_by(r, d) : "off";
  if (!out.why.empty()) return out;

  const UnixMs date = parse_date_field(*r.headers, "date", r.received).value_or(r.received);
  const Fresh fresh = freshness_lifetime(r, in, policy, date);
  const bool usual = is_heuristically_cacheable(r.status) || d.is_public;
  if (!fresh.explicit_ms && !usual) {
    out.why = "status";
    return out;
  }
  if (r.method != "GET" && !fresh.explicit_ms) {
    out.why = "method";
    return out;
  }
  Lifetime& l = out.lifetime;
  l.received = r.received;
  l.fresh = fresh.ms;
  l.heuristic = fresh.heuristic;
  l.validate_always = d.no_cache;
  allow_staleness(l, d, policy);
  // Date has no fractions of a second: what they seem to add is none of its age.
  const int64_t apparent = std::max<int64_t>(0, r.received - date) / kMs * kMs;
  const int64_t delay = std::max<int64_t>(0, r.received - r.requested);
  l.age_then = std::max(apparent, parse_age(*r.headers) * kMs + delay);

  const bool useful = (l.fresh > l.age_then && !l.validate_always) || l.while_revalidate > 0;
  if (!useful && !has_validator(*r.headers)) {
    out.why = "stale";
    return out;
  }
  if (!useful && r.headers->find("set-cookie") != nullptr && !fresh.explicit_ms && !d.is_public) {
    out.why = "set-cookie";
    return out;
  }
  out.store = true;
  return out;
}

int64_t current_age(const Lifetime& l, UnixMs now) {
  return l.age_then + std::max<int64_t>(0, now - l.received);
}

Judgement judge_use(const Lifetime& l, UnixMs now, bool purged_softly, const Directives* wishes) {
  Judgement out;
  out.age = current_age(l, now);
  out.ttl = l.fresh - out.age;
  const int64_t stale_by = std::max<int64_t>(0, -out.ttl);
  out.on_error = stale_by <= l.if_error && l.if_error > 0;
  if (wishes != nullptr && wishes->stale_if_error && !l.never_stale)
    out.on_error = out.on_error || stale_by <= *wishes->stale_if_error * kMs;
  if (purged_softly && !l.never_stale) out.on_error = true;
  if (l.validate_always) {
    out.on_error = false;
    return out;
  }
  if (purged_softly) return out;
  // It came later than now: the clock was wrong then, or is. How old it is, nobody knows, and it could stay "fresh" until the clock has caught up.
  if (l.received > now + kClockSlack) return out;
  if (wishes != nullptr) {
    if (wishes->no_cache) return out;
    if (wishes->max_age && out.age > *wishes->max_age * kMs) return out;
    if (wishes->min_fresh && out.ttl < *wishes->min_fresh * kMs) return out;
  }
  if (out.ttl > 0) {
    out.use = Use::fresh;
  } else if (stale_by <= l.while_revalidate && l.while_revalidate > 0) {
    out.use = Use::revalidate;
  } else if (wishes != nullptr && wishes->max_stale && !l.never_stale &&
             stale_by <= *wishes->max_stale * kMs) {
    out.use = Use::fresh;
  }
  return out;
}

Directives read_wishes(const http::Headers& request) {
  Directives out = parse_cache_control(request);
  if (out.present) return out;
  for (const auto& [name, value] : request) {
    if (name != "pragma") continue;
    for (std::string_view member : split_list(value))
      out.no_cache = out.no_cache || lower_case(member) == "no-cache";
  }
  return out;
}

int64_t parse_age(const http::Headers& headers) {
  const std::string* line = headers.find("age");
  if (line == nullptr) return 0;
  std::vector<std::string_view> members = split_list(*line);
  if (members.empty()) return 0;
  return parse_seconds(members.front()).value_or(0);
}

std::optional<UnixMs> parse_loose_date(std::string_view text, UnixMs now) {
  std::string proper(text);
  bool inside = false;
  for (char& c : proper) {
    const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
    if (lower && !inside) c = static_cast<char>(c - 32);
    if (upper && inside) c = static_cast<char>(c + 32);
    inside = upper || lower;
  }
  if (proper.ends_with(" Gmt")) proper.replace(proper.size() - 3, 3, "GMT");
  return http::parse_http_date(proper, now);
}

std::optional<UnixMs> parse_date_field(const http::Headers& headers, std::string_view name, UnixMs now) {
  if (headers.count(name) != 1) return std::nullopt;
  return parse_loose_date(headers.get(name), now);
}

bool is_heuristically_cacheable(int status) {
  constexpr std::array kStatuses{200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501};
  return std::find(kStatuses.begin(), kStatuses.end(), status) != kStatuses.end();
}

bool is_understood(int status) {
  constexpr std::array kStatuses{200, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404,
                                 405, 406, 409, 410, 411, 414, 415, 422, 451, 500, 501, 502, 503, 504, 505};
  return std::find(kStatuses.begin(), kStatuses.end(), status) != kStatuses.end();
}

}  // namespace archipel::edge
