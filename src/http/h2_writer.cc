#include "http/h2_writer.h"

#include <algorithm>

#include "http/h1_parser.h"
#include "http/hpack_encoder.h"

namespace archipel::http {

bool is_h2_own(std::string_view name) {
  switch (name.size()) {
    case 4:
      return name == "date";
    case 7:
      return name == "upgrade";
    case 10:
      return name == "connection" || name == "keep-alive";
    case 14:
      return name == "content-length";
    case 16:
      return name == "proxy-connection";
    case 17:
      return name == "transfer-encoding";
    default:
      return false;
  }
}

bool is_h2_field(std::string_view name, std::string_view value) {
  return is_token(name) && std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; }) &&
         is_field_value(value);
}

bool write_stored_h2_head(std::string& out, int status, const Headers& headers) {
  if (status < 200 || status > 599) return false;
  size_t size = HpackWriter::kStatusBytesMax;
  for (const auto& [name, value] : headers) {
    if (is_h2_own(name)) continue;
    if (!is_h2_field(name, value)) return false;
    size += HpackWriter::field_bytes_max(name, value);
  }
  const size_t before = out.size();
  out.resize(before + size);
  HpackWriter writer(reinterpret_cast<uint8_t*>(out.data()) + before);
  writer.status(status);
  for (const auto& [name, value] : headers)
    if (!is_h2_own(name)) writer.field(name, value);
  out.resize(before + writer.size());
  return true;
}

}  // namespace archipel::http
