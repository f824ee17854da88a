// DiskIndex: where on the disk things lie, by a hash of 64 bits of which 41 are kept. 12 bytes a place, at most 80 % of them taken: 15 to 17 bytes an object.
// What it says may be another's place once in a great while; the record tells.
//
// Any thread: 64 parts, each with a lock.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace archipel::edge {

class DiskIndex {
 public:
  static constexpr uint32_t kRegionsMax = 1u << 20;
  static constexpr uint32_t kUnitsMax = (1u << 15) - 1;

  struct Place {
    uint32_t region = 0;  // < kRegionsMax
    uint32_t unit = 0;    // 1 to 2^18 - 1
    uint32_t units = 0;   // at most kUnitsMax
    bool operator==(const Place&) const = default;
  };

  std::optional<Place> find(uint64_t hash) const;
  // find(), and it counts as used.
  std::optional<Place> use(uint64_t hash);
  bool used(uint64_t hash) const;
  void put(uint64_t hash, const Place& place);
  bool erase(uint64_t hash);
  // If it still lies in this place; whether it did.
  bool erase_if(uint64_t hash, uint32_t region, uint32_t unit);
  // All that lies in a region whose table cannot be read. Looks at everything.
  void erase_region(uint32_t region);

  size_t size() const;
  size_t bytes() const;

 private:
  static constexpr size_t kParts = 64;
  struct Part {
    mutable std::mutex mutex;
    std::vector<uint32_t> prints;
    std::vector<uint64_t> places;  // 0: empty
    size_t used = 0;
    size_t find(uint32_t print, uint64_t extra) const;  // places.size() if it is not there
    void insert(uint32_t print, uint64_t place);
    void erase(size_t at);
    void grow();
    size_t home(uint32_t print) const { return (uint64_t{print} * places.size()) >> 32; }
    size_t next(size_t at) const { return at + 1 == places.size() ? 0 : at + 1; }
  };
  Part& part_of(uint64_t hash) { return parts_[hash % kParts]; }
  const Part& part_of(uint64_t hash) const { return parts_[hash % kParts]; }
  std::array<Part, kParts> parts_;
};

}  // namespace archipel::edge
