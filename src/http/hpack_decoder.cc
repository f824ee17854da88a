#include "http/hpack_decoder.h"

#include <nghttp2/nghttp2.h>

namespace archipel::http {

HpackDecoder::HpackDecoder() {
  CHECK(nghttp2_hd_inflate_new(&raw_) == 0);
}
HpackDecoder::~HpackDecoder() {
  nghttp2_hd_inflate_del(raw_);
}

bool HpackDecoder::decode(ByteView block, Take take, void* to) {
  for (;;) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(raw_, &field, &flags, block.data(), block.size(), 1);
    if (used < 0) return false;
    block = block.subspan(static_cast<size_t>(used));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
      take(to, as_text({field.name, field.namelen}), as_text({field.value, field.valuelen}));
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
      nghttp2_hd_inflate_end_headers(raw_);
      return true;
    }
    // Nothing taken and nothing found: the block ends within a field.
    if (used == 0 && (flags & NGHTTP2_HD_INFLATE_EMIT) == 0) return false;
  }
}

}  // namespace archipel::http
