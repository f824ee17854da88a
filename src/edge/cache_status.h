// Cache-Status (RFC 9211): what this cache did, as one member of the list that every cache on the way appends to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace archipel::edge {

struct CacheStatus {
  enum class Forward {
    none,       // a hit
    bypass,     // the cache does not handle such requests
    method,     // the method's meaning
    uri_miss,   // nothing under this key
    vary_miss,  // nothing that this request's fields select
    miss,       // nothing, for some other reason
    request,    // stored and fresh, but the request did not allow it
    stale,      // stored, but not fresh
    partial,    // stored, but not all bytes of it
  };
  Forward forward = Forward::none;
  int forward_status = 0;           // of the origin, if it differs from what is sent; 0: left out
  std::optional<int64_t> ttl = {};  // seconds of freshness left; negative: stale
  bool stored = false;
  bool collapsed = false;
  std::string_view detail = {};  // a token
};

// "archipel; hit; ttl=30". `name` becomes a string if it is no token.
std::string write_cache_status(std::string_view name, const CacheStatus& status);

}  // namespace archipel::edge
