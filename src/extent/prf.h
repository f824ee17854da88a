// The two symmetric primitives that names, cell keys and masks are made of, over OpenSSL. Thread-safe; abort
// only if OpenSSL itself fails.
#pragma once

#include <array>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace archipel::extent {

std::array<uint8_t, 32> hmac_sha256(ByteView key, ByteView message);

// RFC 5869 HKDF-SHA256, 32 bytes of output. An empty salt is 32 zero bytes, as the RFC says.
crypto::Secret32 hkdf_sha256(ByteView key, ByteView salt, ByteView info);

}  // namespace archipel::extent
