// Steps of AES-256-GCM over OpenSSL, shared by aead.cc and gmac.cc. Internal to src/crypto.
#pragma once

#include "crypto/gmac.h"

namespace archipel::crypto::gcm {

detail::CipherContext make_context(const Secret32& key, bool encrypt);
// Starts a message: the IV alone is new, the key schedule stays.
void start(evp_cipher_ctx_st* context, const Nonce& nonce);
// Feeds additional data (out == nullptr) or text.
void feed(evp_cipher_ctx_st* context, ByteView in, uint8_t* out);
// Ends a message that is sealed.
void final_tag(evp_cipher_ctx_st* context, uint8_t* tag);

}  // namespace archipel::crypto::gcm
