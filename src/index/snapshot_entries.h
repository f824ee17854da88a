// The plaintext of a snapshot's chunk: entries of the view in rising order of their keys (docs/formats/snapshot.md).
//
//   entry = u8 1 ‖ bytes key ‖ bytes value;  a zero byte ends the chunk, and only zeros follow
//
// Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace archipel::index {

size_t entry_bytes(std::string_view key, std::string_view value);
void append_entry(std::string& chunk, std::string_view key, std::string_view value);

using Entry = std::pair<std::string_view, std::string_view>;  // key, value
// The entries of a chunk, as views into it. corrupt if it is not made as said above, or holds none.
Result<std::vector<Entry>> parse_entries(ByteView chunk);

}  // namespace archipel::index
