// What clients were told, and whether a store that does one thing after the other could have told it (linearisability, key by key).
//
// Every operation on a key becomes an event of that key's register with the interval in which it took effect. An operation whose outcome is not
// known may have happened at one moment of its interval or not at all; its interval ends when the question is settled (protocol §2: after the
// next recovery nothing of an earlier epoch becomes visible any more). Values are contents, by ETag.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace archipel::sim {

using Moment = uint64_t;  // a count of all beginnings and ends: no two are the same
inline constexpr Moment kNever = UINT64_MAX;

using Value = uint32_t;
inline constexpr Value kAbsent = 0;
inline constexpr Value kUnread = 1;  // some content that nobody has seen since

struct Event {
  enum class Kind : uint8_t {
    read,    // the register held `value` (kAbsent: nothing)
    write,   // it holds `value` from then on, if `condition` held
    refuse,  // the condition did not hold
  };
  enum class Condition : uint8_t { none, absent, is, is_not, present };

  Kind kind = Kind::read;
  Value value = kAbsent;
  Condition condition = Condition::none;
  Value of = kAbsent;             // of the condition
  bool certain = true;            // false: it may not have happened
  std::vector<Value> candidates;  // of an uncertain write of something unknown, one of these was written
  Moment from = 0, to = kNever;
  uint32_t op = 0;  // of the program, for reports
};

// One key's past.
class Register {
 public:
  std::vector<Event> events;

  // Nothing, or why no order of the events explains them; with the events around the contradiction.
  std::optional<std::string> check() const;
  // True if check() gave up because too many orders were possible.
  bool gave_up() const { return gave_up_; }

 private:
  mutable bool gave_up_ = false;
};

class Oracle {
 public:
  Moment tick() { return ++now_; }
  Moment now() const { return now_; }

  // ETags as numbers. The empty string is kAbsent.
  Value value_of(const std::string& etag);
  const std::string& etag_of(Value value) const { return etags_[value]; }

  Register& key(const std::string& bucket, const std::string& name) { return keys_[bucket + "/" + name]; }
  Register& bucket(const std::string& name) { return buckets_[name]; }

  // Event `index` of a register, which outlives it.
  struct Ref {
    Register* where = nullptr;
    size_t index = 0;
    Event* operator->() const { return &where->events[index]; }
  };
  static Ref add(Register& where, Event event) {
    where.events.push_back(std::move(event));
    return {&where, where.events.size() - 1};
  }

  // The contradictions, one text each. A copy of unknown content gets what its source can have held from `copies`.
  std::vector<std::string> check();
  uint64_t gave_up() const { return gave_up_; }
  uint64_t events() const;

 private:
  Moment now_ = 0;
  std::map<std::string, Value> values_{{"", kAbsent}, {"?", kUnread}};
  std::vector<std::string> etags_{"(absent)", "(unread)"};
  std::map<std::string, Register> keys_, buckets_;
  uint64_t gave_up_ = 0;
};

}  // namespace archipel::sim
