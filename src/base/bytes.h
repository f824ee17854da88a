// Bytes: views, an owning uninitialised buffer, text encodings, and the fixed-width little reader and writer of our formats.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace archipel {

using ByteView = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

namespace detail {
// Memory of Buffers. From kLargeBytes on it comes from a bounded stock of pages that were used before: a page fresh from the
// system costs more than sealing what is then written to it. base/page_stock.h
inline constexpr size_t kLargeBytes = 256u << 10;
uint8_t* allocate_bytes(size_t size);
void free_bytes(uint8_t* data, size_t size);
struct FreeBytes {
  size_t size = 0;  // as given to allocate_bytes
  void operator()(uint8_t* data) const { free_bytes(data, size); }
};
}  // namespace detail

// An owning, movable run of bytes whose memory is *not* cleared when allocated: large bodies pass through it.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : data_(detail::allocate_bytes(size), {size}), size_(size), capacity_(size) {}
  static Buffer copy_of(ByteView bytes) {
    Buffer b(bytes.size());
    if (!bytes.empty()) std::memcpy(b.data(), bytes.data(), bytes.size());
    return b;
  }
  Buffer(Buffer&& o) noexcept
      : data_(std::move(o.data_)),
        size_(std::exchange(o.size_, 0)),
        capacity_(std::exchange(o.capacity_, 0)) {}
  Buffer& operator=(Buffer&& o) noexcept {
    data_ = std::move(o.data_);
    size_ = std::exchange(o.size_, 0);
    capacity_ = std::exchange(o.capacity_, 0);
    return *this;
  }

  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  MutableBytes span() { return {data_.get(), size_}; }
  ByteView view() const { return {data_.get(), size_}; }
  operator ByteView() const { return view(); }
  // size <= capacity(); shrinks or re-grows the visible part, never reallocates.
  void resize_within(size_t size) {
    CHECK(size <= capacity_);
    size_ = size;
  }

 private:
  std::unique_ptr<uint8_t[], detail::FreeBytes> data_;
  size_t size_ = 0, capacity_ = 0;
};

// Lower-case hexadecimal. unhex accepts both cases and refuses odd lengths and other characters.
std::string hex(ByteView bytes);
std::optional<std::string> unhex(std::string_view text);
// RFC 4648 §4 with padding; decoding is strict (canonical padding, no white space).
std::string base64(ByteView bytes);
std::optional<std::string> unbase64(std::string_view text);

// Appends integers big-endian (so that keys sort by value) and length-prefixed strings to a std::string.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  Writer& u8(uint8_t v) {
    out_.push_back(static_cast<char>(v));
    return *this;
  }
  Writer& u16(uint16_t v) { return big_endian(v, 2); }
  Writer& u32(uint32_t v) { return big_endian(v, 4); }
  Writer& u64(uint64_t v) { return big_endian(v, 8); }
  Writer& varint(uint64_t v);  // LEB128
  Writer& raw(ByteView b) {
    out_.append(as_text(b));
    return *this;
  }
  Writer& raw(std::string_view b) {
    out_.append(b);
    return *this;
  }
  Writer& bytes(std::string_view b) {
    varint(b.size());
    out_.append(b);
    return *this;
  }  // varint length, then bytes
  Writer& bytes(ByteView b) { return bytes(as_text(b)); }

 private:
  Writer& big_endian(uint64_t v, int width) {
    for (int i = width - 1; i >= 0; --i) out_.push_back(static_cast<char>(v >> (8 * i)));
    return *this;
  }
  std::string& out_;
};

// The mirror of Writer over untrusted input. Any read past the end, or a varint that is over-long, sets ok() to false and
// yields zeros and empty views from then on; check ok() (or done()) once at the end.
class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}
  explicit Reader(std::string_view in) : in_(as_bytes(in)) {}
  uint8_t u8() { return static_cast<uint8_t>(big_endian(1)); }
  uint16_t u16() { return static_cast<uint16_t>(big_endian(2)); }
  uint32_t u32() { return static_cast<uint32_t>(big_endian(4)); }
  uint64_t u64() { return big_endian(8); }
  uint64_t varint();
  ByteView raw(size_t size);
  template <size_t N>
  void fixed(std::array<uint8_t, N>& out) {
    ByteView b = raw(N);
    if (b.size() == N) std::memcpy(out.data(), b.data(), N);
  }
  std::string_view bytes(
      size_t size_max = SIZE_MAX);  // varint length, then bytes; longer than size_max is not ok
  bool ok() const { return ok_; }
  bool done() const { return ok_ && in_.empty(); }  // everything was read, and nothing is left
  size_t remaining() const { return in_.size(); }

 private:
  uint64_t big_endian(size_t width);
  ByteView in_;
  bool ok_ = true;
};

}  // namespace archipel
