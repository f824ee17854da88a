#include "edge/merge.h"

#include <algorithm>
#include <array>

#include "edge/conditional.h"

namespace archipel::edge {
namespace {

template <size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
bool among(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What a later response cannot change, because the stored bytes are as it says.
bool describes_bytes(std::string_view name) {
  constexpr std::array<std::string_view, 3> kNames{"content-length", "content-encoding", "content-range"};
  return among(kNames, name);
}

}  // namespace

http::Headers stored_headers(const http::Headers& response, const Directives& directives) {
  http::Headers out;
  for (const auto& [name, value] : response) {
    if (name == "age" || name == "content-length") continue;
    if (among(directives.no_cache_fields, name) || among(directives.private_fields, name)) continue;
    out.add(name, value);
  }
  return out;
}

http::Headers merge_headers(const http::Headers& stored, const http::Headers& update) {
  http::Headers out;
  for (const auto& [name, value] : stored)
    if (describes_bytes(name) || update.find(name) == nullptr) out.add(name, value);
  for (const auto& [name, value] : update)
    if (!describes_bytes(name) && name != "age") out.add(name, value);
  return out;
}

bool validates(const http::Headers& stored, const http::Headers& update) {
  std::string_view a = stored.get("etag"), b = update.get("etag");
  return !is_strong_etag(a) || !is_strong_etag(b) || a == b;
}

bool head_agrees(const http::Headers& stored, std::optional<uint64_t> stored_length,
                 const http::Headers& head, std::optional<uint64_t> head_length) {
  for (std::string_view name : {"etag", "last-modified", "content-encoding"}) {
    const std::string* said = head.find(name);
    if (said != nullptr && *said != stored.get(name)) return false;
  }
  return !head_length || !stored_length || *head_length == *stored_length;
}

void remove_steering(http::Headers& request, const std::vector<std::string>& keyed) {
  constexpr std::array<std::string_view, 8> kNames{
      "x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url",
      "x-original-host",        "x-host",        "x-forwarded-scheme"};
  http::Headers out;
  for (const auto& [name, value] : request)
    if (!among(kNames, name) || among(keyed, name)) out.add(name, value);
  request = std::move(out);
}

}  // namespace archipel::edge
