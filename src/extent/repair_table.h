// RepairTable: what repairs changed about where shards lie, for readers; and what readers found wrong, for repair.
//
// An ExtentRef in a version record says which shards were confirmed when the body was stored. What was repaired since, and under which repair
// number, is an *exception*: few, journalled by the store (docs/formats/view.md, `f/`), and held here. Thread-safe; a lookup costs a short lock.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "extent/extent.h"

namespace archipel::extent {

inline constexpr size_t kSuspectsMax = 4096;  // more are dropped: the scrub pass finds them

// Of one extent: which shards are confirmed now, and the repair number in each shard's name (by shard; those past the end are 0).
struct RepairException {
  uint32_t confirmed = 0;
  std::vector<uint32_t> repairs;
  uint32_t repair(int shard) const {
    return static_cast<size_t>(shard) < repairs.size() ? repairs[static_cast<size_t>(shard)] : 0;
  }
  bool operator==(const RepairException&) const = default;
};

class RepairTable {
 public:
  // The exception of this extent, or one that says what `ref` says.
  RepairException of(const ExtentRef& ref) const;
  void set(ExtentRef::Kind kind, ExtentId id, RepairException exception);
  void erase(ExtentRef::Kind kind, ExtentId id);
  size_t size() const;

  // A read got wrong bytes, or none where there should be some. Repeated ones are kept once.
  struct Suspect {
    ExtentRef ref;
    uint32_t shards = 0;
  };
  void suspect(const ExtentRef& ref, int shard);
  std::vector<Suspect> take_suspects();

 private:
  struct Key {
    ExtentRef::Kind kind;
    ExtentId id;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const {
      return std::hash<uint64_t>()(key.id.epoch * 0x9e3779b97f4a7c15u + key.id.counter * 2 +
                                   static_cast<uint64_t>(key.kind));
    }
  };
  mutable std::mutex mutex_;
  std::unordered_map<Key, RepairException, Hash> exceptions_;
  std::unordered_map<Key, Suspect, Hash> suspects_;
};

}  // namespace archipel::extent
