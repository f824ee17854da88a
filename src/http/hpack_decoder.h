// HpackDecoder: the header blocks of one direction of a connection, in order (RFC 7541). No I/O.
//
// Memory: the dynamic table's kHpackTableBytes, which is what a peer may assume that never hears of another size; and, while a block is decoded, one field, which
// is at most 1.6 times as long as the block.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace archipel::http {

inline constexpr size_t kHpackTableBytes = 4096;   // SETTINGS_HEADER_TABLE_SIZE as it is at first
inline constexpr size_t kHpackFieldOverhead = 32;  // of a field in a table (§4.1)

class HpackDecoder {
 public:
  // What a field is given to; the views live until it returns. `note` belongs to the taker: 0 at first, and of a field that is in a table what the taker left there when it was
  // given the same field before. Clients send most fields again and again; what was found out about one need not be found out twice.
  using Take = void (*)(void* to, std::string_view name, std::string_view value, uint8_t& note);
  // One whole block, whose fields are given to `take` in order. False: it does not decode, and neither does what comes after it.
  [[nodiscard]] bool decode(ByteView block, Take take, void* to);

 private:
  struct Field {
    std::string text;  // name and value
    size_t name_bytes;
    uint8_t note;
    std::string_view name() const { return std::string_view(text).substr(0, name_bytes); }
    std::string_view value() const { return std::string_view(text).substr(name_bytes); }
    size_t cost() const { return text.size() + kHpackFieldOverhead; }
  };
  struct Text;
  bool find(size_t index, std::string_view& name, std::string_view& value) const;
  uint8_t& note_of(size_t index);  // that find() found
  bool literal(ByteView& in, unsigned prefix_bits, bool keep, Take take, void* to);
  void add(std::string_view name, std::string_view value, uint8_t note);
  void evict(size_t bytes_max);

  std::vector<Field> fields_;  // of the dynamic table, from oldest_ on, the newest last
  size_t oldest_ = 0;
  size_t bytes_ = 0, bytes_max_ = kHpackTableBytes;
  std::array<uint8_t, 61> static_notes_{};
};

}  // namespace archipel::http
