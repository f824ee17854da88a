// Percent-encoding, and query strings kept in the order and spelling of the wire (RFC 3986; SigV4's
// UriEncode).
//
// Pure functions over bytes: nothing here decides what a path means. Decoded text may contain any byte, NUL
// and '/' included.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace archipel::http {

// Is a '+' in the input a plus sign (paths, RFC 3986) or a space (query strings, as HTML forms and S3 read
// them)?
enum class Plus { literal, space };

// Decodes every %XX once. nullopt for a '%' that two hex digits do not follow; everything else is passed
// through.
std::optional<std::string> percent_decode(std::string_view text, Plus plus = Plus::literal);

enum class Slash { encode, keep };

// AWS SigV4 UriEncode: unreserved A-Z a-z 0-9 - . _ ~ stay, every other byte becomes %XX in upper case (a
// space is %20, never '+'). Slash::keep is for object keys in paths.
std::string uri_encode(std::string_view bytes, Slash slash = Slash::encode);

struct QueryParam {
  std::string name;         // decoded, '+' = space
  std::string value;        // decoded, '+' = space; empty without '='
  bool had_equals = false;  // "?acl" and "?acl=" differ for some callers
  std::string_view raw;     // "na%6De=v", as on the wire; points into the text given to parse_query
};

inline constexpr size_t kQueryParamsMax = 256;

// Splits at '&' in order of appearance; empty pieces ("a&&b") are skipped. nullopt if any piece has a bad
// %-escape or there are more than kQueryParamsMax pieces. `query` is without its '?'.
std::optional<std::vector<QueryParam>> parse_query(std::string_view query);

}  // namespace archipel::http
