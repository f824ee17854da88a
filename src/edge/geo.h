// Geo: the country of an address, from a file in MaxMind's format (GeoIP2 or GeoLite2 Country or City, or any with country.iso_code).
//
// Any thread. The file is mapped; one that is replaced is read again at the next reload.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "edge/address.h"

namespace archipel::edge {

class Geo {
 public:
  virtual ~Geo() = default;
  // ISO 3166-1 alpha-2, or empty if the file does not say.
  virtual std::string country(const IpAddress& address) const = 0;
};

// not_found, invalid (no database, or damaged), io.
Result<std::shared_ptr<const Geo>> open_geo(const std::string& path);

}  // namespace archipel::edge
