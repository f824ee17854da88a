// Sessions: temporary keys with everything they stand for sealed into the token that the client carries. Nothing of them is kept here.
//
// A token is base64 of: u8 1 ‖ nonce (12 random bytes) ‖ AES-256-GCM under the keyring's sub-key "sessions", bound to its access key, of what
// docs/formats/view.md says. It ends when it expires, and at once when the key that asked for it, its user or its role is removed.
#pragma once

#include "crypto/keyring.h"
#include "store/directory.h"

namespace archipel::store {

inline constexpr size_t kTokenBytesMax = 8u << 10;  // as text; a session policy takes 2 KiB

// Errors: MalformedPolicy, for the session's own.
Result<SessionGrant> seal_session(const SessionRequest& request, const crypto::Keyring& keys, Random& random);
// The session of `access_key`: as an Account, with the policies that its user or role has now. Errors: InvalidToken, ExpiredToken.
Result<std::shared_ptr<const Account>> open_session(std::string_view token, std::string_view access_key,
                                                    const crypto::Keyring& keys, const Directory& directory,
                                                    UnixMs now);

}  // namespace archipel::store
