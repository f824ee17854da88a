// Dates on the wire: the three forms of RFC 9110 §5.6.7 and the two ISO 8601 forms that S3 uses. Pure
// functions, always UTC.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace archipel::http {

// All formatters CHECK nothing: a time outside years 0000..9999 is clamped to that range, so that the width
// never changes.

// IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT"; milliseconds are dropped (rounded towards the past). Always
// 29 bytes.
std::string format_http_date(UnixMs when);
// "20260102T030405Z" (x-amz-date)
std::string format_iso_basic(UnixMs when);
// "2026-01-02T03:04:05.678Z" (XML bodies)
std::string format_iso_extended(UnixMs when);

// IMF-fixdate, RFC 850 ("Sunday, 06-Nov-94 08:49:37 GMT") or asctime ("Sun Nov  6 08:49:37 1994"). Exact
// spelling and a date that exists; the day name must be a day name but need not be the right one; second 60
// counts as 59. `now` settles RFC 850's two-digit years: more than 50 years ahead means the past. nullopt
// otherwise: conditional headers with such a date are ignored.
std::optional<UnixMs> parse_http_date(std::string_view text, UnixMs now);
// Exactly YYYYMMDDTHHMMSSZ.
std::optional<UnixMs> parse_iso_basic(std::string_view text);
// YYYY-MM-DDTHH:MM:SS, then optionally '.' and 1 to 9 digits (kept to the millisecond), then 'Z'.
std::optional<UnixMs> parse_iso_extended(std::string_view text);

}  // namespace archipel::http
