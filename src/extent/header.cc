#include "extent/header.h"

#include "crypto/hash.h"
#include "crypto/stream.h"

namespace archipel::extent {
namespace {

constexpr std::string_view kMagic = "ARCHIPXT";
constexpr uint8_t kMajor = 1, kMinor = 0;
constexpr size_t kBodyBytes = kShardHeaderBytes - kTagBytes;
constexpr size_t kMajorAt = 8;

// What the header of this shard must say, without its tag.
std::string header_body(const ExtentRef& ref, int shard) {
  const Geometry& g = ref.geometry;
  std::string body;
  Writer(body)
      .raw(kMagic)
      .u8(kMajor)
      .u8(kMinor)
      .u16(crypto::kSuiteAes256Gcm)
      .u8(static_cast<uint8_t>(ref.kind))
      .u8(static_cast<uint8_t>(g.code.n))
      .u8(static_cast<uint8_t>(g.code.k))
      .u8(erasure::kMatrixCauchy1)
      .u32(static_cast<uint32_t>(shard))
      .u32(g.cell_bytes)
      .u64(g.length)
      .u64(ref.id.epoch)
      .u64(ref.id.counter)
      .raw(ByteView(ref.attempt));
  body.resize(kBodyBytes, '\0');
  return body;
}

void apply_mask(const CellKeys& keys, const std::string& name, MutableBytes header) {
  ShardHeader mask;
  std::string info = "archipel/1 mask" + name;
  crypto::hkdf_sha256(keys.view(), {}, as_bytes(info), mask);
  for (size_t i = 0; i < header.size(); ++i) header[i] = static_cast<uint8_t>(header[i] ^ mask[i]);
}

}  // namespace

void write_shard_header(const CellKeys& keys, CellTagger& tagger, const ExtentRef& ref, int shard,
                        const std::string& name, MutableBytes out) {
  CHECK(out.size() == kShardHeaderBytes);
  std::string body = header_body(ref, shard);
  crypto::Tag tag = tagger.tag(shard, kHeaderCell, as_bytes(body));
  std::memcpy(out.data(), body.data(), kBodyBytes);
  std::memcpy(out.data() + kBodyBytes, tag.data(), tag.size());
  apply_mask(keys, name, out);
}

Result<void> check_shard_header(const CellKeys& keys, const ExtentRef& ref, int shard,
                                const std::string& name, ByteView stored) {
  auto wrong = [&] {
    return fail(Code::corrupt, "shard " + std::to_string(shard) + ": its header is not the one expected");
  };
  if (stored.size() != kShardHeaderBytes) return wrong();
  ShardHeader header;
  std::memcpy(header.data(), stored.data(), header.size());
  apply_mask(keys, name, header);
  if (as_text(ByteView(header).first(kMagic.size())) != kMagic) return wrong();
  if (header[kMajorAt] != kMajor) {
    return fail(Code::unsupported, "shard " + std::to_string(shard) + ": format version " +
                                       std::to_string(header[kMajorAt]) +
                                       " is not known here; use a newer archipel");
  }
  std::string body = header_body(ref, shard);
  CellTagger tagger(keys, ref);
  bool tagged = tagger.verify(shard, kHeaderCell, header);
  if (!tagged || !crypto::constant_time_equal(ByteView(header).first(kBodyBytes), as_bytes(body)))
    return wrong();
  return {};
}

}  // namespace archipel::extent
