#include "edge/serve.h"

#include "edge/merge.h"
#include "edge/serve_internal.h"

namespace archipel::edge {
namespace {

int status_of(const Error& error) {
  switch (error.code) {
    case Code::unavailable:
    case Code::throttled:
      return 503;
    case Code::timeout:
      return 504;
    default:
      return 502;
  }
}

std::string_view explain(int status) {
  switch (status) {
    case 400:
      return "The body of the request is malformed.";
    case 408:
      return "The body of the request did not arrive in time.";
    case 413:
      return "The body of the request is larger than this site takes.";
    case 503:
      return "No server of this site can be asked now. Try again later.";
    case 504:
      return "The server of this site did not answer in time.";
    default:
      return "The server of this site gave no usable answer.";
  }
}

bool is_server_failure(int status) {
  return status == 500 || status == 502 || status == 503 || status == 504;
}

}  // namespace

std::string_view to_string(Served::How how) {
  switch (how) {
    case Served::How::hit:
      return "hit";
    case Served::How::stale:
      return "stale";
    case Served::How::validated:
      return "validated";
    case Served::How::joined:
      return "joined";
    case Served::How::miss:
      return "miss";
    case Served::How::pass:
      return "pass";
    case Served::How::refused:
      return "refused";
  }
  return "pass";
}

std::shared_ptr<Shared> make_shared_state(Cache& cache, Clock& clock, Random& random,
                                          std::function<void(const PurgeOrder&)> tell) {
  return std::make_shared<Shared>(cache, clock, random, std::move(tell));
}

ServeStats stats(const Shared& shared) {
  return {shared.flights.count(), shared.flights.marks(), shared.memory->bytes(),
          shared.memory->ended.load(std::memory_order_relaxed)};
}

void set_reader_memory(Shared& shared, uint64_t bytes) {
  shared.memory->set_max(bytes);
}

std::unique_ptr<Front> make_front(io::Loop& loop, std::shared_ptr<Shared> shared) {
  return std::make_unique<FrontImpl>(loop, std::move(shared));
}

io::Task<void> FrontImpl::close() {
  co_await scope_.join();
}

io::Task<Served> FrontImpl::serve(http::Exchange& exchange, SiteRef site, std::string primary) {
  const http::Request& request = exchange.request();
  const bool head = request.method == "HEAD";
  const bool body = exchange.body_length() != std::optional<uint64_t>(0);
  const bool reads = request.method == "GET" || head;
  const Asked asked = look_at(request.headers);
  // A GET with a body may mean anything to its origin (a fat GET): the key does not know its body.
  if (!reads || body || primary.empty() || !site->cache().enabled || asked.origin_conditions) {
    Job job(exchange);
    job.site = std::move(site);
    job.request = &request;
    job.primary = std::move(primary);
    job.head = head;
    const CacheStatus::Forward why = reads ? CacheStatus::Forward::bypass : CacheStatus::Forward::method;
    co_await pass(job, why);
    co_return std::move(job.served);
  }
  const Key key = cache().key_of(primary);
  if (!asked.wishes && !asked.range && !asked.conditions) {
    Hot hot;
    if (prepare_hot({exchange, request, site->cache(), primary, key, head}, hot)) {
      auto sent = co_await exchange.respond_stored(hot.head, std::span(hot.body).first(hot.parts));
      Served served;
      served.how = Served::How::hit;
      served.status = hot.head.status;
      served.complete = sent.has_value();
      if (sent && hot.parts > 0) served.body_bytes = hot.body[0].size();
      co_return served;
    }
  }
  auto served = co_await serve_cold(exchange, std::move(site), std::move(primary), key, asked);
  co_return served;
}

// What is no usual hit.
io::Task<Served> FrontImpl::serve_cold(http::Exchange& exchange, SiteRef site, std::string primary, Key key,
                                       Asked asked) {
  Job job(exchange);
  job.site = std::move(site);
  job.request = &exchange.request();
  job.primary = std::move(primary);
  job.key = key;
  job.head = job.request->method == "HEAD";
  if (asked.wishes) job.wishes = read_wishes(job.request->headers);
  if (job.policy().obey_clients) job.obeyed = &job.wishes;
  if (asked.range && !job.head) job.range = parse_range(job.request->headers);
  co_await serve_cacheable(job);
  co_return std::move(job.served);
}

io::Task<void> FrontImpl::serve_cacheable(Job& job) {
  for (int round = 0; round < kRoundsMax; round++) {
    bool answered = co_await serve_round(job);
    if (answered) co_return;
  }
  co_await pass(job, CacheStatus::Forward::miss);
}

io::Task<Lookup> FrontImpl::look_up(const Ask& ask, bool sort_languages) {
  Lookup out;
  out.text = ask.primary;
  out.key = ask.key;
  out.found = cache().find_hot(ask.key, ask.primary);
  if (!out.found.entry && !out.found.variants) {
    Found deeper = co_await cache().find(ask.key, ask.primary);
    out.found = std::move(deeper);
  }
  std::shared_ptr<const Variants> variants = out.found.variants;
  if (out.found.entry || !variants) co_return out;
  bool first = true;
  for (const std::vector<std::string>& names : variants->names) {
    std::string text = variant_key(ask.primary, names, ask.request->headers, sort_languages);
    if (text.empty()) continue;
    Key key = cache().key_of(text);
    Found found = cache().find_hot(key, text);
    if (!found.entry) {
      Found deeper = co_await cache().find(key, text);
      found = std::move(deeper);
    }
    // A fetch is joined under the newest set of names; a stored response may lie under another.
    if (first || found.entry) {
      out.found = found;
      out.text = text;
      out.key = key;
      out.varied = true;
    }
    first = false;
    if (found.entry) break;
  }
  co_return out;
}

io::Task<bool> FrontImpl::serve_round(Job& job) {
  Lookup looked = co_await look_up(job, job.policy().normalise_languages);
  const EntryRef entry = looked.found.entry;
  Judgement judged;
  CacheStatus status;
  status.forward = looked.varied ? CacheStatus::Forward::vary_miss : CacheStatus::Forward::uri_miss;
  if (entry) {
    judged = judge_use(entry->lifetime, now(), looked.found.purged_softly, job.obeyed);
    status.forward = judged.ttl > 0 ? CacheStatus::Forward::request : CacheStatus::Forward::stale;
    if (judged.use != Use::validate) {
      Source source;
      source.entry = entry;
      source.first = looked.found.first;
      bool there = co_await has_start(job, source);
      if (there) {
        const bool behind = judged.use == Use::revalidate;
        if (behind) start_background(job, looked);
        job.served.how = judged.ttl > 0 ? Served::How::hit : Served::How::stale;
        CacheStatus hit;
        hit.ttl = judged.ttl >= 0 ? judged.ttl / 1000 : (judged.ttl - 999) / 1000;
        co_await respond(job, source, hit, judged, true);
        job.served.origin_bytes = source.fetched;
        co_return true;
      }
      cache().erase(looked.key);
      looked.found = {};
      status.forward = CacheStatus::Forward::partial;
    }
  }
  if (job.obeyed != nullptr && job.obeyed->only_if_cached) {
    job.served.how = Served::How::refused;
    http::Page page =
        http::plain_page(504, "This is not stored here, and the request allows no other answer.");
    job.site->edit_response(*job.request, 504, page.response.headers);
    job.served.status = 504;
    auto sent = co_await job.exchange.respond(std::move(page.response), std::move(page.body));
    job.served.complete = sent.has_value();
    co_return true;
  }
  if (job.head) {
    co_await serve_head(job);
    co_return true;
  }
  // Several ranges of what is not known yet: the origin may know how to answer shortly.
  if (!looked.found.entry && job.range && job.range->size() > 1) {
    co_await pass(job, CacheStatus::Forward::partial);
    co_return true;
  }

  Forwarding interim(job.exchange);
  Outcome outcome;
  const bool alone = (looked.found.entry && looked.found.entry->lifetime.validate_always) ||
                     shared_->flights.is_hit_for_miss(job.key, loop_.now());
  if (alone) {
    FlightRef flight = std::make_shared<Flight>(cache().stamp(), 0, shared_->memory);
    Outcome got = co_await fetch_for_cache(job, flight, looked.key, looked.found.entry, looked.key, job.range,
                                           &interim, false);
    outcome = std::move(got);
  } else {
    Flights::Joined joined = shared_->flights.join(looked.key, cache().stamp());
    if (joined.owner) {
      Outcome got = co_await fetch_for_cache(job, joined.flight, looked.key, looked.found.entry, looked.key,
                                             job.range, &interim, false);
      outcome = std::move(got);
    } else {
      while (joined.flight->phase() == Flight::Phase::asking) co_await joined.flight->head();
      status.collapsed = true;
      const Flight::Phase phase = joined.flight->phase();
      if (phase == Flight::Phase::released) {
        co_await pass(job, status.forward);
        co_return true;
      }
      if (phase == Flight::Phase::failed) {
        outcome.error = joined.flight->error();
        outcome.status = joined.flight->failed_status();
      } else {
        outcome.entry = joined.flight->entry();
        // Another variant, or one that was given up meanwhile: look again.
        if (!selects(job, *outcome.entry) ||
            !joined.flight->enter(wanted_end(job.range, outcome.entry->length)))
          co_return false;
        outcome.kind = Outcome::Kind::stored;
        outcome.flight = joined.flight;
      }
    }
  }
  bool answered = co_await serve_outcome(job, outcome, looked, judged, status);
  co_return answered;
}

io::Task<bool> FrontImpl::serve_outcome(Job& job, Outcome& outcome, const Lookup& looked,
                                        const Judgement& judged, CacheStatus status) {
  if (job.served.origin.empty()) job.served.origin = outcome.origin;
  Source source;
  if (outcome.kind == Outcome::Kind::stored) {
    source.entry = outcome.entry;
    source.flight = std::move(outcome.flight);
    if (outcome.ignore_range) job.range.reset();
    if (outcome.all_headers) source.headers = std::move(outcome.headers);
    if (looked.found.entry && looked.found.entry->id == source.entry->id) source.first = looked.found.first;
    job.served.how = outcome.validated  ? Served::How::validated
                     : status.collapsed ? Served::How::joined
                                        : Served::How::miss;
    status.forward_status = outcome.validated ? 304 : source.entry->status;
    status.stored = outcome.stored;
    Judgement fresh = judge_use(source.entry->lifetime, now(), false, nullptr);
    co_await respond(job, source, status, fresh, outcome.validated);
    const bool paid = job.served.how == Served::How::miss;
    job.served.origin_bytes = paid ? job.served.body_bytes : source.fetched;
    co_return true;
  }
  if (outcome.kind == Outcome::Kind::direct &&
      !(looked.found.entry && judged.on_error && is_server_failure(outcome.status))) {
    job.served.how = Served::How::miss;
    status.forward_status = outcome.status;
    co_await serve_direct(job, *outcome.fetch, std::move(outcome.headers), status);
    co_return true;
  }
  if (outcome.kind == Outcome::Kind::pass) {
    co_await pass(job, status.forward);
    co_return true;
  }
  // The origin failed. RFC 5861 §4, RFC 9111 §4.2.4.
  if (looked.found.entry && judged.on_error) {
    source.entry = looked.found.entry;
    source.first = looked.found.first;
    bool there = co_await has_start(job, source);
    if (there) {
      job.served.how = Served::How::stale;
      CacheStatus stale;
      stale.ttl = (judged.ttl - 999) / 1000;
      stale.detail = "origin-failed";
      co_await respond(job, source, stale, judged, true);
      co_return true;
    }
  }
  if (outcome.status != 0) {
    co_await pass(job, status.forward);
    co_return true;
  }
  co_await serve_error(job, outcome.error, status);
  co_return true;
}

io::Task<void> FrontImpl::serve_error(Job& job, const Error& error, CacheStatus status,
                                      std::optional<int> refusal) {
  const int code = refusal.value_or(status_of(error));
  http::Page page = http::plain_page(code, explain(code));
  job.site->edit_response(*job.request, code, page.response.headers);
  status.detail = to_string(error.code);
  if (!job.policy().status_name.empty())
    page.response.headers.add("cache-status", write_cache_status(job.policy().status_name, status));
  job.served.how = Served::How::refused;
  job.served.status = code;
  const size_t bytes = job.head ? 0 : page.body.size();
  auto sent = co_await job.exchange.respond(std::move(page.response), std::move(page.body));
  job.served.complete = sent.has_value();
  if (sent) job.served.body_bytes = bytes;
}

bool FrontImpl::start_background(const Job& job, const Lookup& looked) {
  if (background_ >= kBackgroundMax) return false;
  Flights::Joined joined = shared_->flights.join(looked.key, cache().stamp());
  if (!joined.owner) return false;
  Ask ask{job.site, nullptr, job.primary, job.key};
  scope_.spawn(validate_in_background(std::move(ask), std::make_shared<const http::Request>(*job.request),
                                      joined.flight, looked));
  return true;
}

io::Task<void> FrontImpl::validate_in_background(Ask ask, std::shared_ptr<const http::Request> request,
                                                 FlightRef flight, Lookup looked) {
  background_++;
  ask.request = request.get();
  Outcome outcome = co_await fetch_for_cache(ask, flight, looked.key, looked.found.entry, looked.key,
                                             std::nullopt, nullptr, true);
  // What cannot be stored has taken the stale response's place already; nobody reads it.
  outcome.fetch.reset();
  if (outcome.flight) outcome.flight->leave();
  background_--;
}

}  // namespace archipel::edge
