// Ghost: which keys left not long ago, as fingerprints of 32 bits. A set-associative table: a key has one bucket of eight places, and a newcomer takes the
// place of the oldest there. Says yes to a stranger about once in half a billion times per key remembered.
//
// Not thread-safe. No allocation but when remember() or set_capacity() grows the table. 8 to 16 bytes a key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace archipel::edge {

class Ghost {
 public:
  // Remembers at most `keys_max` keys, whatever set_capacity() says.
  explicit Ghost(size_t keys_max);

  // How many of the last remember()ed are known; more than keys_max: keys_max. Shrinking is at once, and frees no memory.
  void set_capacity(size_t keys);
  void remember(uint64_t hash);
  bool knows(uint64_t hash) const;
  void forget(uint64_t hash);
  size_t bytes() const { return buckets_.size() * sizeof(Bucket); }

 private:
  static constexpr size_t kPlaces = 8;
  struct Place {
    uint32_t print = 0;
    uint32_t when = 0;  // 0: nobody
  };
  struct alignas(64) Bucket {
    std::array<Place, kPlaces> places;
  };
  void grow(size_t keys);
  void put(Place place);
  bool young(const Place& place) const { return place.when != 0 && now_ - place.when < capacity_; }

  const size_t keys_max_;
  size_t capacity_ = 0;
  uint32_t now_ =
      0;  // counts remember(); wraps after 4 billion, which makes a few strangers known for a moment
  std::vector<Bucket> buckets_;
};

}  // namespace archipel::edge
