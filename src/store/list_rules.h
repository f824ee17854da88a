// What listings share.
#pragma once

#include <optional>
#include <string_view>

namespace archipel::store {

// The common prefix that `key` rolls up into, or nothing. `request` has a prefix, which the key begins with, and a delimiter.
template <class Request>
std::optional<std::string_view> common_prefix_of(const Request& request, std::string_view key) {
  if (request.delimiter.empty()) return std::nullopt;
  size_t at = key.find(request.delimiter, request.prefix.size());
  if (at == std::string_view::npos) return std::nullopt;
  return key.substr(0, at + request.delimiter.size());
}

}  // namespace archipel::store
