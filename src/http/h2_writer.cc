#include "http/h2_writer.h"

#include <array>
#include <charconv>

#include "http/h1_parser.h"
#include "http/hpack_encoder.h"

namespace archipel::http {
namespace {

// tchar of RFC 9110 §5.6.2 without upper-case letters.
constexpr auto kNameBytes = [] {
  std::array<bool, 256> bytes{};
  for (char c : std::string_view("0123456789abcdefghijklmnopqrstuvwxyz!#$%&'*+-.^_`|~"))
    bytes[static_cast<uint8_t>(c)] = true;
  return bytes;
}();

}  // namespace

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

bool is_h2_name(std::string_view name) {
  bool good = !name.empty();
  for (char c : name) good &= kNameBytes[static_cast<uint8_t>(c)];
  return good;
}

bool is_h2_field(std::string_view name, std::string_view value) {
  return is_h2_name(name) && is_field_value(value);
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
    if (!is_h2_own(name)) writer.short_field(name, value);
  out.resize(before + writer.size());
  return true;
}

size_t write_stored_h2_own(std::string& out, int status, std::string_view date,
                           std::optional<uint64_t> length) {
  constexpr size_t kDigitsMax = 20;
  constexpr std::string_view kDate = "date", kLength = "content-length";
  if (status == 204 || status == 205 || status == 304 || date.empty() || !is_field_value(date)) return 0;
  const size_t before = out.size();
  out.resize(before + HpackWriter::field_bytes_max(kDate, date) + HpackWriter::field_bytes_max(kLength, {}) +
             kDigitsMax);
  HpackWriter writer(reinterpret_cast<uint8_t*>(out.data()) + before);
  writer.short_field(kDate, date);
  if (length) {
    std::array<char, kDigitsMax> digits;
    const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), *length).ptr;
    writer.short_field(kLength, {digits.data(), static_cast<size_t>(end - digits.data())});
  }
  out.resize(before + writer.size());
  return writer.size();
}

}  // namespace archipel::http
