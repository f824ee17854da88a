// Digests and the two keyed functions everything derives from. OpenSSL's SHA-1, SHA-256 and MD5 (algorithms
// fetched once per process), libsodium's BLAKE2b. All functions are thread-safe; a streaming object is used
// by one thread at a time.
#pragma once

#include <array>
#include <initializer_list>
#include <memory>

#include "base/bytes.h"
#include "crypto/secret.h"

struct evp_md_ctx_st;

namespace archipel::crypto {

using Digest32 = std::array<uint8_t, 32>;

Digest32 sha256(ByteView data);
// BLAKE2b with 32 bytes of output, no key (RFC 7693).
Digest32 blake2b_256(ByteView data);

// HMAC-SHA256 (RFC 2104). About a microsecond for short inputs. The second form authenticates the
// concatenation of the parts: they must be of fixed widths, or length-prefixed by the caller, so that no two
// meanings give the same bytes.
Digest32 hmac_sha256(ByteView key, ByteView data);
Digest32 hmac_sha256(ByteView key, std::initializer_list<ByteView> parts);

// HKDF-SHA256, extract and expand (RFC 5869). An empty salt means 32 zero bytes. out.size() <= 255 * 32
// (CHECK).
void hkdf_sha256(ByteView ikm, ByteView salt, ByteView info, MutableBytes out);
Secret32 hkdf_sha256_key(ByteView ikm, ByteView salt, ByteView info);

// True if the contents are equal; takes a time that depends on the sizes only.
bool constant_time_equal(ByteView a, ByteView b);

namespace detail {
enum class DigestKind { sha256, sha1, md5 };

class StreamingDigest {
 public:
  void update(ByteView data);

 protected:
  explicit StreamingDigest(DigestKind kind);
  void finish_into(MutableBytes out);

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  DigestKind kind_;
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};
}  // namespace detail

// A digest fed piece by piece. finish() returns it and starts anew, so one object serves many messages.
// Movable; a moved-from object may only be assigned to or destroyed.
template <detail::DigestKind kind, size_t size>
class Streaming : public detail::StreamingDigest {
 public:
  Streaming() : StreamingDigest(kind) {}
  std::array<uint8_t, size> finish() {
    std::array<uint8_t, size> out;
    finish_into(out);
    return out;
  }
};
using Sha256 = Streaming<detail::DigestKind::sha256, 32>;
using Sha1 = Streaming<detail::DigestKind::sha1, 20>;  // for clients' checksums only, never for security
using Md5 = Streaming<detail::DigestKind::md5, 16>;    // for ETag and Content-MD5 only, never for security

}  // namespace archipel::crypto
