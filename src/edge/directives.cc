#include "edge/directives.h"

#include <algorithm>
#include <cmath>

#include "http/h1_parser.h"
#include "http/structured_fields.h"

namespace archipel::edge {
namespace {

// The content of a quoted string; anything else as it is.
std::string unquote(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
  std::string out;
  for (size_t i = 1; i + 1 < text.size(); i++) {
    if (text[i] == '\\' && i + 2 < text.size()) i++;
    out += text[i];
  }
  return out;
}

void keep_shortest(std::optional<int64_t>& slot, std::optional<int64_t> value) {
  int64_t seconds = value.value_or(0);
  slot = slot ? std::min(*slot, seconds) : seconds;
}

// no-cache and private: without names they concern the whole response.
void take_qualified(bool& whole, std::vector<std::string>& fields, std::optional<std::string> value) {
  if (!value) {
    whole = true;
    return;
  }
  std::vector<std::string_view> names = split_list(*value);
  if (names.empty() || fields.size() + names.size() > kListedFieldsMax) {
    whole = true;
    return;
  }
  for (std::string_view name : names) fields.push_back(lower_case(name));
}

void take(Directives& out, const std::string& name, std::optional<std::string> value) {
  auto seconds = [&] { return value ? parse_seconds(*value) : std::nullopt; };
  if (name == "max-age") return keep_shortest(out.max_age, seconds());
  if (name == "s-maxage") return keep_shortest(out.s_maxage, seconds());
  if (name == "stale-while-revalidate") return keep_shortest(out.stale_while_revalidate, seconds());
  if (name == "stale-if-error") return keep_shortest(out.stale_if_error, seconds());
  if (name == "max-stale")
    return keep_shortest(out.max_stale, value ? seconds() : std::optional(kSecondsMax));
  if (name == "min-fresh") {
    // A request's wish: the longer, the stricter.
    out.min_fresh = std::max(out.min_fresh.value_or(0), seconds().value_or(kSecondsMax));
    return;
  }
  if (name == "no-cache") return take_qualified(out.no_cache, out.no_cache_fields, std::move(value));
  if (name == "private") return take_qualified(out.is_private, out.private_fields, std::move(value));
  if (name == "no-store") out.no_store = true;
  if (name == "public") out.is_public = true;
  if (name == "must-revalidate") out.must_revalidate = true;
  if (name == "proxy-revalidate") out.proxy_revalidate = true;
  if (name == "must-understand") out.must_understand = true;
  if (name == "only-if-cached") out.only_if_cached = true;
}

// A member of a targeted field as the value of a directive. False: of a type that no directive has.
bool member_value(const http::sf::Member& member, std::optional<std::string>& out) {
  if (member.inner_list) return false;
  const http::sf::Bare& value = member.item.value;
  if (const bool* flag = std::get_if<bool>(&value)) return *flag;
  if (const int64_t* number = std::get_if<int64_t>(&value))
    out = std::to_string(*number);
  else if (const std::string* text = std::get_if<std::string>(&value))
    out = *text;
  else
    return false;
  return true;
}

bool is_span(std::string_view name) {
  return name == "max-age" || name == "s-maxage" || name == "stale-while-revalidate" ||
         name == "stale-if-error";
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

std::optional<int64_t> parse_seconds(std::string_view text) {
  if (text.empty()) return std::nullopt;
  int64_t out = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    out = std::min(kSecondsMax, out * 10 + (c - '0'));
  }
  return out;
}

std::vector<std::string_view> split_list(std::string_view value) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  bool quoted = false;
  for (size_t i = 0; i <= value.size(); i++) {
    if (i < value.size()) {
      if (quoted && value[i] == '\\') {
        i++;
        continue;
      }
      if (value[i] == '"') quoted = !quoted;
      if (quoted || value[i] != ',') continue;
    }
    // A backslash may have been the last character: i is beyond the end then.
    std::string_view member = http::trim_blanks(value.substr(begin, std::min(i, value.size()) - begin));
    if (!member.empty()) out.push_back(member);
    begin = i + 1;
  }
  if (begin < value.size()) {
    std::string_view member = http::trim_blanks(value.substr(begin));
    if (!member.empty()) out.push_back(member);
  }
  return out;
}

Directives parse_cache_control(const http::Headers& headers, std::string_view name) {
  Directives out;
  for (const auto& [n, line] : headers) {
    if (n != name) continue;
    out.present = true;
    for (std::string_view member : split_list(line)) {
      size_t equals = member.find('=');
      if (equals == std::string_view::npos) {
        take(out, lower_case(member), std::nullopt);
        continue;
      }
      // "max-age = 60" is no directive by the grammar; read as one it can only be a span that somebody meant.
      take(out, lower_case(http::trim_blanks(member.substr(0, equals))),
           unquote(http::trim_blanks(member.substr(equals + 1))));
    }
  }
  return out;
}

std::optional<Directives> parse_targeted(const http::Headers& headers, std::string_view name) {
  auto text = http::sf::joined(headers, name);
  if (!text) return std::nullopt;
  auto dictionary = http::sf::parse_dictionary(*text);
  if (!dictionary || dictionary->empty()) return std::nullopt;
  Directives out;
  out.present = true;
  size_t understood = 0;
  for (const auto& [key, member] : *dictionary) {
    std::optional<std::string> value;
    if (!member_value(member, value)) continue;
    if (is_span(key) && !std::holds_alternative<int64_t>(member.item.value)) continue;
    take(out, key, std::move(value));
    understood++;
  }
  if (understood == 0) return std::nullopt;
  return out;
}

Instructions read_instructions(const http::Headers& headers, const std::vector<std::string>& targeted) {
  for (const std::string& name : targeted)
    if (auto found = parse_targeted(headers, name)) return {std::move(*found), true};
  return {parse_cache_control(headers), false};
}

}  // namespace archipel::edge
