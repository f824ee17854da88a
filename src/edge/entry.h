// Entry: one stored response, its head. Slice: 1 MiB of its body. Both immutable and shared: whoever serves them holds a reference.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "http/message.h"

namespace archipel::edge {

inline constexpr uint64_t kSliceBytes = 1u << 20;

// 128 bits of a keyed hash over the text of a key: where things lie. Equal texts have equal Keys; the text itself is compared on every find.
struct Key {
  uint64_t high = 0, low = 0;
  bool operator==(const Key&) const = default;
};

// RFC 9111 §4.2 as numbers, computed once when the response is stored. Times are ours (ms since 1970), spans in ms.
struct Lifetime {
  UnixMs received = 0;           // when the response's head was complete
  int64_t age_then = 0;          // corrected_initial_age at `received`
  int64_t fresh = 0;             // freshness_lifetime
  int64_t while_revalidate = 0;  // RFC 5861; 0: not
  int64_t if_error = 0;
  bool heuristic = false;
  bool validate_always = false;  // no-cache
  bool never_stale = false;      // must-revalidate, proxy-revalidate, s-maxage, no-cache
};

struct Entry {
  uint64_t id = 0;     // of this response; never again (Cache::new_id). Its slices are found by it
  uint64_t stamp = 0;  // Cache::stamp() before the request was sent; cache.h says why
  std::string
      key;  // the key's text: site, scheme, host, target as the site's policy reads them; then, behind a NUL, the variant's values
  std::string site;                 // whose policy it was stored under
  std::vector<std::string> tags;    // Cache-Tag, Surrogate-Key; lower-case, at most kTagsMax
  std::vector<std::string> groups;  // RFC 9875, of the origin
  int status = 200;
  uint32_t h2_own = 0;  // see h2_head
  http::Headers
      headers;  // end-to-end fields as they are served; without age, connection, content-length and what the policy took away
  std::optional<uint64_t> length;  // of the whole body; nullopt while it is not known
  Lifetime lifetime;
  std::string etag;  // as received, empty if none
  std::optional<UnixMs> last_modified;
  bool ranges =
      false;  // the origin serves ranges of it, and it has a strong validator: slices may be fetched one by one
  std::string
      h1_head;  // "HTTP/1.1 200 OK\r\n" and `headers`, serialised once; age, date, connection and the empty line follow
  std::string
      h2_head;  // the same for HTTP/2, in HPACK (http/h2_writer.h); then the date, and the length if there is one: the last h2_own bytes
  // Makes h2_head of the others. After a change of `status`, `headers` or `length`.
  void write_h2_head();
  // Without what h2_own counts: for answers of another length or date.
  std::string_view h2_fields() const { return std::string_view(h2_head).substr(0, h2_head.size() - h2_own); }
  // Bytes that it takes in memory, its slices not included.
  size_t cost() const;
};
using EntryRef = std::shared_ptr<const Entry>;

struct Slice {
  uint64_t entry = 0;  // Entry::id
  uint32_t index = 0;  // bytes [index * kSliceBytes, …)
  Buffer bytes;
  mutable std::atomic<uint32_t> writers = 0;  // ReaderMemory's: writes to clients that are under way from it
};
using SliceRef = std::shared_ptr<const Slice>;

// What varies under one key: the sets of field names that responses named in Vary. The newest set comes first; at most kVarySetsMax.
struct Variants {
  std::string key;
  std::vector<std::vector<std::string>> names;
};

inline constexpr size_t kTagsMax = 128;
inline constexpr size_t kVarySetsMax = 4;
inline constexpr size_t kKeyBytesMax = 16u << 10;

}  // namespace archipel::edge
