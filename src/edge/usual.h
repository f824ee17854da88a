// What most requests are: a GET or HEAD for what is stored, on whose fields nothing depends but the key. Found out in one look at them, so that a usual hit
// costs no second one. Pure functions.
#pragma once

#include <string_view>

#include "http/message.h"

namespace archipel::edge {

struct Usual {
  std::string_view host;  // the first; empty: none
  bool plain =
      true;  // no conditions, no range, no wish about freshness, no other protocol asked for, not from another edge
  bool looped = false;     // CDN-Loop: it came through a CDN, maybe this one
  bool forwarded = false;  // X-Forwarded-Proto
};
Usual look_for_usual(const http::Headers& request);

}  // namespace archipel::edge
