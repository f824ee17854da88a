#include "edge/usual.h"

#include "edge/peers.h"

namespace archipel::edge {

Usual look_for_usual(const http::Headers& request) {
  Usual out;
  for (const auto& [name, value] : request) {
    switch (name.front()) {
      case 'a':
        if (name == kPeerField) out.plain = false;
        break;
      case 'c':
        if (name == "cache-control") out.plain = false;
        if (name == "cdn-loop") out.looped = true;
        break;
      case 'h':
        if (name == "host" && out.host.empty()) out.host = value;
        break;
      case 'i':  // if-match and its kind, if-range
        if (name.starts_with("if-")) out.plain = false;
        break;
      case 'p':
        if (name == "pragma") out.plain = false;
        break;
      case 'r':
        if (name == "range") out.plain = false;
        break;
      case 'u':
        if (name == "upgrade") out.plain = false;
        break;
      case 'x':
        if (name == "x-forwarded-proto") out.forwarded = true;
        break;
      default:
        break;
    }
  }
  return out;
}

}  // namespace archipel::edge
