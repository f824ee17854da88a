// Header blocks of responses as bytes (RFC 7541). No I/O, no state.
//
// Names come from the static table where it has them; the rest are literals. Nothing is put into the dynamic table: a block then means the same on every connection, and one
// that was made before is copied. What is made once and sent often is Huffman-coded, what is made for one answer is not: coding it takes longer than sending it. The first byte of each block sets the table's size to 0, whatever the client's SETTINGS say (§4.2).
#pragma once

#include <cstdint>
#include <string_view>

namespace archipel::http {

class HpackWriter {
 public:
  // Writes to `to`, which has room for what is written: kStartBytes, kStatusBytesMax and field_bytes_max() of each field.
  explicit HpackWriter(uint8_t* to) : begin_(to), to_(to) {}

  static constexpr size_t kStartBytes = 1, kStatusBytesMax = 5;
  static constexpr size_t kFieldOverheadMax = 18;  // three integers
  static constexpr size_t field_bytes_max(std::string_view name, std::string_view value) {
    return name.size() + value.size() + kFieldOverheadMax;
  }

  void start() { *to_++ = 0x20; }  // before the first field of a block
  void status(int status);         // 100 to 999
  void field(std::string_view name, std::string_view value) { field(name, value, false); }
  // Huffman-coded where that is shorter.
  void short_field(std::string_view name, std::string_view value) { field(name, value, true); }
  void copy(std::string_view encoded);  // fields that another writer made
  size_t size() const { return static_cast<size_t>(to_ - begin_); }

 private:
  void integer(size_t value, unsigned prefix_bits, uint8_t first);
  void field(std::string_view name, std::string_view value, bool shortest);
  void text(std::string_view text, bool shortest);

  uint8_t* const begin_;
  uint8_t* to_;
};

// The index of `name` in the static table (RFC 7541 appendix A), the first if there are several; 0 if it is not there. Names of requests' pseudo-fields are left out.
unsigned hpack_static_name(std::string_view name);

}  // namespace archipel::http
