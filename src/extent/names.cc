#include "extent/names.h"

#include "crypto/hash.h"
#include "extent/extent.h"

namespace archipel::extent {
namespace {

constexpr size_t kNameBytes = 20;

island::BlobName name_of(const crypto::Keyring& keys, const std::string& island_id, std::string_view label,
                         std::string_view fields) {
  std::string message;
  Writer(message).u8(static_cast<uint8_t>(label.size())).raw(label).raw(fields);
  crypto::Digest32 digest = crypto::hmac_sha256(keys.subkey("names/" + island_id).view(), as_bytes(message));
  return hex(ByteView(digest).first(kNameBytes));
}

}  // namespace

island::BlobName commit_blob_name(const crypto::Keyring& keys, const std::string& island_id, uint64_t epoch,
                                  const OpenBits& open, uint64_t seq) {
  std::string fields;
  Writer(fields).u64(epoch).raw(ByteView(open)).u64(seq);
  return name_of(keys, island_id, "commit", fields);
}

island::BlobName claim_name(const crypto::Keyring& keys, const std::string& island_id, uint64_t epoch) {
  std::string fields;
  Writer(fields).u64(epoch);
  return name_of(keys, island_id, "claim", fields);
}

island::BlobName open_name(const crypto::Keyring& keys, const std::string& island_id, uint64_t epoch) {
  std::string fields;
  Writer(fields).u64(epoch);
  return name_of(keys, island_id, "open", fields);
}

island::BlobName head_slot_name(const crypto::Keyring& keys, const std::string& island_id, int slot) {
  CHECK(slot >= 0 && slot < kHeadSlots);
  std::string fields;
  Writer(fields).u32(static_cast<uint32_t>(slot));
  return name_of(keys, island_id, "head", fields);
}

island::BlobName lease_name(const crypto::Keyring& keys, const std::string& island_id) {
  return name_of(keys, island_id, "lease", {});
}

std::string shard_name(const crypto::Keyring& keys, const std::string& island_id, const ExtentRef& ref,
                       int shard, uint32_t repair) {
  CHECK(shard >= 0 && shard < ref.geometry.code.n);
  if (ref.kind == ExtentRef::Kind::section) {
    return commit_blob_name(keys, island_id, ref.id.epoch, ref.open, ref.id.counter);
  }
  std::string fields;
  Writer(fields)
      .u64(ref.id.epoch)
      .u64(ref.id.counter)
      .raw(ByteView(ref.attempt))
      .u32(static_cast<uint32_t>(ref.home(shard)))
      .u32(repair);
  return name_of(keys, island_id, "extent", fields);
}

std::vector<std::string> shard_names(const crypto::Keyring& keys, const Placement& roster,
                                     const ExtentRef& ref) {
  std::vector<std::string> names;
  for (int shard = 0; shard < ref.geometry.code.n; ++shard) {
    const auto place = static_cast<size_t>(ref.home(shard));
    CHECK(place < roster.islands.size());
    names.push_back(shard_name(keys, roster.islands[place]->id(), ref, shard));
  }
  return names;
}

}  // namespace archipel::extent
