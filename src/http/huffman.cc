#include "http/huffman.h"

#include <array>

namespace archipel::http {
namespace {

constexpr size_t kSymbols = 257;  // bytes, and EOS
constexpr unsigned kEos = 256, kBitsMax = 30, kFastBits = 9;

// Bits of each symbol's code. The codes follow: they are numbered by length and, among those of one length, by symbol.
constexpr std::array<uint8_t, kSymbols> kBits = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,  5,  5,  5,  6,
    6,  6,  6,  6,  6,  6,  7,  8,  15, 6,  12, 10, 13, 6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
    7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8,  13, 19, 13, 14, 6,  15, 5,  6,  5,  6,  5,  6,  6,
    6,  5,  7,  7,  6,  6,  6,  5,  6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7,  15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22,
    23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22,
    25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30};

struct Code {
  std::array<uint32_t, kSymbols> codes{};
  std::array<uint16_t, kSymbols> symbols{};         // in the order of their codes
  std::array<uint32_t, kBitsMax + 2> first_code{};  // of each length, left-aligned in 32 bits
  std::array<uint16_t, kBitsMax + 2> first_symbol{};
  // The first kFastBits bits: symbol and length, or length 0 where the code is longer.
  std::array<uint16_t, 1u << kFastBits> fast_symbol{};
  std::array<uint8_t, 1u << kFastBits> fast_bits{};
  bool complete = false;
};

constexpr Code make_code() {
  Code out;
  uint32_t code = 0;
  uint16_t count = 0;
  for (unsigned bits = 1; bits <= kBitsMax; ++bits) {
    code <<= 1;
    out.first_code[bits] = code << (32 - bits);
    out.first_symbol[bits] = count;
    for (uint16_t symbol = 0; symbol < kSymbols; ++symbol) {
      if (kBits[symbol] != bits) continue;
      out.codes[symbol] = code;
      out.symbols[count++] = symbol;
      if (bits <= kFastBits) {
        const uint32_t from = code << (kFastBits - bits);
        for (uint32_t i = from; i < from + (1u << (kFastBits - bits)); ++i) {
          out.fast_symbol[i] = symbol;
          out.fast_bits[i] = static_cast<uint8_t>(bits);
        }
      }
      ++code;
    }
  }
  // No bits are left over: every string of bits is the beginning of some code.
  out.complete = code == 1u << kBitsMax && count == kSymbols;
  return out;
}

constexpr Code kCode = make_code();
static_assert(kCode.complete);

struct Found {
  unsigned symbol, bits;
};

// The symbol whose code `window` begins with.
Found find(uint32_t window) {
  const uint32_t fast = window >> (32 - kFastBits);
  if (kCode.fast_bits[fast] != 0) return {kCode.fast_symbol[fast], kCode.fast_bits[fast]};
  unsigned bits = kFastBits + 1;
  while (bits < kBitsMax && window >= kCode.first_code[bits + 1]) ++bits;
  const uint32_t within = (window - kCode.first_code[bits]) >> (32 - bits);
  return {kCode.symbols[kCode.first_symbol[bits] + within], bits};
}

}  // namespace

char* huffman_decode(std::string_view encoded, char* to) {
  uint64_t held = 0;  // left-aligned
  unsigned bits = 0;  // of it
  const char* from = encoded.data();
  const char* const end = from + encoded.size();
  for (;;) {
    while (bits <= 56 && from < end) {
      held |= uint64_t{static_cast<uint8_t>(*from++)} << (56 - bits);
      bits += 8;
    }
    if (bits == 0) return to;
    // Behind the last bit come ones, as in EOS.
    const uint64_t padded = bits < 32 ? held | (~uint64_t{0} >> bits) : held;
    const Found found = find(static_cast<uint32_t>(padded >> 32));
    if (found.bits > bits) return bits < 8 && found.symbol == kEos ? to : nullptr;
    if (found.symbol == kEos) return nullptr;
    *to++ = static_cast<char>(found.symbol);
    held <<= found.bits;
    bits -= found.bits;
  }
}

size_t huffman_size(std::string_view text) {
  size_t bits = 0;
  for (char c : text) bits += kBits[static_cast<uint8_t>(c)];
  return (bits + 7) / 8;
}

uint8_t* huffman_encode(std::string_view text, uint8_t* to) {
  uint64_t held = 0;  // right-aligned
  unsigned bits = 0;
  for (char c : text) {
    const auto symbol = static_cast<uint8_t>(c);
    held = held << kBits[symbol] | kCode.codes[symbol];
    bits += kBits[symbol];
    for (; bits >= 8; bits -= 8) *to++ = static_cast<uint8_t>(held >> (bits - 8));
  }
  if (bits > 0) *to++ = static_cast<uint8_t>(held << (8 - bits) | (0xffu >> bits));
  return to;
}

}  // namespace archipel::http
