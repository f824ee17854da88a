#include "base/json.h"

#include <fmt/format.h>

#include <cmath>

#include "base/check.h"

namespace archipel {
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

}  // namespace

void json_quote(std::string& out, std::string_view text) {
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

void JsonWriter::separate() {
  if (!open_.empty() && open_.back() == '{') CHECK(keyed_);  // a value in an object needs its key
  CHECK(!open_.empty() || out_.empty());                     // a second value beside the whole
  if (!first_ && !keyed_) out_ += ',';
  first_ = keyed_ = false;
}

JsonWriter& JsonWriter::begin(char c) {
  separate();
  out_ += c;
  open_ += c;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::end(char c) {
  CHECK(!open_.empty() && !keyed_ && open_.back() == (c == '}' ? '{' : '['));  // an end without its begin
  open_.pop_back();
  out_ += c;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  CHECK(!open_.empty() && open_.back() == '{' && !keyed_);  // a key outside an object, or two in a row
  if (!first_) out_ += ',';
  json_quote(out_, name);
  out_ += ':';
  keyed_ = true;
  return *this;
}

JsonWriter& JsonWriter::text(std::string_view value) {
  separate();
  json_quote(out_, value);
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  return std::isfinite(value) ? word(fmt::format("{}", value)) : null();
}

JsonWriter& JsonWriter::word(std::string_view value) {
  separate();
  out_ += value;
  return *this;
}

JsonWriter& JsonWriter::texts(std::span<const std::string> values) {
  begin_array();
  for (const std::string& value : values) text(value);
  return end_array();
}

const std::string& JsonWriter::str() const {
  CHECK(open_.empty() && !out_.empty());  // the value is not whole
  return out_;
}

}  // namespace archipel
