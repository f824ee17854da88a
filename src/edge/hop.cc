#include "edge/hop.h"

#include <algorithm>
#include <string>
#include <vector>

#include "http/h1_parser.h"

namespace archipel::edge {
namespace {

constexpr std::string_view kHopFields[] = {"connection",
                                           "keep-alive",
                                           "proxy-connection",
                                           "te",
                                           "trailer",
                                           "upgrade",
                                           "transfer-encoding",
                                           "proxy-authenticate",
                                           "proxy-authorization",
                                           "proxy-authentication-info",
                                           "http2-settings"};
constexpr std::string_view kEverybodys[] = {"accept",
                                            "accept-charset",
                                            "accept-encoding",
                                            "accept-language",
                                            "accept-ranges",
                                            "age",
                                            "allow",
                                            "authorization",
                                            "cache-control",
                                            "cookie",
                                            "date",
                                            "etag",
                                            "expect",
                                            "expires",
                                            "forwarded",
                                            "from",
                                            "host",
                                            "last-modified",
                                            "location",
                                            "max-forwards",
                                            "origin",
                                            "pragma",
                                            "range",
                                            "referer",
                                            "retry-after",
                                            "server",
                                            "set-cookie",
                                            "user-agent",
                                            "vary",
                                            "via",
                                            "warning",
                                            "www-authenticate",
                                            "cdn-cache-control",
                                            "cache-status",
                                            "cache-tag",
                                            "surrogate-key"};

template <size_t N>
bool one_of(std::string_view name, const std::string_view (&names)[N]) {
  return std::ranges::find(names, name) != std::end(names);
}

bool is_everybodys(std::string_view name) {
  return one_of(name, kEverybodys) || name.starts_with("content-") || name.starts_with("if-") ||
         name.starts_with("x-forwarded-") || name.starts_with("access-control-") || name.starts_with("sec-");
}

// Calls `use` for each member of the comma-separated list, in lower case.
template <class F>
void each_option(std::string_view list, F use) {
  while (!list.empty()) {
    size_t comma = list.find(',');
    std::string option(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    size_t begin = option.find_first_not_of(" \t"), end = option.find_last_not_of(" \t");
    if (begin == std::string::npos) continue;
    option = option.substr(begin, end - begin + 1);
    std::ranges::transform(option, option.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    use(std::move(option));
  }
}

}  // namespace

http::Headers without_hop_fields(const http::Headers& headers, bool keep_upgrade) {
  std::vector<std::string> named;
  for (const auto& [name, value] : headers)
    if (name == "connection")
      each_option(value, [&](std::string option) {
        if (!is_everybodys(option)) named.push_back(std::move(option));
      });
  std::ranges::sort(named);
  http::Headers out;
  for (const auto& [name, value] : headers) {
    if (keep_upgrade && name == "upgrade") {
      out.add(name, value);
      continue;
    }
    if (one_of(name, kHopFields) || std::ranges::binary_search(named, name)) continue;
    out.add(name, value);
  }
  return out;
}

std::string_view upgrade_of(const http::Headers& headers) {
  for (const auto& [name, value] : headers)
    if (name == "connection" && http::list_contains(value, "upgrade")) return headers.get("upgrade");
  return {};
}

}  // namespace archipel::edge
