// What the sources of serve share. Internal to src/edge.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge/cache_status.h"
#include "edge/conditional.h"
#include "edge/directives.h"
#include "edge/exchange_body.h"
#include "edge/flights.h"
#include "edge/freshness.h"
#include "edge/range.h"
#include "edge/serve.h"
#include "http/now.h"
#include "io/sync.h"

namespace archipel::edge {

inline constexpr int kRoundsMax = 4;             // lookups for one request; then it goes past the cache
inline constexpr size_t kBackgroundMax = 256;    // validations that no client waits for, of one Front
inline constexpr size_t kCopyBytes = 64u << 10;  // of a body that passes by
inline constexpr size_t kMultipartBytesMax =
    128;  // of the head of one part; more: the whole is shorter to say

class Shared {
 public:
  Shared(Cache& c, Clock& k, Random& r, std::function<void(const PurgeOrder&)> t)
      : cache(c),
        clock(k),
        random(r),
        tell(std::move(t)),
        memory(std::make_shared<ReaderMemory>()),
        flights(memory) {}
  Cache& cache;
  Clock& clock;
  Random& random;
  const std::function<void(const PurgeOrder&)> tell;
  const std::shared_ptr<ReaderMemory> memory;
  Flights flights;
};

// What a fetch for the cache is made of; it may outlive the request that caused it.
struct Ask {
  SiteRef site;
  const http::Request* request = nullptr;
  std::string primary;  // key's text
  Key key;              // of it
};

// One request under way.
struct Job : Ask {
  explicit Job(http::Exchange& e) : exchange(e) {}
  http::Exchange& exchange;
  const CachePolicy& policy() const { return site->cache(); }
  bool head = false;
  Directives wishes;
  const Directives* obeyed = nullptr;  // &wishes, if the site obeys clients
  std::optional<std::vector<RangeSpec>> range;
  Served served;
};

// Interim responses of the origin, to the client that caused the fetch.
class Forwarding final : public InterimSink {
 public:
  explicit Forwarding(http::Exchange& exchange) : exchange_(exchange) {}
  io::Task<void> interim(int status, const http::Headers& headers) override;

 private:
  http::Exchange& exchange_;
};

// Where the bytes of a response come from: the slice at hand, a flight, the tiers, the origin.
struct Source {
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() { leave(); }
  void leave() {
    if (flight) flight->leave();
    flight = nullptr;
  }
  EntryRef entry;
  SliceRef first;
  FlightRef flight;      // entered
  uint64_t fetched = 0;  // bytes of slices that were asked for on the way
  // The fields for this client, if they are more than what is stored: those that no-cache and private name are for him alone.
  std::optional<http::Headers> headers;
};

// The request fields that decide how a stored response may be used; what is not there need not be parsed.
struct Asked {
  bool wishes = false;             // cache-control, pragma
  bool range = false;              // range, if-range
  bool conditions = false;         // if-none-match, if-modified-since
  bool origin_conditions = false;  // if-match, if-unmodified-since
};
Asked look_at(const http::Headers& request);

// A request that may be a usual hit.
struct HotAsk {
  http::Exchange& exchange;
  const http::Request& request;
  const CachePolicy& policy;
  std::string_view primary;
  Key key;  // of it
  bool head;
};

// A hit on a small body in memory, ready to be sent: no allocation, no coroutine but the exchange's.
struct Hot {
  Found found;
  http::StoredResponse head;
  std::array<http::FieldView, 2> extra;
  std::array<ByteView, 1> body;
  size_t parts = 0;
  std::array<char, 24> age;
  std::array<char, 112> status;
  std::unique_ptr<Pins::Pin> pin;  // of a body that is not small: the frame that this lies in is
};

// What lookup found, and under which key a fetch for this request is to be joined.
struct Lookup {
  Found found;
  std::string text;
  Key key;
  bool varied = false;
};

struct Outcome {
  enum class Kind {
    stored,  // `entry`; its body in `flight` (entered), or in the tiers
    direct,  // `fetch` with `headers`, for this client alone
    pass,    // ask again, for this client alone
    failed,  // `error`, or `status` of the origin
  };
  Kind kind = Kind::failed;
  EntryRef entry;
  FlightRef flight;
  std::unique_ptr<Fetch> fetch;
  http::Headers headers;  // of `fetch`; or, with `all_headers`, of a stored response before it was stored
  bool all_headers = false;
  bool ignore_range = false;  // the whole is sent
  Error error;
  int status = 0;
  bool validated = false;
  bool stored = false;
  std::string origin;
};

// What the pump takes over.
struct Landing {
  SiteRef site;
  FlightRef flight;
  std::unique_ptr<Fetch> fetch;
  std::shared_ptr<Entry> entry;
  Key key;         // of the entry
  Key flight_key;  // under which it can be joined
  std::string primary;
  Key primary_key;
  std::vector<std::string> names;  // that it varies by
  std::optional<uint64_t> length;  // of the part that comes
  uint64_t skip = 0;               // bytes of it that come before the slice
  bool whole = true;               // the whole body; else one slice of an entry that is stored
  bool early = false;              // the entry was put before its body
};

class FrontImpl final : public Front {
 public:
  FrontImpl(io::Loop& loop, std::shared_ptr<Shared> shared)
      : loop_(loop), shared_(std::move(shared)), pins_(*shared_->memory) {}
  io::Task<Served> serve(http::Exchange& exchange, SiteRef site, std::string primary) override;
  // serve(), as far as it goes without waiting, for a usual hit: a GET or HEAD without a body that look_for_usual() finds plain. no: it is none, and nothing has
  // happened. begun: exchange.finish_stored() is to follow, and `kept` to live until it has finished; served.complete is the caller's to say then, and so is
  // body_bytes if it failed.
  http::NowExchange::Now serve_now(http::NowExchange& exchange, const Site& site, std::string_view primary,
                                   Served& served, std::shared_ptr<void>& kept);
  io::Task<void> close() override;

