#include "edge/conditional.h"

#include "edge/directives.h"
#include "edge/freshness.h"

namespace archipel::edge {
namespace {

std::string_view opaque(std::string_view etag) {
  return etag.starts_with("W/") ? etag.substr(2) : etag;
}

}  // namespace

bool is_strong_etag(std::string_view etag) {
  return etag.size() >= 2 && etag.front() == '"' && etag.back() == '"';
}

bool etags_match(std::string_view a, std::string_view b, bool strong) {
  if (a.empty() || b.empty()) return false;
  if (strong) return is_strong_etag(a) && a == b;
  return opaque(a) == opaque(b);
}

bool etag_listed(std::string_view list, std::string_view etag) {
  // Entity tags may hold commas, but no escapes: a backslash is a character like any other.
  size_t begin = 0;
  bool quoted = false;
  for (size_t i = 0; i <= list.size(); i++) {
    if (i < list.size() && list[i] == '"') quoted = !quoted;
    if (i < list.size() && (quoted || list[i] != ',')) continue;
    std::string_view member = list.substr(begin, i - begin);
    while (!member.empty() && (member.front() == ' ' || member.front() == '\t')) member.remove_prefix(1);
    while (!member.empty() && (member.back() == ' ' || member.back() == '\t')) member.remove_suffix(1);
    if (member == "*" || etags_match(member, etag, false)) return true;
    begin = i + 1;
  }
  return false;
}

bool is_not_modified(const http::Headers& request, const Validators& stored, UnixMs now) {
  bool listed = false, asked = false;
  for (const auto& [name, value] : request) {
    if (name != "if-none-match") continue;
    asked = true;
    listed = listed || etag_listed(value, stored.etag);
  }
  if (asked) return listed;
  auto since = parse_date_field(request, "if-modified-since", now);
  if (!since) return false;
  // Both without fractions of a second.
  return stored.last_modified.value_or(stored.date) / 1000 <= *since / 1000;
}

bool range_still_counts(const http::Headers& request, const Validators& stored, UnixMs now) {
  const std::string* value = request.find("if-range");
  if (value == nullptr) return true;
  if (value->starts_with('"') || value->starts_with("W/")) return etags_match(*value, stored.etag, true);
  auto when = parse_loose_date(*value, now);
  // A date is a strong validator only if the response could not have changed twice within it: RFC 9110 §8.8.2.2.
  return when && stored.last_modified && *when == *stored.last_modified &&
         stored.date - *stored.last_modified >= 1000;
}

bool has_origin_conditions(const http::Headers& request) {
  return request.find("if-match") != nullptr || request.find("if-unmodified-since") != nullptr;
}

void remove_conditions(http::Headers& request) {
  http::Headers out;
  for (const auto& [name, value] : request)
    if (name != "if-match" && name != "if-none-match" && name != "if-modified-since" &&
        name != "if-unmodified-since" && name != "if-range" && name != "range")
      out.add(name, value);
  request = std::move(out);
}

http::Headers not_modified_headers(const http::Headers& stored) {
  http::Headers out;
  for (const auto& [name, value] : stored)
    if (!name.starts_with("content-") || name == "content-location" ||
        name.starts_with("content-security-policy"))
      out.add(name, value);
  return out;
}

}  // namespace archipel::edge
