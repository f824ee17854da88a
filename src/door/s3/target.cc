#include "door/s3/target.h"

#include <algorithm>

#include "door/s3/errors.h"

namespace archipel::door::s3 {

const http::QueryParam* Target::param(std::string_view name) const {
  for (const auto& p : query)
    if (p.name == name) return &p;
  return nullptr;
}

std::string_view Target::value(std::string_view name) const {
  const http::QueryParam* p = param(name);
  return p == nullptr ? std::string_view{} : std::string_view(p->value);
}

bool valid_utf8(std::string_view text) {
  size_t i = 0;
  auto continuation = [&](size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  while (i < text.size()) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      ++i;
      continue;
    }
    size_t width = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4) return false;
    for (size_t j = 1; j < width; ++j)
      if (!continuation(i + j)) return false;
    auto second = static_cast<unsigned char>(text[i + 1]);
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
        (c == 0xf4 && second > 0x8f))
      return false;
    i += width;
  }
  return true;
}

static std::string host_without_port(std::string_view host) {
  size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos &&
      host.find_first_not_of("0123456789", colon + 1) == std::string_view::npos)
    host = host.substr(0, colon);
  std::string out(host);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// The bucket that the Host header names, or an empty string.
static std::string bucket_of_host(std::string_view host_header, std::string_view base) {
  std::string host = host_without_port(host_header);
  if (base.empty() || host.size() <= base.size() + 1) return {};
  if (!host.ends_with(base) || host[host.size() - base.size() - 1] != '.') return {};
  return host.substr(0, host.size() - base.size() - 1);
}

Result<Target> parse_target(const http::Request& request, std::string_view virtual_host_base) {
  Target target;
  std::string_view path = request.path();
  if (path.empty() || path[0] != '/') return refuse("InvalidURI", "The request-target must begin with '/'.");
  path.remove_prefix(1);
  target.bucket = bucket_of_host(request.headers.get("host"), virtual_host_base);
  target.virtual_hosted = !target.bucket.empty();
  if (!target.virtual_hosted) {
    size_t slash = path.find('/');
    auto bucket = http::percent_decode(path.substr(0, slash));
    if (!bucket || !valid_utf8(*bucket) || bucket->find('\0') != std::string::npos)
      return refuse("InvalidURI", "The path is not valid percent-encoded UTF-8.");
    target.bucket = std::move(*bucket);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    if (target.bucket.empty() && slash != std::string_view::npos)
      return refuse("InvalidBucketName", "The path has no bucket name before its second '/'.");
  }
  auto key = http::percent_decode(path);
  if (!key || !valid_utf8(*key) || key->find('\0') != std::string::npos)
    return refuse("InvalidURI", "The key is not valid percent-encoded UTF-8 without NUL.");
  if (key->size() > kKeyBytesMax) return refuse("KeyTooLongError");
  target.key = std::move(*key);

  auto query = http::parse_query(request.query());
  if (!query)
    return refuse("InvalidURI", "The query string has a bad percent-escape or too many parameters.");
  target.query = std::move(*query);
  for (size_t i = 0; i < target.query.size(); ++i) {
    const std::string& name = target.query[i].name;
    for (size_t j = 0; j < i; ++j)
      if (target.query[j].name == name)
        return refuse("InvalidArgument", "A query parameter is given twice; give it once.");
    if (!valid_utf8(target.query[i].value) || target.query[i].value.find('\0') != std::string::npos)
      return refuse("InvalidArgument", "A query parameter is not valid UTF-8 without NUL.");
  }
  return target;
}

}  // namespace archipel::door::s3
