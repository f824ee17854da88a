// H2Memory: what the requests hold that HTTP/2 clients have under way, on all connections of one server. No I/O. One loop.
//
// A request is small on the wire and large in memory: a byte of HPACK stands for 4 KiB of head, and there are handlers behind it. Who opens many and takes no
// answer (windows of 0) would hold connections × streams × heads: the HTTP/2 bomb, CVE-2026-49975. Each connection may hold kShareBytes, which is what a
// connection of HTTP/1.1 can; all that goes beyond comes out of one budget for all. What finds no room is refused, and may be asked for again (RFC 9113 §8.7).
#pragma once

#include <algorithm>
#include <cstddef>

#include "http/limits.h"

namespace archipel::http {

class H2Memory {
 public:
  static constexpr size_t kRequestBytes =
      8u << 10;  // of a request, beside its head: the stream, its handler's frames
  static constexpr size_t kShareBytes = 64u << 10;  // of each connection
  static constexpr size_t kConnectionBytes = 16u
                                             << 10;  // the budget, for each connection that the server takes
  static constexpr size_t kBudgetBytesMin = 16u << 20;

  explicit H2Memory(const Limits& limits)
      : budget_(std::max(kBudgetBytesMin, static_cast<size_t>(limits.connections_max) * kConnectionBytes)) {}

  // May a connection that holds so much hold `more`?
  bool admits(size_t held, size_t more) const { return held + more <= kShareBytes || all_ + more <= budget_; }
  void take(size_t bytes) { all_ += bytes; }
  void give(size_t bytes) { all_ -= bytes; }
  size_t bytes() const { return all_; }

 private:
  const size_t budget_;
  size_t all_ = 0;
};

}  // namespace archipel::http
