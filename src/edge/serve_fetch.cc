// Fetches for the cache: what is asked, and what becomes of the answer.
#include <algorithm>
#include <array>

#include "edge/merge.h"
#include "edge/policy.h"
#include "edge/serve_internal.h"
#include "http/date.h"

namespace archipel::edge {
namespace {

// Responses that say for how long they are good for nobody else: worth remembering, so that nobody waits for the next one.
constexpr Duration kBorrowedSlice = std::chrono::seconds(10);

bool is_for_one_client(const Storable& judged, int status) {
  return status < 400 && judged.why != "request no-store" && judged.why != "off" &&
         judged.why != "authorization" && judged.why != "another's" && judged.why != "memory";
}

// What another edge owns is kept for a short time, or not at all. Slices always are: what is fetched in pieces is not asked for once more as a whole.
void keep_as_borrowed(Storable& judged, const Fetch& fetch, bool slice) {
  const std::optional<Duration> most = fetch.keep_max();
  if (!most || !judged.store) return;
  Duration keep = *most;
  if (slice) keep = std::max<Duration>(keep, kBorrowedSlice);
  if (keep <= Duration{0}) {
    judged = {false, "another's", {}};
    return;
  }
  Lifetime& l = judged.lifetime;
  l.fresh =
      std::min(l.fresh, l.age_then + std::chrono::duration_cast<std::chrono::milliseconds>(keep).count());
}

bool is_of_use_to_all(const Lifetime& lifetime, UnixMs now) {
  return judge_use(lifetime, now, false, nullptr).use != Use::validate;
}

// The slice that a range of an unknown body begins in, or as much from its end: enough to know its length, and for a short range all it wants.
RangeSpec slice_to_ask(const RangeSpec& wanted) {
  if (!wanted.first) return {std::nullopt, kSliceBytes};
  const uint64_t begin = *wanted.first / kSliceBytes * kSliceBytes;
  return {begin, begin + kSliceBytes - 1};
}

std::string write_spec(const RangeSpec& spec) {
  return "bytes=" + (spec.first ? std::to_string(*spec.first) : "") + "-" +
         (spec.last ? std::to_string(*spec.last) : "");
}

// Is it what was asked for of a body of that length?
bool answers(const ContentRange& content, const RangeSpec& asked) {
  const Wanted wanted = resolve({asked}, *content.whole);
  return wanted.kind == Wanted::Kind::ranges && wanted.ranges.front() == content.range;
}

http::Headers without_decision(http::Headers headers) {
  headers.remove(kTtlField);
  return headers;
}

}  // namespace

FetchRequest FrontImpl::request_for_cache(const Ask& ask) {
  FetchRequest out = ask.site->origin_request(*ask.request);
  out.method = "GET";
  out.target = keyed_target(out.target, ask.site->cache().key);
  out.body = nullptr;
  out.hash_key = ask.primary;
  remove_conditions(out.headers);
  remove_steering(out.headers, ask.site->cache().key.header_names);
  if (const std::string* accepted = out.headers.find("accept-encoding")) {
    std::string codings = normal_encodings(*accepted);
    out.headers.remove("accept-encoding");
    if (!codings.empty()) out.headers.add("accept-encoding", std::move(codings));
  }
  return out;
}

io::Task<Outcome> FrontImpl::fetch_for_cache(const Ask& ask, FlightRef flight, Key flight_key, EntryRef stale,
                                             Key stale_key, std::optional<std::vector<RangeSpec>> range,
                                             InterimSink* interim, bool background) {
  const bool has_validator = stale && (!stale->etag.empty() || stale->last_modified);
  const Deadline deadline = loop_.now() + ask.site->fetch_timeout();
  Outcome out;
  // Twice only if a 304 turns out to be about another response than ours.
  for (int attempt = 0; attempt < 2; attempt++) {
    const bool conditional = attempt == 0;
    FetchRequest request = request_for_cache(ask);
    request.interim = interim;
    std::optional<RangeSpec> asked;
    if (conditional && has_validator) {
      if (!stale->etag.empty()) request.headers.set("if-none-match", stale->etag);
      if (stale->last_modified)
        request.headers.set("if-modified-since", std::string(stale->headers.get("last-modified")));
    } else if (!stale && range && ask.site->cache().slices) {
      asked = slice_to_ask(range->front());
      request.headers.set("range", write_spec(*asked));
    }
    const http::Headers sent = request.headers;
    auto fetched = co_await ask.site->upstream().fetch(std::move(request), deadline);
    if (!fetched) {
      flight->fail(fetched.error());
      shared_->flights.forget(flight_key, flight);
      out.error = fetched.error();
      co_return out;
    }
    std::unique_ptr<Fetch> fetch = std::move(*fetched);
    out.status = fetch->status();
    out.origin = fetch->origin();
    http::Headers headers = fetch->headers();
    ask.site->edit_response(*ask.request, out.status, headers);
    const std::string origin = out.origin;
    if (out.status == 304) {
      // To its end, so that the connection is kept.
      std::array<uint8_t, 1> nothing;
      auto end = co_await fetch->read(nothing);
      static_cast<void>(end);
      if (!conditional || !has_validator || !validates(stale->headers, headers)) continue;
      out = take_validation(ask, flight, flight_key, stale, stale_key, *fetch, headers);
    } else if (asked && (out.status == 206 || out.status == 416)) {
      out = take_slice(ask, flight, flight_key, std::move(fetch), std::move(headers), *asked, *range, sent);
    } else {
      const bool failure = out.status == 500 || (out.status >= 502 && out.status <= 504);
      out = take_response(ask, flight, flight_key, std::move(fetch), std::move(headers), range, background,
                          sent);
      // What cannot be stored, and is no failure, takes the place of what was: that is out of date.
      if (stale && out.kind == Outcome::Kind::direct && !failure) cache().erase(stale_key);
    }
    out.origin = origin;
    co_return out;
  }
  out.error = {Code::invalid, "the origin answered 304 to a request without conditions", {}};
  flight->fail(out.error);
  shared_->flights.forget(flight_key, flight);
  co_return out;
}

// RFC 9111 §4.3.4.
Outcome FrontImpl::take_validation(const Ask& ask, const FlightRef& flight, Key flight_key,
                                   const EntryRef& stale, Key stale_key, Fetch& fetch,
                                   const http::Headers& headers) {
  Outcome out;
  out.kind = Outcome::Kind::stored;
  out.status = 304;
  out.validated = true;
  http::Headers merged = merge_headers(stale->headers, headers);
  if (headers.find("date") == nullptr) merged.set("date", http::format_http_date(fetch.received()));
  http::Headers judged_by = merged;
  if (const std::string* age = headers.find("age")) judged_by.add("age", *age);
  Received received{&ask.request->headers, "GET",           stale->status, &judged_by,
                    fetch.requested(),     fetch.received()};
  Storable judged = judge_response(received, ask.site->cache());
  keep_as_borrowed(judged, fetch, false);
  const Lifetime lifetime =
      judged.store ? judged.lifetime : Lifetime{.received = fetch.received(), .validate_always = true};
  out.entry = renew_entry(*stale, without_decision(std::move(merged)), lifetime, flight->stamp());
  out.stored = judged.store;
  if (judged.store)
    cache().put(stale_key, out.entry);
  else
    cache().erase(stale_key);
  if (judged.store && is_of_use_to_all(lifetime, now()))
    flight->land(out.entry);
  else
    flight->release();
  shared_->flights.forget(flight_key, flight);
  return out;
}

Outcome FrontImpl::take_response(const Ask& ask, FlightRef flight, Key flight_key,
                                 std::unique_ptr<Fetch> fetch, http::Headers headers,
                                 const std::optional<std::vector<RangeSpec>>& range, bool background,
                                 const http::Headers& sent) {
  Outcome out;
  out.status = fetch->status();
  const CachePolicy& policy = ask.site->cache();
  Received received{&ask.request->headers, "GET", out.status, &headers, fetch->requested(),
                    fetch->received()};
  Storable judged = judge_response(received, policy);
  keep_as_borrowed(judged, *fetch, false);
  const std::optional<uint64_t> length = out.status == 204 ? std::optional<uint64_t>(0) : fetch->length();
  auto names = vary_names(headers);
  if (names && !varies_by_the_client_alone(ask, *names, sent)) names = std::nullopt;
  std::string text = names && !names->empty()
                         ? variant_key(ask.primary, *names, ask.request->headers, policy.normalise_languages)
                         : ask.primary;
  if (judged.store && (!names || text.empty())) judged = {false, "vary", {}};
  if (judged.store && length && *length > policy.object_bytes_max) judged = {false, "too large", {}};
  // Slow readers hold what there is: it passes by in small pieces, at its own reader's pace.
  if (judged.store && length.value_or(kWholeBody) > kCopyBytes && shared_->memory->full())
    judged = {false, "memory", {}};
  headers = without_decision(std::move(headers));
  if (!judged.store) {
    const bool failure = out.status == 500 || (out.status >= 502 && out.status <= 504);
    if (is_for_one_client(judged, out.status))
      shared_->flights.mark_hit_for_miss(ask.key,
                                         loop_.now() + std::chrono::milliseconds(policy.hit_for_miss));
    if (failure)
      flight->fail({Code::unavailable, "the origin failed", {}}, out.status);
    else
      flight->release();
    shared_->flights.forget(flight_key, flight);
    out.kind = Outcome::Kind::direct;
    out.fetch = std::move(fetch);
    out.headers = std::move(headers);
    return out;
  }

  shared_->flights.clear_hit_for_miss(ask.key);
  Landing landing;
  landing.site = ask.site;
  landing.entry = make_entry(cache(), ask, std::move(text), out.status, headers, judged.lifetime,
                             flight->stamp(), length);
  landing.key = names->empty() ? ask.key : cache().key_of(landing.entry->key);
  landing.flight_key = flight_key;
  landing.primary = ask.primary;
  landing.primary_key = ask.key;
  landing.names = std::move(*names);
  landing.length = length;
  landing.fetch = std::move(fetch);
  landing.flight = flight;
  if (!is_of_use_to_all(judged.lifetime, now())) {
    // Stored for its validator; those who wait have to ask for themselves.
    flight->release();
    shared_->flights.forget(flight_key, flight);
    landing.flight = std::make_shared<Flight>(flight->stamp(), 0, shared_->memory);
  }
  out.kind = Outcome::Kind::stored;
  out.stored = true;
  out.entry = landing.entry;
  out.flight = landing.flight;
  const Directives said = read_instructions(headers, policy.targeted).directives;
  if (!said.no_cache_fields.empty() || !said.private_fields.empty()) {
    out.headers = stored_headers(headers, Directives{});
    out.all_headers = true;
  }
  // The end of what cannot be had from its end alone: the client gets what has to be fetched for it, so that a short answer never costs a long one.
  const bool from_end = range && !range->front().first;
  out.ignore_range = from_end && length.value_or(kWholeBody) > 2 * kSliceBytes;
  landing.flight->enter(background || from_end ? kWholeBody : wanted_end(range, length));
  land(std::move(landing));
  return out;
}

// The answer to a request for one slice of what is not stored yet. What cannot be put together later is asked for again as the client asked.
Outcome FrontImpl::take_slice(const Ask& ask, FlightRef flight, Key flight_key, std::unique_ptr<Fetch> fetch,
                              http::Headers headers, RangeSpec asked, const std::vector<RangeSpec>& range,
                              const http::Headers& sent) {
  Outcome out;
  out.kind = Outcome::Kind::pass;
  out.status = fetch->status();
  const CachePolicy& policy = ask.site->cache();
  auto content = parse_content_range(headers.get("content-range"));
  Received received{&ask.request->headers, "GET", 200, &headers, fetch->requested(), fetch->received()};
  Storable judged = judge_response(received, policy);
  keep_as_borrowed(judged, *fetch, true);
  auto names = vary_names(headers);
  if (names && !varies_by_the_client_alone(ask, *names, sent)) names = std::nullopt;
  std::string text = names && !names->empty()
                         ? variant_key(ask.primary, *names, ask.request->headers, policy.normalise_languages)
                         : ask.primary;
  const bool fits = out.status == 206 && content && content->whole && answers(*content, asked) &&
                    (!fetch->length() || *fetch->length() == content->range.size());
  const bool whole = fits && content->range.size() == *content->whole;
  if (!fits || !judged.store || !names || text.empty() || *content->whole > policy.object_bytes_max ||
      (!whole && !is_strong_etag(headers.get("etag")))) {
    if (out.status == 206)
      shared_->flights.mark_hit_for_miss(ask.key,
                                         loop_.now() + std::chrono::milliseconds(policy.hit_for_miss));
    flight->release();
    shared_->flights.forget(flight_key, flight);
    return out;
  }
  headers.remove("content-range");
  Landing landing;
  landing.site = ask.site;
  landing.entry = make_entry(cache(), ask, std::move(text), 200, without_decision(std::move(headers)),
                             judged.lifetime, flight->stamp(), *content->whole);
  landing.entry->ranges = is_strong_etag(landing.entry->etag);
  landing.key = names->empty() ? ask.key : cache().key_of(landing.entry->key);
  landing.flight_key = flight_key;
  landing.primary = ask.primary;
  landing.primary_key = ask.key;
  landing.names = std::move(*names);
  // What was cut from the end begins in the middle of a slice, unless it is all.
  const uint64_t index = (content->range.first + kSliceBytes - 1) / kSliceBytes;
  landing.skip = index * kSliceBytes - content->range.first;
  landing.length = content->range.size() - landing.skip;
  landing.whole = whole;
  landing.fetch = std::move(fetch);
  landing.flight = flight;
  landing.flight->stream(landing.entry, static_cast<uint32_t>(index));
  out.kind = Outcome::Kind::stored;
  out.stored = true;
  out.entry = landing.entry;
  out.flight = landing.flight;
  landing.flight->enter(wanted_end(range, landing.entry->length));
  land(std::move(landing));
  return out;
}

// A POST whose response names its own target in Content-Location (RFC 9110 §9.3.3).
bool FrontImpl::store_posted(Job& job, std::unique_ptr<Fetch>& fetch, const http::Headers& headers,
                             Outcome& out) {
  const std::string* location = headers.find("content-location");
  if (job.primary.empty() || job.request->method != "POST" || fetch->status() != 200 || location == nullptr ||
      headers.count("content-location") != 1)
    return false;
  if (*location != job.request->target && *location != request_origin(*job.request) + job.request->target)
    return false;
  Received received{&job.request->headers, "POST", 200, &headers, fetch->requested(), fetch->received()};
  const Storable judged = judge_response(received, job.policy());
  auto names = vary_names(headers);
  const std::optional<uint64_t> length = fetch->length();
  if (!judged.store || !names || !names->empty() || (length && *length > job.policy().object_bytes_max))
    return false;
  Landing landing;
  landing.site = job.site;
  landing.flight = std::make_shared<Flight>(cache().stamp(), 0, shared_->memory);
  landing.entry = make_entry(cache(), job, job.primary, 200, without_decision(headers), judged.lifetime,
                             landing.flight->stamp(), length);
  landing.key = landing.flight_key = landing.primary_key = job.key = cache().key_of(job.primary);
  landing.primary = job.primary;
  landing.length = length;
  landing.fetch = std::move(fetch);
  out.kind = Outcome::Kind::stored;
  out.entry = landing.entry;
  out.flight = landing.flight;
  landing.flight->enter(kWholeBody);
  land(std::move(landing));
  return true;
}

// One slice of a stored response, under If-Range with its validator. The flight that is returned was entered.
io::Task<Result<FlightRef>> FrontImpl::fetch_slice(const Ask& ask, EntryRef entry, uint32_t index) {
  const Key flight_key{entry->id, ~static_cast<uint64_t>(index)};
  const uint64_t begin = static_cast<uint64_t>(index) * kSliceBytes;
  const ByteRange asked{begin, std::min(begin + kSliceBytes, *entry->length) - 1};
  Flights::Joined joined = shared_->flights.join(flight_key, 0);
  FlightRef flight = joined.flight;
  if (!joined.owner) {
    while (flight->phase() == Flight::Phase::asking) co_await flight->head();
    if (flight->phase() == Flight::Phase::failed) co_return fail(flight->error());
    if (!flight->enter(asked.last + 1)) co_return fail(Code::unavailable, "a slice was given up");
    co_return flight;
  }
  FetchRequest request = request_for_cache(ask);
  request.headers.set("range", "bytes=" + std::to_string(asked.first) + "-" + std::to_string(asked.last));
  request.headers.set("if-range", entry->etag);
  const Deadline deadline = loop_.now() + ask.site->fetch_timeout();
  auto fetched = co_await ask.site->upstream().fetch(std::move(request), deadline);
  std::optional<Error> error;
  if (!fetched) {
    error = fetched.error();
  } else {
    Fetch& fetch = **fetched;
    auto content = parse_content_range(fetch.headers().get("content-range"));
    const std::string_view etag = fetch.headers().get("etag");
    if (fetch.status() == 206 && content && content->range == asked && content->whole == entry->length &&
        (etag.empty() || etag == entry->etag)) {
      Landing landing;
      landing.site = ask.site;
      landing.flight = flight;
      landing.fetch = std::move(*fetched);
      landing.entry = std::make_shared<Entry>(*entry);
      landing.key = cache().key_of(entry->key);
      landing.flight_key = flight_key;
      landing.length = asked.size();
      landing.whole = false;
      landing.early = true;
      flight->stream(entry, index);
      flight->enter(asked.last + 1);
      scope_.spawn(pump(std::move(landing)));
      co_return flight;
    }
    // Something else lies there now, or the origin no longer serves ranges: what is stored of it cannot be completed.
    if (fetch.status() < 500) cache().erase(cache().key_of(entry->key));
    error = {Code::corrupt, "the origin's copy is no longer the one whose slices are stored", {}};
  }
  flight->fail(*error);
  shared_->flights.forget(flight_key, flight);
  co_return fail(*error);
}

}  // namespace archipel::edge
