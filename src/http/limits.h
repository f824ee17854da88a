// Limits of the HTTP server and its codec. Each bounds what one client can make us hold or wait for; reaching one has a definite answer.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/clock.h"

namespace archipel::http {

struct Limits {
  size_t request_line_bytes_max = 16u << 10;           // 8 KiB of key, percent-encoded threefold, and a query
  size_t header_bytes_max = 32u << 10;                 // all header fields together, with their line ends
  size_t headers_max = 128;                            // number of header fields
  size_t trailer_bytes_max = 8u << 10;                 // all trailer fields together, with their line ends
  Duration header_timeout = std::chrono::seconds(15);  // first byte of a request to its last header byte
  Duration idle_timeout = std::chrono::seconds(75);    // between requests
  Duration body_timeout = std::chrono::seconds(60);    // without a byte of progress, either direction
  // A body that takes longer than body_rate_grace to come must come at so many bytes a second on the whole, or it is given up: a client that
  // sends a byte a minute would else keep its request for weeks. (Apache: 500 a second after 20 s; nginx and S3 only know body_timeout.) 0: no limit.
  uint32_t body_rate_min = 1024;
  Duration body_rate_grace = std::chrono::seconds(60);
  Duration drain_timeout = std::chrono::seconds(30);  // after drain(): requests under way may finish
  int connections_max =
      10'000;  // per server, or of all that share Places; more are accepted and closed at once
};

inline constexpr size_t kMethodBytesMax = 32;           // longer methods: 501
inline constexpr size_t kTrailersMax = 32;              // trailer fields of one body
inline constexpr size_t kChunkExtensionBytesMax = 256;  // extensions of one chunk
inline constexpr size_t kChunkExtensionsTotalMax =
    16u << 10;  // of all chunks of one body: many tiny chunks with fat extensions are an attack
inline constexpr size_t kUnreadBodyBytesMax =
    256u << 10;  // read and dropped to keep a connection whose handler left a body unread
inline constexpr size_t kWriteSliceBytes =
    256u << 10;  // body_timeout applies to each slice: the slowest accepted reader takes 4.3 KB/s
inline constexpr size_t kBodyPartsPerWrite = 16;  // of a stored body, in one system call
inline constexpr size_t kLingerBytesMax =
    64u << 20;  // read and dropped after our last byte, so that the client gets to see it
inline constexpr Duration kLingerTimeout = std::chrono::seconds(5);  // the same, as time

}  // namespace archipel::http
