// PurgeOrder: what is to be purged, as operators and other edges say it: JSON, one object. Pure functions.
//
//   {"url": "https://www.example.org/a.css", "soft": true}     url | prefix | tag (and maybe site) | site: from operators and edges
//   {"key": "7777770a…"}                                       a primary key (key.h), hexadecimal: between edges alone
//   {"origin": "https://www.example.org", "group": "scripts"}  RFC 9875: between edges alone
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

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

}  // namespace archipel::edge
