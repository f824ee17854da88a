// Data keys under tenants' KEKs: which slot a tenant has, and what a wrapped key is bound to (protocol §3, §4).
//
// The names of bucket and version bind here, the content binds to the random data id: copying an object re-wraps 60 bytes. With
// SSE-C the wrapping key is derived from the KEK and from HKDF(customer key, data id): neither opens anything alone.
#pragma once

#include "index/committer.h"
#include "store/records.h"

namespace archipel::store {

// What a wrapped key is good for. Everything is authenticated: a record moved to another bucket or version does not open.
struct KeyScope {
  std::string_view tenant, bucket;
  const VersionId& version;
  uint32_t part = 0;       // index of the slice; of an upload's part its number
  bool of_upload = false;  // `version` is an upload id: the wrap of a part, which Complete keeps
  const CustomerKey* customer = nullptr;  // SSE-C: without it the key does not open
};

// Fills wrapped_key, kek_slot and kek_generation of `slice` from its stream's data key.
void wrap_into(Slice& slice, const crypto::Keyring& keys, int kek_slot, const KeyScope& scope,
               const crypto::Secret32& data_key, Random& random);
// denied if anything does not match.
Result<crypto::Secret32> unwrap(const Slice& slice, const crypto::Keyring& keys, const KeyScope& scope);

// Within build(): the tenant's slot, taking the first free one for generation kKekGeneration if it has none yet. limit when all are taken.
Result<void> ensure_kek_slot(const index::View& view, std::string_view tenant,
                             std::vector<index::Mutation>& out);

}  // namespace archipel::store
