// Keys: which requests are answered by one stored response. Pure functions.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "edge/entry.h"
#include "http/message.h"

namespace archipel::edge {

// Of a process; random, so that nobody outside can make keys collide.
struct HashSecret {
  std::array<uint8_t, 16> bytes{};
};
// SipHash-2-4 with 128 bits.
Key hash_key(const HashSecret& secret, std::string_view text);

struct KeyPolicy {
  bool whole_query = true;  // false: only `query_names`, in the order of this list
  std::vector<std::string> query_names;
  std::vector<std::string> ignored_names;  // with whole_query: left out (utm_source …)
  bool sort_query = false;
  std::vector<std::string> header_names;  // values that become part of the key
  bool host = true;                       // false: all hosts of the site share
};

// "site\nscheme://host:port/target…": the target is used as it is sent to the origin, byte for byte. Limit: kKeyBytesMax (longer: empty, not cached).
std::string primary_key(std::string_view site, const http::Request& request, const KeyPolicy& policy);
// The primary key, a NUL, and the request's values of the fields, normalised (RFC 9111 §4.1; Accept-Encoding to the codings that are served).
std::string variant_key(std::string_view primary, const std::vector<std::string>& names,
                        const http::Headers& request);

}  // namespace archipel::edge
