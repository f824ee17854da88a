// Serve: answers one request of a site out of the cache or its upstream: lookup, coalesced fetches, validation, ranges, invalidation
// (RFC 9111; RFC 5861; RFC 9110 §13, §14). What belongs to a site's policy comes in as a Site; the rest of the node (hosts, limits, redirects,
// logs) stands in front of it.
//
// One Front per loop, all over one Shared. A fetch of what may be stored is a task of the Front, not of the client: a client that goes away leaves
// it to those that wait, and one that is slow reads from the store while the fetch goes on.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "edge/cache.h"
#include "edge/key.h"
#include "edge/purge_order.h"
#include "edge/upstream.h"
#include "http/server.h"
#include "io/loop.h"

namespace archipel::edge {

// How a site's responses are stored and used again. Spans in ms.
struct CachePolicy {
  bool enabled = true;
  KeyPolicy key;
  bool heuristic = true;  // RFC 9111 §4.2.2: a tenth of the time since last-modified, at most heuristic_max
  int64_t heuristic_max = 86'400'000;
  int64_t default_fresh = 0;   // of a 200 that says nothing about its freshness; 0: none
  int64_t negative_fresh = 0;  // of a 404 or 410 that says nothing; 0: none
  std::optional<int64_t>
      fresh;  // replaces what the response says about freshness, but never private, no-store, no-cache
  int64_t while_revalidate = 0;  // where the response does not say
  int64_t if_error =
      3'600'000;  // RFC 9111 §4.2.4: how stale a response may be when the origin cannot give another, where it does not say
  bool obey_clients = true;  // Cache-Control and Pragma of requests
  bool normalise_languages =
      false;  // Accept-Language: the order of languages of one weight does not count, and Content-Language selects
  bool slices = true;                      // large objects by ranges
  uint64_t object_bytes_max = 4ull << 30;  // larger bodies are passed on and not stored
  int64_t hit_for_miss = 120'000;  // how long a key whose response could not be stored is not waited for
  std::string status_name = "archipel";                       // in Cache-Status; empty: no such field
  std::vector<std::string> targeted = {"cdn-cache-control"};  // RFC 9213, first match wins; lower-case
};

// A site as the cache sees it. Immutable; fetches hold it, so that a reload of the config does not pull it from under them.
class Site {
 public:
  virtual ~Site() = default;
  virtual const std::string& name() const = 0;
  virtual const CachePolicy& cache() const = 0;
  virtual Upstream& upstream() const = 0;
  // The request as it goes to the origin: its target, end-to-end fields with host, via and x-forwarded-*. Without conditions, ranges and a body:
  // serve() puts them there. Called only when there is something to fetch.
  virtual FetchRequest origin_request(const http::Request& request) const = 0;
  // The policy's edits of a response of the origin, before it is stored or sent; and of one that the edge made itself.
  virtual void edit_response(const http::Request& request, int status, http::Headers& headers) const = 0;
  // For how long one fetch may take until its head is there.
  virtual Duration fetch_timeout() const = 0;
};
using SiteRef = std::shared_ptr<const Site>;

// What happened, for the access log and the metrics.
struct Served {
  enum class How {
    hit,        // stored and fresh
    stale,      // stored, and served stale: while it is validated, or because the origin failed
    validated,  // stored, and the origin said that it is still good
    joined,     // from a fetch that another request began
    miss,       // from the origin, and stored if it may be
    pass,       // from the origin, past the cache
    refused,    // answered here: only-if-cached, upstream unavailable
  };
  How how = How::pass;
  int status = 0;
  uint64_t body_bytes = 0;  // sent to the client
  uint64_t origin_bytes =
      0;                  // of bodies received from the origin for this request, as far as it waited for them
  std::string origin;     // which one answered; empty: none was asked
  bool complete = false;  // the whole response was handed to the client's connection
};
std::string_view to_string(Served::How how);

// What all loops share: the tiers, and which fetches are under way.
class Shared;
// `tell`: is told, on any loop, what an unsafe request is about to invalidate (RFC 9111 §4.4, RFC 9875), so that other edges hear of it; null: nobody is.
std::shared_ptr<Shared> make_shared_state(Cache& cache, Clock& clock, Random& random,
                                          std::function<void(const PurgeOrder&)> tell = nullptr);

// Counters of one Shared, any thread.
struct ServeStats {
  uint64_t flights = 0;        // fetches under way that others may join
  uint64_t hit_for_miss = 0;   // keys marked
  uint64_t reader_bytes = 0;   // of bodies, held for those who read them (reader_memory.h)
  uint64_t readers_ended = 0;  // because others needed that memory
};
ServeStats stats(const Shared& shared);
// How much may be held for readers. Any time; less than is held now is reached as they go.
void set_reader_memory(Shared& shared, uint64_t bytes);

class Front {
 public:
  virtual ~Front() = default;
  // Answers. `primary` is primary_key() of the request under the site's policy; empty: past the cache. Returns when the response is written.
  // The request may have any method but CONNECT and TRACE.
  virtual io::Task<Served> serve(http::Exchange& exchange, SiteRef site, std::string primary) = 0;
  // Waits for fetches and validations that no client waits for. Before destruction; no request may be under way.
  virtual io::Task<void> close() = 0;
};
std::unique_ptr<Front> make_front(io::Loop& loop, std::shared_ptr<Shared> shared);

}  // namespace archipel::edge
