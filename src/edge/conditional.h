// Conditional requests against a stored response (RFC 9110 §13, RFC 9111 §4.3.2), and validators. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "edge/entry.h"
#include "http/message.h"

namespace archipel::edge {

// The opaque parts are equal and, for `strong`, neither is weak.
bool etags_match(std::string_view a, std::string_view b, bool strong);
bool is_strong_etag(std::string_view etag);
// Is `etag` (or, for "*", anything) in the list of If-None-Match?
bool etag_listed(std::string_view list, std::string_view etag);

// What a stored response can be compared with.
struct Validators {
  std::string_view etag;
  std::optional<UnixMs> last_modified;
  UnixMs date = 0;
};
// May 304 be said instead of the stored response? If-None-Match, else If-Modified-Since (against last-modified, or date where there is none).
bool is_not_modified(const http::Headers& request, const Validators& stored, UnixMs now);

// If-Range: does the Range still count? True without the field.
bool range_still_counts(const http::Headers& request, const Validators& stored, UnixMs now);

// If-Match and If-Unmodified-Since are for the origin: such requests go past the cache.
bool has_origin_conditions(const http::Headers& request);
// All of them, and Range and If-Range, taken out: a request for the whole.
void remove_conditions(http::Headers& request);

// The fields of a stored response that belong into a 304 (RFC 9110 §15.4.5).
http::Headers not_modified_headers(const http::Headers& stored);

}  // namespace archipel::edge
