// Keys: which requests are answered by one stored response. Pure functions.
#pragma once

#include <array>
#include <optional>
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
  std::vector<std::string> query_names = {};
  std::vector<std::string> ignored_names = {};  // with whole_query: left out (utm_source …)
  bool sort_query = false;
  std::vector<std::string> header_names = {};  // values that become part of the key
  bool host = true;                            // false: all hosts of the site share
};

// "site\nscheme://host:port/target…": the target is keyed_target(). Limit: kKeyBytesMax (longer: empty, not cached).
std::string primary_key(std::string_view site, const http::Request& request, const KeyPolicy& policy);
// The target with the query that counts. The origin is asked for exactly this: what it sees and the key does not is how caches are poisoned.
std::string keyed_target(std::string_view target, const KeyPolicy& policy);
// The scheme, host and port of the request, as an origin (RFC 6454): "https://a.example:8443". The default port is left out.
std::string request_origin(const http::Request& request);
// Its host and port alone, as they are in the key: in lower case, without the default port. What the origin is told.
std::string keyed_host(const http::Request& request);

// The primary key, a NUL, and the request's values of the fields, normalised (RFC 9111 §4.1; Accept-Encoding to the codings that are served).
// Empty if it would be too long. `sort_languages`: the order of languages of one weight does not count.
std::string variant_key(std::string_view primary, const std::vector<std::string>& names,
                        const http::Headers& request, bool sort_languages = false);

// The field names that a response varies by: of Vary, lower-case, sorted, each once; and accept-encoding if its body is coded, since many origins
// forget to say so. nullopt: by anything ("*"), or by more than kVaryNamesMax.
std::optional<std::vector<std::string>> vary_names(const http::Headers& response);
inline constexpr size_t kVaryNamesMax = 16;

// "br, gzip, zstd": the codings among these that `value` accepts; empty: none of them. What an origin is asked with, so that one variant serves all
// whose lists differ in order, weights and codings that nobody serves.
std::string normal_encodings(std::string_view value);

}  // namespace archipel::edge
