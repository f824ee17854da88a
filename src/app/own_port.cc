#include "app/own_port.h"

#include <algorithm>
#include <string>

namespace archipel::app {
namespace {

std::string host_of(const http::Request& request) {
  std::string host(request.headers.get("host"));
  size_t colon = host.rfind(':');
  if (colon != std::string::npos && host.find_first_not_of("0123456789", colon + 1) == std::string::npos)
    host.resize(colon);
  std::ranges::transform(host, host.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return host;
}

bool names_bucket(std::string_view host, std::string_view base) {
  return !base.empty() && host.size() > base.size() + 1 && host.ends_with(base) &&
         host[host.size() - base.size() - 1] == '.';
}

// By name or address; "127.example.org" is neither.
bool names_loopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool passed_on(const http::Request& request) {
  return std::ranges::any_of(request.headers, [](const auto& field) {
    return field.first == "forwarded" || field.first == "via" || field.first.starts_with("x-forwarded-");
  });
}

}  // namespace

bool is_admin_on_own_port(const http::Request& request, std::string_view virtual_host_base) {
  if (request.method != "GET" && request.method != "HEAD") return false;
  std::string_view path = request.path();
  bool metrics = path == "/metrics";
  if (!metrics && path != "/healthz" && path != "/readyz") return false;
  if (request.headers.find("authorization") != nullptr || !request.query().empty()) return false;
  std::string host = host_of(request);
  if (names_bucket(host, virtual_host_base)) return false;
  bool local_peer = request.peer.starts_with("127.") || request.peer.starts_with("[::1]");
  return !metrics || (local_peer && names_loopback(host) && !passed_on(request));
}

}  // namespace archipel::app
