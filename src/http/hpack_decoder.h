// HpackDecoder: the header blocks of one direction of a connection, in order (RFC 7541). The decoding is nghttp2's, whose header appears in the .cc alone.
#pragma once

#include <string_view>

#include "base/bytes.h"

struct nghttp2_hd_inflater;

namespace archipel::http {

class HpackDecoder {
 public:
  HpackDecoder();
  ~HpackDecoder();
  HpackDecoder(const HpackDecoder&) = delete;
  HpackDecoder& operator=(const HpackDecoder&) = delete;

  // What a field is given to; the views live until it returns.
  using Take = void (*)(void* to, std::string_view name, std::string_view value);
  // One whole block, whose fields are given to `take` in order. False: it does not decode, and neither does what comes after it. Memory: the table's 4 KiB and one
  // field, which is no longer than `block` allows.
  [[nodiscard]] bool decode(ByteView block, Take take, void* to);

 private:
  nghttp2_hd_inflater* raw_ = nullptr;
};

}  // namespace archipel::http
