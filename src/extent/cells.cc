#include "extent/cells.h"

#include "crypto/hash.h"
#include "crypto/stream.h"

namespace archipel::extent {
namespace {

crypto::Secret32 cell_key(const CellKeys& keys, const ExtentRef& ref) {
  const Geometry& g = ref.geometry;
  std::string info;
  Writer(info)
      .raw("archipel/1 cell")
      .u16(crypto::kSuiteAes256Gcm)
      .u8(static_cast<uint8_t>(ref.kind))
      .u64(ref.id.epoch)
      .u64(ref.id.counter)
      .u8(erasure::kMatrixCauchy1)
      .u8(static_cast<uint8_t>(g.code.k))
      .u8(static_cast<uint8_t>(g.code.n))
      .u32(g.cell_bytes)
      .u64(g.length);
  return crypto::hkdf_sha256_key(keys.view(), ByteView(ref.attempt), as_bytes(info));
}

crypto::Nonce nonce_of(int shard, uint64_t cell) {
  crypto::Nonce nonce;
  for (size_t i = 0; i < 4; ++i)
    nonce[i] = static_cast<uint8_t>(static_cast<uint32_t>(shard) >> (24 - 8 * i));
  for (size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<uint8_t>(cell >> (56 - 8 * i));
  return nonce;
}

}  // namespace

CellTagger::CellTagger(const CellKeys& keys, const ExtentRef& ref) : gmac_(cell_key(keys, ref)) {}

crypto::Tag CellTagger::tag(int shard, uint64_t cell, ByteView bytes) {
  return gmac_.tag(nonce_of(shard, cell), bytes);
}

bool CellTagger::verify(int shard, uint64_t cell, ByteView stored) {
  if (stored.size() < kTagBytes) return false;
  size_t size = stored.size() - kTagBytes;
  return gmac_.verify(nonce_of(shard, cell), stored.first(size), stored.subspan(size));
}

}  // namespace archipel::extent
