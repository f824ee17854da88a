// The bytes of a keyring file, without the file: docs/formats/keyring.md, version 1. Internal to crypto and its tests.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "crypto/keyring.h"

namespace archipel::crypto {

// What the file protects, in the order of its bytes.
struct KeyringSecrets {
  RealmId realm{};
  Secret32 root;
  std::array<Secret32, kKekSlots> keks;
};

// Argon2id's cost. The default is also the least that is accepted: a file with less was weakened, or made elsewhere.
struct KdfCost {
  uint32_t passes = 3;
  uint32_t memory_kib = 64 * 1024;
};
inline constexpr uint32_t kPassesMin = 3, kPassesMax = 10;
inline constexpr uint32_t kMemoryKibMin = 64 * 1024, kMemoryKibMax = 1024 * 1024;
inline constexpr size_t kPassphraseBytesMax = 1024;

inline constexpr size_t kKeyringPlainBytes = 16 + 32 + kKekSlots * 32;
inline constexpr size_t kKeyringHeaderBytes = 80;
inline constexpr size_t kKeyringFileBytes = kKeyringHeaderBytes + kKeyringPlainBytes + 16;

// invalid: an empty or over-long passphrase, or a cost outside the limits; limit: not enough memory for Argon2.
Result<std::string> encode_keyring(const KeyringSecrets& secrets, std::string_view passphrase, KdfCost cost,
                                   Random& random);
// The error's message continues a sentence that begins with "the keyring <path> ". denied: anything that fails authentication.
Result<void> decode_keyring(ByteView file, std::string_view passphrase, KeyringSecrets& secrets);

}  // namespace archipel::crypto
