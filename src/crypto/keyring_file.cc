#include "crypto/keyring_file.h"

#include <sodium.h>

#include <algorithm>

#include "crypto/aead.h"
#include "crypto/hash.h"

namespace archipel::crypto {
namespace {

constexpr std::string_view kMagic = "ARCHKEYR";
constexpr uint16_t kVersion = 1;
constexpr uint8_t kKdfArgon2id = 1;
constexpr uint8_t kCipherAes256Gcm = 1;
constexpr size_t kSaltBytes = 16;
static_assert(kSaltBytes == crypto_pwhash_SALTBYTES);

struct WrapKeys {
  Secret32 key;  // seals the secrets
  Digest32
      commitment;  // stored; compared before decrypting, so that one file opens under one passphrase only
};

Result<WrapKeys> derive(std::string_view passphrase, ByteView salt, KdfCost cost) {
  Secret32 stretched;
  if (crypto_pwhash(stretched.mutable_view().data(), 32, passphrase.data(), passphrase.size(), salt.data(),
                    cost.passes, size_t{cost.memory_kib} * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
    return fail(Code::limit,
                "needs " + std::to_string(cost.memory_kib / 1024) +
                    " MiB of memory to be unlocked, and they are not to be had; free some and try again");
  WrapKeys keys;
  keys.key = hkdf_sha256_key(stretched.view(), salt, as_bytes("archipel/1 keyring key"));
  hkdf_sha256(stretched.view(), salt, as_bytes("archipel/1 keyring commit"), keys.commitment);
  return keys;
}

Result<void> check_cost(KdfCost cost) {
  if (cost.passes < kPassesMin || cost.memory_kib < kMemoryKibMin)
    return fail(Code::invalid,
                "has a key derivation weaker than the floor of 3 passes over 64 MiB, so it was not made "
                "by this program or was changed; restore it from a backup");
  if (cost.passes > kPassesMax || cost.memory_kib > kMemoryKibMax)
    return fail(Code::invalid,
                "asks for a key derivation above the ceiling of 10 passes over 1 GiB, so it was not made "
                "by this program or was changed; restore it from a backup");
  return {};
}

Result<void> check_passphrase(std::string_view passphrase) {
  if (passphrase.empty()) return fail(Code::invalid, "needs a passphrase, and the one given is empty");
  if (passphrase.size() > kPassphraseBytesMax)
    return fail(Code::invalid, "takes a passphrase of at most 1,024 bytes, and the one given is longer");
  return {};
}

// The plaintext while it is being copied; cleared whichever way the function is left.
struct Plain {
  std::array<uint8_t, kKeyringPlainBytes> bytes{};
  ~Plain() { secure_clear(bytes.data(), bytes.size()); }
};

}  // namespace

Result<std::string> encode_keyring(const KeyringSecrets& secrets, std::string_view passphrase, KdfCost cost,
                                   Random& random) {
  RETURN_IF_ERROR(check_passphrase(passphrase));
  RETURN_IF_ERROR(check_cost(cost));
  auto salt = random.bytes<kSaltBytes>();
  Nonce nonce = random.bytes<kNonceBytes>();
  ASSIGN_OR_RETURN(WrapKeys keys, derive(passphrase, salt, cost));

  std::string file;
  Writer(file)
      .raw(kMagic)
      .u16(kVersion)
      .u8(kKdfArgon2id)
      .u8(kCipherAes256Gcm)
      .u32(cost.passes)
      .u32(cost.memory_kib);
  Writer(file).raw(salt).raw(keys.commitment).raw(nonce);
  CHECK(file.size() == kKeyringHeaderBytes);

  Plain plain;
  uint8_t* to = std::copy(secrets.realm.begin(), secrets.realm.end(), plain.bytes.data());
  to = std::ranges::copy(secrets.root.view(), to).out;
  for (const Secret32& kek : secrets.keks) to = std::ranges::copy(kek.view(), to).out;
  std::array<uint8_t, kKeyringPlainBytes + kTagBytes> sealed;
  Aead(keys.key, Aead::Use::seal).seal(nonce, as_bytes(file), plain.bytes, sealed);
  Writer(file).raw(sealed);
  return file;
}

Result<void> decode_keyring(ByteView file, std::string_view passphrase, KeyringSecrets& secrets) {
  RETURN_IF_ERROR(check_passphrase(passphrase));
  Reader in(file);
  if (as_text(in.raw(kMagic.size())) != kMagic) return fail(Code::invalid, "is not a keyring file");
  uint16_t version = in.u16();
  uint8_t kdf = in.u8(), cipher = in.u8();
  KdfCost cost;
  cost.passes = in.u32();
  cost.memory_kib = in.u32();
  ByteView salt = in.raw(kSaltBytes);
  ByteView commitment = in.raw(32);
  Nonce nonce{};
  in.fixed(nonce);
  if (!in.ok() || (version == kVersion && file.size() != kKeyringFileBytes))
    return fail(Code::denied, "cannot be unlocked: the passphrase is wrong or the file was changed");
  if (version != kVersion || kdf != kKdfArgon2id || cipher != kCipherAes256Gcm)
    return fail(Code::invalid,
                "has format version " + std::to_string(version) +
                    " or algorithms that this program does not know; use a newer version of it");
  RETURN_IF_ERROR(check_cost(cost));

  ASSIGN_OR_RETURN(WrapKeys keys, derive(passphrase, salt, cost));
  Plain plain;
  bool good =
      constant_time_equal(keys.commitment, commitment) &&
      Aead(keys.key, Aead::Use::open)
          .open(nonce, file.first(kKeyringHeaderBytes), file.subspan(kKeyringHeaderBytes), plain.bytes);
  if (!good) return fail(Code::denied, "cannot be unlocked: the passphrase is wrong or the file was changed");

  const uint8_t* from = plain.bytes.data();
  std::copy_n(from, secrets.realm.size(), secrets.realm.begin());
  from += secrets.realm.size();
  std::copy_n(from, 32, secrets.root.mutable_view().data());
  for (Secret32& kek : secrets.keks) std::copy_n(from += 32, 32, kek.mutable_view().data());
  return {};
}

}  // namespace archipel::crypto
