// What `archipel bucket` and `archipel account quota` ask of the store, in the gateway or offline.
#pragma once

#include "app/identities.h"

namespace archipel::app {

// Is "op" one of ours: "bucket list", "bucket show", "bucket quota", "bucket place", "account quota", "inventory"?
bool is_bucket_operation(const IdentityFields& fields);
// As run_identity_operation(). Arguments: "bucket" (a name), "account" (name, id or number), "bytes" and "versions" (quotas: digits, bytes also with
// KiB, MiB, GiB or TiB; 0 = no limit; absent = stays), "policy" and "class" (of "bucket place": absent = stays, but a
// class alone ends a policy, which would win over it). "inventory" answers as app/inventory.h says. Any loop.
io::Task<Result<std::vector<std::string>>> run_bucket_operation(store::Store& store, IdentityFields fields);

// "10GiB" in bytes; nullopt if it is no size, or larger than 2^63-1.
std::optional<uint64_t> parse_size(std::string_view text);

}  // namespace archipel::app
