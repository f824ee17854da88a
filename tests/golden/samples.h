// One sample of every format, made from fixed seeds: what the golden files hold, and what decoding them must give.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "index/blob_set.h"
#include "index/head_slots.h"
#include "store/records.h"

namespace archipel::golden {

inline constexpr std::string_view kPassphrase = "golden passphrase";
inline constexpr int kIslands = 6;
std::string island_id(int shard);

// The bytes of a body: byte i is i x 7 + i / 256, modulo 256.
std::string body_of(size_t size);

// The objects of the samples, as decoding must give them.
struct Samples {
  Samples(std::unique_ptr<crypto::Keyring> keyring);

  std::unique_ptr<crypto::Keyring> keys;
  index::EpochOpen open;
  index::Sealed sealed_open;
  std::string body;      // of the object that the commit stores
  index::Record record;  // of the commit
  std::string section;   // its data section
  extent::ExtentRef section_ref;
  store::VersionRecord version;  // the object
  store::Account account;
  index::HeadSlot head;
  std::string chunk;  // plaintext of the head's snapshot

  std::map<std::string, std::string> files;  // name -> bytes, but for the keyring and the manifest
  std::string manifest;                      // JSON: what is in the files
};

// A data extent of n shards with a short last stripe, with its bytes: id {1, 100 + n}, cells of 1,000 bytes.
extent::ExtentRef extent_of(const index::EpochOpen& open, erasure::Code code);
// One with homes: id {1, 350}, four shards on the islands 5, 0, 3 and 2.
extent::ExtentRef placed_extent(const index::EpochOpen& open);
std::string extent_bytes(erasure::Code code);

}  // namespace archipel::golden
