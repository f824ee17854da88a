#include "edge/key.h"

#include <algorithm>
#include <span>

#include "edge/directives.h"
#include "http/h1_parser.h"

namespace archipel::edge {
namespace {

// One member of an Accept-* list: its name in lower case, and its weight in thousandths.
struct Weighted {
  std::string name;
  int weight = 1000;
  size_t place = 0;
};

int parse_weight(std::string_view text) {
  if (text.empty() || (text[0] != '0' && text[0] != '1')) return 1000;
  int out = (text[0] - '0') * 1000, unit = 100;
  if (text.size() > 1 && text[1] != '.') return 1000;
  for (size_t i = 2; i < text.size() && i < 5; i++, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return 1000;
    out += (text[i] - '0') * unit;
  }
  return std::min(out, 1000);
}

std::vector<Weighted> parse_accept(std::string_view value) {
  std::vector<Weighted> out;
  for (std::string_view member : split_list(value)) {
    Weighted w;
    size_t semicolon = member.find(';');
    w.name = lower_case(http::trim_blanks(member.substr(0, semicolon)));
    while (semicolon != std::string_view::npos) {
      member.remove_prefix(semicolon + 1);
      semicolon = member.find(';');
      std::string parameter = lower_case(http::trim_blanks(member.substr(0, semicolon)));
      if (parameter.starts_with("q=")) w.weight = parse_weight(std::string_view(parameter).substr(2));
    }
    w.place = out.size();
    out.push_back(std::move(w));
  }
  return out;
}

// "de=en>fr": best first, '=' between those of one weight. In the order given unless `sort`.
std::string normal_languages(std::string_view value, bool sort) {
  std::vector<Weighted> all = parse_accept(value);
  std::sort(all.begin(), all.end(), [sort](const Weighted& a, const Weighted& b) {
    if (a.weight != b.weight) return a.weight > b.weight;
    return sort && a.name != b.name ? a.name < b.name : a.place < b.place;
  });
  std::string out;
  int last = 0;
  for (const Weighted& w : all) {
    if (!out.empty()) out += w.weight == last ? '=' : '>';
    out += w.name;
    if (w.weight == 0) out += "!";
    last = w.weight;
  }
  return out;
}

// Lines joined, spaces around commas gone: no list means anything else by them.
std::string normal_value(const std::vector<std::string_view>& lines) {
  std::string out;
  for (std::string_view line : lines)
    for (std::string_view member : split_list(line)) {
      if (!out.empty()) out += ',';
      out += member;
    }
  return out;
}

void append_value(std::string& out, const std::string& name, const http::Headers& request,
                  bool sort_languages) {
  std::vector<std::string_view> lines;
  for (const auto& [n, v] : request)
    if (n == name) lines.push_back(v);
  out += name;
  if (name == "accept-encoding") {
    // Absent and empty are the same here: nothing is coded for either.
    std::string codings = normal_encodings(normal_value(lines));
    if (!codings.empty()) out += ':' + codings;
  } else if (!lines.empty()) {
    out += ':';
    if (name == "accept-language")
      out += normal_languages(normal_value(lines), sort_languages);
    else if (name == "cookie")
      for (std::string_view line : lines) (out += line) += ';';
    else
      out += normal_value(lines);
  }
  out += '\n';
}

bool is_named(const std::vector<std::string>& names, std::string_view piece) {
  std::string_view name = piece.substr(0, piece.find('='));
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string_view> query_pieces(std::string_view query) {
  std::vector<std::string_view> out;
  for (;;) {
    size_t end = query.find('&');
    out.push_back(query.substr(0, end));
    if (end == std::string_view::npos) return out;
    query.remove_prefix(end + 1);
  }
}

// Does all of the target count, as it is?
bool is_whole_key(std::string_view target, const KeyPolicy& policy) {
  if (policy.whole_query && policy.ignored_names.empty() && !policy.sort_query) return true;
  return target.find('?') == std::string_view::npos;
}

// In lower case, without the scheme's usual port.
void append_host(std::string& out, std::string_view host, bool secure) {
  const std::string_view usual = secure ? ":443" : ":80";
  if (host.ends_with(usual)) host.remove_suffix(usual.size());
  const size_t begin = out.size();
  out += host;
  for (char& c : std::span(out).subspan(begin)) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

void append_origin(std::string& out, std::string_view host, bool secure) {
  out += secure ? "https://" : "http://";
  append_host(out, host, secure);
}

}  // namespace

std::string keyed_target(std::string_view target, const KeyPolicy& policy) {
  if (is_whole_key(target, policy)) return std::string(target);
  const size_t mark = target.find('?');
  std::vector<std::string_view> pieces = query_pieces(target.substr(mark + 1)), kept;
  if (policy.whole_query) {
    for (std::string_view piece : pieces)
      if (!is_named(policy.ignored_names, piece)) kept.push_back(piece);
    if (policy.sort_query)
      std::sort(kept.begin(), kept.end(), [](std::string_view a, std::string_view b) {
        std::string_view x = a.substr(0, a.find('=')), y = b.substr(0, b.find('='));
        return x != y ? x < y : a.data() < b.data();  // equal names stay in their order
      });
  } else {
    for (const std::string& name : policy.query_names)
      for (std::string_view piece : pieces)
        if (piece.substr(0, piece.find('=')) == name) kept.push_back(piece);
  }
  std::string out(target.substr(0, mark));
  char separator = '?';
  for (std::string_view piece : kept) {
    out += separator;
    out += piece;
    separator = '&';
  }
  return out;
}

std::string keyed_host(const http::Request& request) {
  std::string out;
  append_host(out, request.headers.get("host"), request.secure);
  return out;
}

std::string request_origin(const http::Request& request) {
  std::string out;
  append_origin(out, request.headers.get("host"), request.secure);
  return out;
}

// Every request passes here: one allocation.
std::string primary_key(std::string_view site, const http::Request& request, const KeyPolicy& policy) {
  const std::string_view host = request.headers.get("host");
  std::string out;
  out.reserve(site.size() + 16 + host.size() + request.target.size());
  out += site;
  out += '\n';
  if (policy.host)
    append_origin(out, host, request.secure);
  else
    out += request.secure ? "https://*" : "http://*";
  if (is_whole_key(request.target, policy))
    out += request.target;
  else
    out += keyed_target(request.target, policy);
  for (const std::string& name : policy.header_names) {
    out += '\n';
    out += name;
    // One line each: "a" and "b" are not "a:b".
    for (const auto& [n, v] : request.headers)
      if (n == name) (out += "\n:") += v;
  }
  if (out.size() > kKeyBytesMax || out.find('\0') != std::string::npos) return {};
  return out;
}

std::string variant_key(std::string_view primary, const std::vector<std::string>& names,
                        const http::Headers& request, bool sort_languages) {
  std::string out(primary);
  out += '\0';
  for (const std::string& name : names) append_value(out, name, request, sort_languages);
  if (out.size() > kKeyBytesMax) return {};
  return out;
}

std::optional<std::vector<std::string>> vary_names(const http::Headers& response) {
  std::vector<std::string> out;
  for (const auto& [name, value] : response) {
    if (name == "content-encoding" && lower_case(value) != "identity") out.push_back("accept-encoding");
    if (name != "vary") continue;
    for (std::string_view member : split_list(value)) {
      if (member == "*" || out.size() > 2 * kVaryNamesMax) return std::nullopt;
      out.push_back(lower_case(member));
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  if (out.size() > kVaryNamesMax) return std::nullopt;
  return out;
}

std::string normal_encodings(std::string_view value) {
  std::vector<Weighted> all = parse_accept(value);
  std::string out;
  for (std::string_view coding : {"br", "gzip", "zstd"}) {
    int weight = 0;
    bool named = false;
    for (const Weighted& w : all) {
      if (w.name == coding || (coding == "gzip" && w.name == "x-gzip")) {
        weight = w.weight;
        named = true;
      } else if (w.name == "*" && !named) {
        weight = w.weight;
      }
    }
    if (weight == 0) continue;
    if (!out.empty()) out += ", ";
    out += coding;
  }
  return out;
}

}  // namespace archipel::edge
