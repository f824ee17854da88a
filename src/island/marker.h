// Marker: an island's proof of identity, written when it joins (protocol §1, docs/formats/marker.md). 100
// bytes and the island's id:
//
//   magic "archipel-marker\n" ‖ version u16 = 1 ‖ realm[16] ‖ incarnation[16] ‖ id length u8 ‖ id ‖
//   HMAC-SHA256[32] over all before it
//
// under the keyring's sub-key "marker/<island id>". It reveals the realm's random id and the island's
// configured id, nothing else.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/keyring.h"
#include "island/island.h"

namespace archipel::island {

inline constexpr size_t kIslandIdBytesMax = 64;
inline constexpr size_t kMarkerBytesMax = 256;  // longer ones are not read

// island_id: 1..kIslandIdBytesMax bytes (CHECK; config has checked it).
std::string encode_marker(const crypto::Keyring& keys, const std::string& island_id,
                          const Incarnation& incarnation);

// The incarnation, if `bytes` is the marker of `island_id` in the keyring's realm. Errors, each naming the
// island:
//   not_found     `bytes` is empty: no marker
//   precondition  the marker of another realm, or of another island (a swapped directory or bucket)
//   unsupported   a version this program does not know
//   corrupt       not a marker at all, or its MAC fails
Result<Incarnation> verify_marker(const crypto::Keyring& keys, const std::string& island_id, ByteView bytes);

}  // namespace archipel::island
