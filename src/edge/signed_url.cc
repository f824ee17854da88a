#include "edge/signed_url.h"

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "http/uri.h"

namespace archipel::edge {
namespace {

std::string base64url(ByteView bytes) {
  std::string text = base64(bytes);
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  text.erase(text.find_last_not_of('=') + 1);
  return text;
}

std::string signature(std::string_view host, std::string_view scope, int64_t expires, std::string_view key) {
  std::string name(host.substr(0, host.starts_with('[') ? host.find(']') + 1 : host.find(':')));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  std::string text = "archipel-url-1\n" + name + "\n" + std::string(scope) + "\n" + std::to_string(expires);
  return base64url(crypto::hmac_sha256(as_bytes(key), as_bytes(text)));
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

// "." and ".." segments, also percent-encoded once or behind a backslash: origins disagree about what they mean.
bool has_dot_segment(std::string_view path) {
  std::optional<std::string> plain = http::percent_decode(path);
  if (!plain) return true;
  std::ranges::replace(*plain, '\\', '/');
  std::string_view rest = *plain;
  while (true) {
    size_t slash = rest.find('/');
    std::string_view segment = rest.substr(0, std::min(slash, rest.find(';')));
    if (segment == "." || segment == ".." || rest.substr(0, slash).find('\0') != std::string_view::npos)
      return true;
    // Twice encoded: somebody may decode twice.
    if (segment.find("%2e") != std::string_view::npos || segment.find("%2E") != std::string_view::npos)
      return true;
    if (slash == std::string_view::npos) return false;
    rest.remove_prefix(slash + 1);
  }
}

bool covers(std::string_view scope, std::string_view path) {
  if (scope == path) return true;
  return scope.ends_with('/') && path.starts_with(scope) && !has_dot_segment(path);
}

struct Claim {
  std::string target, scope, signature;
  int64_t expires = 0;
};

// "/~EXPIRES~DEPTH~SIG/rest"
std::optional<Claim> path_claim(std::string_view target) {
  if (!target.starts_with("/~")) return std::nullopt;
  size_t slash = target.find('/', 1);
  if (slash == std::string_view::npos) return std::nullopt;
  std::string_view head = target.substr(2, slash - 2), rest = target.substr(slash);
  size_t first = head.find('~'), second = first == std::string_view::npos ? first : head.find('~', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  auto expires = whole_number(head.substr(0, first));
  auto depth = whole_number(head.substr(first + 1, second - first - 1));
  if (!expires || !depth || *depth > 256) return std::nullopt;
  Claim claim{std::string(rest), {}, std::string(head.substr(second + 1)), *expires};
  std::string_view path = rest.substr(0, rest.find('?'));
  if (*depth == 0) {
    claim.scope = path;
    return claim;
  }
  size_t end = 0;
  for (int64_t i = 0; i < *depth; ++i) {
    end = path.find('/', end + 1);
    if (end == std::string_view::npos) return std::nullopt;
  }
  claim.scope = path.substr(0, end + 1);
  return claim;
}

std::optional<Claim> query_claim(std::string_view target) {
  size_t question = target.find('?');
  if (question == std::string_view::npos) return std::nullopt;
  auto params = http::parse_query(target.substr(question + 1));
  if (!params) return std::nullopt;
  Claim claim;
  std::string rest;
  int expires = 0, scopes = 0, signatures = 0;
  for (const http::QueryParam& param : *params) {
    if (param.name == "expires") {
      auto value = whole_number(param.value);
      if (!value) return std::nullopt;
      claim.expires = *value;
      ++expires;
    } else if (param.name == "scope") {
      claim.scope = param.value;
      ++scopes;
    } else if (param.name == "signature") {
      claim.signature = param.value;
      ++signatures;
    } else {
      rest += (rest.empty() ? "?" : "&") + std::string(param.raw);
    }
  }
  // A second value would be one that somebody else reads.
  if (expires != 1 || signatures != 1 || scopes > 1) return std::nullopt;
  std::string path(target.substr(0, question));
  if (scopes == 0) claim.scope = path;
  claim.target = path + rest;
  return claim;
}

}  // namespace

std::string_view signed_path(std::string_view target) {
  if (target.starts_with("/~")) {
    size_t slash = target.find('/', 1);
    if (slash != std::string_view::npos) target.remove_prefix(slash);
  }
  return target.substr(0, target.find('?'));
}

std::optional<SignedTarget> check_signed(std::string_view host, std::string_view target,
                                         const std::vector<std::string>& keys, UnixMs now) {
  std::optional<Claim> claim = path_claim(target);
  if (!claim) claim = query_claim(target);
  if (!claim || claim->signature.size() > kSignedFieldBytesMax || claim->scope.size() > kSignedFieldBytesMax)
    return std::nullopt;
  bool genuine = false;
  for (const std::string& key : keys) {
    std::string expected = signature(host, claim->scope, claim->expires, key);
    genuine |= crypto::constant_time_equal(as_bytes(expected), as_bytes(claim->signature));
  }
  std::string_view path = std::string_view(claim->target).substr(0, claim->target.find('?'));
  if (!genuine || claim->expires <= now / 1000 || !covers(claim->scope, path)) return std::nullopt;
  return SignedTarget{std::move(claim->target), claim->expires};
}

std::optional<std::string> sign_target(std::string_view host, std::string_view target, std::string_view scope,
                                       int64_t expires, std::string_view key, SignedForm form) {
  std::string path(target.substr(0, target.find('?')));
  std::string_view within = scope.empty() ? std::string_view(path) : scope;
  if (!covers(within, path)) return std::nullopt;
  std::string sig = signature(host, within, expires, key);
  if (form == SignedForm::path) {
    auto depth = scope.empty() ? 0 : std::ranges::count(scope, '/') - 1;
    if (!scope.empty() && depth == 0) return std::nullopt;  // all of "/": a depth of 0 means the path alone
    return "/~" + std::to_string(expires) + "~" + std::to_string(depth) + "~" + sig + std::string(target);
  }
  std::string out(target);
  out += (path.size() == target.size() ? "?" : "&");
  out += "expires=" + std::to_string(expires);
  if (!scope.empty()) out += "&scope=" + http::uri_encode(scope);
  return out + "&signature=" + sig;
}

}  // namespace archipel::edge
