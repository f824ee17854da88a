// Keyring: root = 32 random bytes, realm id, and 256 KEK slots, wrapped by a passphrase (Argon2id). Everything secret derives from it.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace archipel::crypto {

using RealmId = std::array<uint8_t, 16>;
inline constexpr int kKekSlots = 256;

// Immutable after loading; thread-safe. Lives as long as the process; locked memory, cleared on destruction.
class Keyring {
 public:
  static std::unique_ptr<Keyring> generate(Random& random);

  // The file format of docs/formats/keyring.md. `path` is created with mode 0600, synced with its directory, and never overwritten (exists).
  Result<void> save(const std::string& path, std::string_view passphrase, Random& random) const;
  // Errors: not_found; denied for a wrong passphrase or a changed file (one opaque error); invalid if the KDF cost is under the floor or over
  // the ceiling, or the version is unknown; io. Takes some 100 ms and 64 MiB: call it on a worker or before serving.
  static Result<std::unique_ptr<Keyring>> load(const std::string& path, std::string_view passphrase);

  const RealmId& realm() const;
  // Sub-keys of the root by purpose, HKDF-SHA256; computed once per purpose and kept. purpose: "index", "names/<island>",
  // "cells/<class>", "head", "marker/<island>", "accounts".
  const Secret32& subkey(const std::string& purpose) const;
  const Secret32& kek(int slot) const;  // 0..kKekSlots-1 (CHECK)

 private:
  Keyring();
  struct State;
  std::unique_ptr<State> state_;

 public:
  ~Keyring();
};

}  // namespace archipel::crypto
