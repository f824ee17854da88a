#include "door/site/routes.h"

#include <algorithm>
#include <charconv>

#include "door/s3/target.h"
#include "http/uri.h"

namespace archipel::door::site {
namespace {

// What an owner wrote as a replacement goes out as written, fragments ("#!/") and queries too; only what no URL may hold is encoded.
std::string as_written(std::string_view text) {
  static constexpr std::string_view kKept = "!#$%&'()*+,/:;=?@[]-._~";
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool kept = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                (byte >= 'a' && byte <= 'z') || kKept.find(c) != std::string_view::npos;
    out += kept ? std::string(1, c) : http::uri_encode(std::string_view(&c, 1));
  }
  return out;
}

std::string encoded(std::string_view key) {
  return http::uri_encode(key, http::Slash::keep);
}

std::string base_of(const Place& place, const std::string& protocol, const std::string& host) {
  std::string out = protocol.empty() ? (place.secure ? "https" : "http") : protocol;
  out += "://";
  return out + as_written(host.empty() ? place.host : std::string_view(host));
}

int status_of(const std::string& code) {
  int status = 301;
  std::from_chars(code.data(), code.data() + code.size(), status);
  return status;
}

bool applies(const s3::Website::Routing& rule, const std::string& key, int status) {
  if (!key.starts_with(rule.if_prefix)) return false;
  if (status == 0) return rule.if_error.empty();
  return rule.if_error == std::to_string(status);
}

}  // namespace

std::string bucket_of_host(std::string_view host, std::string_view domain) {
  // An address in brackets has colons of its own, and is nobody's bucket.
  if (!host.starts_with('[')) host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string name(host);
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  std::string tail = '.' + std::string(domain);
  if (!domain.empty() && name.size() > tail.size() && name.ends_with(tail))
    name.resize(name.size() - tail.size());
  return name;
}

std::optional<std::string> key_of_path(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  auto key = http::percent_decode(path);
  if (!key || !s3::valid_utf8(*key) || key->find('\0') != std::string::npos) return std::nullopt;
  return key;
}

std::string document_of(const std::string& key, const std::string& index) {
  return key.empty() || key.ends_with('/') ? key + index : key;
}

Redirect redirect_all(const s3::Website::RedirectAll& rule, const Place& place, std::string_view target) {
  return {301, base_of(place, rule.protocol, rule.host) + std::string(target)};
}

std::optional<Redirect> route(const s3::Website& website, const Place& place, const std::string& key,
                              int status) {
  auto rule = std::ranges::find_if(website.rules,
                                   [&](const s3::Website::Routing& r) { return applies(r, key, status); });
  if (rule == website.rules.end()) return std::nullopt;
  std::string path = encoded(key);
  if (!rule->replace_key.empty()) path = as_written(rule->replace_key);
  if (rule->has_replace_prefix)
    path = as_written(rule->replace_prefix) + encoded(std::string_view(key).substr(rule->if_prefix.size()));
  return Redirect{status_of(rule->code), base_of(place, rule->protocol, rule->host) + '/' + path};
}

Redirect to_directory(const http::Request& request) {
  std::string location(request.path());
  // "//elsewhere" would be another host's address.
  if (location.starts_with("//")) location.insert(0, "/.");
  location += '/';
  if (!request.query().empty()) location += '?' + std::string(request.query());
  return {302, std::move(location)};
}

}  // namespace archipel::door::site
