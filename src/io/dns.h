// Dns: from host names to addresses, remembered for a while. What asks is the system's resolver (its configuration, /etc/hosts and all), on worker threads
// of their own, since it blocks for seconds when a name server is silent.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "io/task.h"
#include "io/workers.h"

namespace archipel::io {

struct DnsOptions {
  // The system's resolver does not tell how long an answer holds, so all hold equally long.
  Duration fresh = std::chrono::seconds(30);
  Duration stale = std::chrono::minutes(10);    // an older answer serves on while nobody gives a newer one
  Duration negative = std::chrono::seconds(5);  // "no such name", and failures
};
inline constexpr size_t kDnsNamesMax = 4096;    // remembered; those that were not asked for longest go first
inline constexpr size_t kDnsAddressesMax = 32;  // of one name

// Any thread.
class Dns {
 public:
  virtual ~Dns() = default;
  // At least one address, "192.0.2.1" or "2001:db8::1", in the order in which they should be tried. An address is its own answer. What was fresh until a moment ago is
  // given at once and renewed meanwhile; many who ask for one name ask once. Errors: not_found (no such name, or without addresses), unavailable (no name
  // server answers), invalid (no host name), timeout.
  virtual Task<Result<std::vector<std::string>>> resolve(std::string host, Deadline deadline) = 0;
};

// Asks for one name, blocking.
using DnsLookup = std::function<Result<std::vector<std::string>>(const std::string& host)>;
Result<std::vector<std::string>> system_lookup(const std::string& host);

// `workers` and `clock` must outlive it, and the loops those who ask.
std::shared_ptr<Dns> make_dns(Workers& workers, Clock& clock, const DnsOptions& options = {},
                              DnsLookup lookup = system_lookup);

// "ADDR:PORT" or "[ADDR6]:PORT", for Network::connect.
std::string with_port(const std::string& address, uint16_t port);

}  // namespace archipel::io
