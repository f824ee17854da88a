// The Huffman code of HPACK (RFC 7541 §5.2, appendix B). No I/O.
#pragma once

#include <cstdint>
#include <string_view>

namespace archipel::http {

// At most so many bytes come of `encoded` ones: the shortest code has 5 bits.
constexpr size_t huffman_decoded_max(size_t encoded) {
  return encoded * 8 / 5;
}

// Decodes to `to`, which has room for huffman_decoded_max(). Where it ended; nullptr: EOS within it, or padding that is longer than 7 bits or not all ones.
char* huffman_decode(std::string_view encoded, char* to);

// Bytes that `text` has when it is encoded, and the encoding itself, which takes as many. Where it ended.
size_t huffman_size(std::string_view text);
uint8_t* huffman_encode(std::string_view text, uint8_t* to);

}  // namespace archipel::http
