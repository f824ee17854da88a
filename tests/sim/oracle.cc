#include "sim/oracle.h"

#include <algorithm>
#include <set>

namespace archipel::sim {
namespace {

constexpr size_t kStatesMax = 50'000;  // of one register at one moment; more is not searched
constexpr size_t kOpenMax = 30;        // events open at one moment
constexpr size_t kShown = 14;          // events of a report before the contradiction

// A possible present: what the register holds, and which of the open events have happened.
struct Config {
  Value value = kAbsent;
  uint32_t done = 0;
  auto operator<=>(const Config&) const = default;
};

bool holds(Event::Condition condition, Value of, Value value) {
  switch (condition) {
    case Event::Condition::none:
      return true;
    case Event::Condition::absent:
      return value == kAbsent;
    case Event::Condition::is:
      return value == of;
    case Event::Condition::is_not:
      return value != of && value != kAbsent;
    case Event::Condition::present:
      return value != kAbsent;
  }
  return false;
}

// The values the register can hold after `event` happened to `value`; none if it cannot happen there.
void outcomes(const Event& event, Value value, std::vector<Value>& out) {
  out.clear();
  const bool may = holds(event.condition, event.of, value);
  switch (event.kind) {
    case Event::Kind::read:
      if (value == event.value) out.push_back(value);
      break;
    case Event::Kind::refuse:
      if (may) out.push_back(value);
      break;
    case Event::Kind::write:
      if (!may) break;  // uncertain: then it was refused, which is as if it had not happened
      if (event.candidates.empty())
        out.push_back(event.value);
      else
        out = event.candidates;
      break;
  }
}

class Search {
 public:
  explicit Search(const std::vector<Event>& events) : events_(events) { now_.insert(Config{}); }

  // False: contradiction at `failed`.
  bool run() {
    struct Edge {
      Moment at;
      size_t event;
      bool begins;
    };
    std::vector<Edge> edges;
    for (size_t i = 0; i < events_.size(); ++i) {
      edges.push_back({events_[i].from, i, true});
      edges.push_back({events_[i].to, i, false});
    }
    std::sort(edges.begin(), edges.end(),
              [](const Edge& a, const Edge& b) { return a.at != b.at ? a.at < b.at : a.event < b.event; });
    for (const Edge& edge : edges) {
      if (edge.begins) {
        if (open_.size() >= kOpenMax) return give_up();
        open_.push_back(edge.event);
        slots_.push_back(free_slot());
      } else if (events_[edge.event].to != kNever) {
        if (!end(edge.event)) {
          failed = edge.event;
          return gave_up;
        }
        if (gave_up) return true;
      }
    }
    return true;
  }

  size_t failed = 0;
  bool gave_up = false;
  std::set<Config> before;  // of the contradiction

 private:
  bool give_up() {
    gave_up = true;
    return true;
  }
  uint32_t free_slot() const {
    for (uint32_t s = 0;; ++s)
      if (std::find(slots_.begin(), slots_.end(), s) == slots_.end()) return s;
  }

  // The interval of an event ends: in every possible present it has happened, or (uncertain) has not and never will.
  bool end(size_t event) {
    const size_t at = static_cast<size_t>(std::find(open_.begin(), open_.end(), event) - open_.begin());
    const uint32_t bit = 1u << slots_[at];
    std::set<Config> seen = now_;
    std::vector<Config> work(now_.begin(), now_.end());
    std::vector<Value> values;
    while (!work.empty()) {
      Config config = work.back();
      work.pop_back();
      if (config.done & bit) continue;
      for (size_t i = 0; i < open_.size(); ++i) {
        const uint32_t other = 1u << slots_[i];
        if (config.done & other) continue;
        outcomes(events_[open_[i]], config.value, values);
        for (Value value : values) {
          Config next{value, config.done | other};
          if (seen.insert(next).second) work.push_back(next);
        }
      }
      if (seen.size() > kStatesMax) {
        gave_up = true;
        return true;
      }
    }
    std::set<Config> after;
    for (const Config& config : seen) {
      if (config.done & bit) after.insert({config.value, config.done & ~bit});
    }
    if (!events_[event].certain) after.insert(now_.begin(), now_.end());
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(at));
    slots_.erase(slots_.begin() + static_cast<std::ptrdiff_t>(at));
    if (after.empty()) {
      before = now_;
      return false;
    }
    now_ = std::move(after);
    return true;
  }

  const std::vector<Event>& events_;
  std::set<Config> now_;
  std::vector<size_t> open_;
  std::vector<uint32_t> slots_;
};

std::string describe(const Event& event) {
  std::string out = "op " + std::to_string(event.op) + " [" + std::to_string(event.from) + ", " +
                    (event.to == kNever ? "…" : std::to_string(event.to)) + "] ";
  auto named = [](Value value) {
    return value == kAbsent ? std::string("nothing") : "v" + std::to_string(value);
  };
  switch (event.kind) {
    case Event::Kind::read:
      out += "reads " + named(event.value);
      break;
    case Event::Kind::write:
      out += event.candidates.empty() ? "writes " + named(event.value) : "writes one of several";
      break;
    case Event::Kind::refuse:
      out += "is refused";
      break;
  }
  switch (event.condition) {
    case Event::Condition::none:
      break;
    case Event::Condition::absent:
      out += " if absent";
      break;
    case Event::Condition::is:
      out += " if it is " + named(event.of);
      break;
    case Event::Condition::is_not:
      out += " if it is not " + named(event.of);
      break;
    case Event::Condition::present:
      out += " if present";
      break;
  }
  return out + (event.certain ? "" : " (outcome unknown)");
}

}  // namespace

std::optional<std::string> Register::check() const {
  Search search(events);
  const bool good = search.run();
  gave_up_ = search.gave_up;
  if (good) return std::nullopt;
  const Event& wrong = events[search.failed];
  std::string out = "no order explains " + describe(wrong) + "; it could hold";
  std::set<Value> values;
  for (const Config& config : search.before) values.insert(config.value);
  for (Value value : values) out += value == kAbsent ? " nothing" : " v" + std::to_string(value);
  out += "; before it:";
  std::vector<const Event*> near;
  for (const Event& event : events) {
    if (event.from <= wrong.to) near.push_back(&event);
  }
  std::sort(near.begin(), near.end(), [](const Event* a, const Event* b) { return a->from < b->from; });
  for (size_t i = near.size() > kShown ? near.size() - kShown : 0; i < near.size(); ++i)
    out += "\n    " + describe(*near[i]);
  return out;
}

Value Oracle::value_of(const std::string& etag) {
  auto [found, fresh] = values_.emplace(etag, static_cast<Value>(etags_.size()));
  if (fresh) etags_.push_back(etag);
  return found->second;
}

uint64_t Oracle::events() const {
  uint64_t sum = 0;
  for (const auto& [name, past] : keys_) sum += past.events.size();
  return sum;
}

std::vector<std::string> Oracle::check() {
  std::vector<std::string> out;
  auto check_all = [&](std::map<std::string, Register>& all, const std::string& what) {
    for (auto& [name, past] : all) {
      if (auto wrong = past.check()) out.push_back(what + " \"" + name + "\": " + *wrong);
      gave_up_ += past.gave_up();
    }
  };
  check_all(keys_, "key");
  check_all(buckets_, "bucket");
  return out;
}

}  // namespace archipel::sim
