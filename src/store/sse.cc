#include "store/sse.h"

#include "crypto/hash.h"

namespace archipel::store {
namespace {

constexpr std::string_view kCommitLabel = "archipel/1 customer key commitment";
constexpr size_t kSaltBytes = 16;

crypto::Secret32 commitment_of(const CustomerKey& key, ByteView salt) {
  return crypto::hkdf_sha256_key(key.key.view(), salt, as_bytes(kCommitLabel));
}

}  // namespace

std::string commit_to_key(const CustomerKey& key, Random& random) {
  std::array<uint8_t, kSaltBytes> salt = random.bytes<kSaltBytes>();
  std::string out(as_text(salt));
  out.append(as_text(commitment_of(key, salt).view()));
  return out;
}

Result<void> check_new_encryption(const Encryption& encryption, const CustomerKey* key) {
  if ((encryption.kind == Encryption::Kind::sse_c) == (key != nullptr)) return {};
  return fail(Code::invalid, "encryption with a customer's key needs the key, and nothing else does",
              "InvalidRequest");
}

Result<void> check_customer_key(Encryption::Kind kind, std::string_view commitment, const CustomerKey* key) {
  if (kind != Encryption::Kind::sse_c) {
    if (!key) return {};
    return fail(Code::invalid, "the encryption parameters are not applicable to this object",
                "InvalidRequest");
  }
  if (!key)
    return fail(
        Code::invalid,
        "the object was stored using a form of server side encryption; the correct parameters must be "
        "provided to retrieve it",
        "InvalidRequest");
  if (commitment.size() != kCommitmentBytes)
    return fail(Code::corrupt, "an object's record lacks the commitment to its customer's key",
                "InternalError");
  ByteView kept = as_bytes(commitment);
  crypto::Secret32 given = commitment_of(*key, kept.first(kSaltBytes));
  if (crypto::constant_time_equal(given.view(), kept.subspan(kSaltBytes))) return {};
  return fail(Code::invalid, "the provided encryption key is not the one that the object was stored with",
              "InvalidRequest");
}

}  // namespace archipel::store
