#include "door/s3/list_token.h"

#include "base/bytes.h"
#include "door/s3/target.h"

namespace archipel::door::s3 {

static constexpr char kTokenVersion = '1';

std::string make_token(std::string_view next) {
  return base64(as_bytes(kTokenVersion + std::string(next)));
}

std::optional<std::string> open_token(std::string_view token) {
  auto text = unbase64(token);
  if (!text || text->size() < 2 || text->front() != kTokenVersion) return std::nullopt;
  text->erase(0, 1);
  if (text->size() > kKeyBytesMax || !valid_utf8(*text) || text->find('\0') != std::string::npos)
    return std::nullopt;
  return text;
}

}  // namespace archipel::door::s3
