// Gate: what a site's policy decides about a request before anything is looked up: methods, sizes, redirects, signatures, countries, rates.
//
// Pure but for the rates, which it takes tokens from. Any thread. Cost of a site without such policy: a few comparisons.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "edge/geo.h"
#include "edge/policy.h"
#include "edge/rates.h"
#include "http/message.h"

namespace archipel::edge {

// A request is answered here: 301-308, 403, 405, 413, 429. Or it goes on, maybe changed.
struct Decision {
  std::optional<http::Response> answer;
  std::string body;                     // of the answer
  std::string_view reason;              // of the answer, for logs and metrics: "method", "rate", …
  std::optional<std::string> target;    // instead of the request's
  std::vector<HeaderEdit> set_headers;  // in the request, before the key is made
};

struct GateContext {
  IpAddress client;  // the client's, past trusted proxies
  const Geo* geo = nullptr;
  Rates* rates = nullptr;
  TimePoint now{};
  UnixMs unix_ms = 0;
};

// `body_length`: nullopt if it is not known. A body of unknown length against a limit is the caller's (LimitPolicy::body_bytes_max).
Decision decide(const SitePolicy& policy, const http::Request& request, std::optional<uint64_t> body_length,
                const GateContext& context);

// Does decide() let every GET and HEAD without a body pass as it is, without looking at who asks or counting it? Without such a policy a usual hit need not ask.
bool lets_pass(const SitePolicy& policy, const http::Request& request);

// The peer's address, or, while peers are trusted, the one that they name last in X-Forwarded-For.
std::optional<IpAddress> client_of(const http::Request& request, const std::vector<AddressRange>& trust);
bool is_trusted(const http::Request& request, const std::vector<AddressRange>& trust);

}  // namespace archipel::edge
