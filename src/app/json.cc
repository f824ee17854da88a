#include "app/json.h"

#include <fmt/format.h>

namespace archipel::app {
namespace {

// Length of the valid UTF-8 sequence at the front of `text`, or 0.
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (lead >= 0xf5 || length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) >= 0xa0)) return 0;
  if ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) >= 0x90)) return 0;
  return length;
}

void quote(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    size_t length = utf8_length(text);
    auto c = static_cast<unsigned char>(text.front());
    if (length == 0)
      out += "\\ufffd";
    else if (c == '"' || c == '\\')
      (out += '\\') += text.front();
    else if (c < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

}  // namespace

void JsonObject::name(std::string_view key) {
  if (!body_.empty()) body_ += ',';
  quote(body_, key);
  body_ += ':';
}

JsonObject& JsonObject::text(std::string_view key, std::string_view value) {
  name(key);
  quote(body_, value);
  return *this;
}

JsonObject& JsonObject::number(std::string_view key, int64_t value) {
  name(key);
  body_ += std::to_string(value);
  return *this;
}

}  // namespace archipel::app
