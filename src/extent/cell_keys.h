// CellKeys: the one secret that cells need, the sub-key `cells/<class>` of a placement class (protocol §3).
//
// Who holds these 32 bytes can verify, code and rebuild shards, and can decrypt nothing and compute no name: what scrubs and repairs need hold
// nothing else. A keyring turns into its own by itself, so that the functions of this module take either.
#pragma once

#include "crypto/keyring.h"
#include "crypto/secret.h"

namespace archipel::extent {

// Immutable; thread-safe. Cleared on destruction.
class CellKeys {
 public:
  explicit CellKeys(crypto::Secret32 key) : key_(std::move(key)) {}
  // Implicit on purpose. Of the default class, the only one of version 1. In a source file of its own: a program that never calls it links no
  // keyring.
  CellKeys(const crypto::Keyring& keys);  // NOLINT(google-explicit-constructor)
  CellKeys(const CellKeys& other) : key_(other.key_.clone()) {}
  CellKeys& operator=(const CellKeys& other) {
    if (this != &other) key_ = other.key_.clone();
    return *this;
  }

  ByteView view() const { return key_.view(); }

 private:
  crypto::Secret32 key_;
};

}  // namespace archipel::extent
