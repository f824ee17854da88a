// PurgeOrder: what is to be purged, as operators and other edges say it: JSON, one object; and the batches in which edges tell each other. Pure functions.
//
//   {"url": "https://www.example.org/a.css", "soft": true}     url | prefix | tag (and maybe site) | site: from operators and edges
//   {"key": "7777770a…"}                                       a primary key (key.h), hexadecimal: between edges alone
//   {"origin": "https://www.example.org", "group": "scripts"}  RFC 9875: between edges alone
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "edge/purges_heard.h"

namespace archipel::edge {

struct PurgeOrder {
  std::string url, prefix, tag, site;
  std::string key;            // bytes, not hexadecimal
  std::string origin, group;  // together
  bool soft = false;
  bool operator==(const PurgeOrder&) const = default;
};

// invalid: no such object, an unknown key, or not exactly one thing to purge; the message says what to send.
Result<PurgeOrder> parse_purge_order(std::string_view json, bool from_edge);
std::string purge_order_json(const PurgeOrder& order);

// What one edge tells another at a time:
//   {"edge": NAME, "id": "16 hexadecimal digits", "was": [{"id", "same", "until", "at"}], "first": 1, "lost": false, "records": [order, …]}
// and the answer: {"heard": NUMBER}. `was` may be missing.
struct PurgeBatch {
  PurgesHeard::Batch head;
  std::vector<Result<PurgeOrder>> orders;  // head.count; an error: not for us
};
// invalid.
Result<PurgeBatch> parse_purge_batch(std::string_view json);
// All before the records, which follow each as purge_order_json() made it, with commas between; then kPurgeBatchEnd.
std::string purge_batch_begin(const PurgesHeard::Batch& head);
inline constexpr std::string_view kPurgeBatchEnd = "]}";
std::string heard_json(uint64_t heard);
std::optional<uint64_t> parse_heard(std::string_view json);

}  // namespace archipel::edge
