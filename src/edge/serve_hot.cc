// The usual hit: fresh, small, in memory, asked for without conditions. What a hit costs is decided here.
#include <algorithm>
#include <charconv>

#include "edge/serve_internal.h"
#include "http/structured_fields.h"

namespace archipel::edge {
namespace {

constexpr size_t kStatusNameMax = 64;
constexpr std::string_view kHitWords = "; hit; ttl=";
constexpr size_t kSecondsBytesMax = 20;
static_assert(kStatusNameMax + kHitWords.size() + kSecondsBytesMax <= sizeof(Hot::status));
static_assert(kSecondsBytesMax <= sizeof(Hot::age));

// Writes `ms` in seconds at `out`; returns the text from `begin` to there.
std::string_view put_seconds(const char* begin, char* out, int64_t ms) {
  return {begin, std::to_chars(out, out + kSecondsBytesMax, ms / 1000).ptr};
}

}  // namespace

Asked look_at(const http::Headers& request) {
  Asked out;
  for (const auto& [name, value] : request) {
    switch (name.front()) {
      case 'c':
        out.wishes = out.wishes || name == "cache-control";
        break;
      case 'p':
        out.wishes = out.wishes || name == "pragma";
        break;
      case 'r':
        out.range = out.range || name == "range";
        break;
      case 'i':
        out.conditions = out.conditions || name == "if-none-match" || name == "if-modified-since";
        out.origin_conditions = out.origin_conditions || name == "if-match" || name == "if-unmodified-since";
        break;
      default:
        break;
    }
  }
  return out;
}

// What most requests are; whatever is not simple about one is left to serve_round().
bool FrontImpl::prepare_hot(const HotAsk& wanted, Hot& hot) {
  hot.found = cache().find_hot(wanted.key, wanted.primary);
  if (!hot.found.entry && hot.found.variants && !hot.found.variants->names.empty()) {
    const std::string text = variant_key(wanted.primary, hot.found.variants->names.front(),
                                         wanted.request.headers, wanted.policy.normalise_languages);
    if (!text.empty()) hot.found = cache().find_hot(cache().key_of(text), text);
  }
  if (!hot.found.entry || hot.found.purged_softly) return false;
  const Entry& entry = *hot.found.entry;
  const bool whole = entry.length && (wanted.head || *entry.length == 0 ||
                                      (hot.found.first && hot.found.first->bytes.size() == *entry.length));
  const std::string& name = wanted.policy.status_name;
  if (!whole || name.size() > kStatusNameMax) return false;
  const Judgement judged = judge_use(entry.lifetime, now(), false, nullptr);
  if (judged.use != Use::fresh) return false;
  hot.extra[0] = {"age", put_seconds(hot.age.data(), hot.age.data(), judged.age)};
  size_t fields = 1;
  if (!name.empty()) {
    if (!http::sf::is_token(name)) return false;
    char* end = std::ranges::copy(name, hot.status.data()).out;
    end = std::ranges::copy(kHitWords, end).out;
    hot.extra[fields++] = {"cache-status", put_seconds(hot.status.data(), end, judged.ttl)};
  }
  hot.head = {.status = entry.status,
              .headers = &entry.headers,
              .h1_head = entry.h1_head,
              .extra = std::span(hot.extra).first(fields),
              .date = entry.headers.get("date"),
              .length = entry.length,
              .h2_head = entry.h2_head,
              .h2_own = entry.h2_own};
  if (!wanted.head && *entry.length > 0) {
    if (*entry.length > kSmallBytes) {
      hot.pin = std::make_unique<Pins::Pin>();
      if (!pins_.hold(*hot.pin, hot.found.first, wanted.exchange, loop_.now())) return false;
    }
    hot.body[0] = hot.found.first->bytes.view();
    hot.parts = 1;
  }
  return true;
}

http::NowExchange::Now FrontImpl::serve_now(http::NowExchange& exchange, const Site& site,
                                            std::string_view primary, Served& served,
                                            std::shared_ptr<void>& kept) {
  using Now = http::NowExchange::Now;
  const http::Request& request = exchange.request();
  if (primary.empty() || !site.cache().enabled) return Now::no;
  Hot hot;
  const bool head = request.method == "HEAD";
  if (!prepare_hot({exchange, request, site.cache(), primary, cache().key_of(primary), head}, hot))
    return Now::no;
  // All fields of an entry passed write_stored_head() together, date among them.
  if (hot.head.h1_head.empty()) return Now::no;
  const ByteView body = hot.parts > 0 ? hot.body[0] : ByteView{};
  const Now now = exchange.respond_stored_now(hot.head, body);
  if (now == Now::no) return now;
  served.how = Served::How::hit;
  served.status = hot.head.status;
  served.body_bytes = body.size();
  served.complete = now == Now::whole;
  if (now == Now::begun) kept = std::make_shared<Hot>(std::move(hot));
  return now;
}

}  // namespace archipel::edge
