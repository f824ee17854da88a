#include "index/snapshot_entries.h"

#include <algorithm>
#include <bit>

namespace archipel::index {
namespace {

constexpr uint8_t kEnd = 0, kEntry = 1;

size_t varint_bytes(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
}

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Code::corrupt, "a chunk of a snapshot is damaged: " + std::string(what));
}

}  // namespace

size_t entry_bytes(std::string_view key, std::string_view value) {
  return 1 + varint_bytes(key.size()) + key.size() + varint_bytes(value.size()) + value.size();
}

void append_entry(std::string& chunk, std::string_view key, std::string_view value) {
  Writer(chunk).u8(kEntry).bytes(key).bytes(value);
}

Result<std::vector<Entry>> parse_entries(ByteView chunk) {
  std::vector<Entry> entries;
  Reader r(chunk);
  while (r.remaining() > 0) {
    const uint8_t kind = r.u8();
    if (kind == kEnd) break;
    if (kind != kEntry) return damaged("an entry is of an unknown kind");
    const std::string_view key = r.bytes();
    const std::string_view value = r.bytes();
    if (!r.ok()) return damaged("an entry is cut short");
    if (!entries.empty() && key <= entries.back().first) return damaged("its keys do not rise");
    entries.emplace_back(key, value);
  }
  const ByteView rest = r.raw(r.remaining());
  if (std::ranges::any_of(rest, [](uint8_t b) { return b != 0; })) return damaged("its padding is not zero");
  if (entries.empty()) return damaged("it holds nothing");
  return entries;
}

}  // namespace archipel::index
