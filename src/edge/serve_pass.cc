// Requests that go past the cache, and what they mean for it: unsafe methods invalidate, HEAD refreshes.
#include <algorithm>
#include <array>

#include "edge/merge.h"
#include "edge/policy.h"
#include "edge/serve_internal.h"
#include "http/date.h"
#include "http/structured_fields.h"

namespace archipel::edge {
namespace {

constexpr size_t kGroupsMax = 32;  // of one Cache-Group-Invalidation

bool is_safe(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE";
}

std::optional<uint64_t> content_length(const http::Headers& headers) {
  const std::string* text = headers.find("content-length");
  if (text == nullptr || text->empty() || text->size() > 18) return std::nullopt;
  uint64_t out = 0;
  for (char c : *text) {
    if (c < '0' || c > '9') return std::nullopt;
    out = out * 10 + static_cast<uint64_t>(c - '0');
  }
  return out;
}

// The end of a body that waits here for its client, and no longer at the origin.
class HeldBody {
 public:
  explicit HeldBody(ReaderMemory& memory) : memory_(memory) {}
  HeldBody(const HeldBody&) = delete;
  ~HeldBody() { memory_.give(bytes_); }
  // False: there is no room for it.
  bool take(uint64_t bytes) {
    if (!memory_.take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }

 private:
  ReaderMemory& memory_;
  uint64_t bytes_ = 0;
};

}  // namespace

io::Task<void> Forwarding::interim(int status, const http::Headers& headers) {
  if (status == 100 || status == 101) co_return;
  http::Headers copy = headers;
  // The client may be gone; its final response will find out.
  auto ignored = co_await exchange_.interim(status, std::move(copy));
  static_cast<void>(ignored);
}

io::Task<void> FrontImpl::pass(Job& job, CacheStatus::Forward forward) {
  ExchangeBody body(job.exchange);
  co_await pass_with(job, body, forward);
  co_await body.sending.join();
}

io::Task<void> FrontImpl::pass_with(Job& job, ExchangeBody& body, CacheStatus::Forward forward) {
  CacheStatus status;
  status.forward = forward;
  FetchRequest request = job.site->origin_request(*job.request);
  request.method = job.request->method;
  request.target = keyed_target(request.target, job.policy().key);
  request.hash_key = job.primary;
  remove_conditions(request.headers);
  for (const auto& [name, value] : job.request->headers)
    if (name == "range" || (name.starts_with("if-") &&
                            (name == "if-match" || name == "if-none-match" || name == "if-modified-since" ||
                             name == "if-unmodified-since" || name == "if-range")))
      request.headers.add(name, value);
  body.attach_to(request);
  Forwarding interim(job.exchange);
  request.interim = &interim;
  auto fetched =
      co_await job.site->upstream().fetch(std::move(request), loop_.now() + job.site->fetch_timeout());
  if (!fetched) {
    co_await serve_error(job, fetched.error(), status, body.refusal());
    co_return;
  }
  std::unique_ptr<Fetch> fetch = std::move(*fetched);
  job.served.origin = fetch->origin();
  job.served.how = Served::How::pass;
  http::Headers headers = fetch->headers();
  job.site->edit_response(*job.request, fetch->status(), headers);
  status.forward_status = fetch->status();
  if (!is_safe(job.request->method)) {
    after_unsafe(job, fetch->status(), headers);
    Outcome posted;
    const bool stored = store_posted(job, fetch, headers, posted);
    if (stored) {
      Source source;
      source.entry = posted.entry;
      source.flight = std::move(posted.flight);
      status.stored = true;
      job.range.reset();
      Judgement judged = judge_use(source.entry->lifetime, now(), false, nullptr);
      co_await respond(job, source, status, judged, false);
      co_return;
    }
  }
  headers.remove(kTtlField);
  co_await serve_direct(job, *fetch, std::move(headers), status);
}

io::Task<void> FrontImpl::serve_direct(Job& job, Fetch& fetch, http::Headers headers, CacheStatus status) {
  int code = fetch.status();
  job.served.status = code;
  if (!job.policy().status_name.empty())
    headers.add("cache-status", write_cache_status(job.policy().status_name, status));
  const std::string date(headers.get("date"));
  const bool unchanged =
      code == 200 && !job.head && job.request->method == "GET" &&
      is_not_modified(job.request->headers,
                      {headers.get("etag"), parse_date_field(headers, "last-modified", now()), now()},
                      now()) &&
      (headers.find("etag") != nullptr || headers.find("last-modified") != nullptr);
  if (unchanged) {
    headers = not_modified_headers(headers);
    code = job.served.status = 304;
  }
  http::StoredResponse head{
      .status = code, .headers = &headers, .h1_head = {}, .extra = {}, .date = date, .length = std::nullopt};
  if (job.head || unchanged || code == 204 || code == 304) {
    if (job.head) head.length = content_length(fetch.headers());
    auto sent = co_await job.exchange.respond_stored(head, {});
    job.served.complete = sent.has_value();
    if (job.head || unchanged) co_return;
    // To its end, so that the connection is kept.
    std::array<uint8_t, 1> nothing;
    auto end = co_await fetch.read(nothing);
    static_cast<void>(end);
    co_return;
  }
  head.length = fetch.length();
  auto started = co_await job.exchange.start_stored(head);
  if (!started) co_return;
  Buffer buffer(shared_->memory->full() ? kSmallBytes : kCopyBytes);
  HeldBody held(*shared_->memory);
  for (;;) {
    auto got = co_await fetch.read(buffer.span());
    if (!got) co_return;  // reset: what is short must not look whole
    if (*got == 0) break;
    job.served.origin_bytes += *got;
    // The origin is done with it: what waits for the client from here on is the edge's memory.
    if (fetch.over() && held.take(*got) && *got <= buffer.size() / 2)
      buffer = Buffer::copy_of(buffer.view().first(*got));
    auto written = co_await job.exchange.write(buffer.view().first(*got));
    if (!written) co_return;
    job.served.body_bytes += *got;
  }
  auto finished = co_await job.exchange.finish();
  job.served.complete = finished.has_value();
}

// Nothing fresh is stored. The answer to a HEAD is not stored, but says whether what is stored still holds (RFC 9111 §4.3.5).
io::Task<void> FrontImpl::serve_head(Job& job) {
  Lookup looked = co_await look_up(job, job.policy().normalise_languages);
  CacheStatus status;
  status.forward = looked.found.entry ? CacheStatus::Forward::stale : CacheStatus::Forward::uri_miss;
  FetchRequest request = job.site->origin_request(*job.request);
  request.method = "HEAD";
  request.target = keyed_target(request.target, job.policy().key);
  request.hash_key = job.primary;
  remove_conditions(request.headers);
  const uint64_t stamp = cache().stamp();
  auto fetched =
      co_await job.site->upstream().fetch(std::move(request), loop_.now() + job.site->fetch_timeout());
  if (!fetched) {
    co_await serve_error(job, fetched.error(), status);
    co_return;
  }
  Fetch& fetch = **fetched;
  job.served.origin = fetch.origin();
  job.served.how = Served::How::pass;
  http::Headers headers = fetch.headers();
  job.site->edit_response(*job.request, fetch.status(), headers);
  if (looked.found.entry) after_head(job, looked, fetch, headers, stamp);
  headers.remove(kTtlField);
  status.forward_status = fetch.status();
  co_await serve_direct(job, fetch, std::move(headers), status);
}

void FrontImpl::after_head(const Job& job, const Lookup& looked, const Fetch& fetch,
                           const http::Headers& headers, uint64_t stamp) {
  const Entry& stored = *looked.found.entry;
  if (fetch.status() >= 500) return;
  if (fetch.status() != stored.status ||
      !head_agrees(stored.headers, stored.length, headers, content_length(fetch.headers()))) {
    cache().erase(looked.key);
    return;
  }
  http::Headers merged = merge_headers(stored.headers, headers);
  if (headers.find("date") == nullptr) merged.set("date", http::format_http_date(fetch.received()));
  http::Headers judged_by = merged;
  if (const std::string* age = headers.find("age")) judged_by.add("age", *age);
  Received received{&job.request->headers, "GET",           stored.status, &judged_by,
                    fetch.requested(),     fetch.received()};
  const Storable judged = judge_response(received, job.policy());
  if (!judged.store) return;
  merged.remove(kTtlField);
  cache().put(looked.key, renew_entry(stored, std::move(merged), judged.lifetime, stamp));
}

// RFC 9111 §4.4: every method that is not known to be safe.
void FrontImpl::after_unsafe(Job& job, int status, const http::Headers& headers) {
  if (job.primary.empty() || status < 200 || status >= 400) return;
  invalidate(job.primary);
  invalidate_location(job, headers, "location");
  invalidate_location(job, headers, "content-location");
  auto text = http::sf::joined(headers, "cache-group-invalidation");
  auto list = text ? http::sf::parse_list(*text) : std::nullopt;
  if (!list) return;
  size_t count = 0;
  for (const http::sf::Member& member : *list) {
    const std::string* group = std::get_if<std::string>(&member.item.value);
    if (member.inner_list || group == nullptr || count++ == kGroupsMax) continue;
    scope_.spawn(purge_group(request_origin(*job.request), *group));
  }
}

io::Task<void> FrontImpl::purge_group(std::string origin, std::string group) {
  if (shared_->tell) {
    PurgeOrder order;
    order.origin = origin;
    order.group = group;
    shared_->tell(order);
  }
  // Effective when the call returns; that it may be undone by a crash is logged by the cache.
  auto done = co_await cache().purge_group(std::move(origin), std::move(group));
  static_cast<void>(done);
}

// Of the same origin only: another site's pages are none of its business.
void FrontImpl::invalidate_location(const Job& job, const http::Headers& headers, std::string_view field) {
  std::string_view where = headers.get(field);
  const std::string origin = request_origin(*job.request);
  http::Request named = *job.request;
  if (where.starts_with('/') && !where.starts_with("//")) {
    named.target = where;
  } else if (where.size() > origin.size() && lower_case(where.substr(0, origin.size())) == origin &&
             where[origin.size()] == '/') {
    named.target = where.substr(origin.size());
  } else {
    return;
  }
  named.target.resize(std::min(named.target.size(), named.target.find('#')));
  const std::string key = primary_key(job.site->name(), named, job.policy().key);
  if (!key.empty()) invalidate(key);
}

// Told first: who asks another edge from now on says that it must know.
void FrontImpl::invalidate(const std::string& key) {
  if (shared_->tell) {
    PurgeOrder order;
    order.key = key;
    shared_->tell(order);
  }
  cache().invalidate(key);
}

}  // namespace archipel::edge
