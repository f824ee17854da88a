#include "http/hpack_encoder.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "http/hpack_table.h"
#include "http/huffman.h"

namespace archipel::http {
namespace {

struct StaticName {
  std::string_view name;
  uint8_t index;
};

constexpr size_t kNameBytesMax = 27;  // access-control-allow-origin
constexpr unsigned kStatusIndex = 8, kFirstNameIndex = 15;

// Sorted by length: the few of one length are compared one after the other.
constexpr auto kNames = [] {
  std::array<StaticName, kHpackStatic.size() - kFirstNameIndex + 1> names{};
  for (size_t i = 0; i < names.size(); ++i)
    names[i] = {kHpackStatic[i + kFirstNameIndex - 1].name, static_cast<uint8_t>(i + kFirstNameIndex)};
  std::ranges::sort(names,
                    [](const StaticName& a, const StaticName& b) { return a.name.size() < b.name.size(); });
  return names;
}();

// Where the names of each length begin in kNames.
constexpr auto kStarts = [] {
  std::array<uint8_t, kNameBytesMax + 2> starts{};
  for (size_t length = 0; length < starts.size(); ++length) {
    size_t at = 0;
    while (at < kNames.size() && kNames[at].name.size() < length) ++at;
    starts[length] = static_cast<uint8_t>(at);
  }
  return starts;
}();

constexpr uint8_t kWithoutIndexing = 0x00, kNeverIndexed = 0x10, kIndexed = 0x80, kHuffman = 0x80;

}  // namespace

unsigned hpack_static_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return 0;
  for (size_t i = kStarts[name.size()]; i < kStarts[name.size() + 1]; ++i)
    if (kNames[i].name.front() == name.front() && kNames[i].name == name) return kNames[i].index;
  return 0;
}

void HpackWriter::integer(size_t value, unsigned prefix_bits, uint8_t first) {
  const size_t limit = (size_t{1} << prefix_bits) - 1;
  if (value < limit) {
    *to_++ = static_cast<uint8_t>(first | value);
    return;
  }
  *to_++ = static_cast<uint8_t>(first | limit);
  for (value -= limit; value >= 0x80; value >>= 7) *to_++ = static_cast<uint8_t>(value | 0x80);
  *to_++ = static_cast<uint8_t>(value);
}

void HpackWriter::text(std::string_view text, bool shortest) {
  if (shortest) {
    const size_t size = huffman_size(text);
    if (size < text.size()) {
      integer(size, 7, kHuffman);
      to_ = huffman_encode(text, to_);
      return;
    }
  }
  integer(text.size(), 7, 0);
  copy(text);
}

void HpackWriter::copy(std::string_view encoded) {
  if (!encoded.empty()) std::memcpy(to_, encoded.data(), encoded.size());
  to_ += encoded.size();
}

void HpackWriter::status(int status) {
  // §appendix A, 8 to 14.
  static constexpr std::array<int, 7> kKnown = {200, 204, 206, 304, 400, 404, 500};
  for (size_t i = 0; i < kKnown.size(); ++i) {
    if (kKnown[i] != status) continue;
    *to_++ = static_cast<uint8_t>(kIndexed | (kStatusIndex + i));
    return;
  }
  CHECK(status >= 100 && status <= 999);
  *to_++ = kWithoutIndexing | kStatusIndex;
  *to_++ = 3;
  *to_++ = static_cast<uint8_t>('0' + status / 100);
  *to_++ = static_cast<uint8_t>('0' + status / 10 % 10);
  *to_++ = static_cast<uint8_t>('0' + status % 10);
}

void HpackWriter::field(std::string_view name, std::string_view value, bool shortest) {
  const unsigned index = hpack_static_name(name);
  // No proxy on the way may index what a guesser could be after (§7.1.3).
  integer(index, 4, name == "set-cookie" ? kNeverIndexed : kWithoutIndexing);
  if (index == 0) text(name, shortest);
  text(value, shortest);
}

}  // namespace archipel::http
