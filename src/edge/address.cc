#include "edge/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace archipel::edge {
namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<IpAddress> parse_bare(std::string_view text) {
  IpAddress address;
  char copy[INET6_ADDRSTRLEN + 1] = {};
  if (text.empty() || text.size() >= sizeof copy) return std::nullopt;
  text.copy(copy, text.size());
  if (inet_pton(AF_INET6, copy, address.bytes.data()) == 1) return address;
  if (inet_pton(AF_INET, copy, address.bytes.data() + 12) != 1) return std::nullopt;
  std::ranges::copy(kMapped, address.bytes.begin());
  return address;
}

}  // namespace

bool IpAddress::v4() const {
  return std::memcmp(bytes.data(), kMapped.data(), kMapped.size()) == 0;
}

std::string IpAddress::text() const {
  char out[INET6_ADDRSTRLEN] = "?";
  if (v4())
    inet_ntop(AF_INET, bytes.data() + 12, out, sizeof out);
  else
    inet_ntop(AF_INET6, bytes.data(), out, sizeof out);
  return out;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.starts_with('[')) {
    size_t end = text.find(']');
    return end == std::string_view::npos ? std::nullopt : parse_bare(text.substr(1, end - 1));
  }
  // One colon: a port behind an IPv4 address.
  size_t colon = text.find(':');
  if (colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos)
    text = text.substr(0, colon);
  return parse_bare(text);
}

bool AddressRange::contains(const IpAddress& address) const {
  int whole = bits / 8, rest = bits % 8;
  if (std::memcmp(address.bytes.data(), first.bytes.data(), static_cast<size_t>(whole)) != 0) return false;
  if (rest == 0) return true;
  auto at = static_cast<size_t>(whole);
  return ((address.bytes[at] ^ first.bytes[at]) >> (8 - rest)) == 0;
}

std::optional<AddressRange> parse_range(std::string_view text) {
  size_t slash = text.find('/');
  std::optional<IpAddress> first = parse_bare(text.substr(0, slash));
  if (!first) return std::nullopt;
  AddressRange range{*first, 128};
  if (slash == std::string_view::npos) return range;
  std::string_view bits = text.substr(slash + 1);
  int value = 0, most = first->v4() ? 32 : 128;
  auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), value);
  if (error != std::errc() || end != bits.data() + bits.size() || value < 0 || value > most)
    return std::nullopt;
  range.bits = 128 - most + value;
  return range;
}

bool contains(const std::vector<AddressRange>& ranges, const IpAddress& address) {
  return std::ranges::any_of(ranges, [&](const AddressRange& range) { return range.contains(address); });
}

bool is_socket_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), port);
  if (error != std::errc() || end != digits.end()) return false;
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  return (host.find(':') != std::string_view::npos) == bracketed && parse_bare(host).has_value();
}

}  // namespace archipel::edge
