#include "edge/disk_index.h"

#include "base/check.h"

namespace archipel::edge {
namespace {

// A place: bits 0-19 region, 20-37 unit, 38-52 units, 53 used, 54-62 nine more bits of the hash.
constexpr unsigned kUnitShift = 20, kUnitsShift = 38, kUsedShift = 53, kExtraShift = 54;
constexpr uint64_t kRegionMask = (1u << 20) - 1, kUnitMask = (1u << 18) - 1, kUnitsMask = (1u << 15) - 1;
constexpr uint64_t kUsedBit = uint64_t{1} << kUsedShift;
constexpr uint64_t kExtraMask = uint64_t{0x1FF} << kExtraShift;
constexpr size_t kPlacesMin = 64;

uint32_t print_of(uint64_t hash) {
  return static_cast<uint32_t>(hash >> 32);
}
// Bits that choose neither the part nor the print.
uint64_t extra_of(uint64_t hash) {
  return ((hash >> 6) & 0x1FF) << kExtraShift;
}

uint64_t pack(uint64_t hash, const DiskIndex::Place& place) {
  CHECK(place.region <= kRegionMask && place.unit <= kUnitMask && place.unit > 0 &&
        place.units <= kUnitsMask);
  return extra_of(hash) | uint64_t{place.units} << kUnitsShift | uint64_t{place.unit} << kUnitShift |
         place.region;
}

DiskIndex::Place unpack(uint64_t packed) {
  return {static_cast<uint32_t>(packed & kRegionMask),
          static_cast<uint32_t>(packed >> kUnitShift & kUnitMask),
          static_cast<uint32_t>(packed >> kUnitsShift & kUnitsMask)};
}

}  // namespace

size_t DiskIndex::Part::find(uint32_t print, uint64_t extra) const {
  if (places.empty()) return 0;
  for (size_t i = home(print);; i = next(i)) {
    if (places[i] == 0) return places.size();
    if (prints[i] == print && (places[i] & kExtraMask) == extra) return i;
  }
}

void DiskIndex::Part::insert(uint32_t print, uint64_t place) {
  size_t i = home(print);
  while (places[i] != 0) i = next(i);
  prints[i] = print;
  places[i] = place;
}

// An eighth more: little memory is idle, and each object is moved some eight times in all.
void DiskIndex::Part::grow() {
  const size_t wanted = places.empty() ? kPlacesMin : places.size() + places.size() / 8;
  std::vector<uint32_t> old_prints(wanted);
  std::vector<uint64_t> old_places(wanted);
  old_prints.swap(prints);
  old_places.swap(places);
  for (size_t i = 0; i < old_places.size(); ++i)
    if (old_places[i] != 0) insert(old_prints[i], old_places[i]);
}

void DiskIndex::Part::erase(size_t hole) {
  for (size_t i = next(hole); places[i] != 0; i = next(i)) {
    const size_t at_home = home(prints[i]), n = places.size();
    if ((i + n - at_home) % n < (i + n - hole) % n) continue;
    prints[hole] = prints[i];
    places[hole] = places[i];
    hole = i;
  }
  places[hole] = 0;
  --used;
}

std::optional<DiskIndex::Place> DiskIndex::find(uint64_t hash) const {
  const Part& part = part_of(hash);
  std::lock_guard lock(part.mutex);
  const size_t at = part.find(print_of(hash), extra_of(hash));
  if (at == part.places.size()) return std::nullopt;
  return unpack(part.places[at]);
}

std::optional<DiskIndex::Place> DiskIndex::use(uint64_t hash) {
  Part& part = part_of(hash);
  std::lock_guard lock(part.mutex);
  const size_t at = part.find(print_of(hash), extra_of(hash));
  if (at == part.places.size()) return std::nullopt;
  part.places[at] |= kUsedBit;
  return unpack(part.places[at]);
}

bool DiskIndex::used(uint64_t hash) const {
  const Part& part = part_of(hash);
  std::lock_guard lock(part.mutex);
  const size_t at = part.find(print_of(hash), extra_of(hash));
  return at != part.places.size() && (part.places[at] & kUsedBit) != 0;
}

void DiskIndex::put(uint64_t hash, const Place& place) {
  Part& part = part_of(hash);
  const uint64_t packed = pack(hash, place);
  std::lock_guard lock(part.mutex);
  const size_t at = part.find(print_of(hash), extra_of(hash));
  if (at != part.places.size()) {
    part.places[at] = packed;
    return;
  }
  if ((part.used + 1) * 5 > part.places.size() * 4) part.grow();
  part.insert(print_of(hash), packed);
  ++part.used;
}

bool DiskIndex::erase(uint64_t hash) {
  Part& part = part_of(hash);
  std::lock_guard lock(part.mutex);
  const size_t at = part.find(print_of(hash), extra_of(hash));
  if (at == part.places.size()) return false;
  part.erase(at);
  return true;
}

bool DiskIndex::erase_if(uint64_t hash, uint32_t region, uint32_t unit) {
  Part& part = part_of(hash);
  std::lock_guard lock(part.mutex);
  const size_t at = part.find(print_of(hash), extra_of(hash));
  if (at == part.places.size()) return false;
  const Place place = unpack(part.places[at]);
  if (place.region != region || place.unit != unit) return false;
  part.erase(at);
  return true;
}

void DiskIndex::erase_region(uint32_t region) {
  for (Part& part : parts_) {
    std::lock_guard lock(part.mutex);
    for (size_t i = 0; i < part.places.size();) {
      if (part.places[i] != 0 && unpack(part.places[i]).region == region)
        part.erase(i);  // another may have moved here
      else
        ++i;
    }
  }
}

size_t DiskIndex::size() const {
  size_t all = 0;
  for (const Part& part : parts_) {
    std::lock_guard lock(part.mutex);
    all += part.used;
  }
  return all;
}

size_t DiskIndex::bytes() const {
  size_t all = 0;
  for (const Part& part : parts_) {
    std::lock_guard lock(part.mutex);
    all += part.prints.capacity() * sizeof(uint32_t) + part.places.capacity() * sizeof(uint64_t);
  }
  return all;
}

}  // namespace archipel::edge