 private:
  Cache& cache() { return shared_->cache; }
  UnixMs now() { return shared_->clock.unix_ms(); }

  // serve_hot.cc
  bool prepare_hot(const HotAsk& wanted, Hot& hot);
  // serve.cc
  io::Task<Served> serve_cold(http::Exchange& exchange, SiteRef site, std::string primary, Key key,
                              Asked asked);
  io::Task<void> serve_cacheable(Job& job);
  io::Task<bool> serve_round(Job& job);  // true: answered
  io::Task<bool> serve_outcome(Job& job, Outcome& outcome, const Lookup& looked, const Judgement& judged,
                               CacheStatus status);
  io::Task<Lookup> look_up(const Ask& ask, bool sort_languages);
  // `refusal`: the status, if it is the client's fault.
  io::Task<void> serve_error(Job& job, const Error& error, CacheStatus status,
                             std::optional<int> refusal = std::nullopt);
  bool start_background(const Job& job, const Lookup& looked);
  io::Task<void> validate_in_background(Ask ask, std::shared_ptr<const http::Request> request,
                                        FlightRef flight, Lookup looked);

  // serve_pass.cc
  io::Task<void> pass(Job& job, CacheStatus::Forward forward);
  io::Task<void> pass_with(Job& job, ExchangeBody& body, CacheStatus::Forward forward);
  io::Task<void> serve_direct(Job& job, Fetch& fetch, http::Headers headers, CacheStatus status);
  io::Task<void> serve_head(Job& job);
  void after_unsafe(Job& job, int status, const http::Headers& headers);
  void after_head(const Job& job, const Lookup& looked, const Fetch& fetch, const http::Headers& headers,
                  uint64_t stamp);
  void invalidate(const std::string& key);
  void invalidate_location(const Job& job, const http::Headers& headers, std::string_view field);
  io::Task<void> purge_group(std::string origin, std::string group);

  // serve_fetch.cc
  io::Task<Outcome> fetch_for_cache(const Ask& ask, FlightRef flight, Key flight_key, EntryRef stale,
                                    Key stale_key, std::optional<std::vector<RangeSpec>> range,
                                    InterimSink* interim, bool background);
  Outcome take_validation(const Ask& ask, const FlightRef& flight, Key flight_key, const EntryRef& stale,
                          Key stale_key, Fetch& fetch, const http::Headers& headers);
  Outcome take_response(const Ask& ask, FlightRef flight, Key flight_key, std::unique_ptr<Fetch> fetch,
                        http::Headers headers, const std::optional<std::vector<RangeSpec>>& range,
                        bool background, const http::Headers& sent);
  Outcome take_slice(const Ask& ask, FlightRef flight, Key flight_key, std::unique_ptr<Fetch> fetch,
                     http::Headers headers, RangeSpec asked, const std::vector<RangeSpec>& range,
                     const http::Headers& sent);
  bool store_posted(Job& job, std::unique_ptr<Fetch>& fetch, const http::Headers& headers, Outcome& out);
  io::Task<Result<FlightRef>> fetch_slice(const Ask& ask, EntryRef entry, uint32_t index);
  void land(Landing landing);
  io::Task<void> pump(Landing landing);
  io::Task<bool> room_for_a_window(FlightRef flight, TimePoint until);
  void publish(const Landing& landing, SliceRef first);
  FetchRequest request_for_cache(const Ask& ask);

  // serve_stored.cc
  io::Task<void> respond(Job& job, Source& source, CacheStatus status, const Judgement& judged,
                         bool from_store);
  io::Task<void> respond_body(Job& job, Source& source, const http::StoredResponse& head, ByteRange range,
                              bool whole);
  io::Task<void> respond_parts(Job& job, Source& source, std::vector<http::FieldView> extra,
                               std::vector<ByteRange> ranges);
  io::Task<Result<uint64_t>> send_range(Job& job, Source& source, uint64_t first, uint64_t end);
  io::Task<Result<Flight::Piece>> next_piece(const Ask& ask, Source& source, uint64_t offset);
  io::Task<bool> room_for_a_pin();
  io::Task<bool> has_start(Job& job, Source& source);

  io::Loop& loop_;
  const std::shared_ptr<Shared> shared_;
  Pins pins_;
  io::TaskScope scope_;
  size_t background_ = 0;
};

// serve_entry.cc: an entry from a response. `key`: its text.
std::shared_ptr<Entry> make_entry(Cache& cache, const Ask& ask, std::string key, int status,
                                  const http::Headers& headers, const Lifetime& lifetime, uint64_t stamp,
                                  std::optional<uint64_t> length);
// A stored entry with other fields: after a validation.
std::shared_ptr<Entry> renew_entry(const Entry& old, http::Headers headers, const Lifetime& lifetime,
                                   uint64_t stamp);
Validators validators_of(const Entry& entry);
// Is `entry` what this request selects (Vary)?
bool selects(const Ask& ask, const Entry& entry);
// The last byte that a request for `range` of a body of `length` wants, plus one.
uint64_t wanted_end(const std::optional<std::vector<RangeSpec>>& range, std::optional<uint64_t> length);
// May it be found by the client's fields? Not if it varies by one that the edge itself put into what it sent to the origin (x-forwarded-for, …), but for
// those that follow from the key.
bool varies_by_the_client_alone(const Ask& ask, const std::vector<std::string>& names,
                                const http::Headers& sent);
// Does a response carry `etag` as a strong validator, and can it be had in ranges?
bool serves_ranges(const http::Headers& headers, std::optional<uint64_t> length);

}  // namespace archipel::edge
