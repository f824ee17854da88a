#include "http/hpack_decoder.h"

#include "http/hpack_table.h"
#include "http/huffman.h"

namespace archipel::http {
namespace {

// §5.1. False: it does not end, or no such number can mean anything in a block.
bool take_integer(ByteView& in, unsigned prefix_bits, size_t& out) {
  constexpr unsigned kShiftMax = 21;  // 2^28: more than any block has
  const size_t limit = (size_t{1} << prefix_bits) - 1;
  if (in.empty()) return false;
  out = in.front() & limit;
  in = in.subspan(1);
  if (out < limit) return true;
  for (unsigned shift = 0; shift <= kShiftMax; shift += 7) {
    if (in.empty()) return false;
    const uint8_t byte = in.front();
    in = in.subspan(1);
    out += size_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

}  // namespace

// A string literal (§5.2): where it lies, or decoded.
struct HpackDecoder::Text {
  std::string_view view;
  std::string decoded;
  bool take(ByteView& in) {
    if (in.empty()) return false;
    const bool huffman = (in.front() & 0x80) != 0;
    size_t size = 0;
    if (!take_integer(in, 7, size) || size > in.size()) return false;
    view = as_text(in.first(size));
    in = in.subspan(size);
    if (!huffman) return true;
    bool good = false;
    decoded.resize_and_overwrite(huffman_decoded_max(size), [&](char* to, size_t) {
      const char* end = huffman_decode(view, to);
      good = end != nullptr;
      return good ? static_cast<size_t>(end - to) : 0;
    });
    view = decoded;
    return good;
  }
};

bool HpackDecoder::find(size_t index, std::string_view& name, std::string_view& value) const {
  if (index == 0) return false;
  if (index <= kHpackStatic.size()) {
    name = kHpackStatic[index - 1].name;
    value = kHpackStatic[index - 1].value;
    return true;
  }
  index -= kHpackStatic.size();
  if (index > fields_.size() - oldest_) return false;
  const Field& field = fields_[fields_.size() - index];
  name = field.name();
  value = field.value();
  return true;
}

uint8_t& HpackDecoder::note_of(size_t index) {
  static_assert(kHpackStatic.size() == std::tuple_size_v<decltype(static_notes_)>);
  if (index <= kHpackStatic.size()) return static_notes_[index - 1];
  return fields_[fields_.size() - (index - kHpackStatic.size())].note;
}

bool HpackDecoder::decode(ByteView block, Take take, void* to) {
  bool begun = false;
  while (!block.empty()) {
    const uint8_t first = block.front();
    if ((first & 0x80) != 0) {  // §6.1
      size_t index = 0;
      std::string_view name, value;
      if (!take_integer(block, 7, index) || !find(index, name, value)) return false;
      take(to, name, value, note_of(index));
    } else if ((first & 0x40) != 0) {  // §6.2.1
      if (!literal(block, 6, true, take, to)) return false;
    } else if ((first & 0x20) != 0) {  // §6.3, and §4.2: before the first field
      size_t size = 0;
      if (begun || !take_integer(block, 5, size) || size > kHpackTableBytes) return false;
      bytes_max_ = size;
      evict(size);
      continue;
    } else {  // §6.2.2, §6.2.3
      if (!literal(block, 4, false, take, to)) return false;
    }
    begun = true;
  }
  return true;
}

bool HpackDecoder::literal(ByteView& in, unsigned prefix_bits, bool keep, Take take, void* to) {
  size_t index = 0;
  if (!take_integer(in, prefix_bits, index)) return false;
  std::string_view named, ignored;
  Text name, value;
  if (index != 0 ? !find(index, named, ignored) : !name.take(in)) return false;
  if (!value.take(in)) return false;
  if (index == 0) named = name.view;
  uint8_t note = 0;
  take(to, named, value.view, note);
  if (keep) add(named, value.view, note);
  return true;
}

// §4.4. A field that is larger than the table empties it.
void HpackDecoder::add(std::string_view name, std::string_view value, uint8_t note) {
  const size_t cost = name.size() + value.size() + kHpackFieldOverhead;
  if (cost > bytes_max_) return evict(0);
  // `name` may be in a field that has to go.
  Field field{{}, name.size(), note};
  field.text.reserve(name.size() + value.size());
  field.text.append(name).append(value);
  evict(bytes_max_ - cost);
  bytes_ += cost;
  fields_.push_back(std::move(field));
}

void HpackDecoder::evict(size_t bytes_max) {
  while (bytes_ > bytes_max) {
    bytes_ -= fields_[oldest_].cost();
    fields_[oldest_++].text = {};
  }
  // What is gone is moved over when it is more than what is there.
  if (oldest_ > fields_.size() / 2) {
    fields_.erase(fields_.begin(), fields_.begin() + static_cast<ptrdiff_t>(oldest_));
    oldest_ = 0;
  }
}

}  // namespace archipel::http
