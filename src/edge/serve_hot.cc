// The usual hit: fresh, small, in memory, asked for without conditions. What a hit costs is decided here.
#include <fmt/format.h>

#include "edge/serve_internal.h"
#include "http/structured_fields.h"

namespace archipel::edge {

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
bool FrontImpl::prepare_hot(Job& job, Hot& hot) {
  hot.found = cache().find_hot(job.key, job.primary);
  if (!hot.found.entry && hot.found.variants && !hot.found.variants->names.empty()) {
    const std::string text = variant_key(job.primary, hot.found.variants->names.front(), job.request->headers,
                                         job.policy().normalise_languages);
    if (!text.empty()) hot.found = cache().find_hot(cache().key_of(text), text);
  }
  if (!hot.found.entry || hot.found.purged_softly) return false;
  const Entry& entry = *hot.found.entry;
  const bool whole = entry.length && (job.head || *entry.length == 0 ||
                                      (hot.found.first && hot.found.first->bytes.size() == *entry.length));
  const std::string& name = job.policy().status_name;
  if (!whole || name.size() > 64) return false;
  const Judgement judged = judge_use(entry.lifetime, now(), false, nullptr);
  if (judged.use != Use::fresh) return false;
  const auto age = fmt::format_to_n(hot.age.data(), hot.age.size(), "{}", judged.age / 1000);
  hot.extra[0] = {"age", {hot.age.data(), age.size}};
  size_t fields = 1;
  if (!name.empty()) {
    if (!http::sf::is_token(name)) return false;
    const auto status =
        fmt::format_to_n(hot.status.data(), hot.status.size(), "{}; hit; ttl={}", name, judged.ttl / 1000);
    hot.extra[fields++] = {"cache-status", {hot.status.data(), status.size}};
  }
  hot.head = {.status = entry.status,
              .headers = &entry.headers,
              .h1_head = entry.h1_head,
              .extra = std::span(hot.extra).first(fields),
              .date = entry.headers.get("date"),
              .length = entry.length,
              .h2_head = entry.h2_head};
  if (!job.head && *entry.length > 0) {
    hot.body[0] = hot.found.first->bytes.view();
    hot.parts = 1;
  }
  job.served.how = Served::How::hit;
  job.served.status = entry.status;
  return true;
}

}  // namespace archipel::edge
