#include "base/bytes.h"

namespace archipel {

std::string hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (uint8_t b : bytes) {
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> unhex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return out;
}

static constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(ByteView in) {
  std::string out;
  out.reserve((in.size() + 2) / 3 * 4);
  for (size_t i = 0; i < in.size(); i += 3) {
    size_t n = std::min<size_t>(3, in.size() - i);
    uint32_t v = uint32_t{in[i]} << 16;
    if (n > 1) v |= uint32_t{in[i + 1]} << 8;
    if (n > 2) v |= in[i + 2];
    out.push_back(kBase64[v >> 18]);
    out.push_back(kBase64[v >> 12 & 63]);
    out.push_back(n > 1 ? kBase64[v >> 6 & 63] : '=');
    out.push_back(n > 2 ? kBase64[v & 63] : '=');
  }
  return out;
}

std::optional<std::string> unbase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t v = 0;
    int pads = 0;
    for (size_t j = 0; j < 4; ++j) {
      char c = text[i + j];
      uint32_t digit = 0;
      if (c == '=') {
        if (i + 4 != text.size() || j < 2) return std::nullopt;
        ++pads;
      } else {
        if (pads > 0) return std::nullopt;
        const char* p = static_cast<const char*>(std::memchr(kBase64, c, 64));
        if (p == nullptr) return std::nullopt;
        digit = static_cast<uint32_t>(p - kBase64);
      }
      v = v << 6 | digit;
    }
    if (pads == 1 && (v & 0xff) != 0) return std::nullopt;
    if (pads == 2 && (v & 0xffff) != 0) return std::nullopt;
    out.push_back(static_cast<char>(v >> 16));
    if (pads < 2) out.push_back(static_cast<char>(v >> 8));
    if (pads < 1) out.push_back(static_cast<char>(v));
  }
  return out;
}

Writer& Writer::varint(uint64_t v) {
  while (v >= 0x80) {
    u8(static_cast<uint8_t>(v | 0x80));
    v >>= 7;
  }
  return u8(static_cast<uint8_t>(v));
}

uint64_t Reader::big_endian(size_t width) {
  ByteView b = raw(width);
  uint64_t v = 0;
  for (uint8_t byte : b) v = v << 8 | byte;
  return v;
}

uint64_t Reader::varint() {
  uint64_t v = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    uint8_t b = u8();
    if (!ok_) return 0;
    if (shift == 63 && b > 1) break;
    v |= uint64_t{b & 0x7fu} << shift;
    if ((b & 0x80) == 0) {
      if (b == 0 && shift > 0) break;  // over-long: one value has one encoding
      return v;
    }
  }
  ok_ = false;
  return 0;
}

ByteView Reader::raw(size_t size) {
  if (!ok_ || size > in_.size()) {
    ok_ = false;
    in_ = {};
    return {};
  }
  ByteView out = in_.first(size);
  in_ = in_.subspan(size);
  return out;
}

std::string_view Reader::bytes(size_t size_max) {
  uint64_t size = varint();
  if (size > size_max) ok_ = false;
  return as_text(raw(ok_ ? size : 0));
}

}  // namespace archipel
