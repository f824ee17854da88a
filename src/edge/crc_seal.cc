#include "edge/crc_seal.h"

#include "crypto/checksum.h"

namespace archipel::edge {

void seal_with_crc(std::string& out, size_t from) {
  crypto::Crc32c crc;
  crc.update(as_bytes(std::string_view(out).substr(from)));
  Writer(out).u32(crc.value());
}

void pad_and_seal(std::string& out, size_t from, size_t bytes) {
  out.resize(from + bytes - kCrcBytes, '\0');
  seal_with_crc(out, from);
}

bool has_good_crc(ByteView bytes) {
  crypto::Crc32c crc;
  crc.update(bytes.first(bytes.size() - kCrcBytes));
  return Reader(bytes.last(kCrcBytes)).u32() == crc.value();
}

}  // namespace archipel::edge
