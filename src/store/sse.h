// SSE-C: what the store keeps of a customer's key, and whether a request brought the right one (protocol §3).
//
// Kept is a commitment: 16 random bytes ‖ HKDF-SHA256(key; those bytes as salt). It tells a wrong key from the right one without opening
// anything, so that HEAD needs the key too; it is neither the key nor its bare hash, and two objects under one key do not look
// alike. The data key itself is wrapped with the customer's key too (wrap.h). Pure functions; thread-safe.
#pragma once

#include "store/store.h"

namespace archipel::store {

inline constexpr size_t kCommitmentBytes = 48;

// What a record holds of the key as its encryption data.
std::string commit_to_key(const CustomerKey& key, Random& random);

// A write asks for SSE-C exactly if it brings a key. Errors: InvalidRequest.
Result<void> check_new_encryption(const Encryption& encryption, const CustomerKey* key);

// May a request with this key, or none, use what was stored with that encryption? Errors: InvalidRequest when the key is missing, is not the
// one, or was brought for what has none (the codes that AWS and its clients' tests agree on). constant-time.
Result<void> check_customer_key(Encryption::Kind kind, std::string_view commitment, const CustomerKey* key);

}  // namespace archipel::store
