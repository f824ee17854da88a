// Entries made of responses.
#include <algorithm>

#include "edge/merge.h"
#include "edge/serve_internal.h"
#include "http/date.h"
#include "http/h1_writer.h"
#include "http/structured_fields.h"

namespace archipel::edge {
namespace {

constexpr size_t kTagBytesMax = 1024;
constexpr size_t kGroupsMax = 32;       // RFC 9875 §2.1
constexpr size_t kGroupBytesMax = 128;  // at least 32 characters are to be taken

// Cache-Tag is a list with commas, Surrogate-Key one with spaces.
std::vector<std::string> read_tags(const http::Headers& headers) {
  std::vector<std::string> out;
  for (const auto& [name, value] : headers) {
    if (name != "cache-tag" && name != "surrogate-key") continue;
    std::string_view rest = value;
    while (!rest.empty() && out.size() < kTagsMax) {
      size_t end = rest.find_first_of(name == "cache-tag" ? ",\t" : " ,\t");
      std::string_view tag = rest.substr(0, end);
      while (tag.starts_with(' ')) tag.remove_prefix(1);
      while (tag.ends_with(' ')) tag.remove_suffix(1);
      if (!tag.empty() && tag.size() <= kTagBytesMax) out.push_back(lower_case(tag));
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<std::string> read_groups(const http::Headers& headers) {
  std::vector<std::string> out;
  auto text = http::sf::joined(headers, "cache-groups");
  auto list = text ? http::sf::parse_list(*text) : std::nullopt;
  if (!list) return out;
  for (const http::sf::Member& member : *list) {
    const std::string* name = std::get_if<std::string>(&member.item.value);
    if (member.inner_list || name == nullptr || name->size() > kGroupBytesMax || out.size() == kGroupsMax)
      continue;
    out.push_back(*name);
  }
  return out;
}

void serialise(Entry& entry) {
  entry.h1_head.clear();
  entry.write_h2_head();
  if (!http::write_stored_head(entry.h1_head, entry.status, entry.headers)) entry.h1_head.clear();
  entry.etag = std::string(entry.headers.get("etag"));
  entry.last_modified = parse_date_field(entry.headers, "last-modified", entry.lifetime.received);
}

}  // namespace

std::shared_ptr<Entry> make_entry(Cache& cache, const Ask& ask, std::string key, int status,
                                  const http::Headers& headers, const Lifetime& lifetime, uint64_t stamp,
                                  std::optional<uint64_t> length) {
  auto out = std::make_shared<Entry>();
  out->id = cache.new_id();
  out->stamp = stamp;
  out->key = std::move(key);
  out->site = ask.site->name();
  out->status = status;
  out->headers = stored_headers(headers, read_instructions(headers, ask.site->cache().targeted).directives);
  if (out->headers.find("date") == nullptr)
    out->headers.add("date", http::format_http_date(lifetime.received));
  out->tags = read_tags(headers);
  out->groups = read_groups(headers);
  out->length = length;
  out->lifetime = lifetime;
  out->ranges = status == 200 && serves_ranges(headers, length);
  serialise(*out);
  return out;
}

std::shared_ptr<Entry> renew_entry(const Entry& old, http::Headers headers, const Lifetime& lifetime,
                                   uint64_t stamp) {
  auto out = std::make_shared<Entry>(old);
  out->headers = std::move(headers);
  out->lifetime = lifetime;
  out->stamp = stamp;
  out->tags = read_tags(out->headers);
  out->groups = read_groups(out->headers);
  if (out->headers.find("date") == nullptr)
    out->headers.add("date", http::format_http_date(lifetime.received));
  serialise(*out);
  return out;
}

Validators validators_of(const Entry& entry) {
  const UnixMs received = entry.lifetime.received;
  return {entry.etag, entry.last_modified,
          parse_date_field(entry.headers, "date", received).value_or(received)};
}

bool selects(const Ask& ask, const Entry& entry) {
  auto names = vary_names(entry.headers);
  if (!names) return false;
  if (names->empty()) return entry.key == ask.primary;
  return entry.key ==
         variant_key(ask.primary, *names, ask.request->headers, ask.site->cache().normalise_languages);
}

uint64_t wanted_end(const std::optional<std::vector<RangeSpec>>& range, std::optional<uint64_t> length) {
  if (!range || !length) return kWholeBody;
  Wanted wanted = resolve(*range, *length);
  if (wanted.kind == Wanted::Kind::whole) return kWholeBody;
  uint64_t end = 1;
  for (const ByteRange& r : wanted.ranges) end = std::max(end, r.last + 1);
  return end >= *length ? kWholeBody : end;
}

bool varies_by_the_client_alone(const Ask& ask, const std::vector<std::string>& names,
                                const http::Headers& sent) {
  for (const std::string& name : names) {
    if (name == "accept-encoding" || name == "host" || name == "x-forwarded-host" ||
        name == "x-forwarded-proto" || name == "via")
      continue;
    const std::vector<std::string> one{name};
    if (variant_key("k", one, ask.request->headers) != variant_key("k", one, sent)) return false;
  }
  return true;
}

bool serves_ranges(const http::Headers& headers, std::optional<uint64_t> length) {
  return length && is_strong_etag(headers.get("etag")) && lower_case(headers.get("accept-ranges")) == "bytes";
}

}  // namespace archipel::edge
