#include "base/page_stock.h"

#include <sys/mman.h>

#include <new>

#include "base/bytes.h"

namespace archipel {
namespace {

constexpr size_t kRound = 128u << 10;
constexpr size_t kHugePageBytes = 2u << 20;
constexpr size_t kIdleBytesMax = 128u
                                 << 20;  // of the Buffers' stock: seven coded extents of the default size

size_t rounded(size_t size) {
  return (size + kRound - 1) / kRound * kRound;
}

}  // namespace

PageStock::~PageStock() {
  for (const Piece& piece : idle_) ::munmap(piece.data, piece.size);
}

uint8_t* PageStock::find(size_t size) {
  std::lock_guard lock(mutex_);
  for (size_t i = idle_.size(); i-- > 0;) {  // the last one given back is the likeliest to be in a cache
    if (idle_[i].size != size) continue;
    uint8_t* data = idle_[i].data;
    idle_.erase(idle_.begin() + static_cast<ptrdiff_t>(i));
    idle_bytes_ -= size;
    return data;
  }
  return nullptr;
}

uint8_t* PageStock::take(size_t size) {
  if (size > SIZE_MAX - kRound) throw std::bad_alloc();
  size = rounded(size);
  if (uint8_t* data = find(size)) return data;
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  if (size >= kHugePageBytes)
    ::madvise(data, size, MADV_HUGEPAGE);  // a hint: fewer and cheaper faults where the system allows it
  return static_cast<uint8_t*>(data);
}

void PageStock::give(uint8_t* data, size_t size) {
  size = rounded(size);
  std::vector<Piece> unmapped;  // outside the lock: unmapping is slow
  {
    std::lock_guard lock(mutex_);
    idle_.push_back({data, size});
    idle_bytes_ += size;
    while (idle_bytes_ > idle_bytes_max_) {
      unmapped.push_back(idle_.front());
      idle_bytes_ -= idle_.front().size;
      idle_.erase(idle_.begin());
    }
  }
  for (const Piece& piece : unmapped) ::munmap(piece.data, piece.size);
}

size_t PageStock::idle_bytes() const {
  std::lock_guard lock(mutex_);
  return idle_bytes_;
}

namespace detail {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define ARCHIPEL_SANITIZED 1
#endif
#endif
#ifdef ARCHIPEL_SANITIZED
constexpr bool kStocked =
    false;  // memory handed out again would hide from a sanitizer that its first owner still uses it
#else
constexpr bool kStocked = true;
#endif

PageStock& stock() {
  static PageStock* const stock =
      new PageStock(kIdleBytesMax);  // never destroyed: static Buffers may outlive it
  return *stock;
}

}  // namespace

uint8_t* allocate_bytes(size_t size) {
  return kStocked && size >= kLargeBytes ? stock().take(size) : new uint8_t[size];
}

void free_bytes(uint8_t* data, size_t size) {
  if (kStocked && size >= kLargeBytes)
    stock().give(data, size);
  else
    delete[] data;
}

}  // namespace detail
}  // namespace archipel
