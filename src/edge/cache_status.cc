#include "edge/cache_status.h"

#include "http/structured_fields.h"

namespace archipel::edge {
namespace {

std::string_view to_string(CacheStatus::Forward forward) {
  switch (forward) {
    case CacheStatus::Forward::none:
      return "";
    case CacheStatus::Forward::bypass:
      return "bypass";
    case CacheStatus::Forward::method:
      return "method";
    case CacheStatus::Forward::uri_miss:
      return "uri-miss";
    case CacheStatus::Forward::vary_miss:
      return "vary-miss";
    case CacheStatus::Forward::miss:
      return "miss";
    case CacheStatus::Forward::request:
      return "request";
    case CacheStatus::Forward::stale:
      return "stale";
    case CacheStatus::Forward::partial:
      return "partial";
  }
  return "";
}

}  // namespace

std::string write_cache_status(std::string_view name, const CacheStatus& status) {
  std::string out = http::sf::is_token(name) ? std::string(name) : http::sf::write_string(name);
  if (status.forward == CacheStatus::Forward::none)
    out += "; hit";
  else
    (out += "; fwd=") += to_string(status.forward);
  if (status.forward_status != 0) (out += "; fwd-status=") += std::to_string(status.forward_status);
  if (status.ttl) (out += "; ttl=") += std::to_string(*status.ttl);
  if (status.stored) out += "; stored";
  if (status.collapsed) out += "; collapsed";
  if (!status.detail.empty())
    (out += "; detail=") += http::sf::is_token(status.detail) ? std::string(status.detail)
                                                              : http::sf::write_string(status.detail);
  return out;
}

}  // namespace archipel::edge
