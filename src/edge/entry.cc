#include "edge/entry.h"

#include "http/h2_writer.h"

namespace archipel::edge {
namespace {

// What the allocator adds to each piece, and rounds it to.
constexpr size_t kPieceExtra = 8;
constexpr size_t kPieceUnit = 16;
constexpr size_t kShortString = 15;  // such texts lie in the string itself
constexpr size_t kControlBlock = 16;

size_t piece(size_t bytes) {
  return bytes == 0 ? 0 : (bytes + kPieceExtra + kPieceUnit - 1) / kPieceUnit * kPieceUnit;
}
size_t beyond(const std::string& text) {
  return text.capacity() <= kShortString ? 0 : piece(text.capacity() + 1);
}
size_t beyond(const std::vector<std::string>& texts) {
  size_t all = piece(texts.capacity() * sizeof(std::string));
  for (const std::string& text : texts) all += beyond(text);
  return all;
}

}  // namespace

void Entry::write_h2_head() {
  h2_head.clear();
  h2_own = 0;
  if (http::write_stored_h2_head(h2_head, status, headers))
    h2_own = static_cast<uint32_t>(http::write_stored_h2_own(h2_head, status, headers.get("date"), length));
  h2_head.shrink_to_fit();
}

size_t Entry::cost() const {
  size_t all = piece(sizeof(Entry) + kControlBlock);
  all += beyond(key) + beyond(site) + beyond(etag) + beyond(h1_head) + beyond(h2_head) + beyond(tags) +
         beyond(groups);
  // The list's capacity is not told; it may be twice as long as it is.
  all += piece(2 * headers.size() * sizeof(std::pair<std::string, std::string>));
  for (const auto& [name, value] : headers) all += beyond(name) + beyond(value);
  return all;
}

}  // namespace archipel::edge
