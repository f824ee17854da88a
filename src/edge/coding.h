// Content codings (RFC 9110 §8.4.1): gzip, brotli and zstd, as streams.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace archipel::edge {

class Encoder {
 public:
  virtual ~Encoder() = default;
  // Appends to `out` what `in` becomes, as far as the coder lets go of it; with `end`, all of it and the coding's trailer. internal: the library failed.
  virtual Result<void> encode(ByteView in, bool end, std::string& out) = 0;
};

// "br", "zstd" or "gzip", at levels whose speed fits a request (about 30 to 100 MB/s a core). CHECK: one of these. Memory: at most 9 MiB while it
// lives (brotli's window); 0.5 to 2 MiB for the others.
std::unique_ptr<Encoder> make_encoder(std::string_view coding);

}  // namespace archipel::edge
