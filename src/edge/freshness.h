// Freshness: may a response be stored (RFC 9111 §3), for how long is it fresh (§4.2), how old is it (§4.2.3), and may it be used for a request
// (§4, §5.2.1; RFC 5861). Pure functions over heads; the clock is a number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "edge/directives.h"
#include "edge/entry.h"
#include "edge/serve.h"
#include "http/message.h"

namespace archipel::edge {

// A response and what was asked.
struct Received {
  const http::Headers* request = nullptr;  // of the client
  std::string_view method = "GET";  // GET; or POST whose response names its own target in Content-Location
  int status = 200;                 // 200 for a 206 whose whole is to be stored
  const http::Headers* headers = nullptr;  // of the response, end-to-end
  UnixMs requested = 0, received = 0;
};

// Error responses are stored only if the request's fields were no longer than this: what a client's oversized or odd fields provoked is its own (CPDoS).
inline constexpr size_t kErrorRequestBytesMax = 4u << 10;

struct Storable {
  bool store = false;
  std::string_view why;  // not: a word for the log ("no-store", "private", …)
  Lifetime lifetime;     // if store
};
// What may be stored but could never be used without being fetched again (stale at once, and without a validator) is not stored, unless it may be
// served stale.
Storable judge_response(const Received& received, const CachePolicy& policy);

// RFC 9111 §4.2.3, in ms. A clock that went back makes nothing younger than it was when it came.
int64_t current_age(const Lifetime& lifetime, UnixMs now);

enum class Use {
  fresh,       // as it is
  revalidate,  // as it is, and validate it meanwhile
  validate,    // not before the origin agreed
};
struct Judgement {
  Use use = Use::validate;
  bool on_error = false;  // if the origin cannot be asked, or fails: it may be served as it is
  int64_t age = 0;        // ms
  int64_t ttl = 0;        // what is left of its freshness, ms; negative: stale for so long
};
// `wishes`: of the request; null: they do not count.
Judgement judge_use(const Lifetime& lifetime, UnixMs now, bool purged_softly, const Directives* wishes);

// The request's Cache-Control, or Pragma: no-cache where there is none.
Directives read_wishes(const http::Headers& request);

// Seconds of the first Age line's first member; 0 if it is not a number (RFC 9111 §5.1).
int64_t parse_age(const http::Headers& headers);
// A date in the letter case it should have had; one line only.
std::optional<UnixMs> parse_date_field(const http::Headers& headers, std::string_view name, UnixMs now);
std::optional<UnixMs> parse_loose_date(std::string_view text, UnixMs now);

bool is_heuristically_cacheable(int status);
bool is_understood(int status);

}  // namespace archipel::edge
