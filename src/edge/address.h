// Addresses of clients, and ranges of them. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace archipel::edge {

// An IP address; IPv4 as ::ffff:a.b.c.d.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};
  bool v4() const;
  std::string text() const;
  bool operator==(const IpAddress&) const = default;
};
// "192.0.2.1", "2001:db8::1", with brackets or a port too ("192.0.2.1:80", "[2001:db8::1]:80").
std::optional<IpAddress> parse_ip(std::string_view text);

// "10.0.0.0/8", "2001:db8::/32", or one address.
struct AddressRange {
  IpAddress first;
  int bits = 128;  // of the 16 bytes
  bool contains(const IpAddress& address) const;
  bool operator==(const AddressRange&) const = default;
};
std::optional<AddressRange> parse_range(std::string_view text);
bool contains(const std::vector<AddressRange>& ranges, const IpAddress& address);

// "127.0.0.1:8002" or "[::1]:8002": numeric, with a port (0: any).
bool is_socket_address(std::string_view text);

}  // namespace archipel::edge
