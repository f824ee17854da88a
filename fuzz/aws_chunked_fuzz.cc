// Any bytes, cut anywhere, through the aws-chunked decoder: no crash, and the cuts must not change what comes out.
#include <cstdlib>

#include "door/s3/aws_chunked.h"

using namespace archipel;
using door::s3::ChunkDecoder;

namespace {

struct Outcome {
  bool good = false;
  std::string bytes;
  ChunkDecoder::Trailers trailers;
  bool operator==(const Outcome&) const = default;
};

ChunkDecoder make(uint8_t mode) {
  if (mode % 3 == 0) return ChunkDecoder(std::nullopt, true);
  const std::string key(32, 'k');
  return ChunkDecoder(ChunkDecoder::Signing{crypto::Secret32(as_bytes(key)), "20130524T000000Z",
                                            "20130524/us-east-1/s3/aws4_request", std::string(64, '0')},
                      mode % 3 == 1);
}

Outcome run(uint8_t mode, std::string wire, size_t piece) {
  ChunkDecoder decoder = make(mode);
  Outcome out;
  MutableBytes rest(reinterpret_cast<uint8_t*>(wire.data()), wire.size());
  while (!rest.empty()) {
    MutableBytes now = rest.first(std::min(piece, rest.size()));
    rest = rest.subspan(now.size());
    auto n = decoder.decode(now);
    if (!n) return {};
    if (*n > now.size()) std::abort();
    out.bytes += as_text(now.first(*n));
  }
  out.good = decoder.finish().has_value();
  if (!out.good) return {};
  out.trailers = decoder.trailers();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::string wire(reinterpret_cast<const char*>(data) + 2, size - 2);
  Outcome whole = run(data[0], wire, SIZE_MAX), cut = run(data[0], wire, data[1] % 61 + 1u);
  if (!(whole == cut) || whole.bytes.size() > wire.size()) std::abort();
  return 0;
}
