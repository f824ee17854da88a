// H2Schedule: which stream sends next. The most urgent ones first (RFC 9218), and among those one frame each in turn. No I/O.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/check.h"

namespace archipel::http {

inline constexpr uint8_t kH2UrgencyMax = 7, kH2UrgencyUsual = 3;

// A stream's place in the schedule; part of it.
struct H2Turn {
  H2Turn *previous = nullptr, *next = nullptr;
  uint8_t urgency = kH2UrgencyUsual;
  bool waits() const { return next != nullptr; }
};

class H2Schedule {
 public:
  H2Schedule() {
    for (H2Turn& ring : rings_) ring.previous = ring.next = &ring;
  }
  H2Schedule(const H2Schedule&) = delete;
  H2Schedule& operator=(const H2Schedule&) = delete;

  // Behind the others of its urgency; nothing if it waits already.
  void add(H2Turn& turn) {
    if (turn.waits()) return;
    CHECK(turn.urgency <= kH2UrgencyMax);
    H2Turn& ring = rings_[turn.urgency];
    turn.previous = ring.previous;
    turn.next = &ring;
    ring.previous->next = &turn;
    ring.previous = &turn;
    used_ |= static_cast<uint8_t>(1u << turn.urgency);
  }
  void remove(H2Turn& turn) {
    if (!turn.waits()) return;
    turn.previous->next = turn.next;
    turn.next->previous = turn.previous;
    turn.previous = turn.next = nullptr;
    const H2Turn& ring = rings_[turn.urgency];
    if (ring.next == &ring) used_ &= static_cast<uint8_t>(~(1u << turn.urgency));
  }
  // nullptr: nobody waits.
  H2Turn* first() {
    if (used_ == 0) return nullptr;
    return rings_[static_cast<size_t>(__builtin_ctz(used_))].next;
  }

 private:
  std::array<H2Turn, kH2UrgencyMax + 1> rings_;
  uint8_t used_ = 0;  // a bit for each ring that is not empty
};

// The urgency in a Priority field (RFC 9218 §4.1); what cannot be read says nothing.
inline uint8_t read_urgency(std::string_view field) {
  while (!field.empty()) {
    const size_t comma = field.find(',');
    std::string_view item = field.substr(0, comma);
    while (item.starts_with(' ') || item.starts_with('\t')) item.remove_prefix(1);
    if (item.size() >= 3 && item.starts_with("u=") && item[2] >= '0' && item[2] <= '7' &&
        (item.size() == 3 || item[3] == ' ' || item[3] == ';'))
      return static_cast<uint8_t>(item[2] - '0');
    field = comma == std::string_view::npos ? std::string_view{} : field.substr(comma + 1);
  }
  return kH2UrgencyUsual;
}

}  // namespace archipel::http
